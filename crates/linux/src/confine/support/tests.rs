//! What hosts of made-up machines can keep.

use super::super::place::made_up::{Kind, MadeUp, PID};
use super::*;
use warden::HostId;
use warden::confinement::Access;

const ME: Me = Me { uid: 0, id: HostId { pid: PID, started_at_ticks: 7, pid_namespace: 5 } };
const V2: Kind = Kind::V2 { offers: "cpu memory pids", is_namespace: false };
const NO_SECCOMP: &str = "/proc/sys/kernel/seccomp/actions_avail";
const START: StartFacts = StartFacts { port: 4_000, programs: &[] };

fn root() -> MadeUp {
    machine(MadeUp::root(), "000001ffffffffff")
}

fn machine(machine: MadeUp, capabilities: &str) -> MadeUp {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let with = |line: &str| match line.starts_with("CapEff:") {
        true => format!("CapEff:\t{capabilities}\n"),
        false => format!("{line}\n"),
    };
    let status: String = status.lines().map(with).collect();
    machine
        .text("/proc/self/status", &status)
        .text(NO_SECCOMP, "kill_process kill_thread trap errno user_notif trace log allow\n")
        .text("/proc/self/uid_map", "         0          0 4294967295\n")
        .text("/proc/self/gid_map", "         0          0 4294967295\n")
}

fn support(machine: &MadeUp, landlock: Result<u32, i32>) -> Support {
    let landlock = landlock.map_err(io::Error::from_raw_os_error);
    Support {
        me: ME,
        walls: Means::of(machine, landlock),
        open_files_hard: Some(1_000),
        places: Mutex::new(None),
        cleared: Once::new(),
        roots: Mutex::default(),
    }
}

fn limits(is_required: bool) -> Asked {
    let limits = Limits {
        memory_bytes: Some(1 << 28),
        processes: Some(50),
        open_files: Some(5_000),
        is_required,
        ..Limits::default()
    };
    Asked { limits: Some(limits), isolation: None }
}

fn isolation(isolation: Isolation) -> Asked {
    Asked { limits: None, isolation: Some(isolation) }
}

#[test]
fn what_can_be_kept_says_what_keeps_it() {
    let in_force = |name, value, by| InForceLimit { name, value, by };
    for (kind, by) in [(V2, By::Cgroup2), (Kind::V1("memory,pids"), By::Cgroup1)] {
        let machine = root().with("/sys/fs/cgroup", kind, "/");
        let kept = support(&machine, Ok(7)).check_in(&machine, &limits(true)).unwrap();
        assert_eq!(
            kept.limits,
            [
                in_force("memoryBytes", 268_435_456.0, by),
                in_force("processes", 50.0, by),
                in_force("openFiles", 1_000.0, By::Rlimit),
            ],
            "a process may not have more descriptors than its host"
        );
    }
}

#[test]
fn what_cannot_be_kept_is_refused_with_what_to_change_or_told() {
    let machine = machine(MadeUp::user(), "0").with("/sys/fs/cgroup", V2, "/app.slice/app.service");
    let support = Support { me: Me { uid: 1_000, ..ME }, ..support(&machine, Ok(7)) };
    let refused = support.check_in(&machine, &limits(true)).unwrap_err().to_string();
    assert!(
        refused
            .starts_with("limits.memoryBytes and limits.processes cannot be kept on this host: "),
        "{refused}"
    );
    assert!(refused.contains("Delegate=yes"), "{refused}");
    let told = support.check_in(&machine, &limits(false)).unwrap();
    assert_eq!(
        told.limits.iter().map(|limit| limit.by).collect::<Vec<_>>(),
        [By::None, By::None, By::Rlimit]
    );
    let parts = support.confinement_in(&machine, &limits(false), &START).unwrap();
    assert!(parts.confinement.groups.is_empty());
    assert_eq!(parts.confinement.limits.len(), 1);
    assert!(support.confinement_in(&machine, &limits(true), &START).is_err());
}

