use std::os::fd::OwnedFd;
use std::path::PathBuf;

use warden::surviving;

use super::*;
use crate::kept_run::Files;
use crate::link::testing::read_all;

fn null() -> OwnedFd {
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::CLOEXEC;
    rustix::fs::open("/dev/null", flags, rustix::fs::Mode::empty()).expect("it is there")
}

fn path() -> PathBuf {
    std::env::temp_dir().join(format!("absolute-owners-{}.sock", std::process::id()))
}

/// A name that this process owns, by the other end of the socket.
fn owned(roster: &mut Roster) -> (Owners, OwnedFd) {
    let _ = std::fs::remove_file(path());
    let socket = surviving::bind(&path()).expect("bound");
    let mut owners = Owners::of(Listener::new(socket, null()).expect("it listens"));
    let host = surviving::connect(&path()).expect("connected");
    let hello = Hello { for_ms: 60_000, ..Hello::new(Wish::Own) };
    surviving::send_hello(&host, &hello).expect("sent");
    owners.hear(&[(Token::Listener, PollFlags::IN)], roster);
    let visitor = owners.visitors.sockets().next().expect("it has come").as_raw_fd();
    owners.hear(&[(Token::Visitor(visitor), PollFlags::IN)], roster);
    assert!(matches!(owners.seat, Seat::Owner(_)));
    owners.go_on(roster);
    read_all(&host);
    (owners, host)
}

/// It goes while something is told to it, before its end is heard of.
#[test]
fn what_an_owner_has_said_last_counts() {
    let mut roster = Roster::default();
    let (mut owners, host) = owned(&mut roster);
    let ended = |run| Report::Ended {
        run,
        exit_code: Some(0),
        signal: None,
        cpu_us: 0,
        out_of_memory: false,
    };
    for run in [1, 2] {
        owners.kept.add(run, Files::of(vec![null(), null(), null()]).expect("three"));
    }
    owners.tell(vec![ended(1)]);
    owners.go_on(&mut roster);
    surviving::send_taken(&host, 1).expect("sent");
    drop(host);
    owners.tell(vec![ended(2)]);
    owners.go_on(&mut roster);
    assert!(matches!(owners.seat, Seat::Vacant { .. }));
    assert_eq!([1, 2].map(|run| owners.kept.has(run)), [false, true]);
}
