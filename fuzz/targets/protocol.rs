//! A packet is refused, or its meaning encodes to the same packet again. So the host and the
//! warden can never understand one packet in two ways.

#![no_main]

use libfuzzer_sys::fuzz_target;
use warden::hello::{HELLO_BYTES, Hello, Welcome};
use warden::ring::{Ring, Written};
use warden::{COMMAND_BYTES, Command, REPORT_BYTES, Report};

fuzz_target!(|packet: &[u8]| {
    if let Ok(command) = Command::decode(packet) {
        assert_eq!(command.encode(), packet);
    }
    if let Ok(report) = Report::decode(packet) {
        assert_eq!(report.encode(), packet);
    }
    // Versions that other ends send as text that is none are the exception.
    if let Some(hello) = Hello::decode(packet).filter(|hello| hello.version.is_ascii()) {
        assert_eq!(Hello::decode(&hello.encode()), Some(hello));
        assert_eq!(packet.len(), HELLO_BYTES);
    }
    if let Some(welcome) = Welcome::decode(packet).filter(|welcome| welcome.version.is_ascii()) {
        assert_eq!(Welcome::decode(&welcome.encode()), Some(welcome));
        assert_eq!(packet.len(), HELLO_BYTES);
    }
    if let Some(written) = Written::from_bytes(packet) {
        assert_eq!(Written::from_bytes(&written.to_bytes()), Some(written));
    }
    let _ = Ring::after(packet).written();
    assert!(packet.len() == COMMAND_BYTES || Command::decode(packet).is_err());
    assert!(packet.len() == REPORT_BYTES || Report::decode(packet).is_err());
});
