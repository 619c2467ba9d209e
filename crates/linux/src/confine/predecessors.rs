//! Ends and removes what hosts have left that are gone, and their wardens with them.
//!
//! A group belongs to a host by its name: `absolute-<pid>-<start>-<PID namespace>`. What hosts of
//! other PID namespaces have made is left alone as long as anything may live there. As long as a warden or a keeper
//! of the host lives, it clears up itself, and is left alone. It is known by being the parent of
//! what is in the group without being in there itself, which no tenant can be.

use super::Me;
use super::place::{LEAF_PREFIX, PREFIX};
use crate::host::{Files, ThisMachine};
use crate::threads::clock;
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use rustix::thread::nanosleep;
use std::collections::HashSet;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use warden::group_tree::remove_group;
use warden::host_id::own_pid_namespace;
use warden::{HostId, Stat};

/// How long this process waits for what it has killed, and then leaves it to a thread.
const AT_ONCE: Duration = Duration::from_millis(200);
/// How long that thread goes on before what the kernel cannot end is left to the next host.
const GIVE_UP_AFTER: Duration = Duration::from_secs(10);
/// How long the warden of a host that is gone is waited for where this host has to leave the same
/// group: it asks its tenants to end, kills them 0.6 s later, and then moves back what the host
/// had moved.
const WARDENS_TIME: Duration = Duration::from_millis(1_500);

/// Wardens that stay although the host in whose leaf they are has gone: they obey this one now.
static STAYING: Mutex<Vec<u32>> = Mutex::new(Vec::new());

/// The warden, of a host that is gone, obeys this one now. Its leaving is not waited for.
pub fn note_staying(warden: Pid) {
    let mut staying = STAYING.lock().unwrap_or_else(PoisonError::into_inner);
    staying.push(warden.as_raw_pid().cast_unsigned());
}

fn stays(pid: u32) -> bool {
    STAYING.lock().unwrap_or_else(PoisonError::into_inner).contains(&pid)
}

/// The pause between two looks.
const PAUSE_NS: i64 = 5_000_000;

/// What the names of wardens and keepers begin with.
pub(super) const HELPERS: &str = "abs-";

/// Ends and removes what is left in these groups.
pub(super) fn clear(above: &[String]) {
    let since = clock::start();
    loop {
        let left = Left::look(above);
        left.end();
        let is_over = match &left {
            Left { in_charge: true, holds_leaf: true, .. } => since.elapsed() >= WARDENS_TIME,
            Left { groups, .. } if groups.is_empty() => return,
            _ => since.elapsed() >= AT_ONCE,
        };
        if is_over {
            break;
        }
        pause();
    }
    let above = above.to_vec();
    let go_on = move || {
        while since.elapsed() < GIVE_UP_AFTER {
            let left = Left::look(&above);
            if left.groups.is_empty() {
                return;
            }
            left.end();
            pause();
        }
        tracing::warn!(?above, "control groups of a host that is gone could not be removed");
    };
    if let Err(error) = std::thread::Builder::new().name("abs-clear".to_owned()).spawn(go_on) {
        tracing::warn!(%error, "what a host that is gone has left is left to the next one");
    }
}

pub(super) fn pause() {
    let _ = nanosleep(&rustix::thread::Timespec { tv_sec: 0, tv_nsec: PAUSE_NS });
}

/// What hosts that are gone have left.
#[derive(Debug, Default)]
struct Left {
    /// The groups that are to be ended.
    groups: Vec<String>,
    /// A warden or keeper still clears up others.
    in_charge: bool,
    /// One of these others has a leaf.
    holds_leaf: bool,
}

impl Left {
    fn look(above: &[String]) -> Left {
        let mut left = Left::default();
        for above in above {
            for name in directories_in(above) {
                if host_of(&name).is_none_or(is_alive) {
                    continue;
                }
                let group = format!("{above}/{name}");
                let is_leaf = name.starts_with(LEAF_PREFIX);
                if is_in_charge(&group, is_leaf) {
                    left.in_charge = true;
                    left.holds_leaf |= is_leaf && !members(&group).into_iter().any(stays);
                } else if is_leaf {
                    // What else is in there is not the host's, and nobody's to end.
                    let _ = fs::remove_dir(&group);
                } else {
                    left.groups.push(group);
                }
            }
        }
        left
    }

