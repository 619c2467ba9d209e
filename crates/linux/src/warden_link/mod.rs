//! The link to the warden.

pub mod client;
mod main_process;
pub mod program;
pub mod run;
pub mod surroundings;