#[test]
fn a_launch_gets_a_group_in_each_hierarchy_of_its_limits() {
    let machine = root()
        .with("/memory", Kind::V1("memory"), "/a")
        .with("/cpu", Kind::V1("cpu"), "/")
        .with("/v2", Kind::V2 { offers: "", is_namespace: false }, "/");
    let support = support(&machine, Ok(7));
    // The processor's hierarchy is known, too, and not used by a launch without such a limit.
    let cpus = Limits { cpus: Some(1.0), is_required: true, ..Limits::default() };
    let of_cpu = Asked { limits: Some(cpus), isolation: None };
    support.check_in(&machine, &of_cpu).unwrap();
    let limits = Limits { memory_bytes: Some(1 << 28), is_required: true, ..Limits::default() };
    let asked = Asked { limits: Some(limits), isolation: None };
    let parts = support.confinement_in(&machine, &asked, &START).unwrap();
    let seen: Vec<(&str, Vec<&str>)> = parts
        .confinement
        .groups
        .iter()
        .map(|group| {
            let settings = group.settings.iter().map(|setting| setting.to_str().unwrap());
            (group.parent.to_str().unwrap(), settings.collect())
        })
        .collect();
    assert_eq!(
        seen,
        [
            (
                "/memory/a/absolute-100-7-5",
                vec![
                    "memory.limit_in_bytes=268435456",
                    "memory.memsw.limit_in_bytes=536870912",
                    "memory.kmem.tcp.limit_in_bytes=268435456"
                ]
            ),
            ("/v2/absolute-100-7-5", vec![])
        ]
    );
    assert_eq!(parts.umask, None);
    let open_files = Limits { open_files: Some(9), ..Limits::default() };
    let asked = Asked { limits: Some(open_files), isolation: None };
    let parts = support.confinement_in(&machine, &asked, &START).unwrap();
    assert!(parts.confinement.groups.is_empty(), "a limit of processes takes no group");
}

#[test]
fn walls_alone_have_a_group_of_version_2_where_one_can_be_made() {
    let none = Kind::V2 { offers: "", is_namespace: false };
    let groups = |machine: &MadeUp, asked: &Asked| {
        let support = support(machine, Ok(7));
        support.take_in(machine, asked).unwrap();
        let parts = support.confinement_in(machine, asked, &START).unwrap();
        let groups = parts.confinement.groups.into_iter();
        groups
            .map(|group| (group.parent.into_string().unwrap(), group.settings))
            .collect::<Vec<_>>()
    };
    let walls = isolation(Isolation { is_required: true, ..Isolation::default() });
    let alone = |parent: &str| vec![(parent.to_owned(), Vec::new())];
    let none_at_all = Vec::<(String, Vec<CString>)>::new();
    let unified = root().with("/v2", V2, "/a").passing_on("/v2", &["memory", "pids"]);
    assert_eq!(groups(&unified, &walls), alone("/v2/a/absolute-100-7-5"));
    assert_eq!(unified.seen("/v2"), [("/a".to_owned(), 1)], "the host is not moved for it");
    let beside = root().with("/memory", Kind::V1("memory"), "/").with("/v2", none, "/");
    assert_eq!(groups(&beside, &walls), alone("/v2/absolute-100-7-5"));
    let read_only = root().with("/v2", V2, "/a").read_only();
    assert_eq!(groups(&read_only, &walls), none_at_all, "it is no promise of theirs");
    assert_eq!(groups(&root().with("/v1", Kind::V1("memory"), "/"), &walls), none_at_all);
    let threads = root().with("/v2", V2, "/a").text("/v2/a/cgroup.type", "threaded\n");
    assert_eq!(groups(&threads, &walls), none_at_all);

    // A tenant that has limits, too, changes nothing for one that has walls alone.
    let support = support(&unified, Ok(7));
    for asked in [&walls, &limits(true), &walls] {
        support.take_in(&unified, asked).unwrap();
        let parts = support.confinement_in(&unified, asked, &START).unwrap();
        let parents = parts.confinement.groups.iter().map(|group| group.parent.to_str().unwrap());
        assert_eq!(parents.collect::<Vec<_>>(), ["/v2/a/absolute-100-7-5"]);
    }
}

#[test]
fn swap_has_no_limit_of_its_own_in_version_1() {
    let machine = root()
        .with("/memory", Kind::V1("memory"), "/")
        .text("/memory/memory.memsw.limit_in_bytes", "");
    let limits = Limits { swap_bytes: Some(1), is_required: true, ..Limits::default() };
    let asked = Asked { limits: Some(limits), isolation: None };
    let refused = support(&machine, Ok(7)).check_in(&machine, &asked).unwrap_err().to_string();
    assert!(refused.ends_with("give limits.memoryBytes as well"), "{refused}");
}

