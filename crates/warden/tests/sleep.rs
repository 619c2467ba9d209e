//! A tree that sleeps runs nothing, whatever it is made of, and goes on where it was.

#![allow(clippy::disallowed_methods, reason = "tests measure time")]

mod support;

use std::collections::HashSet;
use std::fs;

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};
use support::groups::{self, Parent, within};
use support::{Tenant, Warden, eventually, process, script};
use warden::LaunchSpec;
use warden::protocol::{Depth, Report, StopStage};

/// Without a group, and with one of the second version where this machine has that.
fn each_way() -> Vec<Option<Parent>> {
    [None].into_iter().chain([Parent::v2()].into_iter().filter(Option::is_some)).collect()
}

fn start(warden: &mut Warden, text: &str, parent: Option<&Parent>) -> Tenant {
    start_spec(warden, script(text), parent)
}

fn start_spec(warden: &mut Warden, spec: LaunchSpec, parent: Option<&Parent>) -> Tenant {
    let spec = within(spec, parent.iter().map(|parent| parent.group(&[])).collect());
    groups::start(warden, 1, &spec).0
}

/// The CPU time of a whole tree in clock ticks, which grows for as long as anything of it runs.
fn ticks(mark: &str) -> u64 {
    let stat = |pid: &i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let fields: Vec<&str> = stat[stat.rfind(')')? + 2..].split(' ').collect();
        Some(fields[11].parse::<u64>().ok()? + fields[12].parse::<u64>().ok()?)
    };
    process::marked(mark).iter().filter_map(stat).sum()
}

/// A script whose whole tree can be found.
fn marked(text: &str) -> (LaunchSpec, String) {
    let (mut spec, mark) = (script(text), process::new_mark());
    spec.env.push(support::c_string(&mark));
    (spec, mark)
}

const SPINS: &str =
    "for i in 1 2 3; do setsid sh -c 'while :; do :; done' & done; echo up; while :; do :; done";

#[test]
fn nothing_of_a_sleeping_tree_runs_and_all_of_it_does_when_it_is_woken() {
    for parent in each_way() {
        let mut warden = Warden::start();
        let (spec, mark) = marked(SPINS);
        let mut tenant = start_spec(&mut warden, spec, parent.as_ref());
        assert_eq!(tenant.stdout.line(), "up");
        let (depth, rss_bytes) = warden.let_sleep(1, Depth::Frozen);
        assert!(depth == Depth::Frozen && rss_bytes > 100_000, "{depth:?} {rss_bytes}");
        let before = ticks(&mark);
        assert_eq!(process::marked(&mark).len(), 4);
        std::thread::sleep(std::time::Duration::from_millis(100));
        assert_eq!(ticks(&mark), before);
        // It sleeps as deep already.
        assert_eq!(warden.let_sleep(1, Depth::Frozen).0, Depth::Frozen);
        for _ in 0..2 {
            warden.wake(1);
            assert_eq!(warden.report_about(1), Report::Awake { run: 1 });
        }
        for pid in process::marked(&mark) {
            let own = |pid| fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
            let before = own(pid);
            eventually("it runs", || own(pid) != before);
        }
    }
}

#[test]
fn a_keeper_holds_no_freezer_of_a_tree_that_has_not_slept() {
    let Some(parent) = Parent::v2() else { return };
    let mut warden = Warden::start();
    let tenant = start(&mut warden, "while :; do sleep 1; done", Some(&parent));
    let held = || {
        let files = fs::read_dir(format!("/proc/{}/fd", tenant.keeper)).expect("it is there");
        let paths = files.flatten().filter_map(|file| fs::read_link(file.path()).ok());
        paths.filter(|path| path.ends_with("cgroup.events")).count()
    };
    assert_eq!(held(), 0);
    warden.let_sleep(1, Depth::Frozen);
    assert_eq!(held(), 1);
}

