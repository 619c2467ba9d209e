//! Finds the descendants of a process and signals them, without ever hitting a process outside the
//! tree.
//!
//! Paths are relative: the working directory of the warden and its keepers is the `/proc` that
//! they were started with. Its files are parsed by hand, as the warden is to stay small; tests
//! compare the results with the crate `procfs`.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::MetadataExt;

use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal, test_kill_process,
};

use warden::{SocketFailure, Stat};

/// The link count of `/proc/<pid>/task` for a process with one thread.
const LINKS_OF_ONE_THREAD: u64 = 3;

/// A set of processes: the descendants of `root`, without the `spared` children and their
/// descendants.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// The process at the top, itself not a member. Must be this process or an unreaped child of
    /// it, so that its pid is not reused during the walk.
    pub root: Pid,
    /// Children of the root that are left out.
    pub spared: &'a [Pid],
}

/// Reads a process; `None` if there is none.
pub fn stat_of(pid: Pid) -> Option<Stat> {
    stat_below(CWD, pid)
}

fn stat_below(proc: BorrowedFd<'_>, pid: Pid) -> Option<Stat> {
    if !is_there(pid) {
        return None;
    }
    Stat::read(proc, pid.as_raw_pid().cast_unsigned()).ok().flatten()
}

/// Whether there is such a process, if only as one that waits to be reaped.
///
/// To be asked before its files are read. The kernel clears away the files of a process that was
/// just reaped, and whoever looks one up meanwhile has to wait until they are cleared, which it does
/// spinning (`shrink_dcache_parent`). Where the parent that reaps has lost its processor to this
/// process, which has real-time priority, that takes until the kernel interferes: 50 ms and more.
pub fn is_there(pid: Pid) -> bool {
    test_kill_process(pid) != Err(Errno::SRCH)
}

/// Whether all threads of a process have ended. Ended threads that are traced stay until their
/// tracer has waited for them, so [`Stat::has_ended`], which counts threads, may still be false.
pub fn has_no_thread(pid: Pid) -> bool {
    let pid = pid.as_raw_pid();
    let Ok(threads) = fs::read_dir(format!("{pid}/task")) else { return false };
    threads.flatten().all(|thread| {
        let line = fs::read(thread.path().join("stat")).unwrap_or_default();
        let name_end = line.iter().rposition(|&byte| byte == b')').unwrap_or(0);
        matches!(line.get(name_end..), Some([_, b' ', b'Z' | b'X', ..]))
    })
}

/// The pid with this number; `None` for 0, a process that is not visible from here.
pub fn pid_of(id: u32) -> Option<Pid> {
    Pid::from_raw(id.cast_signed())
}

/// The parents and children of processes, as of one look.
pub enum Kinship {
    /// The kernel keeps lists of children, which are read when they are needed.
    Listed,
    /// The kernel keeps none (no CONFIG_PROC_CHILDREN): the parent of every process was read.
    Scanned(HashMap<Pid, Vec<Pid>>),
}

impl Kinship {
    /// Takes a look; `root` is this process or a child of it. An error means that the look failed,
    /// not that there are no processes.
    pub fn look(root: Pid) -> Result<Kinship, Errno> {
        match thread_children(root, root.as_raw_pid()) {
            Ok(_) => Ok(Kinship::Listed),
            Err(errno) if SocketFailure::from(errno) == SocketFailure::Passing => Err(errno),
            Err(_) => scan().map(Kinship::Scanned),
        }
    }

    /// The children of the root. An error means that nothing is known of the rest of the tree
    /// either.
    pub fn children_of_root(&self, root: Pid) -> Result<Vec<Pid>, Errno> {
        match self {
            // Reads the first thread for the error alone; `children_of` then reads all threads.
            Kinship::Listed => {
                thread_children(root, root.as_raw_pid()).map(|_| self.children_of(root))
            }
            Kinship::Scanned(_) => Ok(self.children_of(root)),
        }
    }

