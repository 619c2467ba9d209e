use super::parts::numbers;
use super::*;
use crate::confine::answer::PROMISES;
use crate::confine::{By, InForceIsolation, InForceLimit};
use warden::confinement::Hierarchy;

fn record() -> RunRecord {
    let limit = |name, value, by| InForceLimit { name, value, by };
    RunRecord {
        key: "org/app".into(),
        root: "/srv".into(),
        port: 40_000,
        release: 3,
        started_at_ms: 1_700_000_000_000,
        since_boot_ms: 12_345,
        rules: vec![1, u64::MAX],
        groups: vec![Group {
            hierarchy: Hierarchy::V2,
            parent: c"/sys/fs/cgroup/absolute-1-2".into(),
            settings: Vec::new(),
        }],
        temporary: Some(c"/tmp/absolute".into()),
        in_force: Some(InForce {
            limits: vec![limit("cpus", 0.5, By::Cgroup1), limit("openFiles", 9.0, By::None)],
            isolation: Some(InForceIsolation {
                landlock: Some(4),
                seccomp: true,
                user: None,
                missing: vec![PROMISES[0]],
            }),
        }),
    }
}

fn found(file: &RecordFile) -> FoundRecord {
    RecordFile::found(file.descriptor().unwrap()).unwrap().1
}

#[test]
fn the_next_host_reads_what_the_one_before_has_written() {
    for record in [record(), RunRecord { key: "a".into(), ..RunRecord::default() }] {
        let file = RecordFile::new(&record).unwrap();
        let FoundRecord { record: read, figures, begun } = found(&file);
        assert_eq!((read, figures), (record, Figures::default()));
        assert!(begun.is_empty());
    }
}

#[test]
fn figures_are_there_as_they_were_last_stored() {
    let file = RecordFile::new(&record()).unwrap();
    file.touched(7);
    file.has_used(8);
    file.is_ready(0, 9, true);
    file.retires(10);
    file.has_read(Stream::Stdout, b"one\ntwo\nthr");
    file.has_read(Stream::Stderr, b"open");
    file.has_read(Stream::Stderr, b"ed\n");
    file.has_told(1);
    let expected = Figures {
        touched_at_ms: 7,
        lines_read: 3,
        lines_open: 1,
        lines_told: 1,
        cpu_ms: 8,
        ready: Some((0, 9)),
        at_ipv6: true,
        retires_at_ms: 10,
    };
    assert_eq!(found(&file).figures, expected);
    // The next host counts anew.
    let counted = Figures { lines_read: 0, lines_open: 0, lines_told: 0, ..expected };
    assert_eq!(found(&file).figures, counted);
}

#[test]
fn a_host_that_detaches_leaves_the_beginnings_of_lines_and_nothing_is_lost() {
    let file = RecordFile::new(&record()).unwrap();
    file.has_read(Stream::Stdout, b"one\nbeg");
    file.has_told(1);
    let begun = [(Stream::Stdout, b"beg".to_vec()), (Stream::Stderr, Vec::new())];
    file.leave(&begun).unwrap();
    let read = found(&file);
    assert_eq!(read.begun, begun[..1]);
    assert_eq!((read.figures.lines_read, read.figures.lines_open), (0, 0));
    assert!(found(&file).begun.is_empty(), "they are taken once");
    assert_eq!(found(&file).record, record());
}

#[test]
fn lines_that_javascript_was_not_told_before_it_went_are_lost() {
    let file = RecordFile::new(&record()).unwrap();
    file.has_read(Stream::Stdout, b"one\ntwo\nbeg");
    file.has_told(1);
    file.tells_no_more();
    file.has_told(1);
    file.leave(&[(Stream::Stdout, b"beg".to_vec())]).unwrap();
    let figures = found(&file).figures;
    assert_eq!((figures.lines_read, figures.lines_open, figures.lines_told), (2, 0, 1));
}

#[test]
fn what_is_no_record_is_refused_and_unknown_parts_are_skipped() {
    let file = |bytes: &[u8]| {
        let file = memfd_create("test", MemfdFlags::CLOEXEC).unwrap();
        write_at(&file, bytes, 0).unwrap();
        file
    };
    let whole = read_all(RecordFile::new(&record()).unwrap().file).unwrap();
    for length in 0..whole.len() {
        assert!(RecordFile::found(file(&whole[..length])).is_err(), "{length}");
    }
    let mut unknown = whole.clone();
    unknown.extend(numbers(&[99, 3]));
    unknown.extend(b"new");
    let length = (unknown.len() - HEAD_BYTES) as u64;
    unknown[PARTS_LENGTH as usize..HEAD_BYTES].copy_from_slice(&length.to_le_bytes());
    assert_eq!(RecordFile::found(file(&unknown)).unwrap().1.record, record());
}
