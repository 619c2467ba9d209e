//! Limits and restrictions of this process, which the processes that it starts inherit.

use super::{Files, parsed};
use procfs::process::{Limit, LimitValue, Limits, Status};

/// The inherited limits and restrictions of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    pub open_files: Bounds,
    /// The processes and threads of its user.
    pub processes: Bounds,
    /// Programs gain no rights by being executed.
    pub has_no_new_privileges: bool,
    /// A seccomp filter refuses some system calls.
    pub has_seccomp_filter: bool,
    /// From -1000 (never killed when memory runs out) to 1000 (killed first).
    pub oom_score_adj: i32,
}

/// A limit, and how far it may be raised; `None` means no limit, or one that cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    pub soft: Option<u64>,
    pub hard: Option<u64>,
}

impl Process {
    pub(crate) fn of(files: &impl Files) -> Process {
        let limits: Option<Limits> = parsed(files, "/proc/self/limits");
        let status: Option<Status> = parsed(files, "/proc/self/status");
        let oom_score_adj = files.read("/proc/self/oom_score_adj");
        let is_on = |says: fn(&Status) -> bool| status.as_ref().is_some_and(says);
        Process {
            open_files: bounds(limits.as_ref().map(|limits| limits.max_open_files)),
            processes: bounds(limits.as_ref().map(|limits| limits.max_processes)),
            has_no_new_privileges: is_on(|status| status.nonewprivs.unwrap_or(0) > 0),
            has_seccomp_filter: is_on(|status| status.seccomp.unwrap_or(0) > 0),
            oom_score_adj: oom_score_adj.and_then(|score| score.trim().parse().ok()).unwrap_or(0),
        }
    }
}

fn bounds(limit: Option<Limit>) -> Bounds {
    let number = |value| match value {
        LimitValue::Value(number) => Some(number),
        LimitValue::Unlimited => None,
    };
    limit.map_or(Bounds::default(), |limit| Bounds {
        soft: number(limit.soft_limit),
        hard: number(limit.hard_limit),
    })
}
