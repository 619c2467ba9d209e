//! Where hosts of made-up machines may make groups.

use super::made_up::{Kind, MadeUp, PID};
use super::*;
use crate::host::{Files, ThisMachine};
use warden::HostId;

const ME: Me = Me { uid: 0, id: HostId { pid: PID, started_at_ticks: 7, pid_namespace: 5 } };
const USER: Me = Me { uid: 1000, ..ME };
const ALL: [&str; 3] = ["memory", "cpu", "pids"];
const V2: &str = "/sys/fs/cgroup";
const MACHINE: Kind = Kind::V2 { offers: "cpuset cpu io memory pids", is_namespace: false };
const NAMESPACE: Kind = Kind::V2 { offers: "cpu memory pids", is_namespace: true };

fn parents(places: &Places) -> Vec<(Hierarchy, &str, Vec<&str>)> {
    places
        .places
        .iter()
        .map(|place| {
            let controllers = place.controllers.iter().map(String::as_str).collect();
            (place.hierarchy, place.parent.as_str(), controllers)
        })
        .collect()
}

/// A service of systemd's in version 2.
fn service(machine: MadeUp) -> MadeUp {
    let own = "/system.slice/app.service";
    let machine = machine.with(V2, MACHINE, own);
    machine.passing_on(V2, &ALL).passing_on("/sys/fs/cgroup/system.slice", &ALL)
}

#[test]
fn in_version_1_groups_are_made_below_the_own_group_of_each_hierarchy() {
    let machine = MadeUp::root()
        .with("/sys/fs/cgroup/cpu,cpuacct", Kind::V1("cpu,cpuacct"), "/")
        .with("/sys/fs/cgroup/memory", Kind::V1("memory"), "/docker/abc")
        .with("/sys/fs/cgroup/pids", Kind::V1("pids"), "/")
        .with("/sys/fs/cgroup/unified", Kind::V2 { offers: "", is_namespace: false }, "/a");
    let found = Places::find(&machine, &ME, &ALL);
    assert_eq!(
        parents(&found),
        [
            (Hierarchy::V1, "/sys/fs/cgroup/cpu,cpuacct/absolute-100-7-5", vec!["cpu"]),
            (Hierarchy::V1, "/sys/fs/cgroup/memory/docker/abc/absolute-100-7-5", vec!["memory"]),
            (Hierarchy::V1, "/sys/fs/cgroup/pids/absolute-100-7-5", vec!["pids"]),
            (Hierarchy::V2, "/sys/fs/cgroup/unified/a/absolute-100-7-5", vec![]),
        ],
        "and in version 2 beside them, without leaving its group there"
    );
    assert_eq!(machine.seen("/sys/fs/cgroup/unified"), [("/a".to_owned(), 1)]);
    assert!(machine.seen("/sys/fs/cgroup/pids").is_empty(), "nothing is made ahead of a tenant");
}

#[test]
fn only_hierarchies_of_the_controllers_that_are_needed_are_used() {
    let machine = MadeUp::root()
        .with("/cpu", Kind::V1("cpu"), "/")
        .with("/memory", Kind::V1("memory"), "/")
        .with("/v2", Kind::V2 { offers: "", is_namespace: false }, "/");
    let found = Places::find(&machine, &ME, &["memory"]);
    let used: Vec<&str> = parents(&found).iter().map(|(_, parent, _)| *parent).collect();
    assert_eq!(used, ["/memory/absolute-100-7-5", "/v2/absolute-100-7-5"]);
}