#[test]
fn it_goes_on_where_it_was() {
    for parent in each_way() {
        let mut warden = Warden::start();
        let text = "while read line; do echo \"$line\"; done < \"$FIFO\"";
        let directory = std::env::temp_dir().join(format!("sleep-{}", process::new_mark()));
        fs::create_dir(&directory).expect("a new directory");
        let fifo = directory.join("fifo");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .expect("a pipe");
        let mut spec = script(text);
        spec.env.push(support::c_string(&format!("FIFO={}", fifo.display())));
        let mut tenant = start_spec(&mut warden, spec, parent.as_ref());
        let mut input = fs::OpenOptions::new().write(true).open(&fifo).expect("it reads");
        use std::io::Write;
        for number in 0..20 {
            warden.let_sleep(1, Depth::Frozen);
            writeln!(input, "line {number}").expect("written");
            assert!(!support::is_readable(tenant.stdout.as_fd(), std::time::Duration::ZERO));
            warden.wake(1);
            assert_eq!(warden.report_about(1), Report::Awake { run: 1 });
            assert_eq!(tenant.stdout.line(), format!("line {number}"));
        }
        fs::remove_dir_all(directory).expect("it was made here");
    }
}

/// Three ways to fork without end: each child forks the next and ends, a parent that forks and
/// does not wait, and one whose children leave its session.
const FORKERS: [&str; 3] = [
    "export NEXT='sh -c \"$NEXT\" & exit'; echo up; sh -c \"$NEXT\"; exec sleep 1000",
    "echo up; while :; do sleep 0.01 & done",
    "echo up; while :; do setsid sh -c 'sleep 0.01 & sleep 0.01' & wait; done",
];

#[test]
fn a_tree_that_forks_without_end_stands() {
    for parent in each_way() {
        for text in FORKERS {
            let mut warden = Warden::start();
            let (spec, mark) = marked(text);
            let mut tenant = start_spec(&mut warden, spec, parent.as_ref());
            assert_eq!(tenant.stdout.line(), "up");
            for _ in 0..10 {
                let begin = std::time::Instant::now();
                warden.let_sleep(1, Depth::Frozen);
                let took = begin.elapsed();
                let members: HashSet<i32> = process::marked(&mark).into_iter().collect();
                let before = ticks(&mark);
                std::thread::sleep(std::time::Duration::from_millis(20));
                let later: HashSet<i32> = process::marked(&mark).into_iter().collect();
                assert_eq!((members.len(), &members), (later.len(), &later), "{text}");
                assert_eq!(before, ticks(&mark), "{text}");
                println!("{} processes stood after {took:?}", members.len());
                warden.wake(1);
                assert_eq!(warden.report_about(1), Report::Awake { run: 1 });
            }
        }
    }
}

#[test]
fn a_process_that_had_stopped_by_itself_stays_so() {
    for parent in each_way() {
        let mut warden = Warden::start();
        let text = "sh -c 'echo $$; kill -STOP $$; echo no' & echo $$; while :; do sleep 1; done";
        let mut tenant = start(&mut warden, text, parent.as_ref());
        let pids = [tenant.stdout.pid(), tenant.stdout.pid()];
        let stopped = pids.into_iter().find(|pid| *pid != tenant.pid).expect("the other one");
        let state = |pid: Pid| process::ids(pid).expect("it is there").0;
        eventually("it has stopped", || state(stopped) == "T");
        warden.let_sleep(1, Depth::Frozen);
        warden.wake(1);
        assert_eq!(warden.report_about(1), Report::Awake { run: 1 });
        eventually("the others run", || state(tenant.pid) == "S");
        assert_eq!(state(stopped), "T");
    }
}

const PYTHON: &str = "/usr/bin/python3";

/// Hears of children that stop, as shells with job control and debuggers do.
const WATCHES: &str = "
import os, time
child = os.fork()
while child == 0:
    time.sleep(0.001)
print('up', flush=True)
while True:
    print(os.WIFSTOPPED(os.waitpid(child, os.WUNTRACED)[1]), flush=True)
";

