//! The record of a run that may outlive its host: what the next host has to know of it. It is a
//! memory file that a surviving warden keeps for the run, and does not read.
//!
//! It begins with figures at fixed offsets, which the host stores anew as they change, so that they
//! are there whatever becomes of it. Then come the number of bytes of the parts, and the parts: a
//! tag, the number of bytes of the body, and the body, as in a launch (`crates/warden/src/spec.rs`).
//! Numbers are little-endian. A part that is unknown is skipped: the hosts may differ in version
//! where the protocol is the same.
//!
//! | offset | figure |
//! |--------|----------------------------------------------------------------------------|
//! | 0      | `ABSR` |
//! | 8      | the last touch, in milliseconds since the epoch |
//! | 16     | line ends that were read from its pipes |
//! | 24     | which of its pipes were read up to the middle of a line: 1 stdout, 2 stderr |
//! | 32     | line ends that JavaScript is done with |
//! | 40     | the CPU time that was last told, in milliseconds |
//! | 48     | from its start until it was ready, in milliseconds; and one more, 0 if it was not |
//! | 56     | when it became ready, in milliseconds since the epoch |
//! | 64     | 1 if it listens at `::1` |
//! | 72     | until when it may be in use although another release serves, in milliseconds since the epoch |
//! | 80     | the number of bytes of the parts, which follow |
//!
//! After the parts come the beginnings of lines that a host which has detached had read: the stream
//! (1 or 2), the number of bytes, and the bytes.

use crate::confine::answer::{LIMITS, PROMISES};
use crate::confine::{By, InForce, InForceIsolation, InForceLimit};
use crate::output::lines::Stream;
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::{Errno, pread, pwrite};
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, PoisonError};
use warden::confinement::{Group, Hierarchy};

const MAGIC: [u8; 8] = *b"ABSR\0\0\0\0";
const TOUCHED: u64 = 8;
const LINES_READ: u64 = 16;
const LINES_TOLD: u64 = 32;
const CPU_MS: u64 = 40;
const READY: u64 = 48;
const AT_IPV6: u64 = 64;
const RETIRES: u64 = 72;
const PARTS_LENGTH: u64 = 80;
const HEAD_BYTES: usize = 88;
/// No record is longer: a file that is was not written by a host.
const RECORD_BYTES_MAX: usize = 64 << 20;

/// What the next host has to know of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunRecord {
    pub key: String,
    /// The root of the runtime's tenants.
    pub root: String,
    pub port: u16,
    /// Which version of its key's tenant it is.
    pub release: u64,
    /// When its start was begun: milliseconds since the epoch, and since the machine was started.
    pub started_at_ms: u64,
    pub since_boot_ms: u64,
    /// What holds for it in place of what holds for all: opaque here.
    pub rules: Vec<u64>,
    /// Its control groups, without their settings.
    pub groups: Vec<Group>,
    /// The directory in which it has its private temporary directory.
    pub temporary: Option<CString>,
    pub in_force: Option<InForce>,
}

/// The figures of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    pub touched_at_ms: u64,
    pub lines_read: u64,
    /// How many of its pipes were read up to the middle of a line.
    pub lines_open: u64,
    pub lines_told: u64,
    pub cpu_ms: u64,
    /// From its start until it was ready, and when that was. `None`: it was not.
    pub ready: Option<(u64, u64)>,
    pub at_ipv6: bool,
    /// Until when it may be in use although another release serves; 0: it serves itself.
    pub retires_at_ms: u64,
}

/// The memory file of a run's record. Dropping it closes this descriptor of it.
pub struct RecordFile {
    file: OwnedFd,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    read: u64,
    open: u64,
    told: u64,
    /// Nothing is counted as told any more: JavaScript has gone, or the next host counts.
    is_over: bool,
}

/// A record that was found.
#[derive(Debug)]
pub struct FoundRecord {
    pub record: RunRecord,
    pub figures: Figures,
    /// The beginnings of lines that the host before had read.
    pub begun: Vec<(Stream, Vec<u8>)>,
}

