//! The memory file that describes a tenant's start: whatever its bytes, it is refused or has
//! exactly one meaning. What the host writes is read back unchanged.

#![no_main]

use std::ffi::CString;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use warden::{Confinement, Descriptor, LaunchSpec, SpecError};

#[derive(Arbitrary, Debug)]
enum Input {
    Bytes(Vec<u8>),
    /// The parts, each a tag and a body, of which most are none.
    Parts(Vec<(u8, Vec<u8>)>),
    Spec {
        cwd: CString,
        umask: u32,
        needs_start_script: bool,
        argv: Vec<CString>,
        env: Vec<CString>,
        are_errors: Vec<bool>,
        temporary: Option<CString>,
        cut_at: usize,
    },
}

fn means_one_thing_only(bytes: &[u8]) {
    if let Ok(spec) = LaunchSpec::parse(bytes) {
        assert!(!spec.argv.is_empty());
        assert_eq!(spec.to_bytes(), bytes);
    }
}

fuzz_target!(|input: Input| match input {
    Input::Bytes(bytes) => means_one_thing_only(&bytes),
    Input::Parts(parts) => {
        let word = |number: usize| (number as u32).to_le_bytes();
        let mut bytes = Vec::new();
        for (tag, body) in parts {
            bytes.extend([&word(tag.into())[..], &word(body.len()), &body].concat());
        }
        means_one_thing_only(&[&b"ABS5"[..], &word(bytes.len()), &bytes].concat());
    }
    Input::Spec { cwd, umask, needs_start_script, argv, env, are_errors, temporary, cut_at } => {
        let stream = |is_error| if is_error { Descriptor::Stderr } else { Descriptor::Stdout };
        let descriptors = are_errors.into_iter().map(stream).collect();
        let confinement = Confinement { temporary, ..Confinement::default() };
        let spec = LaunchSpec { cwd, umask, needs_start_script, argv, env, descriptors, confinement };
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