#[test]
fn promises_below_their_version_are_refused_by_name_or_told() {
    let is_required = Isolation { is_required: true, ..Isolation::default() };
    let machine = root();
    let missing = |landlock, isolation: Isolation| {
        let support = support(&machine, landlock);
        let kept = support.check_in(&machine, &Asked { limits: None, isolation: Some(isolation) });
        kept.map(|kept| kept.isolation.unwrap().missing)
    };
    let lax = Isolation::default;
    assert!(missing(Ok(6), is_required.clone()).unwrap().is_empty());
    assert_eq!(missing(Ok(5), lax()).unwrap(), ["signals", "abstract-sockets"]);
    assert_eq!(missing(Ok(3), lax()).unwrap(), ["ports", "signals", "abstract-sockets"]);
    let all = ["files", "truncate", "ports", "signals", "abstract-sockets"];
    assert_eq!(missing(Ok(2), lax()).unwrap(), all[1..]);
    assert_eq!(missing(Err(libc::ENOSYS), lax()).unwrap(), all);
    let refused = missing(Ok(4), is_required.clone()).unwrap_err().to_string();
    assert!(
        refused.starts_with(
            "isolation (\"signals\": a tenant cannot signal processes outside of its tree) and \
             isolation (\"abstract-sockets\""
        ) && refused.contains("version 4, and version 6 keeps that; use Linux 6.12 or newer"),
        "{refused}"
    );
    let refused = missing(Err(libc::EOPNOTSUPP), is_required).unwrap_err().to_string();
    assert!(refused.contains("boot with landlock"), "{refused}");
    // The kernel keeps signals between users, but not between the tenants of one.
    let user = Some(User { uid: 20_000, gid: 20_000 });
    let own = Isolation { user, is_own_user: true, ..lax() };
    assert_eq!(missing(Ok(4), own).unwrap(), ["abstract-sockets"]);
    let shared = Isolation { user, ..lax() };
    assert_eq!(missing(Ok(4), shared).unwrap(), ["signals", "abstract-sockets"]);
}

#[test]
fn a_user_that_cannot_be_given_is_missing_and_so_is_what_it_would_keep() {
    let machine = machine(MadeUp::root(), "0000000000000000");
    let user = Some(User { uid: 20_000, gid: 20_000 });
    let own = Isolation { user, is_own_user: true, ..Isolation::default() };
    let kept = support(&machine, Ok(4)).check_in(&machine, &isolation(own)).unwrap();
    let kept = kept.isolation.unwrap();
    assert_eq!((kept.user, kept.missing), (None, vec!["signals", "abstract-sockets", "user"]));
}

#[test]
fn a_kernel_without_filters_refuses_no_system_calls() {
    let machine = root().text(NO_SECCOMP, "");
    let support = support(&machine, Ok(7));
    let kept = support.check_in(&machine, &isolation(Isolation::default())).unwrap();
    let kept = kept.isolation.unwrap();
    assert_eq!((kept.seccomp, &kept.missing[..]), (false, &["system-calls"][..]));
    let parts = support.confinement_in(&machine, &isolation(Isolation::default()), &START).unwrap();
    assert!(!parts.confinement.walls.unwrap().refuses_system_calls);
}

#[test]
fn another_user_takes_root_and_a_number_that_exists() {
    let user = User { uid: 70_000, gid: 70_000 };
    let asked =
        isolation(Isolation { user: Some(user), is_required: true, ..Isolation::default() });
    let refused = |machine: &MadeUp| {
        support(machine, Ok(7)).check_in(machine, &asked).map_err(|error| error.to_string())
    };
    let kept = refused(&root()).unwrap().isolation.unwrap();
    assert_eq!(kept.user, Some(70_000));
    let text = refused(&machine(MadeUp::user(), "0")).unwrap_err();
    assert!(text.starts_with("isolation.user (70000) cannot be kept on this host"), "{text}");
    let text = refused(&root().text("/proc/self/uid_map", "0 100000 65536\n")).unwrap_err();
    assert!(text.contains("the uid 70000 does not exist in the user namespace"), "{text}");
    let lax = isolation(Isolation { user: Some(user), ..Isolation::default() });
    let machine = machine(MadeUp::user(), "0");
    let support = support(&machine, Ok(7));
    assert_eq!(support.check_in(&machine, &lax).unwrap().isolation.unwrap().user, None);
    assert_eq!(support.confinement_in(&machine, &lax, &START).unwrap().confinement.user, None);
}

