//! The memory file that describes a tenant's start: whatever its bytes, it is refused or has
//! exactly one meaning. What the host writes is read back unchanged.

#![no_main]

use std::ffi::CString;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use warden::{LaunchSpec, SpecError};

#[derive(Arbitrary, Debug)]
enum Input {
    Bytes(Vec<u8>),
    Spec {
        cwd: CString,
        umask: u32,
        needs_start_script: bool,
        argv: Vec<CString>,
        env: Vec<CString>,
        cut_at: usize,
    },
}

fuzz_target!(|input: Input| match input {
    Input::Bytes(bytes) => {
        if let Ok(spec) = LaunchSpec::parse(&bytes) {
            assert!(!spec.argv.is_empty());
            assert_eq!(spec.to_bytes(), bytes);
        }
    }
    Input::Spec { cwd, umask, needs_start_script, argv, env, cut_at } => {
        let spec = LaunchSpec { cwd, umask, needs_start_script, argv, env };
        let bytes = spec.to_bytes();
        match LaunchSpec::parse(&bytes) {
            Ok(read) => assert_eq!(read, spec),
            Err(SpecError::NoProgram) => assert!(spec.argv.is_empty()),
            Err(SpecError::Environment { index }) => {
                let entry = spec.env[index].as_bytes();
                assert!(!entry.contains(&b'=') || entry.starts_with(b"="));
            }
            Err(error) => panic!("{error}"),
        }
        // A part of a specification is refused.
        assert!(LaunchSpec::parse(&bytes[..cut_at % bytes.len()]).is_err());
    }
});
