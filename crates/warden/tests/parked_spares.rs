//! A keeper and a process that is inside its groups are there before the launch that needs them.
//! They are nobody's tenant, and gone with the warden. Without a hierarchy of control groups the
//! tests are skipped.

#![allow(clippy::disallowed_methods, reason = "tests start processes")]

mod support;

use std::fs;

use rustix::process::{Pid, Signal, kill_process};
use support::groups::{Parent, each_version, sleeper, start, started, within};
use support::surviving::Name;
use support::{SIGKILL, Warden, eventually, exited, process, script};
use warden::protocol::StopStage;

/// The children of a process.
fn children(pid: Pid) -> Vec<Pid> {
    let pid = pid.as_raw_pid();
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_ascii_whitespace().filter_map(|id| Pid::from_raw(id.parse().ok()?)).collect()
}

/// Waits until a process is parked; returns it, the number of its group, and its keeper.
fn parked(warden: Pid, parent: &Parent, known: &[u64]) -> (Pid, u64, Pid) {
    let mut found = None;
    eventually("a spare is parked", || {
        found =
            parent.groups().into_iter().filter(|group| !known.contains(group)).find_map(|group| {
                let main = Pid::from_raw(*parent.members(group).first()?)?;
                let name = fs::read_to_string(format!("/proc/{}/comm", main.as_raw_pid())).ok()?;
                let keeper = children(warden)
                    .into_iter()
                    .find(|keeper| children(*keeper).contains(&main))?;
                (name == "abs-parked\n").then_some((main, group, keeper))
            });
        found.is_some()
    });
    found.expect("just found")
}

#[test]
fn a_launch_takes_the_parked_process_and_another_is_made() {
    let Some(parent) = Parent::v1("pids") else { return };
    let mut warden = Warden::start();
    let launch =
        |limit: u32| within(sleeper(), vec![parent.group(&[&format!("pids.max={limit}")])]);
    let (_first, one) = start(&mut warden, 1, &launch(11));
    let (main, group, keeper) = parked(warden.pid(), &parent, &[one]);
    let (second, two) = start(&mut warden, 2, &launch(12));
    assert_eq!((second.pid, two, second.keeper), (main, group, keeper));
    let limit = fs::read_to_string(parent.at(two).join("pids.max")).expect("its limit");
    assert_eq!(limit, "12\n");
    let (main, _, keeper) = parked(warden.pid(), &parent, &[one, two]);
    warden.close_and_wait();
    assert!(!process::exists(main) && !process::exists(keeper) && parent.is_gone());
}

/// As in many containers, and before Linux 5.7. Skipped without strace, which refuses it here.
#[test]
fn where_no_process_can_begin_in_a_group_one_is_parked() {
    let Some(parent) = Parent::v2() else { return };
    let mut strace = std::process::Command::new("strace");
    strace.args(["-DDD", "-f", "-o", "/dev/null", "-e", "inject=clone3:error=ENOSYS"]);
    if !strace.arg("true").status().is_ok_and(|status| status.success()) {
        return eprintln!("skipped: strace cannot refuse a call");
    }
    let mut command = std::process::Command::new("strace");
    command.args(strace.get_args().take(6)).arg(env!("CARGO_BIN_EXE_warden"));
    let mut warden = Warden::start_by(command);
    let launch = within(sleeper(), vec![parent.group(&[])]);
    let (_first, one) = start(&mut warden, 1, &launch);
    let (main, _, _) = parked(warden.pid(), &parent, &[one]);
    let (second, two) = start(&mut warden, 2, &launch);
    assert_eq!(second.pid, main);
    assert_eq!(parent.members(two), [main.as_raw_pid()]);
    warden.close_and_wait();
    assert!(parent.is_gone());
}

#[test]
fn a_launch_with_other_parents_gets_its_own() {
    let (Some(one), Some(other)) = (Parent::v1("pids"), Parent::v1("pids")) else { return };
    let mut warden = Warden::start();
    let (_tenant, group) = start(&mut warden, 1, &within(sleeper(), vec![one.group(&[])]));
    let (main, spare, _) = parked(warden.pid(), &one, &[group]);
    let (tenant, its) = start(&mut warden, 2, &within(sleeper(), vec![other.group(&[])]));
    assert!(tenant.pid != main && its != spare && other.members(its).len() == 1);
    let both = within(sleeper(), vec![one.group(&[]), other.group(&[])]);
    let (tenant, its) = start(&mut warden, 3, &both);
    assert!(tenant.pid != main && its != spare);
    parked(warden.pid(), &other, &[its]);
    assert!(process::exists(main), "the first spare was thrown away");
    warden.close_and_wait();
    assert!(one.is_gone() && other.is_gone());
}

/// Killed right before the launch: neither the warden nor the keeper has heard of it.
#[test]
fn a_spare_that_is_killed_leaves_nothing_and_fails_no_launch() {
    for parent in each_version() {
        for kills_keeper in [true, false] {
            let mut warden = Warden::start();
            let launch = within(sleeper(), vec![parent.group(&[])]);
            let (_first, one) = start(&mut warden, 1, &launch);
            let (main, group, keeper) = parked(warden.pid(), &parent, &[one]);
            let (victim, hears_late) =
                if kills_keeper { (keeper, warden.pid()) } else { (main, keeper) };
            kill_process(hears_late, Signal::STOP).expect("it is there");
            kill_process(victim, Signal::KILL).expect("it is there");
            assert!(process::wait_for_end(victim, support::DEADLINE));
            let _output = warden.launch(2, &launch);
            kill_process(hears_late, Signal::CONT).expect("it is there");
            let (second, keepers, two) = started(&mut warden, 2);
            assert_ne!(second, main);
            assert_eq!(parent.members(two), [second.as_raw_pid()]);
            eventually("what was parked is gone", || two == group || !parent.at(group).exists());
            eventually("it is gone, too", || !process::exists(main));
            assert_eq!(process::exists(keeper), keeper == keepers);
            warden.close_and_wait();
            assert!(parent.is_gone());
        }
    }
}

