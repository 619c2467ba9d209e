//! The warden of a runtime whose tenants may outlive its host: how it is found or started, and what
//! it has kept. The file `<name>.sock` in a directory of the user's leads to it.

pub mod looking;
pub mod meeting;
pub(crate) mod room;

pub use warden::place::Place;

use super::client::Started;
use super::record::{FoundRecord, RecordFile};
use super::run::FoundOutput;
use crate::process::accounting::Usage;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use warden::Depth;

/// Whose tenants they are, and for how long they wait for a host.
#[derive(Clone, Debug)]
pub struct Survive {
    /// The directory of the sockets. It is made, and must be of this user alone.
    pub directory: PathBuf,
    pub name: String,
    /// For how long tenants live on without a host.
    pub for_ms: u64,
    /// From asking tenants to end until they are killed, when that time is over.
    pub stop_grace_ms: u64,
    /// A host that has the tenants is asked to leave.
    pub take_over: bool,
}

/// Why what earlier hosts have left cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotRecovered {
    /// Another host has it.
    InUse { pid: u32 },
    /// The warden, or the host that has it, is of another version, which ours cannot talk to.
    OtherVersion { pid: u32, version: String },
    /// The warden could be neither reached nor started; the text says why.
    Failed(String),
}

/// What earlier hosts have left.
pub struct Recovery {
    pub runs: Vec<FoundRun>,
    pub listeners: Vec<FoundListener>,
    /// Since when no host had it, in milliseconds since the epoch; 0 if one had until now.
    pub unowned_since_ms: u64,
}

/// A run that was found.
pub struct FoundRun {
    /// The number by which the warden knows it.
    pub number: u64,
    pub started: Started,
    pub record: RecordFile,
    pub known: FoundRecord,
    /// What its tree has used; `None` if that cannot be seen.
    pub usage: Option<Usage>,
    pub lines_lost: u64,
    /// The socket that holds its port.
    pub port: Option<OwnedFd>,
    pub marks: FoundMarks,
    pub output: FoundOutput,
}

/// How far a run that was found had come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FoundMarks {
    pub is_ready: bool,
    /// Another release of its key serves.
    pub is_retired: bool,
    /// Why it is being stopped, as the host before has said.
    pub stopping: Option<u8>,
    /// How deep it sleeps.
    pub asleep: Option<Depth>,
    /// The whole tree is gone.
    pub has_ended: bool,
}

/// A listener of a gateway's that was found.
pub struct FoundListener {
    pub slot: u64,
    pub socket: OwnedFd,
}

/// What a surviving warden tells of hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The host of this pid asks this one to leave.
    Yield { pid: u32 },
    /// This host did not leave in time, and has no say any more.
    Fenced,
    /// The host before has no request under way any more.
    PredecessorGone,
}
