//! Private temporary directories. Each is named after its warden and run, in a directory that the
//! host has for all of them.
//!
//! The tenant's process makes it, and its keeper removes it when the tree is gone; the warden where
//! the keeper was killed. What takes long to remove is moved aside, so that it is gone when the
//! tenant's end is told, and then removed by a process of the warden's. A warden that leaves, or a
//! keeper without one, leaves such a process behind, which ends with its work. What is left when
//! that is killed, too, is removed by the next host.
//!
//! The directory above is made by the warden when a tenant first needs it, and removed by the last
//! of these processes. As long as any of them lives it is locked (`flock`): other hosts, and
//! programs that clear up `/tmp`, leave it alone.

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::OnceLock;

use rustix::fs::{
    AtFlags, CWD, Dir, FlockOperation, Gid, Mode, OFlags, Uid, chownat, fchmod, flock, fstat,
    mkdir, open, renameat, rmdir, stat,
};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, geteuid, getpid, kill_process};

use warden::confinement::{Confinement, User};
use warden::names;
use warden::remove_tree::remove_tree;

use crate::clock;
use crate::leaf::LEAVING;
use crate::priority;
use crate::sys;

/// Users of tenants may pass through the directory above, and only that.
const PARENT_MODE: Mode = Mode::from_raw_mode(0o711);

/// How long the end of a tenant waits for the removal. Nearly all are done within a millisecond; a
/// busy machine needs longer to give the keeper its turn.
const AT_ONCE_MS: u64 = 100;

/// The same without a warden that could go on.
const ALONE_MS: u64 = 2_000;

/// The exit status of a keeper that has moved something aside for the warden to remove.
pub const LEFT_STATUS: i32 = 3;

/// What is appended to the name of a directory that was moved aside.
const ASIDE: &[u8] = b".left";

/// How long a warden that leaves goes on removing what keepers have left, before it leaves that to a
/// process of its own.
const LAST_REMOVAL_MS: u64 = 50;

/// How often the directory above is made again, when another warden of the host removes it in the
/// same moment.
const ATTEMPTS_MAX: usize = 5;

/// Notes the process that all directories are named after.
pub fn prepare() {
    WARDEN.get_or_init(getpid);
}

/// The warden, also in its keepers and in what is to become a tenant. A host can have several, one
/// after the other, which number their runs alike.
static WARDEN: OnceLock<Pid> = OnceLock::new();

/// The private directory of a run.
#[derive(Clone, Debug)]
pub struct Temporary {
    parent: CString,
    name: CString,
}

impl Temporary {
    /// The directory that a run is to have, if any.
    pub fn of(confinement: &Confinement, run: u64) -> Option<Temporary> {
        let name = CString::new(format!("{}{run}", own_prefix())).expect("digits");
        confinement.temporary.clone().map(|parent| Temporary { parent, name })
    }

    /// Its path.
    pub fn path(&self) -> CString {
        let path = [self.parent.as_bytes(), b"/", self.name.as_bytes()].concat();
        CString::new(path).expect("parts of zero-terminated strings hold no zero byte")
    }

    /// Makes it for the tenant's user. Its name is taken only if the run's number was used twice.
    pub fn make(&self, user: Option<User>) -> Result<(), Errno> {
        let path = self.path();
        mkdir(&path, Mode::RWXU)?;
        let Some(User { uid, gid }) = user else { return Ok(()) };
        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        chownat(CWD, &path, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
    }

    /// Keeps the directory above from being removed by others, as long as the descriptor is open.
    pub fn lock(&self) -> Option<OwnedFd> {
        open_parent(&self.parent).ok()
    }

    /// Removes it with everything in it, as far as that does not take long; what is left is moved
    /// aside. Returns whether anything is. What cannot be removed stays, and is told to nobody: no
    /// process of the tenant is left that could use it.
    pub fn remove_soon(&self, has_warden: bool) -> bool {
        let Ok(parent) = open_parent(&self.parent) else { return false };
        // Millions of files are removed with the priority of a tenant.
        priority::fall_back();
        let due_ms = clock::now_ms() + if has_warden { AT_ONCE_MS } else { ALONE_MS };
        let removed = remove_tree(&parent, &self.name, || clock::now_ms() > due_ms);
        removed == Err(Errno::TIMEDOUT) && self.move_aside(&parent)
    }

    fn move_aside(&self, parent: &OwnedFd) -> bool {
        renameat(parent, &self.name, parent, self.aside()).is_ok()
    }

    /// Removes what was moved aside, however long that takes.
    fn remove_rest(&self) {
        let Ok(parent) = open_parent(&self.parent) else { return };
        priority::fall_back();
        let _ = remove_tree(parent, &self.aside(), || false);
    }

    fn aside(&self) -> CString {
        aside_of(&self.name)
    }

    /// Removes the directory above, if nothing is left in it but what was moved aside: that is
    /// removed after this process has left, as it has no warden.
    pub fn remove_parent(&self, is_left: bool) {
        match open_parent(&self.parent) {
            Ok(parent) if is_left => remove_later(&self.parent, &parent, &[self.aside()]),
            _ => _ = rmdir(&self.parent),
        }
    }
}

/// Has a process of its own go on removing these when this one has left, however long that takes,
/// and the directory above at last.
fn remove_later(path: &CStr, parent: &OwnedFd, names: &[CString]) {
    // Before there is another process of this name.
    let _ = rustix::thread::set_name(LEAVING);
    // Without it they stay until the next host.
    let _ = sys::fork_into(|| {
        // With the directory its lock is kept.
        sys::close_all_except(&[0, 1, 2, parent.as_raw_fd()]);
        priority::fall_back();
        for name in names {
            let _ = remove_tree(parent, name, || false);
        }
        let _ = rmdir(path);
        0
    });
}

fn open_parent(path: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let parent = open(path, flags, Mode::empty())?;
    let stat = fstat(&parent)?;
    // In a directory like `/tmp` another user may have been first.
    if stat.st_uid != geteuid().as_raw() || stat.st_mode & 0o022 != 0 {
        return Err(Errno::EXIST);
    }
    // A file system without locks is no reason not to start.
    let _ = flock(&parent, FlockOperation::NonBlockingLockShared);
    Ok(parent)
}

/// Whether the path still leads to this directory.
fn is_at(path: &CStr, directory: &OwnedFd) -> bool {
    let id = |stat: rustix::fs::Stat| (stat.st_dev, stat.st_ino);
    stat(path).map(id).ok() == fstat(directory).map(id).ok()
}

/// The directories above those of tenants, as the warden holds them.
#[derive(Default)]
pub struct Temporaries {
    held: Vec<(CString, OwnedFd)>,
    /// Processes that remove what was moved aside.
    removers: Vec<Pid>,
    has_ended: bool,
}

impl Temporaries {
    /// Makes the directory above one that is to be made, and holds it.
    pub fn hold(&mut self, temporary: &Temporary) -> Result<(), Errno> {
        let path = &temporary.parent;
        // A look takes no lock; making a directory would wait for all that is made beside it.
        if self.held.iter().any(|(held, parent)| held == path && is_at(path, parent)) {
            return Ok(());
        }
        for _ in 0..ATTEMPTS_MAX {
            let made = mkdir(path, PARENT_MODE);
            let parent = match (made, open_parent(path)) {
                (Ok(()) | Err(Errno::EXIST), Ok(parent)) => parent,
                // Another warden has removed it meanwhile.
                (Ok(()) | Err(Errno::EXIST), Err(Errno::NOENT)) => continue,
                (Ok(()) | Err(Errno::EXIST), Err(errno)) | (Err(errno), _) => return Err(errno),
            };
            if made.is_ok() {
                // The host's mask may have taken permissions away.
                fchmod(&parent, PARENT_MODE)?;
            }
            if is_at(path, &parent) {
                self.held.retain(|(held, _)| held != path);
                self.held.push((path.clone(), parent));
                return Ok(());
            }
        }
        Err(Errno::NOENT)
    }

