//! Tells whether the sockets that listen on a tenant's port belong to the tenant.
//!
//! Any program that sets `SO_REUSEADDR` can listen on a held port, so an answer alone does not
//! prove that the tenant gave it. The proof is that the listening socket was made in the tenant's
//! control group, which the kernel says of each socket, or that it is among the descriptors of the
//! tenant's tree: the tenant may have no group, may make groups below it, and may be given a
//! socket that was made elsewhere.
//!
//! A process that the warden started stays below its keeper, so the answer is yes or no. A process
//! that the user started may stand for a server elsewhere (a container, a shared server, another
//! machine). "Not the tenant's" is only said if it was started for this start, lives in the host's
//! namespaces, and may be looked into.

use crate::net::listeners::{processes, sockets_among, sockets_of};
use crate::net::listening::{self, Reached};
use crate::process::accounting::Root;
use crate::process::proc_stat;
use procfs::ProcResult;
use procfs::process::{Namespaces, Process};
use std::collections::HashSet;
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::net::IpAddr;
use warden::Stat;

/// The flag in `/proc/<pid>/stat` of a process that is ending.
const PF_EXITING: u32 = 0x4;

/// The longest chain of parents that is followed.
const MOST_ANCESTORS: usize = 64;

/// How much of a tree is looked at: the first processes, the first threads of each (for their
/// children), and how a process's sockets are read.
struct Bounds {
    processes: usize,
    threads: usize,
    sockets_of: fn(u32) -> io::Result<Vec<u64>>,
}

/// Descriptors that a first look reads: a server's listening socket is among the first.
const FIRST_DESCRIPTORS: usize = 128;

/// The bounds on the engine's thread: about a millisecond, however large a tenant makes its tree.
const AT_ONCE: Bounds =
    Bounds { processes: 8, threads: 64, sockets_of: |pid| sockets_among(pid, FIRST_DESCRIPTORS) };
const ALL: Bounds = Bounds { processes: usize::MAX, threads: usize::MAX, sockets_of };

/// The tree whose sockets are the tenant's.
#[derive(Clone, Copy, Debug)]
pub struct Owner {
    pub root: Root,
    /// For a process that the user started: when its start began, in milliseconds since boot.
    /// `None` if the process stands for a server elsewhere.
    pub since_boot_ms: Option<u64>,
}

/// The owner of the sockets that listen on a port.
#[derive(Debug, PartialEq, Eq)]
pub enum Listener {
    /// All listening sockets are the tenant's.
    Tenant,
    /// No socket listens any more.
    Gone,
    /// Another process listens.
    Other(Stranger),
    /// The tenant may be the owner; it cannot be found out.
    Unknown,
}

/// A process that listens on the port of a tenant without belonging to its tree. Fields are `None`
/// where they cannot be seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stranger {
    pub pid: Option<u32>,
    pub program: Option<String>,
}

impl fmt::Display for Stranger {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.pid, &self.program) {
            (Some(pid), Some(program)) => write!(out, "process {pid} ({program})"),
            (Some(pid), None) => write!(out, "process {pid}"),
            (None, _) => out.write_str("a process that this host may not look into"),
        }
    }
}

impl Owner {
    /// Whether the tenant's tree has all of these sockets. The common case: the look ends at the
    /// process that has them, which is mostly the first or the second.
    pub fn has(&self, sockets: &Reached) -> bool {
        self.lacks(sockets, &AT_ONCE).is_empty()
    }

    fn lacks(&self, sockets: &Reached, within: &Bounds) -> HashSet<u64> {
        let own_group = || self.root.groups().and_then(|groups| groups.id());
        if sockets.group.is_some() && sockets.group == own_group() {
            return HashSet::new();
        }
        let mut missing: HashSet<u64> = sockets.inodes.iter().copied().collect();
        for pid in processes(self.root, within.threads).take(within.processes) {
            for socket in (within.sockets_of)(pid).unwrap_or_default() {
                missing.remove(&socket);
            }
            if missing.is_empty() {
                break;
            }
        }
        missing
    }

