//! At any time one host owns a name and is obeyed: a second one is refused, or asks the first to
//! detach, and takes its place.

#![allow(clippy::disallowed_methods, reason = "tests start processes and measure time")]

mod support;

use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, getpid, getuid, kill_process};
use support::surviving::{Host, Name, await_close, await_gone, hello, welcome};
use support::{SIGTERM, c_string, eventually, is_readable, process, script, spec};
use warden::LaunchSpec;
use warden::hello::{Answer, Hello, VERSION, Wish};
use warden::protocol::{Mark, PROTOCOL, Report, StopStage};
use warden::surviving;

fn sleeper() -> LaunchSpec {
    spec(&["/bin/sleep", "1000"])
}

fn own_pid() -> u32 {
    getpid().as_raw_pid().cast_unsigned()
}

/// A host that has asked the owner to detach, and waits.
fn claimant(name: &Name, hello: &Hello) -> Host {
    let (socket, warden, welcome) = name.meet(hello);
    assert_eq!(welcome.answer, Answer::Waiting);
    Host::of(socket, warden, welcome)
}

#[test]
fn a_second_host_is_told_who_owns_it() {
    let (name, host) = Name::owned();
    let (socket, _, refused) = name.meet(&hello(Wish::Own));
    assert_eq!((refused.answer, refused.owner_pid), (Answer::InUse, own_pid()));
    assert_eq!((refused.epoch, refused.since_unix_ms > 0), (1, true));
    await_close(&socket);
    let looked = name.look();
    assert_eq!((looked.owner_pid, looked.epoch), (own_pid(), 1));
    assert_eq!(looked.warden_pid, host.warden.as_raw_pid().cast_unsigned());
    assert_eq!((looked.protocol, looked.version.as_str()), (PROTOCOL, VERSION));
    let (socket, _, refused) = name.meet(&hello(Wish::End));
    assert_eq!(refused.answer, Answer::InUse);
    await_close(&socket);
    host.leave();
}

#[test]
fn a_take_over_passes_everything_on_and_the_former_owner_is_a_guest() {
    let (name, mut old) = Name::owned();
    let tenant = old.start_ready(1, &sleeper());
    old.start_ready(2, &sleeper());
    old.mark(2, Mark::Retired, 0);
    let mut new = claimant(&name, &hello(Wish::TakeOver));
    assert_eq!(old.report_about(0), Report::Yield { pid: own_pid() });
    // It is in order until it has detached.
    old.start(3, &sleeper());
    old.stop(3, StopStage::Kill);
    old.take(3);
    assert!(!is_readable(new.socket(), Duration::ZERO));
    old.detach();
    new.welcome = welcome(new.socket(), new.warden).expect("the place of the other");
    assert_eq!((new.welcome.answer, new.welcome.epoch), (Answer::Owner, 2));
    assert_eq!(new.welcome.since_unix_ms, 0, "nobody was missing");
    assert_eq!(new.told().runs.keys().copied().collect::<Vec<_>>(), [1, 2]);

    // Whatever a guest orders.
    old.stop(1, StopStage::Kill);
    surviving::send_leave(old.socket()).unwrap();
    old.launch(9, &sleeper());
    new.start_ready(4, &sleeper());
    assert!(process::exists(tenant.pid) && name.look().runs == 3);
    assert!(!is_readable(new.socket(), Duration::ZERO), "the guest is still there");
    drop(old);
    assert_eq!(new.report_about(0), Report::PredecessorGone);
    assert!(!is_readable(new.socket(), Duration::ZERO), "it is told once");
    new.leave();
    assert!(name.is_free());
}

/// Has the host say this while its warden is stopped, and go.
fn say_and_go(host: Host, say: impl FnOnce(&Host)) -> Pid {
    let warden = host.warden;
    process::stop(warden);
    say(&host);
    drop(host);
    kill_process(warden, Signal::CONT).unwrap();
    warden
}

