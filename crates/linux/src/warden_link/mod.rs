//! The link to the warden: its program, the socket to it, and the runs that it is asked for.

pub mod client;
mod main_process;
pub mod program;
mod record;
pub mod run;
pub mod surroundings;
pub mod surviving;

pub use record::{Figures, FoundRecord, RecordFile, RunRecord};