    /// The children of a process. Processes that start or end meanwhile may be missed; others are
    /// not.
    pub fn children_of(&self, parent: Pid) -> Vec<Pid> {
        match self {
            Kinship::Listed => listed_children(parent),
            Kinship::Scanned(children) => children.get(&parent).cloned().unwrap_or_default(),
        }
    }
}

/// One look at the tree, parents before children; empty if the look fails.
pub fn descendants(scope: Scope<'_>) -> Vec<Pid> {
    Kinship::look(scope.root).map(|kinship| walk(scope, &kinship)).unwrap_or_default()
}

fn walk(scope: Scope<'_>, kinship: &Kinship) -> Vec<Pid> {
    let mut seen: HashSet<Pid> = scope.spared.iter().copied().chain([scope.root]).collect();
    let mut found = Vec::new();
    let mut parent = scope.root;
    let mut next = 0;
    loop {
        found.extend(kinship.children_of(parent).into_iter().filter(|&child| seen.insert(child)));
        match found.get(next) {
            Some(&pid) => parent = pid,
            None => return found,
        }
        next += 1;
    }
}

/// Each thread has a list of the children that it made. Most processes have one thread; the link
/// count of the directory tells that at less cost than listing it.
fn listed_children(parent: Pid) -> Vec<Pid> {
    let first = parent.as_raw_pid();
    if !is_there(parent) {
        return Vec::new();
    }
    let mut children = thread_children(parent, first).unwrap_or_default();
    let directory = format!("{first}/task");
    if fs::metadata(&directory).is_ok_and(|directory| directory.nlink() > LINKS_OF_ONE_THREAD) {
        let threads = fs::read_dir(directory).into_iter().flatten().flatten();
        let ids = threads.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let others = ids.filter(|&thread: &i32| thread != first);
        children.extend(others.filter_map(|thread| thread_children(parent, thread).ok()).flatten());
    }
    children
}

fn thread_children(parent: Pid, thread: i32) -> Result<Vec<Pid>, Errno> {
    let list = fs::read_to_string(format!("{}/task/{thread}/children", parent.as_raw_pid()));
    list.map(|list| pids_in(&list).collect()).map_err(errno_of)
}

fn errno_of(error: io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}

/// The pids in a list of the kernel, separated by spaces.
pub fn pids_in(list: &str) -> impl Iterator<Item = Pid> {
    list.split_ascii_whitespace().filter_map(pid_from)
}

/// Reads the parent of every process. Fails as a whole: a process that was skipped for a shortage
/// could be the only child.
fn scan() -> Result<HashMap<Pid, Vec<Pid>>, Errno> {
    let mut children: HashMap<Pid, Vec<Pid>> = HashMap::new();
    for entry in fs::read_dir(".").map_err(errno_of)? {
        let entry = entry.map_err(errno_of)?;
        let Some(pid) = entry.file_name().to_str().and_then(pid_from) else { continue };
        let stat = Stat::read(CWD, pid.as_raw_pid().cast_unsigned())?;
        if let Some(parent) = stat.and_then(|stat| pid_of(stat.parent)) {
            children.entry(parent).or_default().push(pid);
        }
    }
    Ok(children)
}

/// The pid in a text; `None` for zero, a process that is not visible from here.
fn pid_from(text: &str) -> Option<Pid> {
    text.parse().ok().filter(|&raw: &i32| raw > 0).and_then(Pid::from_raw)
}

/// The result of signalling a member of a tree.
#[derive(Clone, Copy, Debug)]
pub struct Signalled {
    /// The member just before the signal.
    pub stat: Stat,
    /// It got the signal, or has ended.
    pub needs_no_more: bool,
}

