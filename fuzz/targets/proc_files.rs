//! The text files of `/proc`, of which a tenant controls a part: its name and its children. No
//! content makes the reader panic, and no name changes another field.

#![no_main]

use arbitrary::Arbitrary;
use fuzz::tree;
use libfuzzer_sys::fuzz_target;
use warden::stat;

#[derive(Arbitrary, Debug)]
enum Input {
    StatLine(Vec<u8>),
    Stat {
        name: Vec<u8>,
        state: State,
        ids: [u16; 3],
        ticks: [u64; 4],
        threads: u8,
        started_at: u64,
        pages: u64,
    },
    ChildrenText(String),
    Children(Vec<u16>),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum State {
    Sleeping,
    Running,
    Zombie,
    Dead,
}

fuzz_target!(|input: Input| match input {
    Input::StatLine(line) => drop(stat::parse(&line, 7)),
    Input::Stat { name, state, ids: [parent, group, session], ticks, threads, started_at, pages } => {
        let letter = match state {
            State::Sleeping => 'S',
            State::Running => 'R',
            State::Zombie => 'Z',
            State::Dead => 'X',
        };
        let [user, system, waited_user, waited_system] = ticks;
        let rest = format!(
            ") {letter} {parent} {group} {session} 0 -1 4194304 1 2 3 4 {user} {system} {waited_user} {waited_system} \
             20 0 {threads} 0 {started_at} 1000 {pages} 18446744073709551615 1 1 0 0\n"
        );
        let line = [b"7 (", name.as_slice(), rest.as_bytes()].concat();
        let read = stat::parse(&line, 7).expect("a line as the kernel prints it");
        assert_eq!((read.parent, read.group, read.session), (parent.into(), group.into(), session.into()));
        assert_eq!(read.own_ticks, user.saturating_add(system));
        assert_eq!(read.waited_ticks, waited_user.saturating_add(waited_system));
        assert_eq!((read.started_at_ticks, read.rss_pages), (started_at, pages));
        assert_eq!(read.has_ended, matches!(state, State::Zombie | State::Dead) && threads <= 1);
    }
    Input::ChildrenText(text) => assert!(tree::pids_in(&text).all(|pid| pid.as_raw_pid() > 0)),
    Input::Children(pids) => {
        let text: String = pids.iter().map(|pid| format!("{pid} ")).collect();
        let read: Vec<i32> = tree::pids_in(&text).map(|pid| pid.as_raw_pid()).collect();
        assert_eq!(read, pids.into_iter().filter(|pid| *pid > 0).map(i32::from).collect::<Vec<_>>());
    }
});
