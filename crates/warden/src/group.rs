//! The control groups of one tenant: below each parent a directory of the same name. The tenant's
//! main process is inside from its first instruction, its keeper never.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::sync::OnceLock;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::Pid;

use warden::confinement::{Access, Group, Hierarchy, PathRule};

use crate::clock;
use crate::freezer::Freezer;
use crate::group_files::{
    Failure, REMOVAL_PATIENCE_MS, count_in, make_directory, number_in, path, put, remove,
    remove_soon, was_full,
};
use crate::leaf;
use crate::parents::{self, Parents};
use crate::sys;

/// The groups of a tenant; without any, nothing below does anything.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    number: u64,
    groups: Vec<Group>,
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
            let make = || make_directory(&directory);
            let made = match make() {
                // A keeper that has lost its warden has removed the parent a moment ago.
                Err(Errno::NOENT) => {
                    Parents::default().prepare(std::slice::from_ref(group));
                    make()
                }
                // A warden with this one's pid was killed, and so was a keeper of its.
                Err(Errno::EXIST) => {
                    remove(group.hierarchy, &directory, clock::now_ms() + REMOVAL_PATIENCE_MS);
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
        self.remove_until(clock::now_ms() + REMOVAL_PATIENCE_MS)
    }

    fn remove_until(&self, due_ms: u64) -> bool {
        let remove = |(group, path): (&Group, PathBuf)| remove(group.hierarchy, &path, due_ms);
        // All of them, also if one stays.
        self.directories().map(remove).filter(|is_gone| !is_gone).count() == 0
    }

    /// Removes the groups, and waits for a while until that succeeds. If it does not, the warden
    /// tries again when it leaves.
    pub fn remove_soon(&self) -> bool {
        remove_soon(|due_ms| self.remove_until(due_ms))
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

    /// The freezer of the group of the second version, if there is one.
    pub fn freezer(&self) -> Option<Freezer> {
        self.of_v2().and_then(Freezer::of)
    }

    /// The file by which the group can be asked to hand its memory to swap, and how much it has.
    pub fn reclaim(&self) -> Option<(PathBuf, u64)> {
        let directory = self.of_v2()?;
        let file = directory.join("memory.reclaim");
        file.exists().then_some(())?;
        Some((file, number_in(&directory.join("memory.current"))?))
    }

    /// The memory in RAM, as observations count it: what is the group's alone, and files that it
    /// has mapped. `None` if no group counts it.
    pub fn memory_bytes(&self) -> Option<u64> {
        let names = |hierarchy| match hierarchy {
            Hierarchy::V1 => ["total_rss", "total_mapped_file", "total_shmem"],
            Hierarchy::V2 => ["anon", "file_mapped", "shmem"],
        };
        self.directories().find_map(|(group, directory)| {
            let stat = directory.join("memory.stat");
            stat.exists().then_some(())?;
            let [anonymous, mapped, shared] =
                names(group.hierarchy).map(|name| count_in(&stat, name));
            Some(anonymous.saturating_add(mapped.max(shared)))
        })
    }

    fn of_v2(&self) -> Option<PathBuf> {
        let mut directories = self.directories();
        directories.find(|(group, _)| group.hierarchy == Hierarchy::V2).map(|(_, path)| path)
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
