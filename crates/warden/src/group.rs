//! The control groups of one tenant: below each parent a directory of the same name. The tenant's
//! main process is inside from its first instruction, its keeper never.

use std::ffi::{CString, OsStr};
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustix::event::{PollFd, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, getpid, pidfd_open, pidfd_send_signal};

use warden::confinement::{Access, Group, Hierarchy, PathRule};

use crate::clock;
use crate::leaf;
use crate::parents::{self, Parents};
use crate::sys;

/// How long a group that cannot be removed is tried again. A killed process of another program
/// that was put into it leaves within milliseconds.
pub const REMOVAL_PATIENCE_MS: u64 = 2_000;

/// The longest pause between two attempts.
const PAUSE_MAX_MS: u64 = 50;

/// The groups of a tenant; without any, nothing below does anything.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    number: u64,
    groups: Vec<Group>,
}

/// What could not be done with a group.
#[derive(Debug)]
pub struct Failure {
    /// The error number.
    pub errno: Errno,
    /// What was tried, for people.
    pub text: String,
}

impl Groups {
    /// Names the groups; nothing is made yet.
    pub fn new(number: u64, groups: Vec<Group>) -> Groups {
        Groups { number, groups }
    }

    /// The name of the directories; 0 without groups.
    pub fn number(&self) -> u64 {
        if self.groups.is_empty() { 0 } else { self.number }
    }

    /// The same directories with the settings of a launch. Without them if that has other parents.
    pub fn with_settings(self, groups: Vec<Group>) -> Groups {
        if self.are_below(&groups) { Groups { groups, ..self } } else { self }
    }

    /// Whether the directories are below these parents.
    pub fn are_below(&self, groups: &[Group]) -> bool {
        let place = |group: &Group| (group.hierarchy, group.parent.clone());
        self.groups.iter().map(place).eq(groups.iter().map(place))
    }

    /// Rules that let the tenant read its own groups.
    pub fn readable(&self) -> impl Iterator<Item = PathRule> {
        self.directories().filter_map(|(_, path)| {
            let path = CString::new(path.into_os_string().into_vec()).ok()?;
            Some(PathRule { access: Access::Read, is_required: false, path })
        })
    }

    fn directories(&self) -> impl Iterator<Item = (&Group, PathBuf)> {
        let name = self.number.to_string();
        self.groups.iter().map(move |group| (group, path(group).join(&name)))
    }

    /// Makes the directories. Those that were made stay if another one cannot be.
    pub fn make(&self) -> Result<(), Failure> {
        for (group, directory) in self.directories() {
            let make = || rustix::fs::mkdir(&directory, Mode::from_raw_mode(0o755));
            let made = match make() {
                // A keeper that has lost its warden has removed the parent a moment ago.
                Err(Errno::NOENT) => {
                    Parents::default().prepare(std::slice::from_ref(group));
                    make()
                }
                // A warden with this one's pid was killed, and so was a keeper of its.
                Err(Errno::EXIST) => {
                    remove(group.hierarchy, &directory);
                    make()
                }
                made => made,
            };
            made.map_err(|errno| Failure::of("make", &directory, errno))?;
        }
        Ok(())
    }

    /// Writes the settings.
    pub fn set(&self) -> Result<(), Failure> {
        for (group, directory) in self.directories() {
            for setting in &group.settings {
                let (file, value) = file_and_value(setting.to_bytes())?;
                put(&directory.join(OsStr::from_bytes(file)), value)?;
            }
        }
        Ok(())
    }

    /// Forks a child that runs `child`, see [`sys::fork_into`]. It begins inside the group of the
    /// second version where that can be; the others it has to [`enter`](Self::enter).
    pub fn fork_into(&self, child: impl FnOnce() -> i32) -> Result<Pid, Failure> {
        let Some((_, directory)) = self.directories().find(|(group, _)| is_forked_into(group))
        else {
            let text = |errno| format!("could not make a process for a control group: {errno}");
            return sys::fork_into(child).map_err(|errno| Failure { errno, text: text(errno) });
        };
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        rustix::fs::open(&directory, flags, Mode::empty())
            .and_then(|group| sys::fork_into_group(&group, child))
            .map_err(|errno| Failure::of("start a process in", &directory, errno))
    }

    /// Whether a process has to be moved into one of the groups after it was forked.
    pub fn must_be_entered(groups: &[Group]) -> bool {
        !groups.iter().all(is_forked_into)
    }

    /// Moves a process into the groups that it was not forked into. From Linux 6.0 on that takes 5
    /// to 10 ms, unless another process was moved just before.
    pub fn enter(&self, process: Pid) -> Result<(), Failure> {
        let pid = process.as_raw_pid().to_string();
        self.directories()
            .filter(|(group, _)| !is_forked_into(group))
            .try_for_each(|(_, directory)| put(&directory.join("cgroup.procs"), pid.as_bytes()))
    }

    /// Kills what is in the groups, as far as the kernel does that by itself, and lets it die:
    /// processes that are throttled would need their share of a processor for it. No process is
    /// made in them any more.
    pub fn kill(&self) {
        for (group, directory) in self.directories() {
            let has =
                |prefix: &[u8]| group.settings.iter().any(|it| it.to_bytes().starts_with(prefix));
            let put = |file: &str, value: &[u8]| put(&directory.join(file), value);
            if has(b"pids.") {
                let _ = put("pids.max", b"0");
            }
            if has(b"cpu.") {
                let _ = match group.hierarchy {
                    Hierarchy::V1 => put("cpu.cfs_quota_us", b"-1"),
                    Hierarchy::V2 => put("cpu.max", b"max"),
                };
            }
            if group.hierarchy == Hierarchy::V2 {
                let _ = put("cgroup.kill", b"1");
            }
        }
    }

