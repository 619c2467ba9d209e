//! What the machine offers, and how much of it this process may use: limits, control groups,
//! memory, pressure, mounts.
//!
//! Files are read with the parsers of the crate `procfs`, each from a text, so that tests can
//! supply the texts of other machines. A file that cannot be read makes its own fields `None` and
//! no others: a sandbox may show some of these files and not others.

mod group_limits;
mod groups;
mod machine;
mod memory;
mod mounts;
pub(crate) mod proc_check;
mod process;
pub mod service_manager;
mod shortage;

pub use group_limits::GroupLimits;
pub use groups::{Groups, Hierarchy, Membership};
pub use machine::Machine;
pub use memory::{Memory, Pressure, Stall};
pub use mounts::{HiddenProcesses, Mounts};
pub use process::{Bounds, Process};
pub use shortage::MemoryLooks;

use crate::process::proc_stat;
use procfs::FromBufRead;
use rustix::fs::{Access, access};
use std::fs;

/// The source of the texts: the files of this machine or, in tests, those of another.
pub trait Files {
    /// The text of a file, or `None` if it cannot be read.
    fn read(&self, path: &str) -> Option<String>;

    /// Whether this process may write to the path.
    fn may_write(&self, path: &str) -> bool;
}

/// The [`Files`] of the machine that this process runs on.
pub struct ThisMachine;

impl Files for ThisMachine {
    fn read(&self, path: &str) -> Option<String> {
        // The name of a mount or of a process need not be UTF-8; the rest of the file counts all
        // the same.
        fs::read(path).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    fn may_write(&self, path: &str) -> bool {
        access(path, Access::WRITE_OK).is_ok()
    }
}

/// All facts of the machine and of this process, as of one look.
#[derive(Debug)]
pub struct Host {
    pub machine: Machine,
    pub process: Process,
    pub memory: Option<Memory>,
    /// The swap files and devices.
    pub swaps: Vec<String>,
    pub pressure: Pressure,
    pub groups: Groups,
    pub group_limits: GroupLimits,
    pub proc: Proc,
    pub temporary: Option<Temporary>,
    pub init: Init,
}

/// How `/proc` is mounted, and what it shows.
#[derive(Debug)]
pub struct Proc {
    pub is_mounted: bool,
    pub hidden: Option<HiddenProcesses>,
    /// The kernel keeps a list of each thread's children (`CONFIG_PROC_CHILDREN`).
    pub lists_children: bool,
}

/// The directory for temporary files.
#[derive(Debug)]
pub struct Temporary {
    pub path: String,
    pub file_system: String,
    /// No program there may be executed, and no library loaded.
    pub is_noexec: bool,
}

/// PID 1, which adopts processes that have lost their parent.
#[derive(Debug)]
pub struct Init {
    pub name: Option<String>,
    /// The paths of its control groups; those of a container usually name the container runtime.
    pub groups: Vec<String>,
    /// Its zombies: children that have ended and that it has not reaped.
    pub unreaped: Vec<u32>,
}

impl Host {
    /// Looks at this machine. The time grows with the number of processes: mostly some
    /// milliseconds.
    pub fn look() -> Host {
        let unreaped =
            proc_stat::of_all().map(|all| all.filter(|stat| stat.has_ended && stat.parent == 1));
        let unreaped =
            unreaped.map(|ended| ended.map(|stat| stat.pid).collect()).unwrap_or_default();
        Host::of(&ThisMachine, &std::env::temp_dir().to_string_lossy(), unreaped)
    }

    fn of(files: &impl Files, temporary: &str, unreaped: Vec<u32>) -> Host {
        let mounts = Mounts::of(files);
        let groups = Groups::of(files, &mounts);
        let children = format!("/proc/self/task/{}/children", std::process::id());
        Host {
            machine: Machine::of(files),
            process: Process::of(files),
            memory: Memory::of(files),
            swaps: memory::swaps(files),
            pressure: Pressure::of(files),
            group_limits: GroupLimits::of(files, &groups),
            groups,
            proc: Proc {
                is_mounted: files.read("/proc/self/stat").is_some(),
                hidden: mounts.hidden_processes(),
                lists_children: files.read(&children).is_some(),
            },
            temporary: mounts.holding(temporary).map(|mount| Temporary {
                path: temporary.to_owned(),
                file_system: mount.fs_type.clone(),
                is_noexec: mount.mount_options.contains_key("noexec"),
            }),
            init: Init {
                name: files.read("/proc/1/comm").map(|name| name.trim_end().to_owned()),
                groups: groups::paths_of(files, "/proc/1/cgroup"),
                unreaped,
            },
        }
    }
}

/// Parses a file with `procfs`; `None` if it cannot be read, or not parsed.
pub(crate) fn parsed<T: FromBufRead>(files: &impl Files, path: &str) -> Option<T> {
    T::from_buf_read(files.read(path)?.as_bytes()).ok()
}

/// The numbers that a file begins with. `procfs` parses such files only from this machine, not
/// from a text.
fn numbers(files: &impl Files, path: &str) -> Vec<u64> {
    let text = files.read(path).unwrap_or_default();
    text.split_ascii_whitespace().map_while(|word| word.parse().ok()).collect()
}

#[cfg(test)]
mod tests;
