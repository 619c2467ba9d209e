//! Every packet decodes to what was encoded, and other bytes are refused.

use warden::protocol::{
    COMMAND_BYTES, Command, LaunchStep, ProtocolError, REPORT_BYTES, Report, StopStage,
};

fn commands() -> Vec<Command> {
    vec![
        Command::Launch { run: 0 },
        Command::Launch { run: u64::MAX },
        Command::Stop { run: 7, stage: StopStage::Terminate },
        Command::Stop { run: 1 << 40, stage: StopStage::Kill },
        Command::Continue,
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
        with(launch, 0, 9),
        Err(ProtocolError::Unknown { field: "the command's tag", value: 9 })
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