#[test]
fn a_spare_is_gone_when_the_warden_is_killed() {
    for parent in each_version() {
        let mut warden = Warden::start();
        let (first, one) = start(&mut warden, 1, &within(sleeper(), vec![parent.group(&[])]));
        let (main, _, keeper) = parked(warden.pid(), &parent, &[one]);
        warden.kill();
        for pid in [main, keeper, first.keeper] {
            assert!(process::wait_for_end(pid, support::DEADLINE));
        }
        eventually("the parent is gone", || parent.is_gone());
    }
}

#[test]
fn a_stopped_spare_is_continued_by_its_launch_and_by_the_end() {
    for parent in each_version() {
        let mut warden = Warden::start();
        let launch = within(sleeper(), vec![parent.group(&[])]);
        let (_first, one) = start(&mut warden, 1, &launch);
        let (main, two, keeper) = parked(warden.pid(), &parent, &[one]);
        kill_process(keeper, Signal::STOP).expect("it is there");
        let (second, _) = start(&mut warden, 2, &launch);
        assert_eq!(second.pid, main);
        let (_, _, keeper) = parked(warden.pid(), &parent, &[one, two]);
        kill_process(keeper, Signal::STOP).expect("it is there");
        warden.close_and_wait();
        assert!(!process::exists(keeper) && parent.is_gone());
    }
}

#[test]
fn a_crowd_of_launches_gets_groups_each_of_its_own() {
    let Some(parent) = Parent::v1("pids") else { return };
    let mut warden = Warden::start();
    let spec = within(script("exit 4"), vec![parent.group(&["pids.max=9"])]);
    let outputs: Vec<_> = (1..=30).map(|run| warden.launch(run, &spec)).collect();
    let mut groups: Vec<u64> = (1..=30)
        .map(|run| match warden.report_about(run) {
            warden::Report::Started { group, .. } => group,
            other => panic!("{other:?}"),
        })
        .collect();
    groups.sort_unstable();
    groups.dedup();
    assert_eq!(groups.len(), 30);
    (1..=30).for_each(|run| assert_eq!(warden.expect_ended(run).how(), exited(4)));
    drop(outputs);
    eventually("one spare is left", || parent.groups().len() == 1);
    warden.close_and_wait();
    assert!(parent.is_gone());
}

#[test]
fn an_order_right_behind_the_launch_is_obeyed() {
    for parent in each_version() {
        let mut warden = Warden::start();
        let spec = within(sleeper(), vec![parent.group(&[])]);
        for run in 1..=10 {
            let _output = warden.launch(run, &spec);
            warden.stop(run, StopStage::Kill);
            assert!(matches!(warden.report_about(run), warden::Report::Started { .. }));
            assert_eq!(warden.expect_ended(run).how(), SIGKILL);
        }
    }
}

#[test]
fn a_parked_process_holds_nothing_of_the_host_or_of_others() {
    for parent in each_version() {
        let mut warden = Warden::start();
        let (_first, one) = start(&mut warden, 1, &within(sleeper(), vec![parent.group(&[])]));
        let (main, _, keeper) = parked(warden.pid(), &parent, &[one]);
        let held = |pid: Pid| {
            let fds = fs::read_dir(format!("/proc/{}/fd", pid.as_raw_pid())).expect("descriptors");
            let mut links: Vec<String> = fds
                .map(|fd| fs::read_link(fd.expect("a descriptor").path()).expect("a link"))
                .map(|link| link.to_string_lossy().split(':').next().expect("a kind").to_owned())
                .filter(|link| link != "/dev/null")
                .collect();
            links.sort();
            links
        };
        // The socket to the other, and the pipe for a failure; the keeper's link and child signals.
        assert_eq!(held(main), ["pipe", "socket"]);
        assert_eq!(held(keeper), ["anon_inode", "pipe", "socket", "socket"]);
    }
}

/// The tenants of each host have groups below a parent of its own, so that no other could use them.
#[test]
fn a_host_that_goes_leaves_no_spare_to_the_next_one() {
    let (name, mut host) = Name::owned();
    for run in [1, 2] {
        let Some(parent) = Parent::v1("pids") else { return };
        let tenant = host.start_ready(run, &within(sleeper(), vec![parent.group(&[])]));
        // The spare's group may be there by now, too.
        let is_its = |group: &u64| parent.members(*group).contains(&tenant.pid.as_raw_pid());
        let its = parent.groups().into_iter().find(is_its).expect("it runs in its group");
        let (main, spare, keeper) = parked(host.warden, &parent, &[its]);
        if run == 1 {
            drop(host);
        } else {
            host.detach();
        }
        eventually("the spare is gone", || !process::exists(main) && !process::exists(keeper));
        eventually("its group is, too", || !parent.at(spare).exists());
        host = name.own();
        assert_eq!(host.told().runs.keys().copied().collect::<Vec<_>>(), [run]);
        host.stop(run, StopStage::Kill);
        assert_eq!(host.take(run).how(), SIGKILL);
        assert!(parent.groups().is_empty(), "a group is left");
    }
    host.leave();
}