    /// Removes the groups if nothing is in them, and kills what is. Returns whether they are gone.
    pub fn remove(&self) -> bool {
        let removed: Vec<bool> =
            self.directories().map(|(group, path)| remove(group.hierarchy, &path)).collect();
        !removed.contains(&false)
    }

    /// Removes the groups, and waits for a while until that succeeds. If it does not, the warden
    /// tries again when it leaves.
    pub fn remove_soon(&self) -> bool {
        let due_ms = clock::now_ms() + REMOVAL_PATIENCE_MS;
        let mut pause_ms = 1;
        while !self.remove() {
            if clock::now_ms() >= due_ms {
                return false;
            }
            pause(pause_ms);
            pause_ms = (pause_ms * 2).min(PAUSE_MAX_MS);
        }
        true
    }

    /// Removes the parents, too, if no other tenant's group is there: the warden is gone.
    pub fn remove_parents(&self) {
        parents::remove_empty(self.groups.iter());
        self.groups.iter().for_each(leaf::undo_without_host);
    }

    /// Whether the kernel has killed a process because the group had no more memory to give. One
    /// that it kills since the whole machine has none does not count.
    pub fn ran_out_of_memory(&self) -> bool {
        self.directories().any(|(group, directory)| {
            let count = |file: &str, name: &str| count_in(&directory.join(file), name);
            match group.hierarchy {
                Hierarchy::V2 => {
                    count("memory.events", "oom_kill") > 0 && count("memory.events", "oom") > 0
                }
                Hierarchy::V1 => {
                    count("memory.oom_control", "oom_kill") > 0
                        && ["memory", "memory.memsw"].iter().any(|of| was_full(&directory, of))
                }
            }
        })
    }

    /// The directory of the first version that has limits of memory.
    pub fn memory_of_v1(&self) -> Option<PathBuf> {
        let limits =
            |group: &Group| group.settings.iter().any(|it| it.to_bytes().starts_with(b"memory."));
        self.directories()
            .find(|(group, _)| group.hierarchy == Hierarchy::V1 && limits(group))
            .map(|(_, directory)| directory)
    }
}

/// Whether a process can begin inside the group. The warden finds out with the first group, before
/// it forks.
fn is_forked_into(group: &Group) -> bool {
    static CAN: OnceLock<bool> = OnceLock::new();
    group.hierarchy == Hierarchy::V2 && *CAN.get_or_init(sys::can_fork_into_group)
}

impl Failure {
    fn of(verb: &str, path: impl AsRef<Path>, errno: Errno) -> Failure {
        let path = path.as_ref().display();
        Failure { errno, text: format!("could not {verb} the control group {path}: {errno}") }
    }
}

/// The directory of a group's parent.
pub fn path(group: &Group) -> &Path {
    Path::new(OsStr::from_bytes(group.parent.to_bytes()))
}

/// A setting's file and value. A name with a slash would lead out of the group.
fn file_and_value(setting: &[u8]) -> Result<(&[u8], &[u8]), Failure> {
    let middle = setting.iter().position(|byte| *byte == b'=');
    match middle.map(|at| (&setting[..at], &setting[at + 1..])) {
        Some((file, value)) if !file.contains(&b'/') => Ok((file, value)),
        _ => {
            let setting = String::from_utf8_lossy(setting);
            let text = format!("{setting} is no setting of a control group");
            Err(Failure { errno: Errno::INVAL, text })
        }
    }
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

/// Removes a group and those below it, and kills what is in them. Returns whether it is gone.
pub fn remove(hierarchy: Hierarchy, group: &Path) -> bool {
    if is_removed(group) {
        return true;
    }
    let below = fs::read_dir(group).into_iter().flatten().flatten();
    for entry in below.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        remove(hierarchy, &entry.path());
    }
    let is_killed = hierarchy == Hierarchy::V2 && put(&group.join("cgroup.kill"), b"1").is_ok();
    if !is_killed {
        kill_members(group);
    }
    is_removed(group)
}

fn is_removed(group: &Path) -> bool {
    matches!(rustix::fs::rmdir(group), Ok(()) | Err(Errno::NOENT))
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
fn count_in(file: &Path, name: &str) -> u64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    let count = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok();
    text.lines().find_map(count).unwrap_or(0)
}

/// How far below its limit a group of the first version may have no room any more: the kernel
/// charges some pages at once.
const CHARGE_BYTES: u64 = 1 << 20;

/// Whether a group of the first version has used all that it may. Attempts that failed are not
/// counted by every kernel.
fn was_full(group: &Path, of: &str) -> bool {
    let bytes = |what: &str| {
        let text = fs::read_to_string(group.join(format!("{of}.{what}_in_bytes"))).ok()?;
        text.trim().parse::<u64>().ok()
    };
    let (peak, limit) = (bytes("max_usage"), bytes("limit"));
    peak.zip(limit).is_some_and(|(peak, limit)| peak.saturating_add(CHARGE_BYTES) >= limit)
}

/// Lets time pass in which there is nothing to wait for.
pub fn pause(ms: u64) {
    let timeout = Timespec { tv_sec: 0, tv_nsec: (ms * 1_000_000).cast_signed() };
    let _ = poll(&mut [] as &mut [PollFd<'_>], Some(&timeout));
}