#[test]
fn no_parent_sees_its_child_stopped() {
    if !std::path::Path::new(PYTHON).exists() {
        return eprintln!("skipped: takes {PYTHON}");
    }
    let mut warden = Warden::start();
    let mut tenant = warden.start_tenant(1, &support::spec(&[PYTHON, "-c", WATCHES]));
    assert_eq!(tenant.stdout.line(), "up");
    for _ in 0..50 {
        warden.let_sleep(1, Depth::Frozen);
        warden.wake(1);
        assert_eq!(warden.report_about(1), Report::Awake { run: 1 });
    }
    warden.stop(1, StopStage::Kill);
    assert_eq!(warden.expect_ended(1).how(), support::SIGKILL);
    assert_eq!(tenant.stdout.rest(), "");
}

#[test]
fn a_process_that_has_left_the_group_sleeps_as_well() {
    let Some(parent) = Parent::v2() else { return };
    let mut warden = Warden::start();
    let (spec, mark) = marked("sh -c 'while :; do :; done' & echo $!; while :; do :; done");
    let mut tenant = start_spec(&mut warden, spec, Some(&parent));
    let child = tenant.stdout.pid();
    let outside = parent.path.parent().expect("the group above").join("cgroup.procs");
    if fs::write(outside, child.as_raw_pid().to_string()).is_err() {
        return eprintln!("skipped: the process cannot be moved");
    }
    warden.let_sleep(1, Depth::Frozen);
    let before = ticks(&mark);
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert_eq!(ticks(&mark), before);
    warden.wake(1);
    assert_eq!(warden.report_about(1), Report::Awake { run: 1 });
    eventually("it runs", || process::ids(child).expect("it is there").0 == "R");
}

#[test]
fn a_keeper_without_a_descriptor_to_spare_wakes_its_tree() {
    let mut warden = Warden::start();
    let (spec, mark) = marked("sleep 1000 & echo up; while :; do sleep 0.01; done");
    let mut tenant = start_spec(&mut warden, spec, None);
    assert_eq!(tenant.stdout.line(), "up");
    warden.let_sleep(1, Depth::Frozen);
    // As many as it waits for events of.
    let usual = getrlimit(Resource::Nofile);
    let limit = |limit| prlimit(Some(tenant.keeper), Resource::Nofile, limit).expect("it is there");
    limit(Rlimit { current: Some(2), ..usual });
    warden.wake(1);
    assert_eq!(warden.report_about(1), Report::Awake { run: 1 });
    let stopped = |pid: &i32| process::ids(Pid::from_raw(*pid)?).map(|ids| ids.0 == "T");
    let any_stopped = || process::marked(&mark).iter().any(|pid| stopped(pid) == Some(true));
    eventually("all of it runs", || !any_stopped());
    limit(usual);
}

#[test]
fn a_process_that_is_continued_from_outside_can_be_stopped_again() {
    let mut warden = Warden::start();
    let mut tenant = start(&mut warden, "echo up; while :; do :; done", None);
    assert_eq!(tenant.stdout.line(), "up");
    warden.let_sleep(1, Depth::Frozen);
    kill_process(tenant.pid, Signal::CONT).expect("it is there");
    assert_eq!(warden.report_about(1), Report::Stirred { run: 1 });
    warden.wake(1);
    assert_eq!(warden.report_about(1), Report::Awake { run: 1 });
    warden.let_sleep(1, Depth::Frozen);
    assert_eq!(process::ids(tenant.pid).expect("it is there").0, "T");
}

#[test]
fn each_order_has_its_answer_in_their_order() {
    for parent in each_way() {
        let mut warden = Warden::start();
        let mut tenant = start(&mut warden, SPINS, parent.as_ref());
        assert_eq!(tenant.stdout.line(), "up");
        for _ in 0..30 {
            warden.sleep(1, Depth::Frozen);
            warden.wake(1);
            let slept = warden.report_about(1);
            let canceled = rustix::io::Errno::CANCELED.raw_os_error();
            assert!(
                matches!(slept, Report::Slept { .. })
                    || slept == Report::SleepFailed { run: 1, errno: canceled },
                "{slept:?}"
            );
            assert_eq!(warden.report_about(1), Report::Awake { run: 1 });
        }
        assert_eq!(warden.surplus_reports(), []);
    }
}