#[test]
fn walls_hold_what_is_the_tenants_what_is_listed_and_what_is_the_systems() {
    let machine = root();
    let asked = isolation(Isolation {
        read: vec!["/srv/shared".to_owned()],
        write: vec!["../uploads".to_owned()],
        listen: vec![9_000],
        connect: Some(vec![443]),
        ..Isolation::default()
    });
    let programs = ["/srv/app/.bun/bin/bun".to_owned()];
    let start = StartFacts { port: 4_000, programs: &programs };
    let parts = support(&machine, Ok(5)).confinement_in(&machine, &asked, &start).unwrap();
    let Parts { confinement, umask } = parts;
    assert_eq!(umask, Some(0o027));
    let temporary = confinement.temporary.unwrap();
    assert!(temporary.to_str().unwrap().ends_with("/absolute-0-100-7-5"), "{temporary:?}");
    let walls = confinement.walls.unwrap();
    let landlock = walls.landlock.unwrap();
    assert!(walls.refuses_system_calls);
    assert_eq!((landlock.abi, landlock.connect), (5, Some(vec![443])));
    assert_eq!(landlock.listen, [4_000, 9_000]);
    let first: Vec<(Access, bool, &str)> = landlock
        .paths
        .iter()
        .take(4)
        .map(|rule| (rule.access, rule.is_required, rule.path.to_str().unwrap()))
        .collect();
    assert_eq!(
        first,
        [
            (Access::Write, true, "."),
            (Access::Execute, true, "/srv/shared"),
            (Access::Write, true, "../uploads"),
            (Access::Execute, false, "/srv/app/.bun/bin/bun"),
        ]
    );
    assert!(landlock.paths[4..].iter().all(|rule| !rule.is_required));
    assert_eq!(confinement.groups, []);
    let parts = support(&machine, Err(libc::ENOSYS)).confinement_in(&machine, &asked, &start);
    assert_eq!(parts.unwrap().confinement.walls.unwrap().landlock, None);
}

#[test]
fn nothing_asked_for_is_nothing_done() {
    let machine = root();
    let support = support(&machine, Ok(7));
    assert_eq!(support.check_in(&machine, &Asked::default()).unwrap(), InForce::default());
    let parts = support.confinement_in(&machine, &Asked::default(), &START).unwrap();
    assert_eq!(parts, Parts::default());
    assert!(support.places.lock().unwrap().is_none());
}

#[test]
fn everything_is_foreseen_without_any_change() {
    let machine = root().with("/sys/fs/cgroup", V2, "/app.service");
    let machine = machine.passing_on("/sys/fs/cgroup", &["memory", "pids"]);
    let Foreseen { limits, isolation, broken, no_users } =
        support(&machine, Ok(5)).foresee_in(&machine);
    let kept = limits.iter().map(|(limit, _)| (limit.name, limit.by.word())).collect::<Vec<_>>();
    assert_eq!(
        kept,
        [
            ("memoryBytes", "cgroup2"),
            ("swapBytes", "cgroup2"),
            ("cpus", "none"),
            ("cpuWeight", "none"),
            ("processes", "cgroup2"),
            ("openFiles", "rlimit"),
            ("fileBytes", "rlimit"),
        ]
    );
    let reason = limits[2].1.as_ref().unwrap();
    assert_eq!(reason.what, "limits.cpus");
    assert!(reason.why.contains("/sys/fs/cgroup/app.service cannot limit that"), "{reason:?}");
    assert_eq!((isolation.missing.len(), broken.len(), no_users), (2, 2, None));
    assert_eq!(machine.seen("/sys/fs/cgroup"), [("/app.service".to_owned(), 1)]);
    assert_eq!(machine.passed_on("/sys/fs/cgroup/app.service"), "");
    assert!(machine.cleared.borrow().is_empty());
}

