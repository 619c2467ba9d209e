//! The driver without a process: the machine that it drives is the test's (`support.rs`). Each file is named after the
//! behaviour that it shows.

mod a_start_and_an_end_are_told_in_order;
mod nothing_is_left_after_dispose;
mod support;
