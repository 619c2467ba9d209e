//! A launch specification parses to what was written, and other bytes are refused.

use std::ffi::CString;

use warden::confinement::{
    Access, Confinement, Group, Hierarchy, Landlock, PathRule, Resource, ResourceLimit, User, Walls,
};
use warden::spec::{Descriptor, LaunchSpec, SpecError};

fn sample() -> LaunchSpec {
    LaunchSpec {
        cwd: c"/srv/app".to_owned(),
        argv: vec![c"bun".to_owned(), c"".to_owned(), CString::new([0xff, b'x']).unwrap()],
        env: vec![c"A=".to_owned(), c"B=C=D".to_owned()],
        umask: 0o027,
        needs_start_script: true,
        descriptors: vec![Descriptor::Stderr, Descriptor::Stdout],
        confinement: confinement(),
    }
}

fn confinement() -> Confinement {
    let rule = |access, is_required, path: &std::ffi::CStr| PathRule {
        access,
        is_required,
        path: path.to_owned(),
    };
    Confinement {
        limits: vec![
            ResourceLimit { resource: Resource::OpenFiles, value: 256 },
            ResourceLimit { resource: Resource::FileBytes, value: u64::MAX },
        ],
        groups: vec![
            Group {
                hierarchy: Hierarchy::V1,
                parent: c"/sys/fs/cgroup/a".to_owned(),
                settings: vec![],
            },
            Group {
                hierarchy: Hierarchy::V2,
                parent: c"/sys/fs/cgroup/b".to_owned(),
                settings: vec![c"pids.max=7".to_owned(), c"memory.oom.group=1".to_owned()],
            },
        ],
        temporary: Some(c"/tmp".to_owned()),
        user: Some(User { uid: 1, gid: u32::MAX }),
        walls: Some(Walls {
            refuses_system_calls: true,
            landlock: Some(Landlock {
                abi: 7,
                listen: vec![3_000, 1],
                connect: Some(vec![]),
                paths: vec![
                    rule(Access::Write, true, c"."),
                    rule(Access::Device, false, c"/dev/null"),
                ],
            }),
        }),
    }
}

#[test]
fn what_holds_the_program_can_be_read_alone() {
    let mut spec = LaunchSpec { env: vec![c_string_of(5_000_000)], ..sample() };
    let read = |spec: &LaunchSpec| {
        warden::excerpt::confinement_in(warden::host::memory_file(spec).expect("memory file"))
    };
    assert_eq!(read(&spec), Ok(confinement()));
    spec.confinement = Confinement::default();
    assert_eq!(read(&spec), Ok(Confinement::default()));
    let walls = Walls { refuses_system_calls: true, landlock: None };
    spec.confinement = Confinement { walls: Some(walls), ..Confinement::default() };
    assert_eq!(read(&spec).as_ref(), Ok(&spec.confinement));
}