#[test]
fn a_check_moves_nothing_a_start_does_and_giving_the_place_back_undoes_that() {
    let own = "/sys/fs/cgroup/app.service";
    let machine = root().with("/sys/fs/cgroup", V2, "/app.service");
    let machine = machine.passing_on("/sys/fs/cgroup", &["memory", "pids"]);
    machine.add("/sys/fs/cgroup", "/app.service", &[99], false);
    let state = || (machine.seen(own), machine.passed_on(own));
    let before = (Vec::new(), String::new());
    let support = support(&machine, Ok(7));
    for _ in 0..2 {
        let foreseen = support.check_in(&machine, &limits(true)).unwrap();
        assert_eq!(state(), before);
        let group = |name: &str| (name.to_owned(), if name.contains("host") { 2 } else { 0 });
        let below = vec![group("/absolute-100-7-5"), group("/absolute-host-100-7-5")];
        assert_eq!(support.take_in(&machine, &limits(true)).unwrap(), foreseen);
        assert_eq!(state(), (below.clone(), "memory pids".to_owned()));
        assert_eq!(support.check_in(&machine, &limits(true)).unwrap(), foreseen);
        assert_eq!(state().0, below);
        support.give_back_in(&machine);
        assert_eq!(state(), before);
        support.give_back_in(&machine);
        assert_eq!(state(), before);
    }
}

#[test]
fn a_place_is_not_given_back_as_long_as_something_depends_on_it() {
    let own = "/sys/fs/cgroup/app.service";
    let with = |machine: MadeUp| {
        let machine = machine.with("/sys/fs/cgroup", V2, "/app.service");
        let machine = machine.passing_on("/sys/fs/cgroup", &["memory", "pids"]);
        let support = support(&machine, Ok(7));
        support.take_in(&machine, &limits(true)).unwrap();
        (machine, support)
    };
    // A warden, another program's group, and a tenant's.
    let (machine, support) = with(root().text("/proc/55/comm", "abs-warden\n"));
    machine.add("/sys/fs/cgroup", "/app.service/absolute-host-100-7-5", &[55], false);
    support.give_back_in(&machine);
    assert_eq!(machine.passed_on(own), "memory pids");
    for other in ["/app.service/others", "/app.service/absolute-100-7-5/1"] {
        let (machine, support) = with(root());
        machine.add("/sys/fs/cgroup", other, &[], false);
        support.give_back_in(&machine);
        assert_eq!(machine.passed_on(own), "memory pids", "{other}");
        assert!(machine.seen(own).contains(&("/absolute-host-100-7-5".to_owned(), 1)));
    }
}

#[test]
fn a_file_that_groups_will_not_have_is_foreseen() {
    let machine = root().with("/sys/fs/cgroup", V2, "/app.service");
    let machine = machine.passing_on("/sys/fs/cgroup", &["memory"]);
    let machine = machine.without("/sys/fs/cgroup/app.service/memory.swap.max");
    let limits = Limits {
        memory_bytes: Some(1),
        swap_bytes: Some(1),
        is_required: true,
        ..Limits::default()
    };
    let asked = Asked { limits: Some(limits), isolation: None };
    let refused = support(&machine, Ok(7)).check_in(&machine, &asked).unwrap_err().to_string();
    assert!(refused.contains("this kernel's control groups have no memory.swap.max"), "{refused}");
}

#[test]
fn walls_through_which_tenants_reach_each_other_are_refused_or_told() {
    let machine = root();
    let with = |write: &str, is_required, is_own_user| {
        let root = Some("/srv/tenants".to_owned());
        let write = vec![write.to_owned()];
        let asked = Isolation { root, write, is_required, is_own_user, ..Isolation::default() };
        let kept = support(&machine, Ok(7)).check_in(&machine, &isolation(asked));
        kept.map(|kept| kept.isolation.unwrap().missing).map_err(|error| error.to_string())
    };
    assert_eq!(with("/srv/shared", true, false).unwrap(), Vec::<&str>::new());
    let refused = with("/srv", true, false).unwrap_err();
    assert!(refused.contains("isolation.write has \"/srv\", which contains"), "{refused}");
    assert_eq!(with("/srv", false, false).unwrap(), ["files"]);
    let temporary = std::env::temp_dir();
    let temporary = temporary.to_str().unwrap();
    let refused = with(temporary, true, false).unwrap_err();
    assert!(refused.contains("the private temporary directories of all tenants"), "{refused}");
    assert!(with(temporary, true, true).unwrap().is_empty(), "the kernel keeps those of a user");
}

#[test]
fn this_machine_answers() {
    let support = super::support();
    let asked = isolation(Isolation::default());
    let kept = support.check(&asked).unwrap().isolation.unwrap();
    assert_eq!(kept.landlock, super::super::kernel::landlock_abi().ok());
    assert!(Arc::ptr_eq(&support, &super::support()), "it is found once");
}
