//! Tenants outlive the host of a surviving warden: those that are ready go on, the others end, and
//! the next host gets all that there is of both.

mod support;

use std::os::fd::AsFd;

use rustix::process::{Signal, kill_process};
use support::surviving::{FoundRun, Host, Name, contents, record, text_in};
use support::{SIGTERM, Tenant, exited, process, script, spec};
use warden::LaunchSpec;
use warden::protocol::{Mark, Marks, Report, StopStage};
use warden::ring::{Stream, Written};
use warden::surviving::{self, KeptFiles};

const READY: Marks =
    Marks { ready: true, retired: false, stopping: false, asleep: None, detail: 0 };

fn sleeper() -> LaunchSpec {
    spec(&["/bin/sleep", "1000"])
}

/// Answers every line with itself, until it is asked to end.
fn echo(host: &mut Host, run: u64) -> Tenant {
    let text = "trap 'echo saved; exit 7' TERM; echo ready; while :; do sleep 0.01; done";
    let mut tenant = host.start_ready(run, &script(text));
    assert_eq!(tenant.stdout.line(), "ready");
    tenant
}

#[test]
fn a_ready_tenant_goes_on_and_the_next_host_gets_it_with_everything() {
    let (name, mut host) = Name::owned();
    assert_eq!((host.welcome.epoch, host.welcome.last_run, host.welcome.runs), (1, 0, 0));
    let tenant = echo(&mut host, 5);
    drop(host);

    let mut next = name.own();
    let Host { welcome, .. } = &next;
    assert_eq!((welcome.epoch, welcome.last_run, welcome.runs), (2, 5, 1));
    let mut told = next.told();
    assert_eq!((told.runs.len(), told.listeners.len(), told.forgotten), (1, 0, 0));
    let found = told.runs.remove(&5).expect("the run");
    assert_eq!(found.pid, tenant.pid.as_raw_pid().cast_unsigned());
    assert_eq!(found.keeper_pid, tenant.keeper.as_raw_pid().cast_unsigned());
    assert_eq!(found.marks, READY);
    assert_eq!(contents(&found.files.record), b"run 5");
    assert!(found.written().pieces.is_empty() && found.files.port.is_none());
    assert_eq!(next.report_about(0), Report::PredecessorGone);

    let mut tenant = found.into_tenant(5);
    next.stop(5, StopStage::Terminate);
    assert_eq!(next.take(5).how(), exited(7));
    assert_eq!(tenant.stdout.rest(), "saved\n");
    next.assert_silent();
    drop(next);
    support::eventually("nothing is left to keep", || name.is_free());
}