    fn end(&self) {
        self.groups.iter().for_each(|group| end(group));
    }
}

/// The host that a name is made of.
pub(super) fn host_of(name: &str) -> Option<HostId> {
    let id = name.strip_prefix(PREFIX)?;
    let of_kind = |kind| id.strip_prefix(kind);
    HostId::parse(of_kind("host-").or_else(|| of_kind("probe-")).unwrap_or(id))
}

/// Whether a host lives. A zombie has closed everything that it had. Where that cannot be seen, as
/// without a descriptor to spare, it lives.
pub(super) fn is_alive(host: HostId) -> bool {
    if host.pid_namespace != own_pid_namespace() {
        return may_live(host.pid_namespace);
    }
    let is_it = |stat: Stat| stat.started_at_ticks == host.started_at_ticks && !stat.has_ended;
    look_at(host.pid).map_or(true, |stat| stat.is_some_and(is_it))
}

/// Whether another PID namespace may have processes. Only the machine's first one sees all others.
fn may_live(pid_namespace: u64) -> bool {
    /// The kernel's `PROC_PID_INIT_INO`.
    const FIRST: u64 = 0xEFFF_FFFC;
    if own_pid_namespace() != FIRST {
        return true;
    }
    let Ok(processes) = fs::read_dir("/proc") else { return true };
    processes.flatten().any(|process| {
        let namespace = fs::metadata(process.path().join("ns/pid"));
        namespace.is_ok_and(|namespace| namespace.ino() == pid_namespace)
    })
}

