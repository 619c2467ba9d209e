//! What the kernel has for walls, and which promises it keeps with that.

use super::answer::Reason;
use super::{Isolation, User, kernel, system_paths};
use crate::host::Files;
use procfs::process::Status;
use std::ffi::{CString, NulError};
use std::io;
use warden::confinement::{Access, Landlock, PathRule, Walls};

/// The capabilities that it takes to run a program as another user: to give it its temporary
/// directory, to end it, and to become its group and the user.
const USER_CAPABILITIES: [(&str, u64); 4] =
    [("CAP_CHOWN", 0), ("CAP_KILL", 5), ("CAP_SETGID", 6), ("CAP_SETUID", 7)];
/// What a filter answers with, as the kernel names it.
const ANSWERS: [&str; 3] = ["errno", "kill_process", "allow"];
/// The umask within walls: what a tenant writes is not for others.
pub(super) const UMASK: u32 = 0o027;

const BEST_EFFORT: &str = "or set isolation.enforce to \"best-effort\"";

/// A promise of the walls that Landlock keeps from a version on.
struct Promise {
    /// As `missing` names it.
    name: &'static str,
    /// The first version of Landlock that keeps it, and the first Linux that has that.
    since: u32,
    linux: &'static str,
    means: &'static str,
}

const PROMISES: [Promise; 5] = [
    Promise {
        name: FILES,
        since: 1,
        linux: "5.13",
        means: "a tenant reaches the files of its own directory and no others",
    },
    Promise {
        name: "truncate",
        since: 3,
        linux: "6.2",
        means: "a tenant cannot cut off files that it may not write",
    },
    Promise {
        name: "ports",
        since: 4,
        linux: "6.7",
        means: "a tenant listens on its own port and on no other",
    },
    Promise {
        name: "signals",
        since: 6,
        linux: "6.12",
        means: "a tenant cannot signal processes outside of its tree",
    },
    Promise {
        name: "abstract-sockets",
        since: 6,
        linux: "6.12",
        means: "a tenant cannot connect to abstract unix sockets outside of its tree",
    },
];
pub(super) const FILES: &str = "files";
const SIGNALS: &str = "signals";
pub(super) const SYSTEM_CALLS: &str = "system-calls";

/// What this host has.
#[derive(Clone, Debug)]
pub(super) struct Means {
    /// The version of Landlock, or why there is none and what to change.
    pub landlock: Result<u32, (String, String)>,
    /// Whether system calls can be refused.
    pub seccomp: bool,
    /// What this process lacks of the capabilities that take another user.
    lacks_for_users: Vec<&'static str>,
    /// The users and the groups that exist in this user namespace.
    uids: Ranges,
    gids: Ranges,
}

/// The lines of `/proc/self/uid_map`: the first number here, and how many. Empty: all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Ranges(Vec<(u64, u64)>);

impl Means {
    pub fn of(files: &impl Files, landlock: io::Result<u32>) -> Means {
        let status: Option<Status> = crate::host::parsed(files, "/proc/self/status");
        let capabilities = status.map_or(0, |status| status.capeff);
        let answers = files.read("/proc/sys/kernel/seccomp/actions_avail").unwrap_or_default();
        let has = |answer: &&str| answers.split_ascii_whitespace().any(|one| one == *answer);
        Means {
            landlock: landlock.map_err(|error| no_landlock(&error)),
            seccomp: ANSWERS.iter().all(has),
            lacks_for_users: USER_CAPABILITIES
                .into_iter()
                .filter(|(_, bit)| capabilities & (1 << bit) == 0)
                .map(|(name, _)| name)
                .collect(),
            uids: Ranges::of(files, "/proc/self/uid_map"),
            gids: Ranges::of(files, "/proc/self/gid_map"),
        }
    }

    pub fn of_this_machine(files: &impl Files) -> Means {
        Means::of(files, kernel::landlock_abi())
    }

