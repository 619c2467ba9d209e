//! Every packet decodes to what was encoded, and other bytes are refused.

use warden::hello::{Answer, HELLO_BYTES, Hello, VERSION, Welcome, Wish};
use warden::protocol::{
    COMMAND_BYTES, Command, Depth, LaunchStep, Mark, Marks, PROTOCOL, ProtocolError, REPORT_BYTES,
    Report, StopStage,
};

fn commands() -> Vec<Command> {
    vec![
        Command::Launch { run: 0 },
        Command::Launch { run: u64::MAX },
        Command::Stop { run: 7, stage: StopStage::Terminate },
        Command::Stop { run: 1 << 40, stage: StopStage::Kill },
        Command::Continue,
        Command::Keep { run: 5 },
        Command::Mark { run: 5, mark: Mark::Ready, detail: 0 },
        Command::Mark { run: 5, mark: Mark::Retired, detail: 9 },
        Command::Mark { run: 5, mark: Mark::Stopping, detail: u8::MAX },
        Command::KeepListener { slot: u64::MAX },
        Command::DropListener { slot: 0 },
        Command::Detach,
        Command::Taken { run: 5 },
        Command::Leave,
        Command::Sleep { run: 5, depth: Depth::Frozen },
        Command::Sleep { run: u64::MAX, depth: Depth::PagedOut },
        Command::Wake { run: 5 },
    ]
}

fn reports() -> Vec<Report> {
    let failures = LaunchStep::ALL.map(|step| Report::LaunchFailed { run: 3, step, errno: 13 });
    let mut reports = failures.to_vec();
    reports.push(Report::Started { run: u64::MAX, pid: u32::MAX, keeper_pid: 1, group: 1 << 40 });
    for (exit_code, signal) in
        [(None, None), (Some(0), None), (None, Some(9)), (Some(-1), Some(i32::MIN))]
    {
        for out_of_memory in [false, true] {
            let cpu_us = u64::MAX;
            reports.push(Report::Ended { run: 4, exit_code, signal, cpu_us, out_of_memory });
        }
    }
    for set in 0..8 {
        let (ready, retired, stopping) = (set & 1 != 0, set & 2 != 0, set & 4 != 0);
        for asleep in [None, Some(Depth::Frozen), Some(Depth::PagedOut)] {
            let marks = Marks { ready, retired, stopping, asleep, detail: 200 };
            reports.push(Report::Found { run: 6, pid: 7, keeper_pid: 8, group: u64::MAX, marks });
        }
    }
    reports.extend([
        Report::FoundListener { slot: u64::MAX },
        Report::RosterEnd { forgotten: u64::MAX },
        Report::Yield { pid: 9 },
        Report::Fenced { pid: 9 },
        Report::PredecessorGone,
        Report::Slept { run: 5, depth: Depth::Frozen, rss_bytes: u64::MAX },
        Report::Slept { run: 5, depth: Depth::PagedOut, rss_bytes: 0 },
        Report::SleepFailed { run: 5, errno: -1 },
        Report::Awake { run: 5 },
        Report::Stirred { run: 5 },
    ]);
    reports
}

#[test]
fn commands_survive() {
    for command in commands() {
        assert_eq!(Command::decode(&command.encode()), Ok(command));
    }
}

#[test]
fn reports_survive() {
    for report in reports() {
        assert_eq!(Report::decode(&report.encode()), Ok(report));
    }
}

#[test]
fn different_packets_differ() {
    let packets: std::collections::HashSet<_> = reports().iter().map(Report::encode).collect();
    assert_eq!(packets.len(), reports().len());
}

#[test]
fn wrong_lengths_are_refused() {
    for length in [0, 1, COMMAND_BYTES - 1, COMMAND_BYTES + 1] {
        let error = ProtocolError::Length { expected: COMMAND_BYTES, actual: length };
        assert_eq!(Command::decode(&vec![1; length]), Err(error));
    }
    for length in [0, REPORT_BYTES - 1, REPORT_BYTES + 1] {
        let error = ProtocolError::Length { expected: REPORT_BYTES, actual: length };
        assert_eq!(Report::decode(&vec![1; length]), Err(error));
    }
}