#[test]
fn what_is_not_ready_or_is_to_end_ends_and_the_next_host_is_told_how() {
    let (name, mut host) = Name::owned();
    host.start_ready(1, &sleeper());
    host.start(2, &sleeper());
    host.start_ready(3, &sleeper());
    host.mark(3, Mark::Stopping, 42);
    // Has been asked already, and ignores it.
    let text = "trap '' TERM; echo ready; while :; do sleep 0.01; done";
    let mut stubborn = host.start_ready(4, &script(text));
    stubborn.stdout.line();
    host.mark(4, Mark::Stopping, 9);
    host.stop(4, StopStage::Terminate);
    host.start_ready(5, &sleeper());
    host.mark(5, Mark::Retired, 0);
    // Is not to end after all.
    host.start_ready(6, &sleeper());
    host.mark(6, Mark::Stopping, 1);
    host.mark(6, Mark::Ready, 0);
    drop(host);

    let mut next = name.own();
    let told = next.told();
    assert_eq!(told.runs.keys().copied().collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    let marks = |run: u64| told.runs[&run].marks;
    assert_eq!((marks(1), marks(2), marks(6)), (READY, Marks::default(), READY));
    assert_eq!(marks(3), Marks { stopping: true, detail: 42, ..READY });
    assert_eq!(marks(5), Marks { retired: true, ..READY });
    for run in [2, 3, 5] {
        assert_eq!(next.take(run).how(), SIGTERM, "run {run}");
    }
    assert_eq!(next.take(4).how(), support::SIGKILL);
    next.assert_silent();
    for run in [1, 6] {
        assert!(process::exists(told.runs[&run].main()), "run {run}");
    }
    next.leave();
}

#[test]
fn an_end_is_told_until_it_is_taken() {
    let (name, mut host) = Name::owned();
    let tenant = host.start_ready(1, &script("read line; exit 3"));
    drop(tenant);
    host.start_ready(2, &script("exit 4"));
    assert_eq!(host.expect_ended(2).how(), exited(4));
    let burn = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; echo burnt; sleep 1000";
    let mut burner = host.start_ready(3, &script(burn));
    burner.stdout.line();
    drop(host);
    kill_process(burner.pid, Signal::KILL).unwrap();
    support::eventually("it has ended", || !process::exists(burner.keeper));

    // A host that is lost before it has told its user.
    let mut next = name.own();
    assert_eq!(next.told().runs.len(), 3);
    assert_eq!(next.take(1).how(), exited(3));
    next.expect_ended(2);
    drop(next);

    let mut last = name.own();
    assert_eq!(last.told().runs.keys().copied().collect::<Vec<_>>(), [2, 3]);
    assert_eq!(last.take(2).how(), exited(4));
    let ended = last.take(3);
    assert_eq!(ended.how(), support::SIGKILL);
    assert!(ended.cpu_us > 10_000, "{} us", ended.cpu_us);
    last.assert_silent();
    drop(last);
    support::eventually("nothing is left to keep", || name.is_free());
}

#[test]
fn a_launch_that_fails_is_not_kept() {
    let (name, mut host) = Name::owned();
    host.launch(1, &spec(&["/no/such/program"]));
    assert!(matches!(host.report_about(1), Report::LaunchFailed { .. }));
    assert_eq!(name.look().runs, 0);
    // Nor is what comes without a word of what to keep, or for another run.
    let memory_file = warden::host::memory_file(&sleeper()).unwrap();
    let null = record("");
    let files =
        KeptFiles { record: null.as_fd(), stdout: null.as_fd(), stderr: null.as_fd(), port: None };
    surviving::send_keep(host.socket(), 7, &files).unwrap();
    for run in [2, 3] {
        let fds = [null.as_fd(), null.as_fd()];
        warden::host::send_launch(host.socket(), run, memory_file.as_fd(), &fds).unwrap();
        let refused = host.report_about(run);
        let step = warden::LaunchStep::ReadSpec;
        assert_eq!(refused, Report::LaunchFailed { run, step, errno: libc::EPROTO });
    }
    assert_eq!(name.look().runs, 0);
    host.leave();
    assert!(name.is_free());
}

#[test]
fn listening_sockets_and_ports_are_kept() {
    let (name, mut host) = Name::owned();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let dropped = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, other) = (listener.local_addr().unwrap(), dropped.local_addr().unwrap());
    surviving::send_keep_listener(host.socket(), 8, listener.as_fd()).unwrap();
    surviving::send_keep_listener(host.socket(), 9, dropped.as_fd()).unwrap();
    surviving::send_drop_listener(host.socket(), 9).unwrap();
    drop((listener, dropped));
    // A held port: of one run that goes on, and of one that ends.
    let ports = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    for (run, port) in (1..).zip(&ports) {
        let (stdout, stdout_writer) = support::output::pipe();
        let record = record("");
        let (record, stdout) = (record.as_fd(), stdout.as_fd());
        let files = KeptFiles { record, stdout, stderr: stdout, port: Some(port.as_fd()) };
        surviving::send_keep(host.socket(), run, &files).unwrap();
        let memory_file = warden::host::memory_file(&sleeper()).unwrap();
        let fds = [stdout_writer.as_fd(); 2];
        warden::host::send_launch(host.socket(), run, memory_file.as_fd(), &fds).unwrap();
        host.report_about(run);
        host.mark(run, Mark::Ready, 0);
    }
    let [kept, freed] = ports.map(|port| port.local_addr().unwrap());
    host.stop(2, StopStage::Kill);
    host.expect_ended(2);
    let is_free = |address| std::net::TcpListener::bind(address).is_ok();
    assert!(is_free(freed), "the run has ended");
    drop(host);

    // The backlog takes whoever comes meanwhile.
    let client = std::net::TcpStream::connect(address).unwrap();
    assert!(!is_free(kept) && is_free(other));
    let mut next = name.own();
    let told = next.told();
    assert_eq!(told.listeners.keys().copied().collect::<Vec<_>>(), [8]);
    let listener: std::net::TcpListener =
        told.listeners.into_values().next().map(Into::into).unwrap();
    let (_, from) = listener.accept().unwrap();
    assert_eq!(from, client.local_addr().unwrap());
    assert!(told.runs[&1].files.port.is_some() && told.runs[&2].files.port.is_none());
    next.leave();
}