/// Sends a signal to a process if it is still a member of the tree whose members were found as
/// `members`.
///
/// The pidfd means one process. Its parent is read after the pidfd was opened; that the parent is
/// in the tree proves that the process is the one that was found, and not a later one with the
/// same pid. Returns `None` if it is no member.
pub fn signal_member(
    pid: Pid,
    root: Pid,
    is_member: impl Fn(Pid) -> bool,
    signal: Signal,
) -> Option<Signalled> {
    let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(pidfd) => Some(pidfd),
        // The kernel is older than 5.3, or a sandbox forbids the call.
        Err(Errno::NOSYS | Errno::PERM) => None,
        // The process is gone, or no descriptor is left: the next look will tell.
        Err(_) => return None,
    };
    let is_inside = |parent| parent == root || is_member(parent);
    let stat = stat_of(pid).filter(|stat| pid_of(stat.parent).is_some_and(is_inside))?;
    let sent = match pidfd {
        _ if stat.has_ended => Ok(()),
        Some(pidfd) => pidfd_send_signal(pidfd, signal),
        None => kill_process(pid, signal),
    };
    // A process that may not be signalled now may be later, when its user has changed.
    Some(Signalled { stat, needs_no_more: matches!(sent, Ok(()) | Err(Errno::SRCH)) })
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests start processes")]
mod tests {
    use std::os::fd::AsFd;
    use std::process::{Child, Command, Stdio};

    use rustix::process::getpid;

    use super::*;

    fn family() -> Child {
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "sleep 1000 & sleep 1000 & setsid sh -c 'sleep 1000 & echo; wait' & wait",
        ]);
        let mut family = command.stdout(Stdio::piped()).spawn().expect("sh starts");
        let mut line = [0];
        std::io::Read::read_exact(family.stdout.as_mut().expect("piped"), &mut line)
            .expect("a line");
        family
    }

    #[test]
    fn files_of_a_process_that_is_gone_are_not_looked_up() {
        let mut child = Command::new("true").spawn().expect("it starts");
        let pid = Pid::from_child(&child);
        assert!(is_there(pid));
        child.wait().expect("our child");
        let directory = std::env::temp_dir().join(format!("gone-{}", pid.as_raw_pid()));
        let files = directory.join(pid.as_raw_pid().to_string());
        fs::create_dir_all(&files).expect("a new directory");
        fs::copy("/proc/self/stat", files.join("stat")).expect("a file of the kernel's form");
        let proc = fs::File::open(&directory).expect("it was made");
        let read = Stat::read(proc.as_fd(), pid.as_raw_pid().cast_unsigned()).expect("it can be");
        assert!(read.is_some() && stat_below(proc.as_fd(), pid).is_none());
        fs::remove_dir_all(directory).expect("it was made here");
    }

    #[test]
    fn both_ways_of_looking_see_the_same() {
        std::env::set_current_dir("/proc").expect("as the warden does");
        let mut family = family();
        // All tests share one process, so the walk starts at a child of it.
        let scope = Scope { root: Pid::from_child(&family), spared: &[] };
        let members = descendants(scope);
        assert_eq!(members.len(), 4);
        let scanned: HashSet<Pid> =
            walk(scope, &Kinship::Scanned(scan().expect("it can be read"))).into_iter().collect();
        assert_eq!(scanned, members.iter().copied().collect());
        for member in members.iter().copied().chain([scope.root]) {
            let process = procfs::process::Process::new(member.as_raw_pid()).expect("it runs");
            let tasks = process.tasks().expect("it has one").flatten();
            let of_procfs =
                tasks.flat_map(|task| task.children().expect("a list")).filter_map(pid_of);
            assert_eq!(listed_children(member), of_procfs.collect::<Vec<_>>());
        }
        let spared = [members[0], members[2]];
        assert!(
            descendants(Scope { spared: &spared, ..scope }).iter().all(|pid| !spared.contains(pid))
        );

        let known: HashSet<Pid> = members.iter().copied().collect();
        signal_member(members[0], getpid(), |_| false, Signal::KILL);
        assert!(stat_of(members[0]).is_some_and(|stat| !stat.has_ended), "no member of that tree");
        for &member in members.iter().rev() {
            signal_member(member, scope.root, |pid| known.contains(&pid), Signal::KILL);
        }
        family.kill().expect("our child");
        family.wait().expect("our child");
    }
}
