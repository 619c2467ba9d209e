//! A tenant that needs more memory than its group may have is killed as a whole, its end says so,
//! and no other end does. Without a controller of memory the tests are skipped.

mod support;

use std::fs;

use rustix::process::{Signal, kill_process};
use support::groups::{Parent, sleeper, start, within};
use support::{SIGKILL, Warden, eventually, exited, process, script, spec};
use warden::LaunchSpec;
use warden::confinement::{Group, Hierarchy};
use warden::protocol::StopStage;

/// Reads one endless line, and so needs ever more memory.
const EATER: [&str; 2] = ["/usr/bin/tail", "/dev/zero"];

fn each_version() -> Vec<Parent> {
    [Parent::v2_with("memory"), Parent::v1("memory")].into_iter().flatten().collect()
}

fn limited(parent: &Parent, mib: u64) -> Vec<Group> {
    let bytes = mib << 20;
    let settings = match parent.hierarchy {
        Hierarchy::V1 => vec![
            format!("memory.limit_in_bytes={bytes}"),
            format!("memory.memsw.limit_in_bytes={bytes}"),
        ],
        Hierarchy::V2 => vec![
            format!("memory.max={bytes}"),
            "memory.swap.max=0".to_owned(),
            "memory.oom.group=1".to_owned(),
        ],
    };
    vec![parent.group(&settings.iter().map(String::as_str).collect::<Vec<_>>())]
}

/// An exit code or a signal, and whether it was for memory.
type End = ((Option<i32>, Option<i32>), bool);

/// Runs a program in 32 MiB, twice in each version; returns how it ended.
fn end_in_32_mib(spec: LaunchSpec) -> Vec<End> {
    let mut ends = Vec::new();
    for parent in each_version() {
        let mut warden = Warden::start();
        let mark = process::new_mark();
        let mut spec = within(spec.clone(), limited(&parent, 32));
        spec.env.push(support::c_string(&mark));
        for run in 1..=2 {
            let (_tenant, group) = start(&mut warden, run, &spec);
            let ended = warden.expect_ended(run);
            ends.push((ended.how(), ended.out_of_memory));
            assert!(!parent.at(group).exists());
            assert_eq!(process::marked(&mark), Vec::<i32>::new());
        }
    }
    ends
}

#[test]
fn a_main_process_that_needs_too_much_is_told() {
    let ends = end_in_32_mib(spec(&EATER));
    assert!(ends.iter().all(|end| *end == (SIGKILL, true)), "{ends:?}");
}

#[test]
fn with_a_helper_that_needs_too_much_the_whole_tree_goes() {
    let ends = end_in_32_mib(script("setsid tail /dev/zero & exec sleep 1000"));
    assert!(ends.iter().all(|end| *end == (SIGKILL, true)), "{ends:?}");
}

/// The main process may exit before the keeper kills it, as here where the keeper is stopped.
#[test]
fn a_main_process_that_ends_with_its_helper_is_told() {
    let Some(parent) = Parent::v1("memory") else { return };
    let mut warden = Warden::start();
    let text = "trap go=1 USR1; echo ready; while [ -z \"$go\" ]; do sleep 0.01; done
        tail /dev/zero; exit 5";
    let (mut tenant, _) = start(&mut warden, 1, &within(script(text), limited(&parent, 32)));
    assert_eq!(tenant.stdout.line(), "ready");
    kill_process(tenant.keeper, Signal::STOP).expect("it is there");
    kill_process(tenant.pid, Signal::USR1).expect("it is there");
    assert!(process::wait_for_end(tenant.pid, support::DEADLINE));
    kill_process(tenant.keeper, Signal::CONT).expect("it is there");
    let ended = warden.expect_ended(1);
    assert_eq!((ended.how(), ended.out_of_memory), (exited(5), true));
}

#[test]
fn another_kill_is_not_taken_for_it() {
    for parent in each_version() {
        let mut warden = Warden::start();
        let spec = within(sleeper(), limited(&parent, 32));
        let (tenant, _) = start(&mut warden, 1, &spec);
        kill_process(tenant.pid, Signal::KILL).expect("it is there");
        start(&mut warden, 2, &spec);
        warden.stop(2, StopStage::Kill);
        for run in 1..=2 {
            let ended = warden.expect_ended(run);
            assert_eq!((ended.how(), ended.out_of_memory), (SIGKILL, false));
        }
    }
}

#[test]
fn files_that_were_read_and_written_end_nobody() {
    let file = std::env::temp_dir().join(format!("warden-test-{}", std::process::id()));
    let name = file.to_str().expect("a plain name");
    let text = format!("head -c 100000000 /dev/zero > {name}; cat {name} > /dev/null; exit 3");
    let ends = end_in_32_mib(script(&text));
    fs::remove_file(&file).expect("it was written");
    assert!(ends.iter().all(|end| *end == (exited(3), false)), "{ends:?}");
}

/// Those that the kernel chooses are killed, and nobody has reached a limit of its own.
#[test]
fn a_shortage_of_all_tenants_is_not_taken_for_one_of_a_tenant() {
    for parent in each_version() {
        let mut warden = Warden::start();
        let (neighbour, _) = start(&mut warden, 1, &within(sleeper(), limited(&parent, 32)));
        let (memory, (swap, most_swap)) = match parent.hierarchy {
            Hierarchy::V1 => ("memory.limit_in_bytes", ("memory.memsw.limit_in_bytes", 64 << 20)),
            Hierarchy::V2 => ("memory.max", ("memory.swap.max", 0)),
        };
        fs::write(parent.path.join(memory), (64 << 20).to_string()).expect("a limit for all");
        // On a machine with swap it would reach its own limit there.
        if parent.path.join(swap).exists() {
            fs::write(parent.path.join(swap), most_swap.to_string()).expect("and for swap");
        }
        start(&mut warden, 2, &within(spec(&EATER), limited(&parent, 4_096)));
        let ended = warden.expect_ended(2);
        assert_eq!((ended.how(), ended.out_of_memory), (SIGKILL, false));
        // A keeper that took the event for its own tenant's would have killed it by now.
        std::thread::yield_now();
        assert!(process::exists(neighbour.pid));
        warden.stop(1, StopStage::Terminate);
        assert_eq!(warden.expect_ended(1).how(), support::SIGTERM);
    }
}

#[test]
fn a_stop_is_told_as_a_stop() {
    for parent in each_version() {
        let mut warden = Warden::start();
        let text = "trap 'exit 9' TERM; echo ready; while :; do sleep 0.01; done";
        let (mut tenant, _) = start(&mut warden, 1, &within(script(text), limited(&parent, 32)));
        assert_eq!(tenant.stdout.line(), "ready");
        warden.stop(1, StopStage::Terminate);
        let ended = warden.expect_ended(1);
        assert_eq!((ended.how(), ended.out_of_memory), (exited(9), false));
        eventually("the spare is alone", || parent.groups().len() <= 1);
    }
}
