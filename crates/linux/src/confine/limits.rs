//! Which controller, file or resource keeps a limit, and what is written for it.

use super::Limits;
use super::place::Place;
use crate::host::Hierarchy;
use warden::confinement::{Resource, ResourceLimit};

/// The period over which a share of the processors is counted: the kernel's default.
const PERIOD_US: f64 = 100_000.0;
/// The least quota that the kernel takes.
const LEAST_QUOTA_US: f64 = 1_000.0;
/// The least and the most `cpu.shares`.
const SHARES: (u64, u64) = (2, 262_144);
/// The shares and the weight of a group for which none was set.
const USUAL_SHARES: u64 = 1_024;
const USUAL_WEIGHT: u64 = 100;

/// A limit that was asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Limit {
    /// The option's name.
    pub name: &'static str,
    pub value: f64,
    pub means: Means,
}

/// What keeps a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Means {
    /// A controller, by this file of a group.
    Group { controller: &'static str, v1: &'static str, v2: &'static str },
    /// A limit of each process.
    Process(Resource),
}

const MEMORY: Means =
    Means::Group { controller: "memory", v1: "memory.limit_in_bytes", v2: "memory.max" };
const SWAP: Means =
    Means::Group { controller: "memory", v1: "memory.memsw.limit_in_bytes", v2: "memory.swap.max" };
const CPUS: Means = Means::Group { controller: "cpu", v1: "cpu.cfs_quota_us", v2: "cpu.max" };
const WEIGHT: Means = Means::Group { controller: "cpu", v1: "cpu.shares", v2: "cpu.weight" };
const PROCESSES: Means = Means::Group { controller: "pids", v1: "pids.max", v2: "pids.max" };

/// The limits that are asked for.
pub(super) fn asked(limits: &Limits) -> Vec<Limit> {
    let number = |value: Option<u64>| value.map(|value| value as f64);
    let all = [
        ("memoryBytes", number(limits.memory_bytes), MEMORY),
        ("swapBytes", number(limits.swap_bytes), SWAP),
        ("cpus", limits.cpus, CPUS),
        ("cpuWeight", limits.cpu_weight.map(f64::from), WEIGHT),
        ("processes", number(limits.processes), PROCESSES),
        ("openFiles", number(limits.open_files), Means::Process(Resource::OpenFiles)),
        ("fileBytes", number(limits.file_bytes), Means::Process(Resource::FileBytes)),
    ];
    let asked = all.into_iter().filter_map(|(name, value, means)| Some((name, value?, means)));
    asked.map(|(name, value, means)| Limit { name, value, means }).collect()
}

/// The controllers that the limits need.
pub(super) fn controllers(limits: &Limits) -> Vec<&'static str> {
    let mut controllers: Vec<&str> = asked(limits).iter().filter_map(Limit::controller).collect();
    controllers.dedup();
    controllers
}

impl Limit {
    pub fn controller(&self) -> Option<&'static str> {
        match self.means {
            Means::Group { controller, .. } => Some(controller),
            Means::Process(_) => None,
        }
    }

    /// The file of a group that keeps it.
    pub fn file(&self, hierarchy: Hierarchy) -> Option<&'static str> {
        match (self.means, hierarchy) {
            (Means::Group { v1, .. }, Hierarchy::V1) => Some(v1),
            (Means::Group { v2, .. }, Hierarchy::V2) => Some(v2),
            (Means::Process(_), _) => None,
        }
    }
}

/// The limits of each process.
pub(super) fn of_processes(limits: &Limits) -> Vec<ResourceLimit> {
    let pairs =
        [(Resource::OpenFiles, limits.open_files), (Resource::FileBytes, limits.file_bytes)];
    let asked = pairs.into_iter().filter_map(|(resource, value)| Some((resource, value?)));
    asked.map(|(resource, value)| ResourceLimit { resource, value }).collect()
}

/// What is written into a group at this place: `memory.max=268435456`. A file that the place's
/// groups do not have is left out.
pub(super) fn settings(limits: &Limits, place: &Place) -> Vec<String> {
    let mut settings = Vec::new();
    for controller in &place.controllers {
        match (controller.as_str(), place.hierarchy) {
            ("memory", Hierarchy::V1) => settings.extend(memory_v1(limits)),
            ("memory", Hierarchy::V2) => settings.extend(memory_v2(limits)),
            ("cpu", hierarchy) => settings.extend(cpu(limits, hierarchy)),
            ("pids", _) => settings.extend(limits.processes.map(|most| ("pids.max", text(most)))),
            _ => {}
        }
    }
    settings.retain(|(file, _)| place.files.iter().any(|one| one == file));
    settings.into_iter().map(|(file, value)| format!("{file}={value}")).collect()
}