#[test]
fn the_last_words_of_a_host_that_has_gone_are_heard_but_nothing_is_started() {
    let (name, mut host) = Name::owned();
    let tenant = host.start(1, &sleeper());
    say_and_go(host, |host| {
        host.mark(1, Mark::Ready, 0);
        host.launch(2, &sleeper());
    });
    let mut next = name.own();
    assert_eq!(next.told().runs.keys().copied().collect::<Vec<_>>(), [1]);
    assert!(process::exists(tenant.pid));
    next.assert_silent();
    let warden = say_and_go(next, |next| surviving::send_leave(next.socket()).unwrap());
    assert!(process::wait_for_end(warden, support::DEADLINE));
    assert!(!process::exists(tenant.pid) && name.is_free());
}

#[test]
fn what_a_host_that_detaches_has_not_finished_ends() {
    let (name, mut old) = Name::owned();
    old.start_ready(1, &sleeper());
    old.start(2, &sleeper());
    old.start_ready(3, &sleeper());
    old.mark(3, Mark::Stopping, 5);
    old.start_ready(4, &sleeper());
    old.mark(4, Mark::Retired, 0);
    old.detach();
    let mut new = loop {
        let (socket, warden, welcome) = name.meet(&hello(Wish::Own));
        if welcome.answer == Answer::Owner {
            break Host::of(socket, warden, welcome);
        }
    };
    assert!(new.welcome.since_unix_ms > 0);
    let told = new.told();
    for run in [2, 3] {
        assert_eq!(new.take(run).how(), SIGTERM, "run {run}");
    }
    // The guest finishes what its retired one has.
    for run in [1, 4] {
        assert!(process::exists(told.runs[&run].main()), "run {run}");
    }
    new.assert_silent();
    drop(old);
    new.leave();
}

#[test]
fn an_owner_that_does_not_detach_is_fenced_and_its_late_orders_do_nothing() {
    let (name, mut old) = Name::owned();
    let tenant = old.start_ready(1, &sleeper());
    old.start(2, &sleeper());
    let mut new = claimant(&name, &Hello { fence_after_ms: 50, ..hello(Wish::TakeOver) });
    new.welcome = welcome(new.socket(), new.warden).expect("the place of the other");
    assert_eq!(new.welcome.answer, Answer::Owner);
    let told = new.told();
    assert_eq!(told.runs.len(), 2);
    // As one that was stopped meanwhile and goes on.
    let kill = warden::host::send_stop(old.socket(), 1, StopStage::Kill);
    assert!(kill.is_err(), "the connection is closed");
    assert_eq!(old.report_about(0), Report::Yield { pid: own_pid() });
    assert_eq!(old.report_about(0), Report::Fenced { pid: own_pid() });
    await_close(old.socket());
    assert_eq!(new.report_about(0), Report::PredecessorGone, "it is no guest");
    assert_eq!(new.take(2).how(), SIGTERM, "it was not ready");
    assert!(process::exists(tenant.pid));
    new.leave();
}

#[test]
fn orders_that_a_fenced_owner_has_sent_and_that_were_not_read_do_nothing() {
    let (name, mut old) = Name::owned();
    let tenant = old.start_ready(1, &sleeper());
    let patience = Hello { fence_after_ms: 200, ..hello(Wish::TakeOver) };
    let mut new = claimant(&name, &patience);
    process::stop(new.warden);
    std::thread::sleep(Duration::from_millis(250));
    for _ in 0..10 {
        old.stop(1, StopStage::Kill);
    }
    kill_process(new.warden, Signal::CONT).unwrap();
    new.welcome = welcome(new.socket(), new.warden).expect("the place of the other");
    assert_eq!(new.told().runs.len(), 1);
    assert!(process::exists(tenant.pid));
    new.assert_silent();
    new.leave();
}

#[test]
fn a_claimant_gets_the_place_of_an_owner_that_is_lost() {
    let (name, mut old) = Name::owned();
    old.start_ready(1, &sleeper());
    let mut new = claimant(&name, &hello(Wish::TakeOver));
    let (_, _, refused) = name.meet(&hello(Wish::TakeOver));
    assert_eq!(refused.answer, Answer::InUse, "one at a time");
    drop(old);
    new.welcome = welcome(new.socket(), new.warden).expect("its place");
    assert_eq!(new.welcome.answer, Answer::Owner);
    assert_eq!(new.told().runs.len(), 1);
    new.leave();
}

