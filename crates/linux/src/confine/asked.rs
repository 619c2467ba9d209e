//! What can be asked for: limits and isolation.

use super::User;

/// What a tenant is to be held within. The default is nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Asked {
    pub limits: Option<Limits>,
    pub isolation: Option<Isolation>,
}

/// Limits of a tenant's whole tree, and of each of its processes. `None`: not limited.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Limits {
    /// All memory of the tree.
    pub memory_bytes: Option<u64>,
    /// Swap on top of it; by default as much again as `memory_bytes`.
    pub swap_bytes: Option<u64>,
    /// Processors at a time, on average.
    pub cpus: Option<f64>,
    /// The share when processors are short, 1 to 10,000; a group without it has 100.
    pub cpu_weight: Option<u32>,
    /// Processes and threads of the tree.
    pub processes: Option<u64>,
    /// Descriptors of each process.
    pub open_files: Option<u64>,
    /// The size of a file that a process writes.
    pub file_bytes: Option<u64>,
    /// A limit that cannot be kept is an error; otherwise it is only told.
    pub is_required: bool,
}

/// What a tenant may reach beside its own directory, its temporary directory and what programs
/// need of the system.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Isolation {
    /// The directory of all tenants, of which each reaches its own only. `None`: not known.
    pub root: Option<String>,
    /// Paths that it may read, and execute: it could execute a copy anyway.
    pub read: Vec<String>,
    /// Paths that it may read and write.
    pub write: Vec<String>,
    /// TCP ports that it may listen on beside its own.
    pub listen: Vec<u16>,
    /// TCP ports that it may connect to; `None`: all.
    pub connect: Option<Vec<u16>>,
    /// The user that it runs as.
    pub user: Option<User>,
    /// No other tenant runs as this user.
    pub is_own_user: bool,
    /// A promise that cannot be kept is an error; otherwise it is only told.
    pub is_required: bool,
}
