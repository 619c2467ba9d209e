//! The facts of machines whose files are a few texts.

use super::group_limits::{CpuLimit, MemoryLimit, TaskLimit};
use super::machine::Ports;
use super::*;
use std::collections::HashMap;

const GB: u64 = 1 << 30;

struct Texts(HashMap<String, String>);

impl Files for Texts {
    fn read(&self, path: &str) -> Option<String> {
        self.0.get(path).cloned()
    }

    fn may_write(&self, path: &str) -> bool {
        path.ends_with("/delegated")
    }
}

fn host<'a>(texts: impl IntoIterator<Item = (&'a str, &'a str)>) -> Host {
    let texts = texts.into_iter().map(|(path, text)| (path.to_owned(), text.to_owned()));
    Host::of(&Texts(texts.collect()), "/tmp", Vec::new())
}

/// A host in control groups, with the files of the groups.
fn grouped(mounts: &str, own: &str, files: &[(&str, &str)]) -> Host {
    host(
        [("/proc/self/mountinfo", mounts), ("/proc/self/cgroup", own)].iter().chain(files).copied(),
    )
}

const V2: &str = "40 30 0:50 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";

fn paths(host: &Host, controller: &str) -> Vec<String> {
    host.groups.with(controller).map(|(_, paths)| paths.to_vec()).unwrap_or_default()
}

#[test]
fn a_service_is_in_its_group_and_all_above_it() {
    let own = "/sys/fs/cgroup/system.slice/delegated/cgroup.controllers";
    let host = grouped(V2, "0::/system.slice/delegated\n", &[(own, "cpu memory pids\n")]);
    let Groups(memberships) = &host.groups;
    let paths =
        ["/sys/fs/cgroup/system.slice/delegated", "/sys/fs/cgroup/system.slice", "/sys/fs/cgroup"];
    assert_eq!(
        memberships[..],
        [Membership {
            hierarchy: Hierarchy::V2,
            controllers: ["cpu", "memory", "pids"].map(str::to_owned).to_vec(),
            paths: paths.map(str::to_owned).to_vec(),
            is_seen: true,
            is_writable: true,
        }]
    );
    assert!(host.groups.has(Hierarchy::V2) && !host.groups.has(Hierarchy::V1));
    let limits = &host.group_limits;
    assert!(limits.memory.is_none() && limits.tasks.is_none() && limits.cpu.is_none());
}

#[test]
fn of_all_limits_above_the_one_with_the_least_room_counts() {
    let [own, slice] = ["/sys/fs/cgroup/a.slice/b", "/sys/fs/cgroup/a.slice"];
    let texts = [
        ("b/memory.max", (8 * GB).to_string()),
        ("memory.max", (2 * GB).to_string()),
        ("memory.current", GB.to_string()),
        ("memory.stat", format!("anon 5\ninactive_file {}\nslab 1\n", GB / 4)),
        ("b/pids.max", "max\n".to_owned()),
        ("pids.max", "300\n".to_owned()),
        ("pids.current", "295\n".to_owned()),
        ("b/cpu.max", "max 100000\n".to_owned()),
        ("cpu.max", "150000 100000\n".to_owned()),
        ("b/memory.oom.group", "1\n".to_owned()),
        ("memory.swap.max", "0\n".to_owned()),
    ];
    let texts = texts.map(|(name, text)| (format!("{slice}/{name}"), text));
    let files: Vec<(&str, &str)> =
        texts.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let limits = grouped(V2, "0::/a.slice/b\n", &files).group_limits;
    let path = slice.to_owned();
    let memory = limits.memory.unwrap();
    assert_eq!(memory.free_bytes(), GB + GB / 4);
    assert_eq!(
        memory,
        MemoryLimit { limit_bytes: 2 * GB, used_bytes: GB * 3 / 4, path: path.clone() }
    );
    assert_eq!(limits.tasks, Some(TaskLimit { limit: 300, used: 295, path: path.clone() }));
    assert_eq!(limits.cpu, Some(CpuLimit { cores: 1.5, path: path.clone() }));
    assert_eq!((limits.killed_as_one, limits.without_swap), (Some(own.to_owned()), Some(path)));
}

const V1: [&str; 3] = [
    "41 30 0:51 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory",
    "42 30 0:52 /docker/abc /sys/fs/cgroup/pids ro shared:7 - cgroup cgroup rw,pids",
    "43 30 0:53 /docker/abc /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct",
];

