//! Finding the descendants of a process and signalling them without ever hitting somebody else.
//!
//! Paths are relative: the warden and its keepers have the `/proc` that they were started with as their working directory.

use std::collections::{HashMap, HashSet};
use std::fs;

use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};

use warden::Stat;

/// Whose descendants are meant: those of `root`, without `spared` children and all that is below these.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// The process at the top, itself not a member. Has to be this process: its own children cannot vanish or be
    /// replaced unless it reaps them, which is what the walk relies on.
    pub root: Pid,
    /// Children of the root that are left alone.
    pub spared: &'a [Pid],
}

/// What the kernel says of a process; `None` if there is none.
pub fn stat_of(pid: Pid) -> Option<Stat> {
    Stat::read(CWD, pid.as_raw_pid().cast_unsigned()).ok().flatten()
}

/// `None` stands for a process that cannot be seen from here.
pub fn pid_of(id: u32) -> Option<Pid> {
    Pid::from_raw(id.cast_signed())
}

/// One look at the tree, parents before children. Processes that come and go meanwhile may be missed; those that stay
/// are not.
pub fn descendants(scope: Scope<'_>) -> Vec<Pid> {
    if thread_children(scope.root, scope.root.as_raw_pid()).is_some() {
        walk(scope, children_by_list)
    } else {
        // A kernel without these lists (CONFIG_PROC_CHILDREN).
        walk(scope, children_by_scan())
    }
}

fn walk(scope: Scope<'_>, children_of: impl Fn(Pid) -> Vec<Pid>) -> Vec<Pid> {
    let mut seen: HashSet<Pid> = scope.spared.iter().copied().chain([scope.root]).collect();
    let mut found = Vec::new();
    let mut parent = scope.root;
    let mut next = 0;
    loop {
        found.extend(children_of(parent).into_iter().filter(|&child| seen.insert(child)));
        match found.get(next) {
            Some(&pid) => parent = pid,
            None => return found,
        }
        next += 1;
    }
}

/// Each thread has a list of the children that it made.
fn children_by_list(parent: Pid) -> Vec<Pid> {
    let threads = fs::read_dir(format!("{}/task", parent.as_raw_pid())).into_iter().flatten().flatten();
    let ids = threads.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter_map(|thread| thread_children(parent, thread)).flatten().collect()
}

fn thread_children(parent: Pid, thread: i32) -> Option<Vec<Pid>> {
    let list = fs::read_to_string(format!("{}/task/{thread}/children", parent.as_raw_pid())).ok()?;
    Some(list.split_ascii_whitespace().filter_map(pid_from).collect())
}

/// Looks once at every process of the system and asks for its parent.
fn children_by_scan() -> impl Fn(Pid) -> Vec<Pid> {
    let mut children: HashMap<Pid, Vec<Pid>> = HashMap::new();
    for entry in fs::read_dir(".").into_iter().flatten().flatten() {
        let pid = entry.file_name().to_str().and_then(pid_from);
        let parent = pid.and_then(|pid| pid_of(stat_of(pid)?.parent));
        if let (Some(pid), Some(parent)) = (pid, parent) {
            children.entry(parent).or_default().push(pid);
        }
    }
    move |parent| children.get(&parent).cloned().unwrap_or_default()
}

/// Zero stands for a process that cannot be seen from here.
fn pid_from(text: &str) -> Option<Pid> {
    text.parse().ok().filter(|&raw: &i32| raw > 0).and_then(Pid::from_raw)
}

/// Sends a signal to a process if it is still a member of the tree whose members were found as `members`.
///
/// The pidfd pins down one process; that its parent is in the tree, looked up afterwards, proves that this process is
/// the one that was found and not a stranger that got its number.
pub fn signal_member(pid: Pid, scope: Scope<'_>, members: &HashSet<Pid>, signal: Signal) {
    let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(pidfd) => Some(pidfd),
        // A kernel before 5.3, or a sandbox that forbids the call.
        Err(Errno::NOSYS | Errno::PERM) => None,
        // Gone, or no descriptor to spare just now: the next look will tell.
        Err(_) => return,
    };
    let is_member = stat_of(pid).is_some_and(|stat| {
        let is_inside = |parent| parent == scope.root || members.contains(&parent);
        pid_of(stat.parent).is_some_and(is_inside) && !stat.has_ended
    });
    if !is_member {
        return;
    }
    // That it has ended meanwhile, or may not be signalled, cannot be helped; whoever needs it gone looks again.
    let _ = match pidfd {
        Some(pidfd) => pidfd_send_signal(pidfd, signal),
        None => kill_process(pid, signal),
    };
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests start processes")]
mod tests {
    use std::process::{Child, Command, Stdio};

    use rustix::process::getpid;

    use super::*;

    fn family() -> Child {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 1000 & sleep 1000 & setsid sh -c 'sleep 1000 & echo; wait' & wait"]);
        let mut family = command.stdout(Stdio::piped()).spawn().expect("sh starts");
        let mut line = [0];
        std::io::Read::read_exact(family.stdout.as_mut().expect("piped"), &mut line).expect("a line");
        family
    }

    #[test]
    fn both_ways_of_looking_see_the_same() {
        std::env::set_current_dir("/proc").expect("as the warden does");
        let mut family = family();
        // The tests share one process, so the walk starts at a child of it.
        let scope = Scope { root: Pid::from_child(&family), spared: &[] };
        let members = descendants(scope);
        assert_eq!(members.len(), 4);
        let scanned: HashSet<Pid> = walk(scope, children_by_scan()).into_iter().collect();
        assert_eq!(scanned, members.iter().copied().collect());
        let spared = [members[0], members[2]];
        assert!(descendants(Scope { spared: &spared, ..scope }).iter().all(|pid| !spared.contains(pid)));

        let known: HashSet<Pid> = members.iter().copied().collect();
        let stranger = Scope { root: getpid(), spared: &[] };
        signal_member(members[0], stranger, &HashSet::new(), Signal::KILL);
        assert!(stat_of(members[0]).is_some_and(|stat| !stat.has_ended), "no member of that tree");
        for &member in members.iter().rev() {
            signal_member(member, scope, &known, Signal::KILL);
        }
        family.kill().expect("our child");
        family.wait().expect("our child");
    }
}