    /// Finds the owner of the sockets that listen at this address and port, after
    /// [`has`](Self::has) was false. Reads all of `/proc`: not for a thread that must not block.
    pub fn find(&self, address: IpAddr, port: u16) -> Listener {
        let Ok(sockets) = listening::reached_at(address, port) else { return Listener::Unknown };
        if sockets.inodes.is_empty() {
            return Listener::Gone;
        }
        // A second look: the first may have missed a process that was passing a socket on to a
        // child.
        let missing = self.lacks(&sockets, &ALL);
        if missing.is_empty() {
            return Listener::Tenant;
        }
        if !self.can_be_known() {
            return Listener::Unknown;
        }
        let holders = holders(&missing);
        if let Some(pid) = holders.iter().find(|pid| !self.includes(**pid)) {
            if matches!(self.root, Root::Process(_)) && *pid == std::process::id() {
                // The host itself serves for this tenant.
                return Listener::Unknown;
            }
            return Listener::Other(Stranger { pid: Some(*pid), program: program(*pid) });
        }
        if !holders.is_empty() {
            return Listener::Tenant;
        }
        match listening::reached_at(address, port) {
            Ok(now) if now != sockets => Listener::Gone,
            // An ending process loses its descriptors a moment before its sockets close.
            Ok(_) if self.has_ending_process() => Listener::Gone,
            Ok(_) if self.is_readable() => Listener::Other(Stranger::default()),
            _ => Listener::Unknown,
        }
    }

    fn can_be_known(&self) -> bool {
        let Root::Process(pid) = self.root else { return true };
        let Some((since_ms, stat)) = self.since_boot_ms.zip(Stat::of(pid)) else { return false };
        let [theirs, ours] = [process(pid), Process::myself()].map(namespaces);
        let lives_here = theirs.is_ok_and(|theirs| ours.is_ok_and(|ours| theirs == ours));
        stat.started_since_boot_ms() >= since_ms && lives_here
    }

    fn is_readable(&self) -> bool {
        processes(self.root, usize::MAX).all(|pid| sockets_of(pid).is_ok())
    }

    /// Whether a process of the tree is ending or a zombie.
    fn has_ending_process(&self) -> bool {
        processes(self.root, usize::MAX).any(|pid| match proc_stat::flags(pid) {
            Some(flags) => flags & PF_EXITING != 0,
            None => true,
        })
    }

    /// Whether a process is the root or a descendant of it.
    fn includes(&self, pid: u32) -> bool {
        let root = self.root.pid();
        let ancestors = std::iter::successors(Some(pid), |pid| Some(Stat::of(*pid)?.parent));
        ancestors.take(MOST_ANCESTORS).any(|pid| pid == root)
    }
}

/// The inodes of a process's PID and network namespaces.
fn namespaces(process: ProcResult<Process>) -> ProcResult<[Option<u64>; 2]> {
    let Namespaces(namespaces) = process?.namespaces()?;
    Ok(["pid", "net"]
        .map(|kind| namespaces.get(OsStr::new(kind)).map(|namespace| namespace.identifier)))
}

fn process(pid: u32) -> ProcResult<Process> {
    // No pid exceeds `i32::MAX`.
    Process::new(pid.try_into().unwrap_or(i32::MAX))
}

/// The processes that have one of these sockets open.
fn holders(sockets: &HashSet<u64>) -> Vec<u32> {
    let pids = proc_stat::of_all().into_iter().flatten().map(|stat| stat.pid);
    let has_one = |pid: &u32| {
        sockets_of(*pid).is_ok_and(|has| has.iter().any(|socket| sockets.contains(socket)))
    };
    pids.filter(has_one).collect()
}