#[test]
fn a_claimant_that_goes_leaves_the_place_to_another() {
    let (name, mut old) = Name::owned();
    old.start_ready(1, &sleeper());
    drop(claimant(&name, &hello(Wish::TakeOver)));
    let mut new = loop {
        let (socket, warden, welcome) = name.meet(&hello(Wish::TakeOver));
        if welcome.answer == Answer::Waiting {
            break Host::of(socket, warden, welcome);
        }
    };
    old.detach();
    assert_eq!(welcome(new.socket(), new.warden).map(|it| it.answer), Some(Answer::Owner));
    new.told();
    drop((old, new));
    assert_eq!(name.own().told().runs.len(), 1);
}

#[test]
fn a_host_of_another_protocol_is_told_so_and_may_look_and_end() {
    let (name, mut host) = Name::owned();
    let tenant = host.start_ready(1, &sleeper());
    for wish in [Wish::Own, Wish::TakeOver, Wish::Unknown(8)] {
        let (socket, _, refused) = name.meet(&Hello { protocol: PROTOCOL + 1, ..hello(wish) });
        assert_eq!((refused.answer, refused.protocol), (Answer::OtherProtocol, PROTOCOL));
        assert_eq!((refused.owner_pid, refused.version.as_str()), (own_pid(), VERSION));
        await_close(&socket);
    }
    let (_, _, looked) = name.meet(&Hello { protocol: PROTOCOL + 1, ..hello(Wish::Look) });
    assert_eq!((looked.answer, looked.runs), (Answer::Looked, 1));
    let (socket, ..) = name.meet(&Hello { protocol: PROTOCOL + 1, ..hello(Wish::Own) });
    await_close(&socket);
    drop(host);
    eventually("nobody owns it", || name.look().owner_pid == 0);
    let (socket, _, ending) = name.meet(&Hello { protocol: PROTOCOL + 1, ..hello(Wish::End) });
    assert_eq!(ending.answer, Answer::Ending);
    await_close(&socket);
    assert!(!process::exists(tenant.pid) && name.is_free());
}

#[test]
fn a_host_that_leaves_nothing_behind_frees_the_name_at_once() {
    // The best of a few: the machine may be busy.
    let took = |_| {
        let (name, host) = Name::owned();
        let warden = host.warden;
        let begin = std::time::Instant::now();
        drop(host);
        assert!(process::wait_for_end(warden, support::DEADLINE));
        assert!(name.is_free());
        begin.elapsed()
    };
    let best = (0..5).map(took).min().expect("some");
    assert!(best < Duration::from_millis(600), "{best:?}");
}

#[test]
fn nonsense_is_no_reason_to_end() {
    let (name, mut host) = Name::owned();
    let tenant = host.start_ready(1, &sleeper());
    let socket = surviving::connect(&name.socket()).unwrap();
    rustix::net::send(&socket, b"nonsense", rustix::net::SendFlags::NOSIGNAL).unwrap();
    await_close(&socket);
    // An owner that sends it is lost.
    rustix::net::send(host.socket(), b"nonsense", rustix::net::SendFlags::NOSIGNAL).unwrap();
    eventually("nobody owns it", || name.look().owner_pid == 0);
    assert!(process::exists(tenant.pid));
    assert_eq!(name.own().told().runs.len(), 1);
}

#[test]
fn the_first_of_two_that_start_a_name_has_the_only_warden() {
    let name = Name::new();
    let lock = name.lock().expect("the lock is free");
    assert!(name.lock().is_none(), "one of them has it");
    drop(lock);
    let (first, second) = std::thread::scope(|scope| {
        let own = || {
            loop {
                if let Ok(socket) = surviving::connect(&name.socket()) {
                    return socket;
                }
                if let Some(lock) = name.lock() {
                    // Once more: the other one may have started it meanwhile.
                    if surviving::connect(&name.socket()).is_err() {
                        assert!(name.start_with(lock).success());
                    }
                }
            }
        };
        let (one, other) = (scope.spawn(own), scope.spawn(own));
        (one.join().unwrap(), other.join().unwrap())
    });
    let pids = [&first, &second].map(|socket| surviving::peer(socket).unwrap().0);
    assert_eq!(pids[0], pids[1]);
    for (socket, expected) in [(&first, Answer::Owner), (&second, Answer::InUse)] {
        surviving::send_hello(socket, &hello(Wish::Own)).unwrap();
        assert_eq!(welcome(socket, pids[0]).map(|it| it.answer), Some(expected));
    }
}