#[test]
fn unknown_values_are_refused() {
    let with = |mut packet: [u8; COMMAND_BYTES], offset: usize, value: u8| {
        packet[offset] = value;
        Command::decode(&packet)
    };
    let launch = Command::Launch { run: 1 }.encode();
    let stop = Command::Stop { run: 1, stage: StopStage::Kill }.encode();
    assert_eq!(
        with(launch, 0, 99),
        Err(ProtocolError::Unknown { field: "the command's tag", value: 99 })
    );
    assert_eq!(
        with(stop, 1, 0),
        Err(ProtocolError::Unknown { field: "the stop's stage", value: 0 })
    );

    let mut failed = Report::LaunchFailed { run: 1, step: LaunchStep::Fork, errno: 1 }.encode();
    failed[1] = 77;
    assert_eq!(
        Report::decode(&failed),
        Err(ProtocolError::Unknown { field: "the launch's step", value: 77 })
    );
    failed[0] = 0;
    assert_eq!(
        Report::decode(&failed),
        Err(ProtocolError::Unknown { field: "the report's tag", value: 0 })
    );
    let ended =
        Report::Ended { run: 1, exit_code: None, signal: None, cpu_us: 0, out_of_memory: false };
    let mut ended = ended.encode();
    ended[1] = 8;
    assert_eq!(
        Report::decode(&ended),
        Err(ProtocolError::Unknown { field: "the set of results", value: 8 })
    );
}

/// A packet with a flipped bit either has another meaning or is refused.
#[test]
fn no_byte_is_ignored() {
    for command in commands() {
        for offset in 0..COMMAND_BYTES {
            let mut packet = command.encode();
            packet[offset] ^= 0x80;
            assert_ne!(Command::decode(&packet), Ok(command), "byte {offset}");
        }
    }
    for report in reports() {
        for offset in 0..REPORT_BYTES {
            let mut packet = report.encode();
            packet[offset] ^= 0x80;
            assert_ne!(Report::decode(&packet), Ok(report), "byte {offset}");
        }
    }
}

fn hellos() -> Vec<Hello> {
    let wishes = [Wish::Own, Wish::TakeOver, Wish::Look, Wish::End, Wish::Unknown(40_000)];
    let hello = |wish| Hello {
        protocol: 7,
        fence_after_ms: 30_000,
        for_ms: u64::MAX,
        stop_grace_ms: 1 << 40,
        ..Hello::new(wish)
    };
    wishes.map(hello).to_vec()
}

fn welcomes() -> Vec<Welcome> {
    use Answer::*;
    let answers = [Owner, InUse, OtherProtocol, Waiting, Looked, Ending, Unknown(60_000)];
    let welcome = |answer| Welcome {
        protocol: PROTOCOL,
        answer,
        warden_pid: 1,
        owner_pid: u32::MAX,
        epoch: 1 << 40,
        since_unix_ms: 2 << 40,
        last_run: 3 << 40,
        runs: 9,
        version: VERSION.to_owned(),
    };
    answers.map(welcome).to_vec()
}

#[test]
fn hellos_and_welcomes_survive() {
    for hello in hellos() {
        assert_eq!(Hello::decode(&hello.encode()), Some(hello));
    }
    for welcome in welcomes() {
        assert_eq!(Welcome::decode(&welcome.encode()), Some(welcome));
    }
}

/// What older and newer versions read and write must not change, so the bytes are spelled out.
#[test]
fn the_first_packets_are_the_same_in_every_version() {
    let hello = Hello {
        protocol: 0x0102,
        wish: Wish::TakeOver,
        pid: 0x0304_0506,
        fence_after_ms: 0x0708,
        for_ms: 0x090a,
        stop_grace_ms: 0x0b0c,
        version: "0.1.0-rc.1".to_owned(),
    };
    let expected = b"ABSH\x02\x01\x01\0\x06\x05\x04\x03\x08\x07\0\0\x0a\x09\0\0\0\0\0\0\
                     \x0c\x0b\0\0\0\0\0\x000.1.0-rc.1";
    assert_eq!(hello.encode()[..expected.len()], *expected);
    assert!(hello.encode()[expected.len()..].iter().all(|byte| *byte == 0));
    let welcome = Welcome {
        protocol: 0x0102,
        answer: Answer::OtherProtocol,
        warden_pid: 0x0304,
        owner_pid: 0x0506,
        epoch: 0x0708,
        since_unix_ms: 0x090a,
        last_run: 0x0b0c,
        runs: 0x0d0e,
        version: "a version that is too long".to_owned(),
    };
    let expected = b"ABSW\x02\x01\x03\0\x04\x03\0\0\x06\x05\0\0\x08\x07\0\0\0\0\0\0\
                     \x0a\x09\0\0\0\0\0\0\x0c\x0b\0\0\0\0\0\0\x0e\x0d\0\0a version that i\0\0\0\0";
    assert_eq!(welcome.encode(), *expected);
}

#[test]
fn a_newer_version_may_use_what_is_free() {
    for hello in hellos() {
        let mut packet = hello.encode();
        packet[HELLO_BYTES - 1] = 1;
        assert_eq!(Hello::decode(&packet), Some(hello));
    }
    for packet in [hellos()[0].encode(), [0; HELLO_BYTES]] {
        assert_eq!(Welcome::decode(&packet), None);
        assert_eq!(Hello::decode(&packet[1..]), None);
    }
}
