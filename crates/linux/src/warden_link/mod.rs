//! The link to the warden: its program, the socket to it, and the runs that it is asked for.

pub mod client;
mod main_process;
pub mod program;
pub mod run;
pub mod surroundings;
