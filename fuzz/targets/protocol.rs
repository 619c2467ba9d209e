//! A packet is refused, or its meaning encodes to the same packet again. So the host and the
//! warden can never understand one packet in two ways.

#![no_main]

use libfuzzer_sys::fuzz_target;
use warden::{COMMAND_BYTES, Command, REPORT_BYTES, Report};

fuzz_target!(|packet: &[u8]| {
    if let Ok(command) = Command::decode(packet) {
        assert_eq!(command.encode(), packet);
    }
    if let Ok(report) = Report::decode(packet) {
        assert_eq!(report.encode(), packet);
    }
    assert!(packet.len() == COMMAND_BYTES || Command::decode(packet).is_err());
    assert!(packet.len() == REPORT_BYTES || Report::decode(packet).is_err());
});
