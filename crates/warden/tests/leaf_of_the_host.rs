//! A host of the second version that has moved into a leaf is moved back when the last warden
//! leaves, and neither leaf nor parent stays. Without that hierarchy the tests are skipped.

#![allow(clippy::disallowed_methods, reason = "tests start processes")]

mod support;

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command};

use rustix::process::Pid;
use support::groups::{Parent, sleeper, start, within};
use support::{Warden, eventually, process};
use warden::HostId;
use warden::confinement::Hierarchy;
use warden::host_id::own_pid_namespace;

/// A group that stands for the one that the host was started in, with a leaf and a process in it
/// that stands for the host.
struct Place {
    own: Parent,
    leaf: PathBuf,
    parent: Parent,
    host: Child,
}

fn id_of(host: &Child) -> HostId {
    let stat = warden::Stat::of(host.id()).expect("it runs");
    HostId {
        pid: host.id(),
        started_at_ticks: stat.started_at_ticks,
        pid_namespace: own_pid_namespace(),
    }
}

impl Place {
    fn new() -> Option<Place> {
        let own = Parent::v2()?;
        let host = Command::new("sleep").arg("1000").spawn().expect("sleep starts");
        let pid = Pid::from_child(&host);
        let id = id_of(&host);
        let leaf = own.path.join(format!("absolute-host-{id}"));
        fs::create_dir_all(&leaf).expect("a group");
        let name = format!("absolute-{id}");
        let parent = Parent { hierarchy: Hierarchy::V2, path: own.path.join(name) };
        let place = Place { own, leaf, parent, host };
        place.take_in(pid);
        Some(place)
    }

    fn take_in(&self, process: Pid) {
        let pid = process.as_raw_pid().to_string();
        fs::write(self.leaf.join("cgroup.procs"), pid).expect("moved");
    }

    /// A warden in the leaf.
    fn warden(&self) -> Warden {
        let mut command = Command::new("/bin/sh");
        let enter = "echo $$ > \"$1/cgroup.procs\" && exec \"$0\"";
        command.args(["-c", enter, env!("CARGO_BIN_EXE_warden")]).arg(&self.leaf);
        Warden::start_by(command)
    }

    /// Passes the first controller on that there is, as the host does. Returns whether there is
    /// any.
    fn passes_controllers_on(&self) -> bool {
        let offered = fs::read_to_string(self.own.path.join("cgroup.controllers")).expect("a list");
        let Some(first) = offered.split_ascii_whitespace().next() else { return false };
        let control = self.own.path.join("cgroup.subtree_control");
        fs::write(control, format!("+{first}")).expect("the leaf alone has processes");
        true
    }

    fn host_is_back(&self) -> bool {
        let list = fs::read_to_string(self.own.path.join("cgroup.procs")).unwrap_or_default();
        !self.leaf.exists() && list.lines().any(|line| line == self.host.id().to_string())
    }

    fn kill_host(&mut self) {
        self.host.kill().expect("it is there");
        self.host.wait().expect("its status");
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = self.host.kill();
        let _ = self.host.wait();
        for group in [&self.leaf, &self.own.path] {
            let _ = fs::remove_dir(group);
        }
    }
}

#[test]
fn the_last_warden_moves_a_living_host_back() {
    let Some(place) = Place::new() else { return };
    let has_controllers = place.passes_controllers_on();
    let mut warden = place.warden();
    start(&mut warden, 1, &within(sleeper(), vec![place.parent.group(&[])]));
    assert!(!place.parent.groups().is_empty());
    warden.close_and_wait();
    assert!(place.host_is_back() && place.parent.is_gone());
    let control = fs::read_to_string(place.own.path.join("cgroup.subtree_control"));
    assert_eq!(control.expect("a list").trim(), "", "had controllers: {has_controllers}");
}

