//! Removes a directory with everything in it, whatever shape its maker gave it: nested a hundred
//! thousand deep, without permissions, with millions of files. Symbolic links are not followed, and
//! no other file system is entered.
//!
//! A directory in the directory is emptied by moving what is below it up, one level at a time, so
//! no more than two directories are open, and nothing recurs.

use std::ffi::CStr;
use std::hash::{BuildHasher, RandomState};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, chmod, fstat, openat, openat2, renameat,
    unlinkat,
};
use rustix::io::Errno;

/// How many names are tried for a directory that is moved. They begin at a random number, so that
/// the maker of the tree cannot have taken them.
const NAMES_MAX: usize = 4;

/// Removes what `parent` has by this name; it is fine if there is nothing. Stops when `is_late`
/// says so (`ETIMEDOUT`), and when a whole pass has removed nothing, with the reason.
pub fn remove_tree(
    parent: impl AsFd,
    name: &CStr,
    is_late: impl Fn() -> bool,
) -> Result<(), Errno> {
    let root = match enter(&parent, name) {
        Ok(root) => root,
        Err(Errno::NOENT) => return Ok(()),
        Err(Errno::NOTDIR | Errno::LOOP) => return unlinkat(&parent, name, AtFlags::empty()),
        Err(errno) => return Err(errno),
    };
    let mut removal = Removal { root, next_name: RandomState::new().hash_one(name) };
    loop {
        let has_removed = removal.pass(&is_late)?;
        match unlinkat(&parent, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(errno) if !has_removed => return Err(errno),
            Err(_) => {}
        }
    }
}

struct Removal {
    root: OwnedFd,
    next_name: u64,
}

impl Removal {
    /// Removes what is in the root. Returns whether there was anything that could be removed.
    fn pass(&mut self, is_late: &impl Fn() -> bool) -> Result<bool, Errno> {
        let mut has_removed = false;
        let mut entries = Dir::read_from(&self.root)?;
        while let Some(entry) = entries.read() {
            if is_late() {
                return Err(Errno::TIMEDOUT);
            }
            let entry = entry?;
            if !is_own(entry.file_name()) {
                has_removed |= remove(&self.root, entry.file_name(), entry.file_type())
                    || self.empty(entry.file_name(), is_late)?;
            }
        }
        Ok(has_removed)
    }

    /// Removes a directory of the root; what it has in it that is not empty becomes the root's.
    fn empty(&mut self, name: &CStr, is_late: &impl Fn() -> bool) -> Result<bool, Errno> {
        let mut has_removed = false;
        let Ok(directory) = enter(&self.root, name) else { return Ok(false) };
        let mut entries = Dir::read_from(&directory)?;
        while let Some(entry) = entries.read() {
            if is_late() {
                return Err(Errno::TIMEDOUT);
            }
            let entry = entry?;
            if !is_own(entry.file_name()) {
                has_removed |= remove(&directory, entry.file_name(), entry.file_type())
                    || self.lift(&directory, entry.file_name());
            }
        }
        has_removed |= unlinkat(&self.root, name, AtFlags::REMOVEDIR).is_ok();
        Ok(has_removed)
    }

    /// Moves a directory up into the root.
    fn lift(&mut self, from: &OwnedFd, name: &CStr) -> bool {
        for _ in 0..NAMES_MAX {
            let free = format!("{:016x}", self.next_name);
            self.next_name = self.next_name.wrapping_add(1);
            match renameat(from, name, &self.root, &free) {
                Ok(()) => return true,
                // A directory that moves is written to: it names the one above.
                Err(Errno::ACCESS | Errno::PERM) if make_accessible(from, name).is_ok() => {}
                Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => {}
                Err(_) => return false,
            }
        }
        false
    }
}

fn is_own(name: &CStr) -> bool {
    matches!(name.to_bytes(), b"." | b"..")
}

/// Removes a file or an empty directory.
fn remove(directory: &OwnedFd, name: &CStr, kind: FileType) -> bool {
    let file = || unlinkat(directory, name, AtFlags::empty()).is_ok();
    let empty = || unlinkat(directory, name, AtFlags::REMOVEDIR).is_ok();
    match kind {
        FileType::Directory => empty(),
        // Some file systems do not tell the kind.
        FileType::Unknown => file() || empty(),
        _ => file(),
    }
}

/// Opens a directory of the same file system, and gives itself permission for it.
fn enter(parent: impl AsFd, name: &CStr) -> Result<OwnedFd, Errno> {
    match open_directory(&parent, name) {
        Err(Errno::ACCESS) => {
            make_accessible(&parent, name)?;
            open_directory(&parent, name)
        }
        // One that can be read can still not be writable.
        Ok(directory) => {
            if fstat(&directory)?.st_mode & 0o300 != 0o300 {
                make_accessible(&parent, name)?;
            }
            Ok(directory)
        }
        failed => failed,
    }
}

const DIRECTORY: OFlags =
    OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);

fn open_directory(parent: impl AsFd, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | DIRECTORY;
    let resolve = ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS;
    match openat2(&parent, name, flags, Mode::empty(), resolve) {
        // Kernels before 5.6.
        Err(Errno::NOSYS) => {
            let directory = openat(&parent, name, flags, Mode::empty())?;
            let is_same = fstat(&directory)?.st_dev == fstat(&parent)?.st_dev;
            if is_same { Ok(directory) } else { Err(Errno::XDEV) }
        }
        opened => opened,
    }
}

/// Gives the owner of a directory every permission. By a descriptor, since `chmod` by a name
/// follows links.
fn make_accessible(parent: impl AsFd, name: &CStr) -> Result<(), Errno> {
    let directory = openat(parent, name, OFlags::PATH | DIRECTORY, Mode::empty())?;
    chmod(format!("/proc/self/fd/{}", directory.as_raw_fd()), Mode::RWXU)
}