/// Owns the name again and again until what a run has written is all there. A host that does not
/// say what it has told leaves it all to the next one.
fn own_when(name: &Name, is_complete: impl Fn(&Written) -> bool) -> (Host, FoundRun) {
    let mut owned = None;
    support::eventually("it is written", || {
        // The one before is lost first.
        drop(owned.take());
        let mut host = name.own();
        let found = host.told().runs.remove(&1).expect("the run");
        let is_complete = is_complete(&found.written());
        owned = Some((host, found));
        is_complete
    });
    owned.expect("it is complete")
}

#[test]
fn what_is_written_meanwhile_is_kept_with_its_time() {
    let (name, mut host) = Name::owned();
    let text = "trap 'echo two; echo wrong >&2; printf three; echo end >&2' USR1";
    let text = format!("{text}; echo one; while :; do sleep 0.01; done");
    let mut tenant = host.start_ready(1, &script(&text));
    assert_eq!(tenant.stdout.line(), "one");
    let before = unix_ms();
    drop(host);
    kill_process(tenant.pid, Signal::USR1).unwrap();
    let has_all = |written: &Written| text_in(written, Stream::Stderr).ends_with("end\n");
    let (mut next, found) = own_when(&name, has_all);
    let written = found.written();
    assert_eq!(text_in(&written, Stream::Stderr), "wrong\nend\n");
    assert_eq!(text_in(&written, Stream::Stdout), "two\nthree");
    assert_eq!((written.lost_stdout_lines, written.lost_stderr_lines), (0, 0));
    let times: Vec<u64> = written.pieces.iter().map(|piece| piece.at_unix_ms).collect();
    assert!(times.is_sorted() && times.iter().all(|at| (before..=unix_ms()).contains(at)));
    next.stop(1, StopStage::Kill);
    next.take(1);
    next.leave();
}

#[test]
fn a_tenant_that_writes_a_lot_is_never_blocked_and_loses_counted_lines() {
    const LINES: u64 = 1_000_000;
    let (name, mut host) = Name::owned();
    let text = format!("seq 1 {LINES}; sleep 1000");
    let tenant = host.start_ready(1, &script(&text));
    drop(host);
    let is_written = || {
        // The shell's second child.
        let children = format!("/proc/{0}/task/{0}/children", tenant.pid.as_raw_pid());
        let children = std::fs::read_to_string(children).unwrap_or_default();
        children.split_ascii_whitespace().any(|child| {
            std::fs::read_to_string(format!("/proc/{child}/comm")).unwrap_or_default() == "sleep\n"
        })
    };
    support::eventually("all is written", is_written);
    let mut next = name.own();
    let found = next.told().runs.remove(&1).unwrap();
    let written = found.written();
    let mut tenant = found.into_tenant(1);
    next.stop(1, StopStage::Kill);
    let text = text_in(&written, Stream::Stdout) + &tenant.stdout.rest();
    let first: u64 = text.lines().next().unwrap().parse().unwrap();
    assert_eq!(first, written.lost_stdout_lines + 1);
    let expected: String = (first..=LINES).map(|line| format!("{line}\n")).collect();
    assert!(text == expected, "it ends with {:?}", text.lines().last());
    assert!(text.len() < 400_000 && text.len() > 200_000, "{}", text.len());
    next.take(1);
    next.leave();
}

#[test]
fn what_a_lost_host_has_not_told_is_handed_to_the_next() {
    let (name, mut host) = Name::owned();
    let text = "trap 'echo a; echo b' USR1; echo up; while :; do sleep 0.01; done";
    let mut tenant = host.start_ready(1, &script(text));
    tenant.stdout.line();
    drop(host);
    kill_process(tenant.pid, Signal::USR1).unwrap();
    let (host, found) = own_when(&name, |it| text_in(it, Stream::Stdout).ends_with("b\n"));
    // Lost in the middle of telling it.
    let pieces = found.written().pieces.len() as u32;
    rustix::io::pwrite(&found.files.ring, &warden::ring::told(true, pieces), 0).unwrap();
    drop(host);
    let (mut host, found) = own_when(&name, |_| true);
    assert_eq!(found.written(), Written::default());
    host.stop(1, StopStage::Kill);
    host.take(1);
    host.leave();
}

fn unix_ms() -> u64 {
    #[allow(clippy::disallowed_methods, reason = "tests measure time")]
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64
}