#[test]
fn a_service_moves_into_a_leaf_with_all_of_its_group_and_passes_controllers_on() {
    let machine = service(MadeUp::root());
    machine.add(V2, "/system.slice/app.service", &[98, 99], false);
    let found = Places::find(&machine, &ME, &["memory", "pids"]);
    let own = "/sys/fs/cgroup/system.slice/app.service";
    assert_eq!(
        parents(&found),
        [(Hierarchy::V2, &*format!("{own}/absolute-100-7-5"), vec!["memory", "pids"])]
    );
    assert_eq!(machine.passed_on(own), "memory pids");
    let below = machine.seen(own);
    let expected = [("/absolute-100-7-5".to_owned(), 0), ("/absolute-host-100-7-5".to_owned(), 3)];
    assert_eq!(below, expected);
    assert_eq!(machine.passed_on(&format!("{own}/absolute-100-7-5")), "memory pids");
    let files = &found.places[0].files;
    assert_eq!(files[..], ["memory.max", "memory.swap.max", "memory.oom.group", "pids.max"]);

    // Another controller is needed later: nothing moves any more.
    let found = Places::find(&machine, &ME, &ALL);
    assert!(found.place_of("cpu").is_some());
    assert_eq!((machine.passed_on(own).as_str(), machine.seen(own)), ("memory pids cpu", below));
}

#[test]
fn the_root_of_the_machine_need_not_be_left() {
    let machine = MadeUp::root().with(V2, MACHINE, "/");
    let found = Places::find(&machine, &ME, &["memory"]);
    assert_eq!(
        parents(&found),
        [(Hierarchy::V2, "/sys/fs/cgroup/absolute-100-7-5", vec!["memory"])]
    );
    assert!(machine.seen(V2).is_empty());
}

#[test]
fn the_root_that_a_container_sees_is_left_by_all() {
    let machine = MadeUp::root().with(V2, NAMESPACE, "/");
    machine.add(V2, "/", &[1, 50], false);
    let found = Places::find(&machine, &ME, &ALL);
    assert!(found.obstacles.is_empty());
    let expected = [("/absolute-100-7-5".to_owned(), 0), ("/absolute-host-100-7-5".to_owned(), 3)];
    assert_eq!(machine.seen(V2), expected);
}

#[test]
fn a_process_that_cannot_be_seen_keeps_the_group_as_it_was() {
    let machine = MadeUp::root().with(V2, NAMESPACE, "/");
    // As the kernel shows a process of another PID namespace.
    machine.add(V2, "/", &[0], false);
    let found = Places::find(&machine, &ME, &["memory"]);
    let Obstacle { why, change } = found.obstacle("memory").unwrap();
    assert!(why.starts_with("/sys/fs/cgroup cannot pass on memory: "), "{why}");
    assert_eq!(change, "start the host in a group of its own, in which nothing else runs");
    assert!(machine.seen(V2).is_empty() && machine.passed_on(V2).is_empty());
    assert_eq!(machine.read(OWN_GROUPS).unwrap(), "0::/\n");
    assert_eq!(machine.tries.get(), 1, "such a process does not go");
}

#[test]
fn a_read_only_mount_is_named_with_what_makes_it_writable() {
    for kind in [NAMESPACE, Kind::V1("memory")] {
        let machine = MadeUp::root().with(V2, kind, "/").read_only();
        let found = Places::find(&machine, &ME, &["memory"]);
        let Obstacle { why, change } = found.obstacle("memory").unwrap();
        assert_eq!(why, "/sys/fs/cgroup is mounted read-only");
        assert!(change.contains("docker run --security-opt writable-cgroups=true"), "{change}");
        assert!(found.places.is_empty());
    }
}

#[test]
fn a_user_needs_a_delegated_group() {
    let own = "/user.slice/user-1000.slice/session-3.scope";
    let machine = MadeUp::user().with(V2, MACHINE, own);
    let found = Places::find(&machine, &USER, &["memory"]);
    let Obstacle { why, change } = found.obstacle("memory").unwrap();
    assert_eq!(
        why,
        "this user may not make control groups below \
         /sys/fs/cgroup/user.slice/user-1000.slice/session-3.scope: the group of a login session \
         is root's, and no process of it may move to a group of the user's"
    );
    assert!(change.contains("systemd-run --user --scope -p Delegate=yes"), "{change}");

    let own = "/user.slice/user@1000.service/app.slice/run-1.scope";
    let machine = MadeUp::user().with(V2, MACHINE, own);
    machine.add(V2, own, &[], true);
    let machine = machine
        .passing_on(&format!("{V2}/user.slice/user@1000.service/app.slice"), &["memory", "pids"]);
    let found = Places::find(&machine, &USER, &ALL);
    assert!(found.place_of("memory").is_some() && found.place_of("pids").is_some());
    let Obstacle { why, change } = found.obstacle("cpu").unwrap();
    assert!(why.contains("run-1.scope cannot limit that"), "{why}");
    assert!(change.contains("drop-in of `user@.service`"), "{change}");
}

