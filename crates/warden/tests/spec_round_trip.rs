//! A launch specification parses to what was written, and other bytes are refused.

use std::ffi::CString;

use warden::spec::{LaunchSpec, SpecError};

fn sample() -> LaunchSpec {
    LaunchSpec {
        cwd: c"/srv/app".to_owned(),
        umask: 0o027,
        needs_start_script: true,
        argv: vec![c"bun".to_owned(), c"".to_owned(), CString::new([0xff, b'x']).unwrap()],
        env: vec![c"A=".to_owned(), c"B=C=D".to_owned()],
    }
}

#[test]
fn it_survives() {
    let spec = sample();
    assert_eq!(LaunchSpec::parse(&spec.to_bytes()), Ok(spec));
    let bare = LaunchSpec {
        cwd: c"".to_owned(),
        umask: 0,
        needs_start_script: false,
        argv: vec![c"x".to_owned()],
        env: vec![],
    };
    assert_eq!(LaunchSpec::parse(&bare.to_bytes()), Ok(bare));
}

#[test]
fn every_cut_is_refused() {
    let bytes = sample().to_bytes();
    for length in 0..bytes.len() {
        assert!(LaunchSpec::parse(&bytes[..length]).is_err(), "cut to {length}");
    }
    let mut longer = bytes.clone();
    longer.push(0);
    let announced = bytes.len() - 24;
    assert_eq!(LaunchSpec::parse(&longer), Err(SpecError::Length { announced, actual: announced + 1 }));
}

#[test]
fn wrong_counts_are_refused() {
    for (offset, value) in [(4, 2), (4, 4), (8, 1), (8, 3), (8, 0xff)] {
        let mut bytes = sample().to_bytes();
        bytes[offset] = value;
        assert!(matches!(LaunchSpec::parse(&bytes), Err(SpecError::Count { .. })), "{offset}: {value}");
    }
    let mut huge = sample().to_bytes();
    huge[4..12].fill(0xff);
    assert!(matches!(LaunchSpec::parse(&huge), Err(SpecError::Count { .. })));
}

#[test]
fn a_missing_program_is_refused() {
    let spec = LaunchSpec { argv: vec![], ..sample() };
    assert_eq!(LaunchSpec::parse(&spec.to_bytes()), Err(SpecError::NoProgram));
}

#[test]
fn entries_that_are_no_assignment_are_refused() {
    for entry in [c"NAME", c"=value", c""] {
        let spec = LaunchSpec { env: vec![c"A=1".to_owned(), entry.to_owned()], ..sample() };
        assert_eq!(LaunchSpec::parse(&spec.to_bytes()), Err(SpecError::Environment { index: 1 }));
    }
}

#[test]
fn another_header_is_refused() {
    let mut bytes = sample().to_bytes();
    bytes[3] = b'9';
    assert_eq!(LaunchSpec::parse(&bytes), Err(SpecError::Header));
    let mut unknown = sample().to_bytes();
    unknown[20] = 2;
    assert_eq!(LaunchSpec::parse(&unknown), Err(SpecError::Header));
}