fn program(pid: u32) -> Option<String> {
    let process = process(pid).ok()?;
    let executable = process.exe().map(|path| path.to_string_lossy().into_owned());
    executable.or_else(|_| process.stat().map(|stat| stat.comm)).ok()
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests start processes")]
mod tests {
    use super::*;
    use rustix::process::{Pid, Signal, kill_process};
    use std::io::Read;
    use std::net::TcpListener;
    use std::process::{Child, Command, Stdio};
    use std::sync::Mutex;

    const LOCALHOST: IpAddr = listening::LOOPBACK[0];

    /// Taken by tests that look into this process: one of them opens more descriptors than a first
    /// look reads.
    static DESCRIPTORS: Mutex<()> = Mutex::new(());

    fn sleeper() -> Child {
        Command::new("sleep").arg("1000").spawn().unwrap()
    }

    fn end(mut child: Child) {
        child.kill().unwrap();
        child.wait().unwrap();
    }

    fn of_user(pid: u32, since_boot_ms: u64) -> Owner {
        Owner { root: Root::Process(pid), since_boot_ms: Some(since_boot_ms) }
    }

    #[test]
    fn a_socket_is_the_tenants_if_a_process_of_its_tree_has_it() {
        let _alone = DESCRIPTORS.lock();
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().unwrap().port();
        let sockets = listening::reached_at(LOCALHOST, port).unwrap();
        let ours = of_user(std::process::id(), 0);
        assert!(ours.has(&sockets));
        assert_eq!(ours.find(LOCALHOST, port), Listener::Tenant);
        drop(server);
        assert_eq!(ours.find(LOCALHOST, port), Listener::Gone);
    }

    #[test]
    fn a_large_tree_is_looked_at_in_part_at_first_and_whole_off_the_thread() {
        let _alone = DESCRIPTORS.lock();
        let many: Vec<TcpListener> =
            (0..2 * FIRST_DESCRIPTORS).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let port = many.last().unwrap().local_addr().unwrap().port();
        let ours = of_user(std::process::id(), 0);
        assert!(!ours.has(&listening::reached_at(LOCALHOST, port).unwrap()));
        assert_eq!(ours.find(LOCALHOST, port), Listener::Tenant);
    }

    #[test]
    fn who_listens_instead_is_named() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().unwrap().port();
        let tenant = sleeper();
        // This process has no children, like a keeper whose tenant has none of the sockets.
        let ours = Owner { root: Root::Keeper(tenant.id()), since_boot_ms: None };
        assert!(!ours.has(&listening::reached_at(LOCALHOST, port).unwrap()));
        let Listener::Other(stranger) = ours.find(LOCALHOST, port) else {
            panic!("it is not the tenant's")
        };
        assert_eq!(stranger.pid, Some(std::process::id()));
        let program = std::env::current_exe().unwrap();
        assert_eq!(stranger.program.as_deref(), program.to_str());
        end(tenant);
    }

    #[test]
    fn of_a_users_process_no_is_said_only_if_it_is_known() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().unwrap().port();
        let tenant = sleeper();
        let started_ms = Stat::of(tenant.id()).unwrap().started_since_boot_ms();
        for (why, owner) in [
            ("the host itself serves it", of_user(tenant.id(), started_ms)),
            ("it is older than the start", of_user(tenant.id(), started_ms + 10)),
            (
                "it stands for something else",
                Owner { since_boot_ms: None, ..of_user(tenant.id(), 0) },
            ),
            ("there is no such process", of_user(1 << 30, 0)),
        ] {
            assert_eq!(owner.find(LOCALHOST, port), Listener::Unknown, "{why}");
        }
        end(tenant);
    }

    #[test]
    fn a_tree_with_a_process_that_ends_is_told_from_one_without() {
        let mut tenant = Command::new("sh");
        tenant.args(["-c", "sleep 1000 & echo; wait"]).stdout(Stdio::piped());
        let mut tenant = tenant.spawn().unwrap();
        let mut said = [0];
        tenant.stdout.take().unwrap().read_exact(&mut said).unwrap();
        let ours = Owner { root: Root::Keeper(tenant.id()), since_boot_ms: None };
        let [sleeper] = processes(ours.root, usize::MAX).collect::<Vec<_>>()[..] else { panic!() };
        assert!(!ours.has_ending_process());
        // The parent is stopped, and so does not reap the child.
        let signal = |pid: u32, signal| {
            kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), signal).unwrap();
        };
        signal(tenant.id(), Signal::STOP);
        signal(sleeper, Signal::KILL);
        while !Stat::of(sleeper).unwrap().has_ended {
            std::thread::yield_now();
        }
        assert!(ours.has_ending_process());
        signal(tenant.id(), Signal::KILL);
        tenant.wait().unwrap();
    }

    /// The environment variable that tells the tenant of a test the group that it is to enter.
    const GROUP: &str = "OWNERSHIP_TEST_GROUP";

    #[test]
    #[ignore = "the tenant of another test"]
    fn listens_in_a_group() {
        let Ok(group) = std::env::var(GROUP) else { return };
        std::fs::write(format!("{group}/cgroup.procs"), std::process::id().to_string()).unwrap();
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        println!("port={}", server.local_addr().unwrap().port());
        let _ = std::io::stdin().read(&mut [0]);
    }

    #[test]
    fn a_socket_that_was_made_in_the_tenants_group_is_the_tenants() {
        use crate::host::{Groups, Hierarchy, Mounts, ThisMachine};
        use std::io::BufRead;
        let found = Groups::of(&ThisMachine, &Mounts::of(&ThisMachine));
        let is_usable =
            |one: &&crate::host::Membership| one.hierarchy == Hierarchy::V2 && one.is_writable;
        let Some(own) = found.0.iter().find(is_usable) else { return };
        let parent = format!("{}/test-ownership-{}", own.paths[0], std::process::id());
        if std::fs::create_dir(&parent).is_err() {
            return;
        }
        for number in ["1", "2"] {
            std::fs::create_dir(format!("{parent}/{number}")).unwrap();
        }
        let mut server = Command::new(std::env::current_exe().unwrap());
        server.args(["--ignored", "--exact", "--nocapture"]);
        server.arg("net::ownership::tests::listens_in_a_group").env(GROUP, format!("{parent}/1"));
        let mut server = server.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = std::io::BufReader::new(server.stdout.take().unwrap()).lines();
        let port: u16 = lines
            .map_while(Result::ok)
            .find_map(|line| line.split_once("port=")?.1.parse().ok())
            .unwrap();
        // A keeper without children, so that only the group can tell.
        let keeper = sleeper();
        let of_group = |number| {
            let parent = std::ffi::CString::new(parent.as_str()).unwrap();
            let hierarchy = warden::confinement::Hierarchy::V2;
            let groups = [warden::confinement::Group { hierarchy, parent, settings: Vec::new() }];
            let root = Root::of_tenant(keeper.id(), &groups, number);
            Owner { root, since_boot_ms: None }
        };
        let sockets = listening::reached_at(LOCALHOST, port).unwrap();
        assert!(of_group(1).has(&sockets), "{sockets:?}");
        assert_eq!(of_group(1).find(LOCALHOST, port), Listener::Tenant);
        assert!(!of_group(2).has(&sockets), "it is the other tenant's");
        assert!(!of_group(0).has(&sockets), "there is no group");
        let stranger = of_group(2).find(LOCALHOST, port);
        assert!(
            matches!(&stranger, Listener::Other(Stranger { pid: Some(pid), .. }) if *pid == server.id()),
            "{stranger:?}"
        );
        // By its descriptors it is the tenant's of whatever group.
        let by_descriptors = Owner { root: Root::Keeper(std::process::id()), since_boot_ms: None };
        assert_eq!(by_descriptors.find(LOCALHOST, port), Listener::Tenant);
        end(server);
        end(keeper);
        for group in [format!("{parent}/1"), format!("{parent}/2"), parent] {
            // A process that has ended leaves its group a moment later.
            while std::fs::remove_dir(&group)
                .is_err_and(|error| error.kind() == io::ErrorKind::ResourceBusy)
            {
                std::thread::yield_now();
            }
        }
    }

    #[test]
    fn a_stranger_is_described_as_far_as_it_is_known() {
        let stranger =
            |pid, program: Option<&str>| Stranger { pid, program: program.map(str::to_owned) };
        assert_eq!(stranger(Some(7), Some("/bin/nc")).to_string(), "process 7 (/bin/nc)");
        assert_eq!(stranger(Some(7), None).to_string(), "process 7");
        assert_eq!(stranger(None, None).to_string(), "a process that this host may not look into");
    }
}
