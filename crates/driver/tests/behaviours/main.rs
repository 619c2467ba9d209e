//! Tests of the driver without processes, on a machine of the tests (`fake_machine.rs`). Each file
//! is named after the behaviour that it shows.

mod a_held_key_waits;
mod a_port_is_assigned_to_one_run;
mod a_rust_caller_is_answered_by_its_future;
mod a_start_waits_for_its_settings;
mod a_start_without_an_engine_fails;
mod a_tenant_in_use_is_neither_idle_nor_evicted;
mod dispose_leaves_nothing_behind;
mod fake_machine;
mod harness;
mod last_uses_are_waited_for;
mod only_admitted_keys_run;
mod records_of_a_run_come_in_order;
mod tenants_outlive_their_host;
mod tenants_sleep;
mod the_directory_hands_out_ready_tenants;
mod what_becomes_of_tenants_is_told;