type Setting = (&'static str, String);

/// Swap has a limit as well, even if none was asked for: without it a tenant at its memory limit
/// would take all swap of the machine.
fn memory_v2(limits: &Limits) -> Vec<Setting> {
    let mut settings = Vec::new();
    settings.extend(limits.memory_bytes.map(|bytes| ("memory.max", text(bytes))));
    let swap = limits.swap_bytes.or(limits.memory_bytes);
    settings.extend(swap.map(|bytes| ("memory.swap.max", text(bytes))));
    settings.extend(limits.memory_bytes.map(|_| ("memory.oom.group", text(1))));
    settings
}

/// The limit of memory comes before the one of memory and swap together, which may not be lower.
/// What sockets keep in the kernel is counted apart.
fn memory_v1(limits: &Limits) -> Vec<Setting> {
    let Some(bytes) = limits.memory_bytes else { return Vec::new() };
    let both = bytes.saturating_add(limits.swap_bytes.unwrap_or(bytes));
    vec![
        ("memory.limit_in_bytes", text(bytes)),
        ("memory.memsw.limit_in_bytes", text(both)),
        ("memory.kmem.tcp.limit_in_bytes", text(bytes)),
    ]
}

fn cpu(limits: &Limits, hierarchy: Hierarchy) -> Vec<Setting> {
    let quota = limits.cpus.map(|cpus| (cpus * PERIOD_US).round().max(LEAST_QUOTA_US) as u64);
    let period = PERIOD_US as u64;
    let weight = limits.cpu_weight.map(u64::from);
    let mut settings = Vec::new();
    match hierarchy {
        Hierarchy::V1 => {
            let shares =
                |weight: u64| (weight * USUAL_SHARES / USUAL_WEIGHT).clamp(SHARES.0, SHARES.1);
            settings.extend(quota.map(|_| ("cpu.cfs_period_us", text(period))));
            settings.extend(quota.map(|quota| ("cpu.cfs_quota_us", text(quota))));
            settings.extend(weight.map(|weight| ("cpu.shares", text(shares(weight)))));
        }
        Hierarchy::V2 => {
            settings.extend(quota.map(|quota| ("cpu.max", format!("{quota} {period}"))));
            settings.extend(weight.map(|weight| ("cpu.weight", text(weight))));
        }
    }
    settings
}

fn text(number: u64) -> String {
    number.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hierarchy: Hierarchy, controllers: &[&str], files: &[&str]) -> Place {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let (controllers, files) = (owned(controllers), owned(files));
        Place { hierarchy, controllers, parent: "/p".to_owned(), files }
    }

    fn limits() -> Limits {
        Limits {
            memory_bytes: Some(1 << 20),
            cpus: Some(0.5),
            cpu_weight: Some(300),
            processes: Some(50),
            open_files: Some(99),
            ..Limits::default()
        }
    }

    const V2: [&str; 6] =
        ["memory.max", "memory.swap.max", "memory.oom.group", "cpu.max", "cpu.weight", "pids.max"];
    const V1: [&str; 7] = [
        "memory.limit_in_bytes",
        "memory.memsw.limit_in_bytes",
        "memory.kmem.tcp.limit_in_bytes",
        "cpu.cfs_period_us",
        "cpu.cfs_quota_us",
        "cpu.shares",
        "pids.max",
    ];

    #[test]
    fn a_group_of_version_2_has_all_settings() {
        let place = at(Hierarchy::V2, &["memory", "cpu", "pids"], &V2);
        assert_eq!(
            settings(&limits(), &place),
            [
                "memory.max=1048576",
                "memory.swap.max=1048576",
                "memory.oom.group=1",
                "cpu.max=50000 100000",
                "cpu.weight=300",
                "pids.max=50"
            ]
        );
        let swap = Limits { swap_bytes: Some(5), ..Limits::default() };
        assert_eq!(settings(&swap, &place), ["memory.swap.max=5"]);
        assert!(settings(&limits(), &at(Hierarchy::V2, &[], &V2)).is_empty());
    }

    #[test]
    fn a_group_of_version_1_has_those_of_its_controllers() {
        assert_eq!(
            settings(&limits(), &at(Hierarchy::V1, &["memory"], &V1)),
            [
                "memory.limit_in_bytes=1048576",
                "memory.memsw.limit_in_bytes=2097152",
                "memory.kmem.tcp.limit_in_bytes=1048576"
            ]
        );
        assert_eq!(
            settings(&limits(), &at(Hierarchy::V1, &["cpu"], &V1)),
            ["cpu.cfs_period_us=100000", "cpu.cfs_quota_us=50000", "cpu.shares=3072"]
        );
        let no_swap = Limits { swap_bytes: Some(u64::MAX), ..limits() };
        let both = settings(&no_swap, &at(Hierarchy::V1, &["memory"], &V1));
        assert_eq!(both[1], format!("memory.memsw.limit_in_bytes={}", u64::MAX));
    }

    #[test]
    fn a_kernel_that_does_not_count_swap_limits_memory_all_the_same() {
        let place = at(Hierarchy::V1, &["memory"], &["memory.limit_in_bytes"]);
        assert_eq!(settings(&limits(), &place), ["memory.limit_in_bytes=1048576"]);
    }

    #[test]
    fn what_the_kernel_does_not_take_is_rounded() {
        let least = Limits { cpus: Some(0.000_1), cpu_weight: Some(10_000), ..Limits::default() };
        let place = at(Hierarchy::V1, &["cpu"], &V1);
        let written = settings(&least, &place);
        assert_eq!(written[1..], ["cpu.cfs_quota_us=1000", "cpu.shares=102400"]);
    }

    #[test]
    fn the_controllers_are_those_of_the_limits() {
        assert_eq!(controllers(&limits()), ["memory", "cpu", "pids"]);
        let open_files = Limits { open_files: Some(1), ..Limits::default() };
        assert!(controllers(&open_files).is_empty());
        let expected = ResourceLimit { resource: Resource::OpenFiles, value: 99 };
        assert_eq!(of_processes(&limits()), [expected]);
    }
}
