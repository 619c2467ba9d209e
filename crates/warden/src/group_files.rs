//! The files of control groups: what is written into them, who is in them, and their removal.

use std::ffi::OsStr;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::event::{PollFd, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, getpid, pidfd_open, pidfd_send_signal};

use warden::confinement::{Group, Hierarchy};
use warden::group_tree::remove_group;

use crate::clock;

/// How long a group that cannot be removed is tried again. A killed process of another program
/// that was put into it leaves within milliseconds.
pub const REMOVAL_PATIENCE_MS: u64 = 2_000;

/// The longest pause between two attempts.
const PAUSE_MAX_MS: u64 = 50;

/// What could not be done with a group.
#[derive(Debug)]
pub struct Failure {
    /// The error number.
    pub errno: Errno,
    /// What was tried, for people.
    pub text: String,
}

impl Failure {
    /// A failure to do this with a group.
    pub fn of(verb: &str, path: impl AsRef<Path>, errno: Errno) -> Failure {
        let path = path.as_ref().display();
        Failure { errno, text: format!("could not {verb} the control group {path}: {errno}") }
    }
}

/// The directory of a group's parent.
pub fn path(group: &Group) -> &Path {
    Path::new(OsStr::from_bytes(group.parent.to_bytes()))
}

/// Writes a value into a file of a group, which has to be there.
pub fn put(file: &Path, value: &[u8]) -> Result<(), Failure> {
    let written = rustix::fs::open(file, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
        .and_then(|open| rustix::io::retry_on_intr(|| rustix::io::write(&open, value)));
    let failure = |errno| {
        let value = String::from_utf8_lossy(value);
        let text = format!("could not write {value} to {}: {errno}", file.display());
        Failure { errno, text }
    };
    written.map(drop).map_err(failure)
}

/// Makes a group that users of tenants may look at, whatever mask the host has.
pub fn make_directory(group: &Path) -> Result<(), Errno> {
    const MODE: Mode = Mode::from_raw_mode(0o755);
    rustix::fs::mkdir(group, MODE)?;
    rustix::fs::chmod(group, MODE)
}

/// Removes a group and those below it, and kills what is in them. Returns whether it is gone, which
/// is not known when the time is up: a tenant may have made any number of groups.
pub fn remove(hierarchy: Hierarchy, group: &Path, due_ms: u64) -> bool {
    // The group at the top comes first, and the kernel kills what is below it, too.
    let mut are_killed = false;
    remove_group(
        group,
        || clock::now_ms() >= due_ms,
        |group| {
            are_killed = are_killed
                || hierarchy == Hierarchy::V2 && put(&group.join("cgroup.kill"), b"1").is_ok();
            if !are_killed {
                kill_members(group);
            }
        },
    )
}

/// Attempts a removal until it succeeds or has taken too long; it gets the end of that.
pub fn remove_soon(mut attempt: impl FnMut(u64) -> bool) -> bool {
    let due_ms = clock::now_ms() + REMOVAL_PATIENCE_MS;
    let mut pause_ms = 1;
    while !attempt(due_ms) {
        if clock::now_ms() >= due_ms {
            return false;
        }
        pause(pause_ms);
        pause_ms = (pause_ms * 2).min(PAUSE_MAX_MS);
    }
    true
}

/// Kills the processes that are in a group, and no other that has got the pid of one.
fn kill_members(group: &Path) {
    let open = |pid| Some((pid, pidfd_open(pid, PidfdFlags::empty()).ok()?));
    let opened: Vec<(Pid, OwnedFd)> = members(group).into_iter().filter_map(open).collect();
    let are_in = members(group);
    for (pid, process) in opened {
        if are_in.contains(&pid) && pid != getpid() {
            let _ = pidfd_send_signal(&process, Signal::KILL);
        }
    }
}

/// The processes in a group; those that are not visible from here are left out.
pub fn members(group: &Path) -> Vec<Pid> {
    let list = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    list.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)).collect()
}

/// The count with this name in a file of `name count` lines; 0 if it is not there.
pub fn count_in(file: &Path, name: &str) -> u64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    let count = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok();
    text.lines().find_map(count).unwrap_or(0)
}

/// The number that a file of a group holds.
pub fn number_in(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// How far below its limit a group of the first version may have no room any more: the kernel
/// charges some pages at once.
const CHARGE_BYTES: u64 = 1 << 20;

/// Whether a group of the first version has used all that it may. Attempts that failed are not
/// counted by every kernel.
pub fn was_full(group: &Path, of: &str) -> bool {
    let bytes = |what: &str| number_in(&group.join(format!("{of}.{what}_in_bytes")));
    let (peak, limit) = (bytes("max_usage"), bytes("limit"));
    peak.zip(limit).is_some_and(|(peak, limit)| peak.saturating_add(CHARGE_BYTES) >= limit)
}

/// Lets time pass in which there is nothing to wait for.
pub fn pause(ms: u64) {
    let timeout = Timespec { tv_sec: 0, tv_nsec: (ms * 1_000_000).cast_signed() };
    let _ = poll(&mut [] as &mut [PollFd<'_>], Some(&timeout));
}