/// A user without privileges.
const OTHER_USER: u32 = 65_534;

/// Connects as another process does, and prints what it is answered.
const CONNECT: &str = "import socket,sys
s=socket.socket(socket.AF_UNIX,socket.SOCK_SEQPACKET)
try:
    s.connect(sys.argv[1]); s.send(bytes.fromhex(sys.argv[2])); print(len(s.recv(100)))
except OSError as error: print(error.strerror)";

fn has_python() -> bool {
    let found = Command::new("python3").arg("-c").arg("").status().is_ok_and(|it| it.success());
    if !found {
        eprintln!("skipped: there is no python3");
    }
    found
}

fn hex(packet: &[u8]) -> String {
    packet.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn another_user_is_not_heard() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    if !getuid().is_root() {
        return eprintln!("skipped: only root can connect as another user");
    }
    if !has_python() {
        return;
    }
    let (name, host) = Name::owned();
    // The mode alone keeps others out, also without that of the directory.
    std::fs::set_permissions(&name.directory, std::fs::Permissions::from_mode(0o755)).unwrap();
    let look = hex(&hello(Wish::Look).encode());
    let mut connect = Command::new("python3");
    connect.args(["-c", CONNECT]).arg(name.socket()).arg(&look).current_dir("/");
    let answer = |command: &mut Command| {
        String::from_utf8(command.output().expect("it runs").stdout).unwrap().trim().to_owned()
    };
    assert_eq!(answer(&mut connect), "64");
    connect.uid(OTHER_USER).gid(OTHER_USER);
    assert_eq!(answer(&mut connect), "Permission denied");
    std::fs::set_permissions(name.socket(), std::fs::Permissions::from_mode(0o777)).unwrap();
    // Closed without a word.
    assert!(["0", "Broken pipe", "Connection reset by peer"].contains(&&*answer(&mut connect)));
    host.leave();
}

#[test]
fn a_tenant_is_not_heard() {
    if !has_python() {
        return;
    }
    let (name, mut host) = Name::owned();
    let look = hex(&hello(Wish::Look).encode());
    let path = name.socket();
    let path = path.to_str().unwrap();
    // Itself, and a daemon that has left its session and its parent.
    let text = format!("python3 -c '{CONNECT}' {path} {look}");
    let daemon = "(setsid sh -c \"sleep 0.1; $CONNECT\" &) ; sleep 1000";
    let mut spec = script(&text);
    let mut tenant = host.start(1, &spec);
    let closed = ["0\n", "Broken pipe\n", "Connection reset by peer\n"];
    assert!(closed.contains(&&*tenant.stdout.rest()));
    host.take(1);
    spec = script(daemon);
    let connect = format!("CONNECT=python3 -c '{CONNECT}' {path} {look}");
    spec.env.push(c_string(&connect));
    let mut tenant = host.start(2, &spec);
    let line = tenant.stdout.line() + "\n";
    assert!(closed.contains(&&*line), "{line}");
    host.leave();
}

#[test]
fn a_process_that_says_nothing_is_sent_away_and_keeps_nobody_waiting() {
    let (name, host) = Name::owned();
    let silent: Vec<_> = (0..31).map(|_| surviving::connect(&name.socket()).unwrap()).collect();
    assert_eq!(name.look().epoch, 1);
    let more = surviving::connect(&name.socket()).unwrap();
    for socket in &silent {
        await_close(socket);
    }
    assert_eq!(name.look().epoch, 1);
    await_close(&more);
    host.leave();
}

#[test]
fn a_stopped_warden_can_be_continued_by_who_connects() {
    let (name, mut host) = Name::owned();
    host.start_ready(1, &sleeper());
    let warden = host.warden;
    process::stop(warden);
    drop(host);
    let socket = surviving::connect(&name.socket()).unwrap();
    assert_eq!(surviving::peer(&socket).unwrap(), (warden, getuid()));
    surviving::send_hello(&socket, &hello(Wish::Own)).unwrap();
    kill_process(warden, Signal::CONT).unwrap();
    let answer = welcome(&socket, warden).expect("an answer").answer;
    assert!([Answer::Owner, Answer::InUse].contains(&answer), "{answer:?}");
}

