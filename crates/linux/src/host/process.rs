//! What holds for this process, and for those that it starts.

use super::{Files, parsed};
use procfs::process::{Limit, LimitValue, Limits, Status};

/// Everything that is inherited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    pub open_files: Bounds,
    /// Of its user, and threads count as well.
    pub processes: Bounds,
    /// Programs gain no rights by being executed.
    pub has_no_new_privileges: bool,
    /// Some system calls are refused to it.
    pub has_seccomp_filter: bool,
    /// From -1000, never killed when memory runs out, to 1000.
    pub oom_score_adj: i32,
}

/// A limit and how far it may be raised; `None` is no limit, or one that cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    pub soft: Option<u64>,
    pub hard: Option<u64>,
}

impl Process {
    pub(super) fn of(files: &impl Files) -> Process {
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