#[test]
fn in_version_1_only_root_makes_groups() {
    let machine = MadeUp::user().with("/memory", Kind::V1("memory"), "/");
    let found = Places::find(&machine, &USER, &ALL);
    assert!(
        found
            .obstacle("memory")
            .unwrap()
            .why
            .ends_with("version 1, in which only root may make groups")
    );
    assert!(found.obstacle("pids").unwrap().why.contains("pids are mounted"));
}

#[test]
fn a_host_in_the_leaf_of_another_stays_there_and_uses_the_group_above() {
    let machine = service(MadeUp::root());
    Places::find(&machine, &ME, &["memory"]);
    let other = Me { id: HostId { pid: 200, ..ME.id }, ..ME };
    let found = Places::find(&machine, &other, &["memory", "cpu"]);
    let own = "/sys/fs/cgroup/system.slice/app.service";
    assert_eq!(
        parents(&found),
        [(Hierarchy::V2, &*format!("{own}/absolute-200-7-5"), vec!["memory", "cpu"])]
    );
    assert_eq!(machine.passed_on(own), "memory cpu");
    assert_eq!(machine.cleared.borrow()[..], [own, own], "what others have left there is ended");
    let expected = [("/absolute-100-7-5".to_owned(), 0), ("/absolute-host-100-7-5".to_owned(), 1)];
    assert_eq!(machine.seen(own), expected);
}

#[test]
fn processes_that_are_about_to_be_gone_and_are_not_shown_are_waited_for() {
    let machine = service(MadeUp::root());
    machine.dying.set(3);
    let found = Places::find(&machine, &ME, &["memory"]);
    assert!(found.place_of("memory").is_some(), "{:?}", found.obstacle("memory"));
}

#[test]
fn what_was_found_holds_until_the_process_is_moved() {
    let machine = service(MadeUp::root());
    let found = Places::find(&machine, &ME, &["memory"]);
    assert!(found.are_current(&machine, &["memory"]));
    assert!(!found.are_current(&machine, &["memory", "cpu"]), "one more is needed");
    let own = "/sys/fs/cgroup/system.slice/app.service";
    // As the warden does when it leaves.
    machine.write(&format!("{own}/absolute-host-100-7-5/cgroup.procs"), "100").unwrap();
    assert!(found.are_current(&machine, &["memory"]));
    machine.add(V2, "/other.service", &[], false);
    machine.write("/sys/fs/cgroup/other.service/cgroup.procs", "100").unwrap();
    assert!(!found.are_current(&machine, &["memory"]));
}

#[test]
fn on_this_machine_a_place_is_found_or_an_obstacle_is_told_and_nothing_is_left() {
    let me = Me::here();
    let me = Me { id: HostId { pid: 1 << 30, ..me.id }, ..me };
    let groups = Groups::of(&ThisMachine, &Mounts::of(&ThisMachine));
    let is_v1 = groups.0.iter().any(|one| one.hierarchy == Hierarchy::V1 && one.has("memory"));
    // In version 2 the processes of the test would be moved.
    if !is_v1 {
        return;
    }
    let found = Places::find(&ThisMachine, &me, &["memory", "pids"]);
    for controller in ["memory", "pids"] {
        assert!(found.place_of(controller).is_some() != found.obstacle(controller).is_some());
    }
    for place in &found.places {
        let (above, _) = place.parent.rsplit_once('/').unwrap();
        let ours = |name: &String| name.contains(&format!("{}", 1u32 << 30));
        assert!(!ThisMachine.groups_in(above).iter().any(ours), "{above}");
        assert!(place.controllers.is_empty() || !place.files.is_empty());
    }
}
