//! What a program inherits from the thread that starts it: its rights, its limits, and its share
//! of the machine.
//!
//! A tenant is to start with the surroundings that the host has at that moment. Its warden has
//! those that the host had when it started the warden. So the surroundings are noted with each
//! start and compared; if they differ, another warden is needed.
//!
//! Only those capabilities are compared that a program keeps when it is executed; the others
//! follow from its user.

use procfs::process::Process;
use rustix::io::Errno;
use rustix::process::{Pid, Resource, getpriority_process, getrlimit, setpriority_process};
use rustix::thread::{gettid, sched_getaffinity, sched_setaffinity};
use std::fs;
use std::io;

/// The lines of `/proc/<pid>/status` that are compared, and how many words of each: of the four
/// user ids only the real and the effective one, from which a new program gets the other two.
///
/// Read by hand, since they are compared as text, and every start waits for it: 23 µs, against 38
/// µs through `procfs`, which lacks two of them (`Seccomp_filters`, `THP_enabled`).
const STATUS_LINES: [(&str, usize); 12] = [
    ("Uid", 2),
    ("Gid", 2),
    ("Groups", usize::MAX),
    ("CapInh", 1),
    ("CapBnd", 1),
    ("CapAmb", 1),
    ("NoNewPrivs", 1),
    ("Seccomp", 1),
    ("Seccomp_filters", 1),
    (CPUS, 1),
    ("Mems_allowed", 1),
    ("THP_enabled", 1),
];
const CPUS: &str = "Cpus_allowed";
const NICE: &str = "nice";
const POLICY: &str = "scheduling policy and priority";

/// Entries that are a share of the machine and not a right. One thread of a process may be allowed
/// less of these than another.
const SHARES: [&str; 3] = [CPUS, NICE, POLICY];

const LIMITS: [Resource; 16] = [
    Resource::Cpu,
    Resource::Fsize,
    Resource::Data,
    Resource::Stack,
    Resource::Core,
    Resource::Rss,
    Resource::Nproc,
    Resource::Nofile,
    Resource::Memlock,
    Resource::As,
    Resource::Locks,
    Resource::Sigpending,
    Resource::Msgqueue,
    Resource::Nice,
    Resource::Rtprio,
    Resource::Rttime,
];

/// The surroundings of the thread that asks for a start, as far as another thread could not read
/// them later: the umask, which programs change for moments at a time, and rights that each thread
/// has of its own.
pub struct Noted {
    thread: Pid,
    /// The thread's `/proc/<pid>/status`. An error is reported when the start is made.
    status: io::Result<String>,
    /// The umask as the thread itself read it.
    umask: Option<u32>,
}

impl Noted {
    /// Notes the surroundings of this thread, now. Takes some 10 µs.
    pub fn here() -> Noted {
        let status = fs::read_to_string("/proc/thread-self/status");
        let umask = status.as_deref().ok().and_then(umask_of);
        Noted { thread: gettid(), status, umask }
    }

    /// Notes the present surroundings of the same thread, except for the umask: another thread
    /// might read one that was set for a moment only.
    pub fn again(&self) -> Noted {
        Noted { thread: self.thread, status: status_of(self.thread), umask: self.umask }
    }

    /// Completes the note with what is the same for the whole process, or can be read from any
    /// thread.
    pub fn surroundings(&self) -> io::Result<Surroundings> {
        let status = self
            .status
            .as_ref()
            .map_err(|error| io::Error::new(error.kind(), error.to_string()))?;
        let surroundings = Surroundings::of(self.thread, status)?;
        Ok(Surroundings { umask: self.umask.unwrap_or(surroundings.umask), ..surroundings })
    }
}