impl RecordFile {
    /// Writes the record of a run that is about to be launched.
    pub fn new(record: &RunRecord) -> io::Result<RecordFile> {
        let parts = record.to_parts();
        let mut bytes = vec![0; HEAD_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[PARTS_LENGTH as usize..].copy_from_slice(&(parts.len() as u64).to_le_bytes());
        bytes.extend(parts);
        let file = memfd_create("abs-record", MemfdFlags::CLOEXEC)?;
        write_at(&file, &bytes, 0)?;
        Ok(RecordFile { file, counts: Mutex::default() })
    }

    /// Reads a record that was found, and begins its counts of lines anew. An error: this is no
    /// record.
    pub fn found(file: OwnedFd) -> io::Result<(RecordFile, FoundRecord)> {
        let bytes = read_all(&file)?;
        let found = FoundRecord::read(&bytes).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "the record of a run cannot be read")
        })?;
        let end = HEAD_BYTES as u64 + number_at(&bytes, PARTS_LENGTH).unwrap_or_default();
        write_at(&file, &[0; 24], LINES_READ)?;
        rustix::fs::ftruncate(&file, end)?;
        Ok((RecordFile { file, counts: Mutex::default() }, found))
    }

    /// Another descriptor of the file, for the warden.
    pub fn descriptor(&self) -> io::Result<OwnedFd> {
        self.file.try_clone()
    }

    pub fn touched(&self, at_ms: u64) {
        self.store(TOUCHED, &[at_ms]);
    }

    /// These bytes were read from the pipe.
    pub fn has_read(&self, stream: Stream, bytes: &[u8]) {
        let mut counts = self.lock();
        counts.read += memchr::memchr_iter(b'\n', bytes).count() as u64;
        if bytes.ends_with(b"\n") {
            counts.open &= !bit(stream);
        } else {
            counts.open |= bit(stream);
        }
        self.store(LINES_READ, &[counts.read, counts.open]);
    }

    /// JavaScript is done with so many lines.
    pub fn has_told(&self, lines: usize) {
        let mut counts = self.lock();
        if !counts.is_over {
            counts.told += lines as u64;
            self.store(LINES_TOLD, &[counts.told]);
        }
    }

    /// JavaScript has gone: what it has not been told counts as lost, although it is dropped as if
    /// it had.
    pub fn tells_no_more(&self) {
        self.lock().is_over = true;
    }

    pub fn has_used(&self, cpu_ms: u64) {
        self.store(CPU_MS, &[cpu_ms]);
    }

    pub fn is_ready(&self, duration_ms: u64, at_ms: u64, at_ipv6: bool) {
        self.store(READY, &[duration_ms + 1, at_ms, u64::from(at_ipv6)]);
    }

    pub fn retires(&self, at_ms: u64) {
        self.store(RETIRES, &[at_ms]);
    }

    /// Leaves the beginnings of lines to the next host. Unless JavaScript has gone, it is told all
    /// lines that were read, so none of these is lost.
    pub fn leave(&self, begun: &[(Stream, Vec<u8>)]) -> io::Result<()> {
        let mut rest = Vec::new();
        for (stream, bytes) in begun.iter().filter(|(_, bytes)| !bytes.is_empty()) {
            rest.extend(bit(*stream).to_le_bytes());
            rest.extend((bytes.len() as u64).to_le_bytes());
            rest.extend(bytes);
        }
        let end = rustix::fs::fstat(&self.file)?.st_size as u64;
        write_at(&self.file, &rest, end)?;
        let mut counts = self.lock();
        if !std::mem::replace(&mut counts.is_over, true) {
            (counts.read, counts.told) = (0, 0);
        }
        self.store(LINES_READ, &[counts.read, 0, counts.told]);
        Ok(())
    }

    /// A figure that cannot be stored is an older one to the next host.
    fn store(&self, offset: u64, figures: &[u64]) {
        let mut bytes = [0; 24];
        for (place, figure) in bytes.chunks_mut(8).zip(figures) {
            place.copy_from_slice(&figure.to_le_bytes());
        }
        let _ = write_at(&self.file, &bytes[..8 * figures.len()], offset);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FoundRecord {
    fn read(bytes: &[u8]) -> Option<FoundRecord> {
        let figure = |offset| number_at(bytes, offset);
        if bytes.get(..8)? != MAGIC {
            return None;
        }
        let ready_ms = figure(READY)?.checked_sub(1);
        let figures = Figures {
            touched_at_ms: figure(TOUCHED)?,
            lines_read: figure(LINES_READ)?,
            lines_open: u64::from(figure(LINES_READ + 8)?.count_ones()),
            lines_told: figure(LINES_TOLD)?,
            cpu_ms: figure(CPU_MS)?,
            ready: ready_ms.zip(figure(READY + 8)),
            at_ipv6: figure(AT_IPV6)? == 1,
            retires_at_ms: figure(RETIRES)?,
        };
        let mut rest = Bytes(bytes.get(HEAD_BYTES..)?);
        let parts = rest.take(usize::try_from(figure(PARTS_LENGTH)?).ok()?)?;
        let record = RunRecord::of_parts(parts)?;
        let mut begun = Vec::new();
        while !rest.0.is_empty() {
            let stream =
                if rest.number()? == bit(Stream::Stdout) { Stream::Stdout } else { Stream::Stderr };
            let length = usize::try_from(rest.number()?).ok()?;
            begun.push((stream, rest.take(length)?.to_vec()));
        }
        Some(FoundRecord { record, figures, begun })
    }
}

/// The tags of the parts, as they are written.
mod tag {
    pub const KEY: u64 = 1;
    pub const ROOT: u64 = 2;
    pub const PORT: u64 = 3;
    pub const STARTED: u64 = 4;
    pub const RULES: u64 = 5;
    pub const GROUP: u64 = 6;
    pub const TEMPORARY: u64 = 7;
    pub const IN_FORCE: u64 = 8;
    pub const LIMIT: u64 = 9;
    pub const ISOLATION: u64 = 10;
    pub const MISSING: u64 = 11;
}

impl RunRecord {
    fn to_parts(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut part = |tag: u64, body: &[&[u8]]| {
            out.extend(tag.to_le_bytes());
            out.extend((body.iter().map(|bytes| bytes.len()).sum::<usize>() as u64).to_le_bytes());
            body.iter().for_each(|bytes| out.extend(*bytes));
        };
        part(tag::KEY, &[self.key.as_bytes()]);
        part(tag::ROOT, &[self.root.as_bytes()]);
        part(tag::PORT, &[&numbers(&[u64::from(self.port), self.release])]);
        part(tag::STARTED, &[&numbers(&[self.started_at_ms, self.since_boot_ms])]);
        part(tag::RULES, &[&numbers(&self.rules)]);
        for Group { hierarchy, parent, .. } in &self.groups {
            part(tag::GROUP, &[&numbers(&[*hierarchy as u64]), parent.as_bytes()]);
        }
        if let Some(temporary) = &self.temporary {
            part(tag::TEMPORARY, &[temporary.as_bytes()]);
        }
        let Some(InForce { limits, isolation }) = &self.in_force else { return out };
        part(tag::IN_FORCE, &[]);
        for InForceLimit { name, value, by } in limits {
            part(tag::LIMIT, &[&numbers(&[value.to_bits(), *by as u64]), name.as_bytes()]);
        }
        if let Some(InForceIsolation { landlock, seccomp, user, missing }) = isolation {
            let number = |number: &Option<u32>| number.map_or(u64::MAX, u64::from);
            let walls = [number(landlock), u64::from(*seccomp), number(user)];
            part(tag::ISOLATION, &[&numbers(&walls)]);
            missing.iter().for_each(|name| part(tag::MISSING, &[name.as_bytes()]));
        }
        out
    }

    fn of_parts(parts: &[u8]) -> Option<RunRecord> {
        let mut record = RunRecord::default();
        let mut parts = Bytes(parts);
        while !parts.0.is_empty() {
            let tag = parts.number()?;
            let length = usize::try_from(parts.number()?).ok()?;
            record.take_part(tag, Bytes(parts.take(length)?))?;
        }
        (!record.key.is_empty()).then_some(record)
    }

    fn take_part(&mut self, tag: u64, mut body: Bytes<'_>) -> Option<()> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
        match tag {
            tag::KEY => self.key = text(body.0)?,
            tag::ROOT => self.root = text(body.0)?,
            tag::PORT => {
                self.port = body.number()?.try_into().ok()?;
                self.release = body.number()?;
            }
            tag::STARTED => {
                (self.started_at_ms, self.since_boot_ms) = body.number().zip(body.number())?
            }
            tag::RULES => {
                while !body.0.is_empty() {
                    self.rules.push(body.number()?);
                }
            }
            tag::GROUP => {
                let hierarchies = [Hierarchy::V1, Hierarchy::V2].into_iter();
                let number = body.number()?;
                let hierarchy = hierarchies.into_iter().find(|one| *one as u64 == number)?;
                let parent = CString::new(body.0).ok()?;
                self.groups.push(Group { hierarchy, parent, settings: Vec::new() });
            }
            tag::TEMPORARY => self.temporary = Some(CString::new(body.0).ok()?),
            tag::IN_FORCE => self.in_force = Some(InForce::default()),
            tag::LIMIT => {
                let (value, by) = (f64::from_bits(body.number()?), body.number()?);
                let ways = [By::Cgroup2, By::Cgroup1, By::Rlimit, By::None];
                let by = ways.into_iter().find(|one| *one as u64 == by)?;
                let limits = &mut self.in_force.as_mut()?.limits;
                // A limit that this version does not know is not told.
                limits.extend(known(LIMITS, body.0).map(|name| InForceLimit { name, value, by }));
            }
            tag::ISOLATION => {
                let number = |number: u64| u32::try_from(number).ok();
                let (landlock, seccomp) = (number(body.number()?), body.number()? == 1);
                let (user, missing) = (number(body.number()?), Vec::new());
                self.in_force.as_mut()?.isolation =
                    Some(InForceIsolation { landlock, seccomp, user, missing });
            }
            tag::MISSING => {
                let isolation = self.in_force.as_mut()?.isolation.as_mut()?;
                isolation.missing.extend(known(PROMISES, body.0));
            }
            _ => {}
        }
        Some(())
    }
}

fn known(names: &[&'static str], name: &[u8]) -> Option<&'static str> {
    names.iter().copied().find(|known| known.as_bytes() == name)
}

fn bit(stream: Stream) -> u64 {
    match stream {
        Stream::Stdout => 1,
        Stream::Stderr => 2,
    }
}

fn numbers(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// What is left to read.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u64> {
        self.take(8).map(|bytes| u64::from_le_bytes(bytes.try_into().expect("eight bytes")))
    }
}

fn number_at(bytes: &[u8], offset: u64) -> Option<u64> {
    Bytes(bytes.get(offset as usize..)?).number()
}

fn write_at(file: impl AsFd, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = rustix::io::retry_on_intr(|| pwrite(&file, bytes, offset))?;
        (bytes, offset) = (&bytes[written..], offset + written as u64);
    }
    Ok(())
}

/// All bytes of a memory file.
pub(super) fn read_all(file: impl AsFd) -> io::Result<Vec<u8>> {
    let length = usize::try_from(rustix::fs::fstat(&file)?.st_size).unwrap_or(usize::MAX);
    if length > RECORD_BYTES_MAX {
        return Err(Errno::FBIG.into());
    }
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < length {
        match rustix::io::retry_on_intr(|| pread(&file, &mut bytes[filled..], filled as u64))? {
            0 => break,
            read => filled += read,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
