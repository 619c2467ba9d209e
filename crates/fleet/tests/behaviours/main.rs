//! One behaviour a file, told with a few hosts on one store that answers at once.

// Of the store that the simulation has.
#[allow(dead_code, reason = "nothing is restored here")]
#[path = "../simulation/store.rs"]
mod store;
mod support;

mod a_host_is_gone_by_its_own_lease;
mod a_host_leaves_in_order;
mod a_host_that_is_gone_is_told;
mod a_host_that_was_stopped_is_fenced_first;
mod a_key_is_placed_once;
mod a_newer_version_is_left_alone;
mod a_picture_may_be_behind;
mod a_store_that_is_gone;
mod an_id_is_one_hosts;
mod what_is_idle_goes_first;
mod what_is_lost_is_withdrawn;