/// Rights, limits and share of the machine, as a program inherits them.
#[derive(Clone, Debug)]
pub struct Surroundings {
    thread: Pid,
    pub umask: u32,
    inherited: Vec<(&'static str, String)>,
}

impl Surroundings {
    fn of(thread: Pid, status: &str) -> io::Result<Surroundings> {
        let umask = umask_of(status)
            .ok_or_else(|| io::Error::other("/proc/thread-self/status has no Umask"))?;
        let mut inherited: Vec<(&'static str, String)> = Vec::with_capacity(STATUS_LINES.len() + 6);
        for (name, words) in STATUS_LINES {
            let line = line_of(status, name).unwrap_or("");
            let words: Vec<&str> = line.split_ascii_whitespace().take(words).collect();
            inherited.push((name, words.join(" ")));
        }
        let read = |file: &str| fs::read_to_string(format!("/proc/self/{file}"));
        inherited.push((NICE, getpriority_process(Some(thread))?.to_string()));
        inherited.push((POLICY, policy_of(thread)?));
        inherited.push(("limits", limits()));
        inherited.push(("oom_score_adj", read("oom_score_adj").unwrap_or_default()));
        inherited.push(("control groups", read("cgroup").unwrap_or_default()));
        Ok(Surroundings { thread, umask, inherited })
    }

    /// Whether a program would inherit the same from both. The umask is left out: it travels with
    /// each start.
    pub fn are_those_of(&self, other: &Surroundings) -> bool {
        self.inherited == other.inherited
    }

    /// Gives this thread these surroundings, for the programs that it starts. The error says what
    /// they would inherit instead.
    ///
    /// Rights cannot be changed here, and other threads of the process may have different ones:
    /// then this fails. The share of the machine is changed as far as allowed; a lower priority
    /// than the host's is no reason not to start.
    pub fn assume(&self) -> Result<(), String> {
        let cannot_be_seen =
            |error: io::Error| format!("what it would inherit cannot be found out: {error}");
        let own = || {
            let thread = gettid();
            Surroundings::of(thread, &status_of(thread)?)
        };
        let before = own().map_err(cannot_be_seen)?;
        if self.are_those_of(&before) {
            return Ok(());
        }
        if let Err(error) = self.assume_shares() {
            tracing::warn!(%error, "the host's priority or processors cannot be passed on to tenants");
        }
        let after = own().map_err(cannot_be_seen)?;
        let pairs = self.inherited.iter().zip(&after.inherited);
        let mut differing = pairs.filter(|(one, other)| one != other && !SHARES.contains(&one.0));
        differing.next().map_or(Ok(()), |((name, wanted), (_, found))| {
            Err(format!(
                "it would not inherit what the host is: {name} of the thread that asked for it is {:?}, and of the \
                 thread that would start it {:?}; change such things for the whole process, as setuid() does",
                wanted.trim(),
                found.trim(),
            ))
        })
    }

    fn assume_shares(&self) -> Result<(), Errno> {
        sched_setaffinity(None, &sched_getaffinity(Some(self.thread))?)?;
        let nice = getpriority_process(Some(self.thread))?;
        if nice != getpriority_process(Some(gettid()))? {
            setpriority_process(Some(gettid()), nice)?;
        }
        Ok(())
    }
}

fn status_of(thread: Pid) -> io::Result<String> {
    fs::read_to_string(format!("/proc/self/task/{}/status", thread.as_raw_pid()))
}

fn umask_of(status: &str) -> Option<u32> {
    u32::from_str_radix(line_of(status, "Umask")?, 8).ok()
}

fn line_of<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

fn policy_of(thread: Pid) -> io::Result<String> {
    let task = Process::myself().and_then(|process| process.task_from_tid(thread.as_raw_pid()));
    let stat = task.and_then(|task| task.stat()).map_err(io::Error::other)?;
    Ok(format!("{} {}", stat.rt_priority.unwrap_or(0), stat.policy.unwrap_or(0)))
}

fn limits() -> String {
    let limits = LIMITS.map(getrlimit);
    limits.map(|limit| format!("{:?}:{:?}", limit.current, limit.maximum)).join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{Rlimit, setrlimit};
    use rustix::thread::{CapabilitySet, CpuSet, capabilities, set_capabilities};

    fn here() -> Surroundings {
        Noted::here().surroundings().unwrap()
    }

    #[test]
    fn a_thread_assumes_the_share_of_another_and_refuses_other_rights() {
        let before = here();
        assert!(before.are_those_of(&here()));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let nice = getpriority_process(Some(gettid())).unwrap() + 1;
                setpriority_process(Some(gettid()), nice).unwrap();
                let mut one = CpuSet::new();
                let all = sched_getaffinity(None).unwrap();
                one.set((0..CpuSet::MAX_CPU).find(|&cpu| all.is_set(cpu)).unwrap());
                sched_setaffinity(None, &one).unwrap();
                let nicer = here();
                assert!(!nicer.are_those_of(&before));
                let assumed = || {
                    nicer.assume().unwrap();
                    nicer.are_those_of(&here())
                };
                assert!(std::thread::scope(|scope| scope.spawn(assumed).join().unwrap()));
            });
        });
        assert!(before.are_those_of(&here()), "the other thread's are its own");
        std::thread::spawn(move || {
            let mut sets = capabilities(None).unwrap();
            if !sets.permitted.contains(CapabilitySet::CHOWN) {
                return;
            }
            sets.inheritable |= CapabilitySet::CHOWN;
            set_capabilities(None, sets).unwrap();
            let refused = before.assume().unwrap_err();
            assert!(refused.contains("CapInh of the thread"), "{refused}");
        })
        .join()
        .unwrap();
    }

    #[test]
    fn the_umask_is_the_one_that_the_thread_itself_has_seen() {
        let noted = Noted::here();
        let umask = noted.surroundings().unwrap().umask;
        let momentary = Noted { status: noted.again().status.map(with_umask_0), ..noted.again() };
        assert_eq!(momentary.surroundings().unwrap().umask, umask);
    }

    fn with_umask_0(status: String) -> String {
        let umask = line_of(&status, "Umask").unwrap();
        status.replace(&format!("Umask:\t{umask}"), "Umask:\t0000")
    }

    #[test]
    fn other_limits_are_other_surroundings() {
        let before = here();
        let limit = getrlimit(Resource::Core);
        let lower = Rlimit {
            current: limit.current.map_or(Some(1 << 40), |bytes| bytes.checked_sub(1)),
            ..limit
        };
        setrlimit(Resource::Core, lower).unwrap();
        let is_same = before.are_those_of(&here());
        setrlimit(Resource::Core, limit).unwrap();
        assert!(!is_same || lower.current == limit.current);
    }

    #[test]
    fn procfs_reads_the_same() {
        let task = Process::myself().unwrap().task_from_tid(gettid().as_raw_pid()).unwrap();
        let status = task.status().unwrap();
        let here = here();
        let inherited = |name| here.inherited.iter().find(|(of, _)| *of == name).unwrap().1.clone();
        let masks = |name| u64::from_str_radix(&inherited(name), 16).unwrap();
        assert_eq!(Some(here.umask), status.umask);
        assert_eq!(inherited("Uid"), format!("{} {}", status.ruid, status.euid));
        assert_eq!(inherited("Gid"), format!("{} {}", status.rgid, status.egid));
        let groups: Vec<String> = status.groups.iter().map(ToString::to_string).collect();
        assert_eq!(inherited("Groups"), groups.join(" "));
        let capabilities =
            [("CapInh", Some(status.capinh)), ("CapBnd", status.capbnd), ("CapAmb", status.capamb)];
        for (name, expected) in capabilities {
            assert_eq!(Some(masks(name)), expected, "{name}");
        }
        assert_eq!(inherited("NoNewPrivs").parse().ok(), status.nonewprivs);
        assert_eq!(inherited("Seccomp").parse().ok(), status.seccomp);
    }

    #[test]
    #[ignore = "a measurement"]
    fn what_a_read_costs() {
        let task = || Process::myself().unwrap().task_from_tid(gettid().as_raw_pid()).unwrap();
        let lines = || {
            let status = status_of(gettid()).unwrap();
            STATUS_LINES.map(|(name, _)| line_of(&status, name).map(str::to_owned))
        };
        crate::reader_costs::print("status of a thread", lines, || task().status().unwrap());
    }
}
