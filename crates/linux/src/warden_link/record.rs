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

mod parts;

use self::parts::Bytes;
use crate::confine::InForce;
use crate::output::lines::Stream;
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::{Errno, pread, pwrite};
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, PoisonError};
use warden::confinement::Group;

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

fn bit(stream: Stream) -> u64 {
    match stream {
        Stream::Stdout => 1,
        Stream::Stderr => 2,
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
mod tests;