fn look_at(pid: u32) -> Result<Option<Stat>, Errno> {
    let proc = open("/proc", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    Stat::read(proc.as_fd(), pid)
}

/// Whether a warden or a keeper lives that has the group to clear up: above one of its processes,
/// or in a leaf, in which it is itself. Nor is a group touched with a process that this one does
/// not see: another PID namespace has another host for the same name.
fn is_in_charge(group: &str, is_leaf: bool) -> bool {
    let members: HashSet<u32> = tree_of(group).iter().flat_map(|one| members(one)).collect();
    if members.contains(&0) {
        return true;
    }
    if is_leaf {
        return members.iter().any(|pid| is_helper(*pid));
    }
    members.iter().any(|pid| match look_at(*pid) {
        Ok(None) => false,
        Ok(Some(stat)) => !members.contains(&stat.parent) && is_helper(stat.parent),
        // What cannot be seen now is taken for a keeper's.
        Err(_) => true,
    })
}

fn is_helper(pid: u32) -> bool {
    let name = ThisMachine.read(&format!("/proc/{pid}/comm"));
    let is_zombie = || Stat::of(pid).is_none_or(|stat| stat.has_ended);
    name.is_some_and(|name| name.starts_with(HELPERS)) && !is_zombie()
}

/// Kills what is in a group and those below it, and removes those that are empty.
pub(super) fn end(group: &str) {
    let since = clock::start();
    // The group at the top comes first, and the kernel kills what is below it, too.
    let mut are_killed = false;
    // What takes longer goes on with the next call.
    remove_group(
        Path::new(group),
        || since.elapsed() >= AT_ONCE,
        |group| {
            let group = group.display();
            // Nothing is forked any more, and what is throttled can end. Of these files a group has
            // those of its hierarchy.
            for (file, value) in [("pids.max", "0"), ("cpu.max", "max"), ("cpu.cfs_quota_us", "-1")]
            {
                put(&format!("{group}/{file}"), value);
            }
            are_killed = are_killed || put(&format!("{group}/cgroup.kill"), "1");
            if !are_killed {
                kill_members(&group.to_string());
            }
        },
    );
}

/// Kills the processes that are in a group, and no other that has got the pid of one.
fn kill_members(group: &str) {
    let open = |pid: u32| {
        let pid = Pid::from_raw(pid.try_into().ok()?)?;
        Some((pid, pidfd_open(pid, PidfdFlags::empty()).ok()?))
    };
    let opened: Vec<_> = members(group).into_iter().filter_map(open).collect();
    let still: HashSet<u32> = members(group).into_iter().collect();
    for (pid, process) in opened {
        if still.contains(&pid.as_raw_pid().cast_unsigned()) {
            let _ = pidfd_send_signal(&process, Signal::KILL);
        }
    }
}

/// A group and all below it, each after the one above it.
fn tree_of(group: &str) -> Vec<String> {
    let mut tree = vec![group.to_owned()];
    let mut next = 0;
    while next < tree.len() {
        let below = directories_in(&tree[next]);
        let below: Vec<String> =
            below.iter().map(|name| format!("{}/{name}", tree[next])).collect();
        tree.extend(below);
        next += 1;
    }
    tree
}

fn members(group: &str) -> Vec<u32> {
    let text = fs::read_to_string(format!("{group}/cgroup.procs")).unwrap_or_default();
    text.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

pub(super) fn directories_in(directory: &str) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let directories = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    directories.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

fn put(file: &str, value: &str) -> bool {
    let file = fs::OpenOptions::new().write(true).open(file);
    file.is_ok_and(|file| std::io::Write::write_all(&mut &file, value.as_bytes()).is_ok())
}

impl Me {
    /// Whether a name is one of this host's.
    #[cfg(test)]
    fn has_named(&self, name: &str) -> bool {
        host_of(name) == Some(self.id)
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests start processes")]
mod tests {
    use super::*;
    use crate::host::{Groups, Mounts};
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Command, Stdio};

    /// No process has this pid.
    const GONE: u32 = 1 << 30;

    /// A group of each hierarchy that tenants' groups are made in, for one test alone.
    fn places(test: &str) -> Places {
        let found = Groups::of(&ThisMachine, &Mounts::of(&ThisMachine));
        let has = ["memory", "pids"];
        let is_used = |one: &&crate::host::Membership| {
            one.is_writable
                && (one.hierarchy == crate::host::Hierarchy::V2
                    || has.iter().any(|name| one.has(name)))
        };
        let make = |one: &crate::host::Membership| {
            let path = format!("{}/test-{test}-{}", one.paths[0], std::process::id());
            fs::create_dir(&path).ok().map(|()| path)
        };
        let places: Vec<String> = found.0.iter().filter(is_used).filter_map(make).collect();
        if places.is_empty() {
            eprintln!("skipped: no control group can be made here");
        }
        Places(places)
    }

    /// Dropped, also by a test that fails, they are gone with all that is in them.
    struct Places(Vec<String>);

    impl Drop for Places {
        fn drop(&mut self) {
            let Places(places) = self;
            let since = clock::start();
            while places.iter().any(|place| Path::new(place).exists())
                && since.elapsed() < GIVE_UP_AFTER
            {
                places.iter().for_each(|place| end(place));
                pause();
            }
        }
    }

    /// A program of this name, which starts a process in these groups that ignores SIGTERM.
    fn keeper(name: &str, groups: &[String]) -> (Child, u32) {
        let program = std::env::temp_dir().join(format!("predecessor-{}", std::process::id()));
        fs::create_dir_all(&program).unwrap();
        let program = program.join(name);
        let shell = fs::canonicalize("/bin/sh").unwrap();
        if !program.exists() {
            fs::copy(shell, &program).unwrap();
        }
        let script = r#"sh -c 'trap "" TERM; for group in "$@"; do echo $$ > $group/cgroup.procs; done
            echo $$; sleep 1000' tenant "$@" & wait"#;
        let mut keeper = Command::new(&program);
        keeper.args(["-c", script, "keeper"]).args(groups).stdout(Stdio::piped());
        let mut keeper = keeper.spawn().unwrap();
        let mut said = String::new();
        BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut said).unwrap();
        (keeper, said.trim().parse().unwrap())
    }

    /// A process in a PID namespace of its own, and that namespace. `None` where none may be made.
    fn contained() -> Option<(Child, u64)> {
        let mut contained = Command::new("unshare");
        contained.args(["--pid", "--fork", "--kill-child", "sh", "-c", "echo; exec sleep 1000"]);
        let mut contained = contained.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
        let mut said = String::new();
        BufReader::new(contained.stdout.take()?).read_line(&mut said).ok()?;
        if said.is_empty() {
            contained.wait().unwrap();
            return None;
        }
        let namespace = format!("/proc/{}/ns/pid_for_children", contained.id());
        let namespace = fs::metadata(namespace).unwrap().ino();
        Some((contained, namespace))
    }

    /// Whether this process sees those of all PID namespaces.
    fn sees_all() -> bool {
        !may_live(1)
    }

    fn remove_programs() {
        let _ = fs::remove_dir_all(
            std::env::temp_dir().join(format!("predecessor-{}", std::process::id())),
        );
    }

    #[test]
    fn what_a_host_that_is_gone_has_left_is_ended_unless_its_keeper_lives() {
        let guard = places("predecessors");
        let Places(places) = &guard;
        if places.is_empty() {
            return;
        }
        let make = |name: &str| -> Vec<String> {
            let groups = places.iter().map(|place| format!("{place}/{name}"));
            groups.inspect(|group| fs::create_dir_all(group).unwrap()).collect()
        };
        let me = Me::here();
        let gone = |started_at_ticks| HostId { pid: GONE, started_at_ticks, ..me.id };
        let own = make(&format!("absolute-{}", me.id));
        let mut contained = contained();
        let elsewhere = contained.as_ref().map_or_else(Vec::new, |(_, pid_namespace)| {
            make(&format!("absolute-{}", HostId { pid_namespace: *pid_namespace, ..gone(1) }))
        });
        let other = make("someone-elses");
        let empty = make(&format!("absolute-{}", gone(1)));
        let probe = make(&format!("absolute-probe-{}", gone(1)));
        let leaf = make(&format!("absolute-host-{}", gone(1)));
        let left = make(&format!("absolute-{}/7/made/by/the-tenant", gone(2)));
        let kept = make(&format!("absolute-{}/7", gone(3)));
        let (mut orphaned, tenant) = keeper("some-shell", &left);
        let (mut alive, held) = keeper("abs-keeper", &kept);

        clear(places);
        await_gone(tenant, [&empty, &probe, &leaf, &left].into_iter().flatten());
        for stays in [&own, &other, &kept, &elsewhere].into_iter().flatten() {
            assert!(Path::new(stays).exists(), "{stays}");
        }
        assert!(is_running(held), "its keeper clears it up");
        if let Some((host, pid_namespace)) = &mut contained {
            host.kill().unwrap();
            host.wait().unwrap();
            while may_live(*pid_namespace) && sees_all() {
                pause();
            }
        }

        alive.kill().unwrap();
        alive.wait().unwrap();
        clear(places);
        let ended = elsewhere.iter().filter(|_| sees_all());
        await_gone(held, kept.iter().chain(ended));
        orphaned.wait().unwrap();
        remove_programs();
    }

    /// On a busy machine a thread goes on with what was begun.
    fn await_gone<'a>(pid: u32, groups: impl Iterator<Item = &'a String> + Clone) {
        let since = clock::start();
        while is_running(pid) || groups.clone().any(|group| Path::new(group).exists()) {
            let left: Vec<_> = groups.clone().filter(|group| Path::new(group).exists()).collect();
            assert!(since.elapsed() < GIVE_UP_AFTER, "{}, {left:?}", is_running(pid));
            pause();
        }
    }

    fn is_running(pid: u32) -> bool {
        Stat::of(pid).is_some_and(|stat| !stat.has_ended)
    }

    #[test]
    fn a_name_says_whose_it_is() {
        let id = HostId { pid: 12, started_at_ticks: 345, pid_namespace: 6 };
        for name in ["absolute-12-345-6", "absolute-host-12-345-6", "absolute-probe-12-345-6"] {
            assert_eq!(host_of(name), Some(id), "{name}");
        }
        for other in ["absolute-12-345", "absolute--1-2-3", "absolute-x-1-2-3", "12-345-6"] {
            assert_eq!(host_of(other), None, "{other}");
        }
        let me = Me::here();
        assert!(me.has_named(&me.parent()) && is_alive(me.id));
        let later = HostId { started_at_ticks: me.id.started_at_ticks + 1, ..me.id };
        assert!(!is_alive(later) && !is_alive(HostId { pid: GONE, ..me.id }));
        let ended_elsewhere = HostId { pid_namespace: 1, ..me.id };
        assert_eq!(is_alive(ended_elsewhere), !sees_all());
    }
}
