use super::*;
use crate::threads::clock;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

const ANY_TIME: (u64, u64) = (0, u64::MAX);

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn wait_for_end(foreign: &Foreign) -> Option<i32> {
    block_on(foreign.wait_and_clear_group(OffThread::default()))
}

#[test]
fn the_end_of_a_child_is_seen_with_its_exit_code() {
    let mut child =
        Command::new("sh").args(["-c", "read _; exit 7"]).stdin(Stdio::piped()).spawn().unwrap();
    let foreign = Foreign::open(child.id(), ANY_TIME).unwrap();
    drop(child.stdin.take());
    assert_eq!(wait_for_end(&foreign), Some(7));
    child.wait().unwrap();
    assert!(Foreign::open(child.id(), ANY_TIME).is_err());
}

/// Whether the kernel tells the status of a reaped process, as Linux 6.15 does.
fn kernel_tells_of_the_reaped() -> bool {
    let mut child = Command::new("true").spawn().unwrap();
    let pid = Pid::from_child(&child);
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).unwrap();
    child.wait().unwrap();
    status_of_reaped(&pidfd).is_ok()
}

#[test]
fn the_exit_code_is_known_whenever_the_host_reaps_the_child() {
    let rounds = if kernel_tells_of_the_reaped() { 200 } else { 0 };
    for round in 0..rounds {
        let code = round % 5;
        let script = format!("read _; exit {code}");
        let mut child =
            Command::new("sh").args(["-c", &script]).stdin(Stdio::piped()).spawn().unwrap();
        let foreign = Foreign::open(child.id(), ANY_TIME).unwrap();
        let input = child.stdin.take();
        let reaper = std::thread::spawn(move || child.wait().unwrap());
        drop(input);
        assert_eq!(wait_for_end(&foreign), Some(code), "round {round}");
        reaper.join().unwrap();
    }
}

#[test]
fn a_child_that_is_being_reaped_is_asked_for_again() {
    let settle = |answers: &[Result<Option<i32>, Errno>]| {
        let mut answers = answers.iter();
        block_on(settled(|| *answers.next().unwrap()))
    };
    assert_eq!(settle(&[Ok(Some(7))]), Some(7));
    assert_eq!(settle(&[Ok(None), Ok(None), Ok(Some(7))]), Some(7));
    assert_eq!(settle(&[Err(Errno::SRCH), Ok(Some(7))]), Some(7));
    assert_eq!(settle(&[Ok(None), Err(Errno::SRCH), Err(Errno::SRCH)]), None);
    assert_eq!(settle(&[Err(Errno::NOTTY)]), None);
}

#[test]
fn a_group_is_ended_with_its_leader_and_no_other_process_is() {
    let mut other = Command::new("sleep").arg("60").spawn().unwrap();
    let script = "sleep 60 & echo started; wait";
    let mut leader = Command::new("sh");
    let leader = leader.args(["-c", script]).process_group(0).stdout(Stdio::piped());
    let mut leader = leader.spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(
        &mut std::io::BufReader::new(leader.stdout.take().unwrap()),
        &mut line,
    )
    .unwrap();
    let foreign = Foreign::open(leader.id(), ANY_TIME).unwrap();
    foreign.ask(true).unwrap();
    assert_eq!(wait_for_end(&foreign), None);
    leader.wait().unwrap();
    let group = Pid::from_raw(leader.id() as i32).unwrap();
    while rustix::process::test_kill_process_group(group).is_ok() {
        std::thread::yield_now();
    }
    assert!(other.try_wait().unwrap().is_none());
    foreign.force().unwrap();
    other.kill().unwrap();
    other.wait().unwrap();
}

#[test]
fn a_process_that_was_asked_is_not_asked_again() {
    let script =
        "trap 'echo asked' TERM; trap 'exit 3' WINCH; echo up; while :; do sleep 0.01; done";
    for is_waited_for in [false, true] {
        let mut child = Command::new("sh");
        let mut child =
            child.args(["-c", script]).process_group(0).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = std::io::BufReader::new(child.stdout.take().unwrap());
        let mut line = || {
            let mut line = String::new();
            std::io::BufRead::read_line(&mut lines, &mut line).unwrap();
            line
        };
        assert_eq!(line(), "up\n");
        let foreign = Arc::new(Foreign::open(child.id(), ANY_TIME).unwrap());
        let waiter = is_waited_for.then(|| {
            let foreign = foreign.clone();
            std::thread::spawn(move || wait_for_end(&foreign))
        });
        foreign.ask(is_waited_for).unwrap();
        assert_eq!(line(), "asked\n");
        foreign.ask(is_waited_for).unwrap();
        // SIGWINCH has the higher number, so it is delivered after a SIGTERM that was sent
        // before it.
        rustix::process::kill_process(Pid::from_child(&child), Signal::WINCH).unwrap();
        assert_eq!(line(), "");
        child.wait().unwrap();
        waiter.map(|waiter| waiter.join().unwrap());
    }
}

#[test]
fn what_a_leader_leaves_is_asked_also_if_the_leader_ended_before_it_was() {
    let member = "trap 'echo asked; exit' TERM; echo up; while :; do sleep 0.01; done";
    let mut leader = Command::new("sh");
    leader.args(["-c", &format!("sh -c \"{member}\" & wait")]).process_group(0);
    let mut leader = leader.stdout(Stdio::piped()).spawn().unwrap();
    let mut said = std::io::BufReader::new(leader.stdout.take().unwrap());
    let mut line = || {
        let mut line = String::new();
        std::io::BufRead::read_line(&mut said, &mut line).unwrap();
        line
    };
    assert_eq!(line(), "up\n");
    let foreign = Foreign::open(leader.id(), ANY_TIME).unwrap();
    // As `ask` does, before the waiting task has heard of it.
    foreign.is_asked.store(true, Ordering::Relaxed);
    leader.kill().unwrap();
    leader.wait().unwrap();
    wait_for_end(&foreign);
    assert_eq!(line(), "asked\n");
}

#[test]
fn processes_that_cannot_be_tenants_are_not_taken() {
    for pid in [0, 1, std::process::id(), u32::MAX, i32::MAX as u32] {
        assert!(Foreign::open(pid, ANY_TIME).is_err(), "pid {pid}");
    }
}

#[test]
fn a_process_of_another_time_is_not_taken() {
    let before_ms = clock::since_boot_ms();
    let mut child = Command::new("sleep").arg("60").spawn().unwrap();
    let after_ms = clock::since_boot_ms() + 1;
    assert!(Foreign::open(child.id(), (before_ms.saturating_sub(10), after_ms)).is_ok());
    assert!(Foreign::open(child.id(), (after_ms + 100, u64::MAX)).is_err());
    assert!(Foreign::open(child.id(), (0, before_ms.saturating_sub(100))).is_err());
    child.kill().unwrap();
    child.wait().unwrap();
}
