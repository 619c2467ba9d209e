//! A tenant's processes are in its control groups from their first instruction, and the groups are
//! gone with it. Tests without a hierarchy, or without the right to make groups, are skipped.

#![allow(clippy::disallowed_methods, reason = "it measures time and starts processes")]

mod support;

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags, mkdirat, openat};
use rustix::io::Errno;
use rustix::process::{Signal, kill_process};
use support::groups::{Parent, each_version, is_in, sleeper, start, within};
use support::{SIGKILL, Warden, eventually, exited, process, script};
use warden::confinement::{Group, Hierarchy};
use warden::protocol::{LaunchStep, StopStage};

#[test]
fn a_tenant_is_inside_from_its_first_instruction_and_its_keeper_never() {
    for parent in each_version() {
        let mut warden = Warden::start();
        let spec = within(
            script("while read it; do echo $it; done < /proc/self/cgroup; echo; sleep 1000 & wait"),
            vec![parent.group(&[])],
        );
        let (mut tenant, group) = start(&mut warden, 1, &spec);
        let name = format!("/{group}");
        let lines: Vec<String> =
            std::iter::from_fn(|| Some(tenant.stdout.line()).filter(|it| !it.is_empty())).collect();
        assert!(lines.iter().any(|line| line.ends_with(&name)), "{lines:?}");
        assert!(group > 0 && is_in(tenant.pid, &name));
        eventually("the helper is inside", || parent.members(group).len() == 2);
        assert!(!is_in(tenant.keeper, &name) && !is_in(warden.pid(), &name));
        warden.stop(1, StopStage::Kill);
        assert_eq!(warden.expect_ended(1).how(), SIGKILL);
        assert!(!parent.at(group).exists(), "the group is left");
        warden.close_and_wait();
        assert!(parent.is_gone(), "the parent is left");
    }
}

#[test]
fn the_settings_hold_before_the_program_runs() {
    let Some(pids) = Parent::v1("pids") else { return };
    let Some(memory) = Parent::v1("memory") else { return };
    let groups =
        || vec![memory.group(&["memory.limit_in_bytes=67108864"]), pids.group(&["pids.max=17"])];
    let mut warden = Warden::start();
    for run in 1..=3 {
        let (_, group) = start(&mut warden, run, &within(sleeper(), groups()));
        let read = |parent: &Parent, file: &str| {
            fs::read_to_string(parent.at(group).join(file)).expect("a setting")
        };
        assert_eq!(read(&memory, "memory.limit_in_bytes"), "67108864\n");
        assert_eq!(read(&pids, "pids.max"), "17\n");
        assert_eq!((memory.members(group).len(), pids.members(group).len()), (1, 1));
    }
    warden.close_and_wait();
    assert!(memory.is_gone() && pids.is_gone());
}

#[test]
fn a_group_that_cannot_be_made_or_set_fails_the_start_and_says_why() {
    for parent in each_version() {
        let mut warden = Warden::start();
        let spec = within(script("true"), vec![parent.group(&["no.such.file=1"])]);
        let (_, mut stderr) = warden.launch(1, &spec);
        assert_eq!(warden.expect_failure(1), (LaunchStep::EnterGroup, Errno::NOENT.raw_os_error()));
        let text = stderr.rest();
        assert!(text.contains("could not write 1 to ") && text.contains("no.such.file"), "{text}");
        let mut elsewhere = parent.group(&["pids.max=9"]);
        elsewhere.parent = support::c_string("/proc/no/such/group");
        warden.launch(2, &within(script("true"), vec![elsewhere]));
        assert_eq!(warden.expect_failure(2), (LaunchStep::EnterGroup, Errno::NOENT.raw_os_error()));
        warden.close_and_wait();
        assert!(parent.is_gone(), "the parent is left");
    }
}

#[test]
fn a_group_without_settings_that_cannot_be_made_is_done_without() {
    let parent = support::c_string("/proc/no/such/group");
    let group = Group { hierarchy: Hierarchy::V2, parent, settings: Vec::new() };
    let mut warden = Warden::start();
    for run in 1..=3 {
        let (tenant, number) = start(&mut warden, run, &within(sleeper(), vec![group.clone()]));
        assert_eq!(number, 0);
        kill_process(tenant.pid, Signal::KILL).expect("it runs");
        assert_eq!(warden.expect_ended(run).how(), SIGKILL);
    }
    warden.close_and_wait();
}

