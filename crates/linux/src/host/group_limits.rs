//! The limits of control groups. A group is also bound by the limits of all groups above it, so
//! the narrowest counts.

use super::groups::{Groups, Hierarchy};
use super::{Files, numbers};

/// From here on a limit means "none": version 1 writes that as a number near 2^63.
const ENDLESS_BYTES: u64 = 1 << 60;

/// The narrowest limit of each kind; `None` where nothing is limited.
#[derive(Debug)]
pub struct GroupLimits {
    pub memory: Option<MemoryLimit>,
    pub tasks: Option<TaskLimit>,
    pub cpu: Option<CpuLimit>,
    /// The group that the kernel kills as a whole when memory is short.
    pub killed_as_one: Option<String>,
    /// A group that may not use swap.
    pub without_swap: Option<String>,
}

/// The memory limit with the least room left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryLimit {
    pub limit_bytes: u64,
    /// Without the inactive file cache, which the kernel reclaims at once.
    pub used_bytes: u64,
    pub path: String,
}

/// The limit of processes and threads together with the least room left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskLimit {
    pub limit: u64,
    pub used: u64,
    pub path: String,
}

/// How many processors may be used at a time, on average.
#[derive(Clone, Debug, PartialEq)]
pub struct CpuLimit {
    pub cores: f64,
    pub path: String,
}

impl GroupLimits {
    pub(super) fn of(files: &impl Files, groups: &Groups) -> GroupLimits {
        let v2_group_with = |file: &str, value: &str| {
            let (hierarchy, paths) = groups.with("memory")?;
            let says = |path: &&String| {
                files.read(&format!("{path}/{file}")).is_some_and(|text| text.trim() == value)
            };
            paths.iter().find(says).filter(|_| hierarchy == Hierarchy::V2).cloned()
        };
        GroupLimits {
            memory: GroupLimits::memory_of(files, groups),
            tasks: narrowest(groups, "pids", task_limit(files), TaskLimit::free),
            // In thousandths of a core, since `f64` has no total order.
            cpu: narrowest(groups, "cpu", cpu_limit(files), |limit| (limit.cores * 1_000.0) as u64),
            killed_as_one: v2_group_with("memory.oom.group", "1"),
            without_swap: v2_group_with("memory.swap.max", "0"),
        }
    }
}

impl GroupLimits {
    /// The limit of memory alone.
    pub(super) fn memory_of(files: &impl Files, groups: &Groups) -> Option<MemoryLimit> {
        narrowest(groups, "memory", memory_limit(files), MemoryLimit::free_bytes)
    }
}

fn narrowest<L>(
    groups: &Groups,
    controller: &str,
    limit: impl Fn(Hierarchy, &str) -> Option<L>,
    room: impl Fn(&L) -> u64,
) -> Option<L> {
    let (hierarchy, paths) = groups.with(controller)?;
    paths.iter().filter_map(|path| limit(hierarchy, path)).min_by_key(room)
}

impl MemoryLimit {
    pub fn free_bytes(&self) -> u64 {
        self.limit_bytes.saturating_sub(self.used_bytes)
    }
}

impl TaskLimit {
    pub fn free(&self) -> u64 {
        self.limit.saturating_sub(self.used)
    }
}

fn memory_limit(files: &impl Files) -> impl Fn(Hierarchy, &str) -> Option<MemoryLimit> {
    move |hierarchy, path| {
        let [limit, used, reclaimable] = match hierarchy {
            Hierarchy::V1 => {
                ["memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file "]
            }
            Hierarchy::V2 => ["memory.max", "memory.current", "inactive_file "],
        };
        let limit_bytes = number(files, path, limit).filter(|bytes| *bytes < ENDLESS_BYTES)?;
        let stat = files.read(&format!("{path}/memory.stat")).unwrap_or_default();
        let reclaimable =
            stat.lines().find_map(|line| line.strip_prefix(reclaimable)?.trim().parse().ok());
        let used_bytes =
            number(files, path, used).unwrap_or(0).saturating_sub(reclaimable.unwrap_or(0));
        Some(MemoryLimit { limit_bytes, used_bytes, path: path.to_owned() })
    }
}

fn task_limit(files: &impl Files) -> impl Fn(Hierarchy, &str) -> Option<TaskLimit> {
    move |_, path| {
        let limit = number(files, path, "pids.max")?;
        let used = number(files, path, "pids.current").unwrap_or(0);
        Some(TaskLimit { limit, used, path: path.to_owned() })
    }
}

fn cpu_limit(files: &impl Files) -> impl Fn(Hierarchy, &str) -> Option<CpuLimit> {
    move |hierarchy, path| {
        let (quota_us, period_us) = match hierarchy {
            Hierarchy::V1 => (
                number(files, path, "cpu.cfs_quota_us")?,
                number(files, path, "cpu.cfs_period_us")?,
            ),
            Hierarchy::V2 => match numbers(files, &format!("{path}/cpu.max"))[..] {
                [quota_us, period_us] => (quota_us, period_us),
                _ => return None,
            },
        };
        let cores = quota_us as f64 / period_us as f64;
        (cores.is_finite() && cores > 0.0).then(|| CpuLimit { cores, path: path.to_owned() })
    }
}

/// The first number in a group's file; `None` also for `max` and -1, which mean "no limit".
fn number(files: &impl Files, group: &str, file: &str) -> Option<u64> {
    numbers(files, &format!("{group}/{file}")).first().copied()
}