#[test]
fn in_version_1_each_controller_has_a_tree_and_a_container_sees_its_own_group_as_the_root() {
    let own = "5:memory:/docker/abc\n4:pids:/docker/abc\n3:cpu,cpuacct:/docker/abc\n\
               1:name=systemd:/docker/abc\n0::/docker/abc\n";
    let memory = (GB.to_string(), (GB / 2).to_string());
    let files = [
        ("/sys/fs/cgroup/memory/memory.limit_in_bytes", memory.0.as_str()),
        ("/sys/fs/cgroup/memory/memory.usage_in_bytes", memory.1.as_str()),
        ("/sys/fs/cgroup/memory/memory.stat", "inactive_file 1\ntotal_inactive_file 1024\n"),
        ("/sys/fs/cgroup/memory/memory.oom.group", "1\n"),
        ("/sys/fs/cgroup/pids/pids.max", "500\n"),
        ("/sys/fs/cgroup/pids/pids.current", "100\n"),
        ("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "50000\n"),
        ("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
    ];
    let host = grouped(&V1.join("\n"), own, &files);
    assert!(host.groups.has(Hierarchy::V1) && !host.groups.has(Hierarchy::V2));
    assert_eq!(host.groups.0.len(), 3, "what is not mounted is left out");
    let limits = host.group_limits;
    let path = "/sys/fs/cgroup/memory".to_owned();
    let used_bytes = GB / 2 - 1024;
    assert_eq!(limits.memory, Some(MemoryLimit { limit_bytes: GB, used_bytes, path }));
    assert_eq!(limits.tasks.unwrap().free(), 400);
    assert_eq!(limits.cpu.unwrap().cores, 0.5);
    assert_eq!(limits.killed_as_one, None, "version 1 kills one");
}

#[test]
fn numbers_that_stand_for_no_limit_are_none() {
    let mounts = V1.join("\n").replace("/docker/abc", "/");
    let files = [
        ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
        ("/sys/fs/cgroup/pids/pids.max", "max\n"),
        ("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n"),
        ("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
    ];
    let limits = grouped(&mounts, "5:memory:/\n4:pids:/\n3:cpu,cpuacct:/\n", &files).group_limits;
    assert!(limits.memory.is_none() && limits.tasks.is_none() && limits.cpu.is_none());
}

#[test]
fn with_both_versions_the_one_that_has_the_controller_counts() {
    let mounts =
        [V1[0].replace("/docker/abc", "/"), V2.replace("/sys/fs/cgroup", "/sys/fs/cgroup/unified")];
    let host = grouped(&mounts.join("\n"), "4:pids:/a\n5:memory:/a/b\n0::/c\n", &[]);
    assert_eq!(
        paths(&host, "memory"),
        ["/sys/fs/cgroup/memory/a/b", "/sys/fs/cgroup/memory/a", "/sys/fs/cgroup/memory"]
    );
    assert_eq!(paths(&host, "pids"), ["/sys/fs/cgroup/unified/c", "/sys/fs/cgroup/unified"]);
    let named = "44 30 0:54 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n";
    assert_eq!(paths(&grouped(named, "1:name=systemd:/a\n", &[]), "name=systemd").len(), 2);
}

#[test]
fn a_group_that_lies_outside_of_the_mount_is_taken_for_what_the_mount_begins_with() {
    let at = |root: &str, own: &str| {
        let mounts = V2.replace(" / /sys/fs/cgroup", &format!(" {root} /delegated"));
        let Groups(memberships) = grouped(&mounts, &format!("0::{own}\n"), &[]).groups;
        (memberships[0].paths.clone(), memberships[0].is_writable)
    };
    for (root, own) in [
        ("/", "/../host.service"),
        ("/..", "/"),
        ("/docker/abc", "/docker/abcdef"),
        ("/docker/abc", "/"),
    ] {
        let seen = (vec!["/delegated".to_owned()], false);
        assert_eq!(at(root, own), seen, "{own} below {root}");
    }
    assert_eq!(at("/docker/abc", "/docker/abc"), (vec!["/delegated".to_owned()], true));
    assert_eq!(at("/docker/abc", "/docker/abc/in").0, ["/delegated/in", "/delegated"]);
}

#[test]
fn of_several_mounts_the_one_that_shows_most_counts() {
    let part =
        |root: &str, point: &str| format!("40 30 0:50 {root} {point} rw - cgroup2 cgroup2 rw\n");
    for mounts in [
        part("/other", "/x") + &part("/a/b", "/part") + &part("/", "/whole"),
        part("/", "/whole") + &part("/a/b", "/part") + &part("/other", "/x"),
    ] {
        assert_eq!(paths(&grouped(&mounts, "0::/a/b\n", &[]), "memory").last().unwrap(), "/whole");
    }
    let mounts = part("/other", "/x") + &part("/a/b", "/part");
    assert_eq!(paths(&grouped(&mounts, "0::/a/b\n", &[]), "memory"), ["/part"]);
}

#[test]
fn what_the_kernel_escapes_in_a_mount_is_read_as_it_is() {
    let mounts =
        "40 30 0:50 /m.slice/m\\134x2da\\040b /sys/my\\040groups rw - cgroup2 cgroup2 rw\n";
    let host = grouped(mounts, "0::/m.slice/m\\x2da b/in\n", &[]);
    assert_eq!(paths(&host, "cpu"), ["/sys/my groups/in", "/sys/my groups"]);
}

#[test]
fn a_mount_that_is_not_understood_hides_no_other() {
    let host = grouped(&format!("nonsense\n\n40 30\n{V2}"), "0::/\n", &[]);
    assert_eq!(paths(&host, "cpu"), ["/sys/fs/cgroup"]);
}

#[test]
fn a_machine_that_shows_nothing_is_no_failure() {
    let host = host([]);
    assert!(host.memory.is_none() && host.swaps.is_empty() && host.groups.0.is_empty());
    assert_eq!(host.pressure, Pressure::default());
    assert_eq!(host.process.open_files, Bounds::default());
    assert_eq!(host.machine.ports, Ports { first: 32_768, last: 60_999, reserved: 0 });
    assert!(!host.proc.is_mounted && host.temporary.is_none());
}

#[test]
fn memory_is_read_also_where_a_sandbox_leaves_lines_out() {
    let meminfo =
        "MemTotal:       16777216 kB\nMemFree:  1 kB\nMemAvailable:   12582912 kB\nActive: 5 kB\n";
    let memory = Memory { total_bytes: 16 * GB, available_bytes: 12 * GB };
    assert_eq!(host([("/proc/meminfo", meminfo)]).memory, Some(memory));
    let swaps =
        "Filename Type Size Used Priority\n/dev/zram0 partition 1 0 100\n/swapfile file 1 0 -2\n";
    assert_eq!(host([("/proc/swaps", swaps)]).swaps, ["/dev/zram0", "/swapfile"]);
}

#[test]
fn pressure_is_told_as_far_as_the_kernel_counts_it() {
    let some = "some avg10=4.50 avg60=0.91 avg300=0.00 total=681245\n";
    let both = format!("{some}full avg10=2.10 avg60=0.12 avg300=0.00 total=391926\n");
    let pressure =
        host([("/proc/pressure/cpu", some), ("/proc/pressure/memory", both.as_str())]).pressure;
    assert_eq!(pressure.cpu, Some(Stall { some: [4.5, 0.91, 0.0], full: None }));
    assert_eq!(pressure.memory.unwrap().full, Some([2.1, 0.12, 0.0]));
    assert_eq!(pressure.io, None);
}

#[test]
fn the_last_mount_of_proc_says_what_is_hidden() {
    let hidden = |options: &[&str]| {
        let mount =
            |options: &&str| format!("22 20 0:21 / /proc rw,nosuid - proc proc {options}\n");
        grouped(&options.iter().map(mount).collect::<String>(), "", &[]).proc.hidden
    };
    for options in ["rw", "rw,hidepid=0", "rw,hidepid=off"] {
        assert_eq!(hidden(&["rw,hidepid=2", options]), None, "{options}");
    }
    for (options, said) in [
        ("rw,hidepid=2", "hidepid=2"),
        ("rw,gid=7,hidepid=invisible", "hidepid=invisible,gid=7"),
        ("rw,hidepid=ptraceable", "hidepid=ptraceable"),
    ] {
        assert_eq!(hidden(&["rw", options]).unwrap().to_string(), said);
    }
    let below = "22 20 0:21 / /proc/sys ro - proc proc rw,hidepid=2\n";
    assert_eq!(grouped(below, "", &[]).proc.hidden, None);
}

#[test]
fn a_temporary_directory_without_programs_is_seen() {
    let root = "1 0 8:1 / / rw - ext4 /dev/root rw\n";
    let tmp = "2 1 0:9 / /tmp rw,nosuid,noexec - tmpfs tmpfs rw\n";
    let temporary = |mounts: &str| grouped(mounts, "", &[]).temporary.unwrap();
    assert!(!temporary(root).is_noexec);
    let noexec = temporary(&format!("{root}{tmp}"));
    assert!(noexec.is_noexec && noexec.file_system == "tmpfs");
    let covered = format!(
        "{root}{tmp}3 2 0:10 / /tmp rw - ext4 /dev/tmp rw\n4 1 0:11 / /tmpfs rw,noexec - x x rw\n"
    );
    assert!(!temporary(&covered).is_noexec);
}

#[test]
fn this_machine_is_what_the_kernel_says_when_it_is_asked() {
    use rustix::process::{Resource, getrlimit};
    let host = Host::look();
    let asked = |resource| {
        let limit = getrlimit(resource);
        Bounds { soft: limit.current, hard: limit.maximum }
    };
    assert_eq!(host.process.open_files, asked(Resource::Nofile));
    assert_eq!(host.process.processes, asked(Resource::Nproc));
    assert_eq!(host.process.has_no_new_privileges, rustix::thread::no_new_privs().unwrap());
    assert!(host.proc.is_mounted && host.machine.kernel_release.is_some());
    let memory = host.memory.unwrap();
    assert!(memory.available_bytes > 0 && memory.available_bytes <= memory.total_bytes);
    assert!(host.machine.tasks.unwrap() > 1 && host.machine.pid_max.unwrap() > 100);
    for membership in host.groups.0 {
        assert!(
            std::path::Path::new(&membership.paths[0]).join("cgroup.procs").exists(),
            "{membership:?}"
        );
    }
}