#[test]
fn a_program_that_cannot_be_executed_leaves_no_group() {
    for parent in each_version() {
        let mut warden = Warden::start();
        let spec = within(support::spec(&["/no/such/program"]), vec![parent.group(&[])]);
        warden.launch(1, &spec);
        assert_eq!(warden.expect_failure(1).0, LaunchStep::Execute);
        warden.close_and_wait();
        assert!(parent.is_gone());
    }
}

#[test]
fn what_somebody_else_has_put_into_a_group_goes_with_it() {
    for parent in each_version() {
        let mut warden = Warden::start();
        let spec = within(sleeper(), vec![parent.group(&[])]);
        let (_tenant, group) = start(&mut warden, 1, &spec);
        let (mut other, _) = start(&mut warden, 2, &sleeper());
        let nested = parent.at(group).join("nested/deeper");
        fs::create_dir_all(&nested).expect("a group below");
        fs::write(nested.join("cgroup.procs"), other.pid.as_raw_pid().to_string()).expect("moved");
        warden.stop(1, StopStage::Kill);
        assert_eq!(warden.expect_ended(1).how(), SIGKILL);
        assert!(!parent.at(group).exists(), "the group is left");
        assert_eq!(warden.expect_ended(2).how(), SIGKILL);
        assert_eq!(other.stdout.rest(), "");
    }
}

/// Makes groups in each other, deeper than any path is long.
fn nest(group: &Path, depth: usize) {
    let mut inner = OwnedFd::from(fs::File::open(group).expect("a group"));
    for _ in 0..depth {
        mkdirat(&inner, "deeper", Mode::RWXU).expect("a group");
        inner =
            openat(&inner, "deeper", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).expect("it");
    }
}

#[test]
fn groups_that_a_tenant_has_nested_go_with_it_however_deep_they_are() {
    for parent in each_version() {
        let mut warden = Warden::start();
        let (_tenant, group) = start(&mut warden, 1, &within(sleeper(), vec![parent.group(&[])]));
        nest(&parent.at(group), 2_000);
        warden.stop(1, StopStage::Kill);
        assert_eq!(warden.expect_ended(1).how(), SIGKILL);
        // On a busy machine the keeper may give up before, and the warden goes on when it leaves.
        warden.close_and_wait();
        assert!(parent.is_gone(), "a group is left");
    }
}

#[test]
fn a_group_goes_when_its_keeper_is_lost() {
    for parent in each_version() {
        let mut warden = Warden::start();
        let spec = within(script("setsid sleep 1000 & sleep 1000"), vec![parent.group(&[])]);
        let (tenant, group) = start(&mut warden, 1, &spec);
        eventually("all are inside", || parent.members(group).len() == 3);
        kill_process(tenant.keeper, Signal::KILL).expect("the keeper is there");
        assert_eq!(warden.expect_ended(1).how(), SIGKILL);
        assert!(!parent.at(group).exists(), "the group is left");
        warden.close_and_wait();
        assert!(parent.is_gone(), "the parent is left");
    }
}

#[test]
fn groups_and_their_parent_go_when_the_warden_is_lost() {
    for parent in each_version() {
        let mut warden = Warden::start();
        let spec = within(sleeper(), vec![parent.group(&[])]);
        let (first, _) = start(&mut warden, 1, &spec);
        let (second, _) = start(&mut warden, 2, &spec);
        warden.kill();
        for tenant in [first, second] {
            assert!(process::wait_for_end(tenant.keeper, support::DEADLINE));
        }
        eventually("the parent is gone", || parent.is_gone());
    }
}

#[test]
fn what_a_warden_and_keepers_that_were_killed_have_left_goes_with_the_next_warden() {
    for parent in each_version() {
        let mut warden = Warden::start();
        let spec = within(script("setsid sleep 1000 & echo $!; wait"), vec![parent.group(&[])]);
        let (mut tenant, group) = start(&mut warden, 1, &spec);
        let helper = tenant.stdout.pid();
        kill_process(tenant.keeper, Signal::STOP).expect("it is there");
        kill_process(warden.pid(), Signal::STOP).expect("it is there");
        kill_process(tenant.keeper, Signal::KILL).expect("it is there");
        warden.kill();
        assert!(process::exists(helper) && parent.at(group).exists());
        let mut next = Warden::start();
        start(&mut next, 1, &within(sleeper(), vec![parent.group(&[])]));
        next.close_and_wait();
        assert!(process::wait_for_end(helper, support::DEADLINE) && parent.is_gone());
    }
}

