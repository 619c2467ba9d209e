//! Landlock: which files, ports and processes the program may reach.
//!
//! Every right that the version knows is handled, so what no rule allows is refused. The constants
//! are those of the kernel's `linux/landlock.h`.

use std::ffi::CStr;

use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use rustix::io::Errno;

use warden::confinement::{Access, Landlock};
use warden::protocol::LaunchStep;

use super::Failure;
use super::sys::Ruleset;

// Of files and of directories.
const EXECUTE: u64 = 1;
const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const TRUNCATE: u64 = 1 << 14; // from version 3
const IOCTL_DEVICE: u64 = 1 << 15; // from version 5
const RESOLVE_UNIX: u64 = 1 << 16; // from version 9
const OF_FILES: u64 = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEVICE | RESOLVE_UNIX;
// Of directories only. Those between are the kinds of files that may be made and removed.
const READ_DIRECTORY: u64 = 1 << 3;
const MAKE_SYMLINK: u64 = 1 << 12;
const REFER: u64 = 1 << 13; // from version 2

const BIND_TCP: u64 = 1; // from version 4, and the next one
const CONNECT_TCP: u64 = 1 << 1;

const ABSTRACT_SOCKETS: u64 = 1; // from version 6, and the next one
const SIGNALS: u64 = 1 << 1;

/// The rights of files that a version handles.
fn files_of(abi: u32) -> u64 {
    let first = (MAKE_SYMLINK << 1) - 1;
    [(2, REFER), (3, TRUNCATE), (5, IOCTL_DEVICE), (9, RESOLVE_UNIX)]
        .into_iter()
        .filter(|(since, _)| *since <= abi)
        .fold(first, |rights, (_, right)| rights | right)
}

/// What an access means, of the rights that are handled.
fn rights(access: Access, handled: u64) -> u64 {
    let read = READ_FILE | READ_DIRECTORY;
    handled
        & match access {
            Access::Read => read,
            Access::Execute => read | EXECUTE,
            Access::Write => u64::MAX,
            Access::Device => read | WRITE_FILE | IOCTL_DEVICE,
        }
}

/// Restricts this process. `temporary` is its private directory.
pub fn restrict(landlock: &Landlock, temporary: Option<&CStr>) -> Result<(), Failure> {
    let failed = |errno, text| Failure { step: LaunchStep::PutUpWalls, errno, text };
    let at = |errno| failed(errno, None);
    let abi = landlock.abi;
    let files = files_of(abi);
    let connect = landlock.connect.as_ref().map_or(0, |_| CONNECT_TCP);
    let ports = if abi >= 4 { BIND_TCP | connect } else { 0 };
    let scopes = if abi >= 6 { ABSTRACT_SOCKETS | SIGNALS } else { 0 };
    let ruleset = Ruleset::make(abi, files, ports, scopes).map_err(at)?;
    for rule in &landlock.paths {
        let allowed = allow(&ruleset, &rule.path, rights(rule.access, files));
        if let (true, Err(errno)) = (rule.is_required, allowed) {
            let text = format!("{:?}, which its walls let it use, cannot be: {errno}", rule.path);
            return Err(failed(errno, Some(text)));
        }
    }
    if let Some(temporary) = temporary {
        allow(&ruleset, temporary, rights(Access::Write, files)).map_err(at)?;
    }
    if ports != 0 {
        let rules = [(BIND_TCP, Some(&landlock.listen)), (CONNECT_TCP, landlock.connect.as_ref())];
        for (right, port) in rules
            .into_iter()
            .flat_map(|(right, ports)| ports.into_iter().flatten().map(move |port| (right, *port)))
        {
            ruleset.allow_port(port, right).map_err(at)?;
        }
    }
    ruleset.restrict_self().map_err(at)
}

fn allow(ruleset: &Ruleset, path: &CStr, rights: u64) -> Result<(), Errno> {
    let file = open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let is_directory = FileType::from_raw_mode(fstat(&file)?.st_mode) == FileType::Directory;
    let rights = if is_directory { rights } else { rights & OF_FILES };
    ruleset.allow_path(&file, rights)
}