#[test]
fn the_warden_is_nobodys_child_and_leaves_its_host_nothing_to_wait_for() {
    let (name, host) = Name::owned();
    let parent = process::status_field(host.warden, "PPid").unwrap();
    assert_ne!(parent, own_pid().to_string());
    let session = process::ids(host.warden).unwrap().1[2];
    assert_eq!(session, host.warden.as_raw_pid());
    host.leave();
    assert!(name.is_free());
}

#[test]
fn a_socket_that_is_bound_to_no_path_is_that_of_one_host() {
    // A socket that is not bound is no name.
    let mut command = Command::new(env!("CARGO_BIN_EXE_warden"));
    let (ours, theirs) = warden::host::connection().unwrap();
    command.stdin(Stdio::from(theirs)).stdout(Stdio::null());
    let mut child = command.spawn().unwrap();
    drop((command, ours));
    assert!(process::wait_for_end(Pid::from_child(&child), support::DEADLINE));
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn all_ends_in_order_when_no_host_has_come_for_long_enough() {
    let name = Name::new();
    assert!(name.start().success());
    let terms = Hello { for_ms: 300, stop_grace_ms: 10_000, ..hello(Wish::Own) };
    let mut host = name.own_by(&terms);
    let warden = host.warden;
    let mark = process::new_mark();
    let text = "trap 'sleep 1; echo saved; exit' TERM; echo ready; while :; do sleep 0.01; done";
    let mut spec = script(text);
    spec.env.push(c_string(&mark));
    let mut tenants: Vec<_> = (1..=3).map(|run| host.start_ready(run, &spec)).collect();
    tenants.iter_mut().for_each(|tenant| assert_eq!(tenant.stdout.line(), "ready"));
    drop(host);
    // Whoever comes while it ends waits for that.
    let late = loop {
        let (socket, _, welcome) = name.meet(&hello(Wish::Look));
        drop(socket);
        if welcome.owner_pid == 0 {
            std::thread::sleep(Duration::from_millis(600));
            break name.meet(&hello(Wish::TakeOver));
        }
    };
    assert_eq!(late.2.answer, Answer::Ending);
    assert!(process::exists(tenants[0].pid), "it has its time");
    await_close(&late.0);
    assert!(process::wait_for_end(warden, support::DEADLINE));
    await_gone(&mark);
    assert!(name.is_free());
}

#[test]
fn what_does_not_end_in_its_time_is_killed() {
    let name = Name::new();
    assert!(name.start().success());
    let terms = Hello { for_ms: 0, stop_grace_ms: 100, ..hello(Wish::Own) };
    let mut host = name.own_by(&terms);
    let warden = host.warden;
    let text = "trap '' TERM; echo ready; while :; do sleep 0.01; done";
    let mut tenant = host.start_ready(1, &script(text));
    tenant.stdout.line();
    drop(host);
    assert!(process::wait_for_end(warden, support::DEADLINE));
    assert!(!process::exists(tenant.pid) && name.is_free());
}

#[test]
fn a_warden_that_is_killed_takes_its_tenants_with_it_and_frees_the_name() {
    let (name, mut host) = Name::owned();
    let mark = process::new_mark();
    let mut spec = script("setsid sleep 1000 & (trap '' TERM; sleep 1000) & sleep 1000");
    spec.env.push(c_string(&mark));
    for run in 1..=3 {
        host.start_ready(run, &spec);
    }
    eventually("they are complete", || process::marked(&mark).len() >= 12);
    let warden = host.warden;
    drop(host);
    kill_process(warden, Signal::KILL).unwrap();
    await_gone(&mark);
    assert!(surviving::connect(&name.socket()).is_err(), "nobody listens");
    eventually("the lock is free", || name.lock().is_some());
    assert!(name.start().success());
    assert_eq!(name.own().told().runs.len(), 0);
}