#[test]
fn reading_it_alone_from_other_bytes_fails_or_finds_less() {
    let bytes = sample().to_bytes();
    let read = |bytes: &[u8]| {
        let file = rustix::fs::memfd_create("test", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
        rustix::io::write(&file, bytes).unwrap();
        warden::excerpt::confinement_in(file)
    };
    (0..bytes.len()).for_each(|cut| assert_ne!(read(&bytes[..cut]), Ok(confinement())));
    assert!(read(&[0xff; 64]).is_err());
    // A length beyond all memory is refused before it is reserved.
    let endless = [&bytes[..8], &7_u32.to_le_bytes(), &[0xff; 4]].concat();
    assert_eq!(read(&endless), Err(rustix::io::Errno::FBIG));
}

fn c_string_of(length: usize) -> CString {
    CString::new([b"A=".to_vec(), vec![b'x'; length]].concat()).unwrap()
}

#[test]
fn each_part_of_a_confinement_survives_alone() {
    let Confinement { limits, groups, temporary, user, walls } = confinement();
    let landlock = Landlock { connect: None, ..Landlock::default() };
    for confinement in [
        Confinement { limits, ..Confinement::default() },
        Confinement { groups, ..Confinement::default() },
        Confinement { temporary, ..Confinement::default() },
        Confinement { user, ..Confinement::default() },
        Confinement { walls, ..Confinement::default() },
        Confinement {
            walls: Some(Walls { refuses_system_calls: false, landlock: None }),
            ..Confinement::default()
        },
        Confinement {
            walls: Some(Walls { refuses_system_calls: false, landlock: Some(landlock) }),
            ..Confinement::default()
        },
    ] {
        let spec = LaunchSpec { confinement, ..bare() };
        assert_eq!(LaunchSpec::parse(&spec.to_bytes()), Ok(spec));
    }
}

/// A specification of these parts, each a tag and a body.
fn of_parts(parts: &[(u32, Vec<u8>)]) -> Vec<u8> {
    let word = |number: usize| u32::try_from(number).unwrap().to_le_bytes();
    let part =
        |(tag, body): &(u32, Vec<u8>)| [&tag.to_le_bytes(), &word(body.len()), &body[..]].concat();
    let parts = parts.iter().map(part).collect::<Vec<_>>().concat();
    [b"ABS5", &word(parts.len()), &parts[..]].concat()
}

/// The parts of the smallest launch that there is.
fn bare_parts() -> Vec<(u32, Vec<u8>)> {
    vec![
        (1, b"\0".to_vec()),
        (2, b"x\0".to_vec()),
        (3, Vec::new()),
        (4, vec![0; 4]),
        (6, Vec::new()),
    ]
}

fn bare() -> LaunchSpec {
    LaunchSpec {
        cwd: c"".to_owned(),
        argv: vec![c"x".to_owned()],
        env: vec![],
        umask: 0,
        needs_start_script: false,
        descriptors: vec![],
        confinement: Confinement::default(),
    }
}

#[test]
fn a_specification_survives() {
    assert_eq!(LaunchSpec::parse(&sample().to_bytes()), Ok(sample()));
    assert_eq!(LaunchSpec::parse(&bare().to_bytes()), Ok(bare()));
    assert_eq!(bare().to_bytes(), of_parts(&bare_parts()));
}

#[test]
fn every_cut_is_refused() {
    let bytes = sample().to_bytes();
    for length in 0..bytes.len() {
        assert!(LaunchSpec::parse(&bytes[..length]).is_err(), "cut to {length}");
    }
    let mut longer = bytes.clone();
    longer.push(0);
    let announced = bytes.len() - 8;
    assert_eq!(
        LaunchSpec::parse(&longer),
        Err(SpecError::Length { announced, actual: announced + 1 })
    );
}

#[test]
fn a_part_that_is_not_known_is_refused_wherever_it_stands() {
    // None of these is the next number, so that a new part can have that.
    for tag in [0, 99, 1_000, u32::MAX] {
        for at in 0..=bare_parts().len() {
            let mut parts = bare_parts();
            parts.insert(at, (tag, Vec::new()));
            assert_eq!(
                LaunchSpec::parse(&of_parts(&parts)),
                Err(SpecError::UnknownPart { tag }),
                "{at}"
            );
        }
    }
}

#[test]
fn a_part_that_is_missing_is_named() {
    for at in 0..bare_parts().len() {
        let mut parts = bare_parts();
        let (tag, _) = parts.remove(at);
        assert_eq!(LaunchSpec::parse(&of_parts(&parts)), Err(SpecError::Missing { tag }));
    }
}

#[test]
fn a_part_that_is_not_in_its_place_is_refused() {
    for at in 1..bare_parts().len() {
        let mut swapped = bare_parts();
        swapped.swap(at - 1, at);
        let tag = swapped[at].0;
        assert_eq!(LaunchSpec::parse(&of_parts(&swapped)), Err(SpecError::Order { tag }));
        let mut twice = bare_parts();
        twice.insert(at, twice[at - 1].clone());
        let tag = twice[at].0;
        assert_eq!(LaunchSpec::parse(&of_parts(&twice)), Err(SpecError::Order { tag }));
    }
}

#[test]
fn a_body_that_is_none_of_its_part_is_refused() {
    let bodies: [(u32, &[u8]); 11] = [
        (1, b""),
        (1, b"/srv"),
        (1, b"/a\0/b\0"),
        (2, b"x"),
        (3, b"A=1\0B"),
        (4, b""),
        (4, b"\0\0\0"),
        (4, b"\0\0\0\0\0"),
        (5, b"\0"),
        (6, b"\x01\0\0"),
        (6, b"\x03\0\0\0"),
    ];
    for (tag, body) in bodies {
        let mut parts = bare_parts();
        parts.retain(|(other, _)| *other != tag);
        parts.push((tag, body.to_vec()));
        parts.sort();
        assert_eq!(LaunchSpec::parse(&of_parts(&parts)), Err(SpecError::Body { tag }), "{body:?}");
    }
    // A length that leads beyond the end.
    let mut bytes = bare().to_bytes();
    let last = bytes.len() - 4;
    bytes[last] = 4;
    assert_eq!(LaunchSpec::parse(&bytes), Err(SpecError::Body { tag: 6 }));
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
}