/// A tenant's runtime looks there for what it may use, as whatever user.
#[test]
fn a_group_may_be_looked_at_whatever_mask_the_host_has() {
    for parent in each_version() {
        let mut command = std::process::Command::new("/bin/sh");
        command.args(["-c", "umask 077; exec \"$0\"", env!("CARGO_BIN_EXE_warden")]);
        let mut warden = Warden::start_by(command);
        let spec = within(sleeper(), vec![parent.group(&[])]);
        let (_tenant, group) = start(&mut warden, 1, &spec);
        for directory in [parent.path.clone(), parent.at(group)] {
            let mode = fs::metadata(&directory).expect("a group").permissions().mode();
            assert_eq!(mode & 0o777, 0o755, "{}", directory.display());
        }
    }
}

#[test]
fn a_frozen_group_ends() {
    let Some(parent) = Parent::v2() else { return };
    let mut warden = Warden::start();
    let spec = within(sleeper(), vec![parent.group(&[])]);
    let (_tenant, group) = start(&mut warden, 1, &spec);
    fs::write(parent.at(group).join("cgroup.freeze"), "1").expect("frozen");
    let events = parent.at(group).join("cgroup.events");
    eventually("it is frozen", || {
        fs::read_to_string(&events).expect("events").contains("frozen 1")
    });
    warden.stop(1, StopStage::Kill);
    assert_eq!(warden.expect_ended(1).how(), SIGKILL);
    assert!(!parent.at(group).exists());
}

/// Each process needs a moment of a processor to die, and with its share all of them would need
/// most of a minute.
#[test]
fn a_tenant_that_gets_hardly_any_processor_ends() {
    let (parent, file, least) = match (Parent::v2_with("cpu"), Parent::v1("cpu")) {
        (Some(parent), _) => (parent, "cpu.max", "1000 100000"),
        (None, Some(parent)) => (parent, "cpu.cfs_quota_us", "1000"),
        (None, None) => return,
    };
    let setting = if file == "cpu.max" { "cpu.weight=100" } else { "cpu.shares=1024" };
    let mut warden = Warden::start();
    let spins = "for i in $(seq 200); do (while :; do :; done) & done; exec sleep 1000";
    let (_tenant, group) =
        start(&mut warden, 1, &within(script(spins), vec![parent.group(&[setting])]));
    eventually("all spin", || parent.members(group).len() == 201);
    fs::write(parent.at(group).join(file), least).expect("its share");
    let begin = std::time::Instant::now();
    warden.stop(1, StopStage::Kill);
    assert_eq!(warden.expect_ended(1).how(), SIGKILL);
    println!("200 throttled processes gone after {:?}", begin.elapsed());
    assert!(!parent.at(group).exists());
}

#[test]
fn a_fork_bomb_within_its_limit_ends() {
    let Some(parent) = Parent::v1("pids") else { return };
    let mut warden = Warden::start();
    // A shell that cannot fork ends, and so makes room for the others.
    let mut bomb = script("sh -c \"$BOMB\" & exec sleep 1000");
    bomb.env.push(support::c_string("BOMB=while :; do setsid sh -c \"$BOMB\" & done"));
    let mark = process::new_mark();
    bomb.env.push(support::c_string(&mark));
    let spec = within(bomb, vec![parent.group(&["pids.max=60"])]);
    let (_tenant, group) = start(&mut warden, 1, &spec);
    eventually("it is at its limit", || parent.members(group).len() > 50);
    warden.stop(1, StopStage::Kill);
    assert_eq!(warden.expect_ended(1).how(), SIGKILL);
    assert!(!parent.at(group).exists());
    assert_eq!(process::marked(&mark), Vec::<i32>::new());
}

#[test]
fn an_exit_code_is_told_as_without_groups() {
    for parent in each_version() {
        let mut warden = Warden::start();
        for run in 1..=4 {
            let spec = within(script("exit 7"), vec![parent.group(&[])]);
            let (_tenant, group) = start(&mut warden, run, &spec);
            let ended = warden.expect_ended(run);
            assert_eq!((ended.how(), ended.out_of_memory), (exited(7), false));
            assert!(!parent.at(group).exists());
        }
    }
}
