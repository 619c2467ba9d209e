//! Removes a control group with those below it. A tenant may have nested them deeper than a path is
//! long and than a stack goes, so one group at a time is open, and nothing recurs.

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, unlinkat};
use rustix::io::Errno;

/// A group on the way from the top to the one that is open.
struct Level {
    /// Its name in the group above.
    name: CString,
    /// The groups in it that were not looked at yet.
    below: Vec<CString>,
}

/// Removes the group with all below it. `kill` gets the path of each before those in it are removed,
/// and is to end the processes in it. Returns whether the group is gone: it is not when a process is
/// still in one of them, or when `is_late` has said so.
pub fn remove_group(group: &Path, is_late: impl Fn() -> bool, mut kill: impl FnMut(&Path)) -> bool {
    let Ok(top) = CString::new(group.as_os_str().as_encoded_bytes()) else { return false };
    if is_removed(CWD, &top) {
        return true;
    }
    let Ok(mut open) = enter(CWD, &top) else { return false };
    let mut levels = vec![level(&open, top.clone(), &mut kill)];
    while let Some(Level { below, .. }) = levels.last_mut() {
        if is_late() {
            return false;
        }
        if let Some(name) = below.pop() {
            if !is_removed(&open, &name)
                && let Ok(next) = enter(&open, &name)
            {
                levels.push(level(&next, name, &mut kill));
                open = next;
            }
            continue;
        }
        let done = levels.pop();
        if levels.is_empty() {
            break;
        }
        let Ok(above) = enter(&open, c"..") else { return false };
        open = above;
        let _ = done.is_some_and(|done| is_removed(&open, &done.name));
    }
    is_removed(CWD, &top)
}

fn level(group: &OwnedFd, name: CString, kill: &mut impl FnMut(&Path)) -> Level {
    kill(&PathBuf::from(format!("/proc/self/fd/{}", group.as_raw_fd())));
    let entries = Dir::read_from(group).into_iter().flatten().flatten();
    let groups = entries.filter(|entry| entry.file_type() == FileType::Directory);
    let names = groups.map(|entry| entry.file_name().to_owned());
    Level { name, below: names.filter(|name| !matches!(name.to_bytes(), b"." | b"..")).collect() }
}

fn is_removed(above: impl std::os::fd::AsFd, name: &CStr) -> bool {
    matches!(unlinkat(above, name, AtFlags::REMOVEDIR), Ok(()) | Err(Errno::NOENT))
}

fn enter(above: impl std::os::fd::AsFd, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(above, name, flags, Mode::empty())
}