#[test]
fn another_warden_keeps_the_leaf_until_it_leaves() {
    let Some(place) = Place::new() else { return };
    place.passes_controllers_on();
    let (mut one, mut other) = (place.warden(), place.warden());
    start(&mut one, 1, &within(sleeper(), vec![place.parent.group(&[])]));
    // The other one has no groups yet.
    other.start_tenant(1, &sleeper());
    one.close_and_wait();
    assert!(place.leaf.exists() && !place.host_is_back() && place.parent.is_gone());
    start(&mut other, 2, &within(sleeper(), vec![place.parent.group(&[])]));
    other.close_and_wait();
    assert!(place.host_is_back() && place.parent.is_gone());
}

#[test]
fn of_wardens_that_leave_together_one_undoes_it() {
    for _ in 0..20 {
        let Some(mut place) = Place::new() else { return };
        let mut wardens: Vec<Warden> = (0..3).map(|_| place.warden()).collect();
        for warden in &mut wardens {
            start(warden, 1, &within(sleeper(), vec![place.parent.group(&[])]));
        }
        place.kill_host();
        wardens.iter_mut().for_each(Warden::close);
        for mut warden in wardens {
            warden.wait_for_exit();
        }
        assert!(!place.leaf.exists() && place.parent.is_gone());
        assert!(fs::remove_dir(&place.own.path).is_ok(), "something is left in it");
    }
}

#[test]
fn where_others_have_groups_all_is_left_alone() {
    let Some(place) = Place::new() else { return };
    let other = place.own.path.join("of-another-program");
    fs::create_dir(&other).expect("a group");
    let mut warden = place.warden();
    start(&mut warden, 1, &within(sleeper(), vec![place.parent.group(&[])]));
    warden.close_and_wait();
    assert!(place.leaf.exists() && place.parent.is_gone());
    fs::remove_dir(&other).expect("it is empty");
}

#[test]
fn the_last_keeper_undoes_it_when_warden_and_host_were_killed() {
    let Some(mut place) = Place::new() else { return };
    place.passes_controllers_on();
    let mut warden = place.warden();
    let launch = within(sleeper(), vec![place.parent.group(&[])]);
    let (first, _) = start(&mut warden, 1, &launch);
    let (second, _) = start(&mut warden, 2, &launch);
    place.kill_host();
    warden.kill();
    for tenant in [first, second] {
        assert!(process::wait_for_end(tenant.keeper, support::DEADLINE));
    }
    eventually("it is undone", || !place.leaf.exists() && place.parent.is_gone());
}

/// The next host was started in the leaf of one that was killed with its warden and keepers, and so
/// has no leaf of its own.
#[test]
fn the_leaf_of_a_host_that_is_gone_is_undone_when_the_next_one_leaves() {
    let Some(mut gone) = Place::new() else { return };
    gone.passes_controllers_on();
    let mut next = Command::new("sleep").arg("1000").spawn().expect("sleep starts");
    gone.take_in(Pid::from_child(&next));
    let path = gone.own.path.join(format!("absolute-{}", id_of(&next)));
    let parent = Parent { hierarchy: Hierarchy::V2, path };
    let launch = within(sleeper(), vec![parent.group(&[])]);
    let mut warden = gone.warden();
    start(&mut warden, 1, &launch);
    warden.close_and_wait();
    assert!(gone.leaf.exists() && parent.is_gone(), "its host lives");
    gone.kill_host();
    let mut warden = gone.warden();
    start(&mut warden, 1, &launch);
    warden.close_and_wait();
    let is_undone = !gone.leaf.exists() && parent.is_gone();
    let list = fs::read_to_string(gone.own.path.join("cgroup.procs")).unwrap_or_default();
    next.kill().expect("it is there");
    next.wait().expect("its status");
    assert!(is_undone && list.lines().any(|line| line == next.id().to_string()));
}

#[test]
fn keepers_leave_it_to_a_host_that_lives() {
    let Some(place) = Place::new() else { return };
    let mut warden = place.warden();
    let (tenant, _) = start(&mut warden, 1, &within(sleeper(), vec![place.parent.group(&[])]));
    warden.kill();
    assert!(process::wait_for_end(tenant.keeper, support::DEADLINE));
    assert!(place.leaf.exists() && !place.host_is_back());
}