    /// The promises that are not kept, and why.
    pub fn missing(&self, isolation: &Isolation) -> Vec<(&'static str, Reason)> {
        let is_kept_by_user =
            |name| name == SIGNALS && isolation.user.is_some() && isolation.is_own_user;
        let broken = PROMISES.iter().filter(|promise| {
            self.landlock.as_ref().map_or(true, |version| *version < promise.since)
                && !is_kept_by_user(promise.name)
        });
        let mut missing: Vec<(&'static str, Reason)> =
            broken.map(|promise| (promise.name, self.broken(promise))).collect();
        if !self.seccomp {
            missing.push((SYSTEM_CALLS, no_seccomp()));
        }
        missing
    }

    fn broken(&self, promise: &Promise) -> Reason {
        let (why, change) = match &self.landlock {
            Ok(version) => (
                format!(
                    "the kernel's Landlock is version {version}, and version {} keeps that",
                    promise.since
                ),
                format!("use Linux {} or newer, {BEST_EFFORT}", promise.linux),
            ),
            Err((why, change)) => (why.clone(), format!("{change}, {BEST_EFFORT}")),
        };
        let what = format!("isolation ({:?}: {})", promise.name, promise.means);
        Reason { what, why, change }
    }

    /// Why a tenant cannot run as this user.
    pub fn cannot_become(&self, user: User) -> Option<Reason> {
        let what = format!("isolation.user ({})", user.uid);
        if !self.lacks_for_users.is_empty() {
            let lacking = self.lacks_for_users.join(", ");
            return Some(Reason {
                what,
                why: format!("this host may not run programs as another user (it lacks {lacking})"),
                change: "start the host as root with these capabilities, or leave `user` out"
                    .to_owned(),
            });
        }
        let unknown = [(user.uid, &self.uids, "uid"), (user.gid, &self.gids, "gid")];
        let (number, _, kind) = unknown.into_iter().find(|(id, ranges, _)| !ranges.have(*id))?;
        Some(Reason {
            what,
            why: format!("the {kind} {number} does not exist in the user namespace of this host"),
            change: "give numbers that /proc/self/uid_map and /proc/self/gid_map have".to_owned(),
        })
    }

    /// The walls of a launch. `programs` are the files that it executes.
    pub fn walls(
        &self,
        isolation: &Isolation,
        port: u16,
        programs: &[String],
    ) -> Result<Walls, NulError> {
        let landlock = match self.landlock {
            Ok(abi) => Some(Landlock {
                abi,
                listen: [port].iter().chain(&isolation.listen).copied().collect(),
                connect: isolation.connect.clone(),
                paths: paths(isolation, programs)?,
            }),
            Err(_) => None,
        };
        Ok(Walls { refuses_system_calls: self.seccomp, landlock })
    }
}

/// The paths that may be reached: the tenant's own directory, what the user lists, which must be
/// there, and what there is of the system.
fn paths(isolation: &Isolation, programs: &[String]) -> Result<Vec<PathRule>, NulError> {
    let rule = |access, is_required, path: &str| {
        Ok(PathRule { access, is_required, path: CString::new(path)? })
    };
    let mut paths = vec![rule(Access::Write, true, ".")?];
    for path in &isolation.read {
        paths.push(rule(Access::Execute, true, path)?);
    }
    for path in &isolation.write {
        paths.push(rule(Access::Write, true, path)?);
    }
    for program in programs {
        paths.push(rule(Access::Execute, false, program)?);
    }
    for (access, path) in system_paths::all() {
        paths.push(rule(access, false, &path)?);
    }
    Ok(paths)
}

fn no_landlock(error: &io::Error) -> (String, String) {
    let (why, change) = match error.raw_os_error() {
        Some(libc::ENOSYS) => (
            "this kernel has no Landlock".to_owned(),
            "use Linux 5.13 or newer, built with CONFIG_SECURITY_LANDLOCK (and if it is, allow \
             landlock_* in the sandbox around the host)",
        ),
        Some(libc::EOPNOTSUPP) => (
            "Landlock is switched off in this kernel".to_owned(),
            "boot with landlock in the list of security modules (`lsm=landlock,…`)",
        ),
        _ => (
            format!("a sandbox around the host refuses Landlock ({error})"),
            "allow landlock_create_ruleset, landlock_add_rule and landlock_restrict_self there",
        ),
    };
    (why, change.to_owned())
}

fn no_seccomp() -> Reason {
    Reason {
        what: format!("isolation ({SYSTEM_CALLS:?}: system calls that no web app needs are refused)"),
        why: "this kernel has no seccomp filters, or does not show them below /proc/sys/kernel/seccomp"
            .to_owned(),
        change: format!("use a kernel with CONFIG_SECCOMP_FILTER, {BEST_EFFORT}"),
    }
}

impl Ranges {
    fn of(files: &impl Files, path: &str) -> Ranges {
        let range = |line: &str| {
            let mut words = line.split_ascii_whitespace();
            let first = words.next()?.parse().ok()?;
            Some((first, words.nth(1)?.parse().ok()?))
        };
        let text = files.read(path).unwrap_or_default();
        Ranges(text.lines().filter_map(range).collect())
    }

    fn have(&self, id: u32) -> bool {
        let Ranges(ranges) = self;
        let id = u64::from(id);
        ranges.is_empty()
            || ranges
                .iter()
                .any(|(first, count)| (*first..first.saturating_add(*count)).contains(&id))
    }
}
