//! The driver without a process: the machine that it drives is the test's (`stage.rs`). Each file
//! is named after the behaviour that it shows.

mod a_caller_in_rust_is_answered_where_it_asked;
mod a_start_and_an_end_are_told_in_order;
mod a_tenant_in_use_stays;
mod any_thread_finds_a_tenant;
mod nothing_is_left_after_dispose;
mod ports_are_given_to_one_run;
mod stage;
mod support;
mod where_no_engine_can_be_had;