    /// Moves aside what a killed keeper has left, and has it removed.
    pub fn remove(&mut self, temporary: &Temporary) {
        if open_parent(&temporary.parent).is_ok_and(|parent| temporary.move_aside(&parent)) {
            self.remove_rest(temporary);
        }
    }

    /// Has a process of its own remove what was moved aside, as that can take long.
    pub fn remove_rest(&mut self, temporary: &Temporary) {
        if self.has_ended {
            return;
        }
        let removed = sys::fork_into(|| {
            sys::close_all_except(&[0, 1, 2]);
            temporary.remove_rest();
            0
        });
        // Without it the directory stays until this process leaves.
        self.removers.extend(removed);
    }

    /// The processes that remove.
    pub fn pids(&self) -> impl Iterator<Item = Pid> {
        self.removers.iter().copied()
    }

    /// Forgets a process that has ended. Returns whether it was one of these.
    pub fn reaped(&mut self, pid: Pid) -> bool {
        let count = self.removers.len();
        self.removers.retain(|remover| *remover != pid);
        self.removers.len() < count
    }

    /// Ends the processes that remove, and makes no more of them: this process is about to leave.
    pub fn end(&mut self) {
        self.has_ended = true;
        for pid in self.pids() {
            let _ = kill_process(pid, Signal::KILL);
        }
    }

    /// Removes what this warden's keepers have left, as far as there is time, and the directories
    /// above, where nothing else is in them; what takes longer is left to a process of its own.
    /// Nothing that is not named after this warden is touched, whatever directory it was told to use.
    pub fn leave(&mut self) {
        let due_ms = clock::now_ms() + LAST_REMOVAL_MS;
        for (path, held) in self.held.drain(..) {
            // What there is no time for is not left where the tenant knew it.
            let names = own_entries(&held).into_iter().map(|name| moved_aside(&held, name));
            let is_late = || clock::now_ms() > due_ms;
            let is_left =
                |name: &CString| remove_tree(&held, name, is_late) == Err(Errno::TIMEDOUT);
            let left: Vec<CString> = names.filter(is_left).collect();
            match &left[..] {
                [] => _ = rmdir(&path),
                left => remove_later(&path, &held, left),
            }
        }
    }
}

/// Moves a directory aside, unless it was, or cannot be. Returns its name.
fn moved_aside(parent: &OwnedFd, name: CString) -> CString {
    if name.as_bytes().ends_with(ASIDE) {
        return name;
    }
    let aside = aside_of(&name);
    if renameat(parent, &name, parent, &aside).is_ok() { aside } else { name }
}

fn aside_of(name: &CStr) -> CString {
    CString::new([name.to_bytes(), ASIDE].concat()).expect("digits and a word")
}

/// The directories of this warden's tenants.
fn own_entries(parent: &OwnedFd) -> Vec<CString> {
    let own = own_prefix();
    let entries = Dir::read_from(parent).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_owned());
    names.filter(|name| name.as_bytes().starts_with(own.as_bytes())).collect()
}

/// What the names of this warden's directories begin with.
fn own_prefix() -> String {
    names::temporary_prefix(WARDEN.get_or_init(getpid).as_raw_pid().cast_unsigned())
}
