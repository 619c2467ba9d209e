//! Reads from a memory file only what a program is held within. The warden needs that of each
//! launch, and must not read the rest: an environment can be megabytes, for which it may have no
//! memory, and all tenants would end with it.

use std::os::fd::AsFd;

use rustix::io::{Errno, pread};

use crate::confinement::Confinement;
use crate::spec::{Parts, Tag, take_word};

/// The tag and the length before each part, and the length and the header before all of them.
const HEAD_BYTES: usize = 8;

/// The most bytes of a part that are read: some hundred paths.
const PART_MAX_BYTES: usize = 256 * 1_024;

/// What the program is held within.
pub fn confinement_in(memory_file: impl AsFd) -> Result<Confinement, Errno> {
    let mut parts = Parts::default();
    let mut at = HEAD_BYTES as u64;
    loop {
        let mut head = [0; HEAD_BYTES];
        if read_at(&memory_file, &mut head, at)? == 0 {
            return Ok(parts.confinement);
        }
        let (tag, length) = parse_head(&head).ok_or(Errno::PROTO)?;
        at += HEAD_BYTES as u64;
        if tag.is_of_confinement() {
            let length = usize::try_from(length).map_err(|_| Errno::FBIG)?;
            if length > PART_MAX_BYTES {
                return Err(Errno::FBIG);
            }
            let mut body = Vec::new();
            body.try_reserve_exact(length).map_err(|_| Errno::NOMEM)?;
            body.resize(length, 0);
            let filled = read_at(&memory_file, &mut body, at)?;
            parts.take(tag, &body[..filled]).ok_or(Errno::PROTO)?;
        }
        at += u64::from(length);
    }
}

fn parse_head(mut head: &[u8]) -> Option<(Tag, u32)> {
    let tag = Tag::of(take_word(&mut head)?)?;
    Some((tag, take_word(&mut head)?))
}

/// Fills the room from this offset on, as far as the file goes, whatever the file's position.
/// Returns how much that is.
pub fn read_at(file: impl AsFd, room: &mut [u8], at: u64) -> Result<usize, Errno> {
    let mut filled = 0;
    while filled < room.len() {
        match pread(&file, &mut room[filled..], at + filled as u64) {
            Ok(0) => break,
            Ok(length) => filled += length,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(filled)
}
