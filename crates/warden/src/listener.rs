//! The socket of a surviving warden, at the path of its name, and the name's lock. Only processes
//! of the warden's user are heard, and none that is a tenant's: with the name a tenant would have
//! its neighbours.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::net::sockopt::set_socket_passcred;
use rustix::net::{SocketAddrUnix, SocketFlags, accept_with, getsockname, listen};
use rustix::process::{Pid, getpid, getuid};

use warden::place::Place;
use warden::socket_failure::SocketFailure;
use warden::surviving;

use crate::clock;
use crate::sys;
use crate::tree::{pid_of, stat_of};

/// How many connections wait until they are accepted.
const BACKLOG: i32 = 128;

/// The pause after a shortage of descriptors or memory.
const SHORTAGE_PAUSE_MS: u64 = 20;

/// How often it is looked whether the path leads here. A host that finds nobody there, and the name
/// locked, tries for several times as long.
const LOOK_EVERY_MS: u64 = 2_000;

/// More ancestors than any process has.
const ANCESTORS_MAX: usize = 100_000;

/// A process at the other end of a connection.
pub struct Peer {
    /// Non-blocking.
    pub socket: OwnedFd,
    /// Only its packets count.
    pub pid: Pid,
}

/// The listening socket. Dropping it frees the name.
pub struct Listener {
    socket: OwnedFd,
    /// Locked as long as any process has this open file, which is this one alone.
    lock: OwnedFd,
    path: PathBuf,
    /// Device and inode of the path: another socket may be there by the time of the end.
    file: Option<(u64, u64)>,
    /// Nothing is accepted before, after a shortage.
    paused_until_ms: u64,
    /// When it is looked whether the path leads here.
    look_at_ms: u64,
}

impl Listener {
    /// Listens on a socket that its host has bound to the path of a name.
    pub fn new(socket: OwnedFd, lock: OwnedFd) -> io::Result<Listener> {
        let path = path_of(&socket).ok_or(io::ErrorKind::InvalidInput)?;
        let file = file_at(&path).ok();
        begin_to_listen(&socket)?;
        let look_at_ms = clock::now_ms() + LOOK_EVERY_MS;
        Ok(Listener { socket, lock, path, file, paused_until_ms: 0, look_at_ms })
    }

    /// The descriptor to wait on, unless there is a pause.
    pub fn socket(&self) -> Option<BorrowedFd<'_>> {
        (self.paused_until_ms == 0).then(|| self.socket.as_fd())
    }

    /// When a pause is over, or the path is to be looked at.
    pub fn due_ms(&self) -> u64 {
        match self.paused_until_ms {
            0 => self.look_at_ms,
            paused_until_ms => paused_until_ms.min(self.look_at_ms),
        }
    }

    /// Ends a pause that is over.
    pub fn go_on(&mut self) {
        if self.paused_until_ms <= clock::now_ms() {
            self.paused_until_ms = 0;
        }
    }

    /// Looks at the path at once.
    pub fn look_soon(&mut self) {
        self.look_at_ms = 0;
    }

    /// Whether hosts can find this process, as far as was looked. A socket or a directory that was
    /// removed is made again; `false` if something else is there, or that cannot be done.
    pub fn stays_at_path(&mut self) -> bool {
        let now_ms = clock::now_ms();
        if now_ms < self.look_at_ms {
            return true;
        }
        self.look_at_ms = now_ms + LOOK_EVERY_MS;
        if file_at(&self.path).is_ok_and(|file| Some(file) == self.file) {
            return true;
        }
        match self.bind_again() {
            Ok(()) => true,
            // Perhaps the next time.
            Err(error) => {
                matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
                    || SocketFailure::from(&error) == SocketFailure::Passing
            }
        }
    }

    /// Only with the lock, as whoever starts another warden has it.
    fn bind_again(&mut self) -> io::Result<()> {
        let directory = self.path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        Place::prepare_directory(directory)?;
        let place = Place::at(&self.path);
        if !place.is_lock(&self.lock) {
            self.lock = place.lock()?.ok_or(io::ErrorKind::AddrInUse)?;
        }
        let socket = surviving::bind(&self.path)?;
        begin_to_listen(&socket)?;
        (self.socket, self.file) = (socket, file_at(&self.path).ok());
        Ok(())
    }

    /// Accepts the connections that wait, up to a number; those of others are closed.
    pub fn accept(&mut self, at_most: usize) -> Vec<Peer> {
        let mut accepted = Vec::new();
        while accepted.len() < at_most {
            match accept_with(&self.socket, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
                Ok(socket) => accepted.extend(peer(socket)),
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(errno) => {
                    if SocketFailure::from(errno) != SocketFailure::NotReady {
                        self.paused_until_ms = clock::now_ms() + SHORTAGE_PAUSE_MS;
                    }
                    break;
                }
            }
        }
        accepted
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if file_at(&self.path).is_ok_and(|file| Some(file) == self.file) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Whether this is a socket that is bound to a path, and not one end of a pair.
pub fn is_bound(socket: impl AsFd) -> bool {
    path_of(socket).is_some()
}

fn path_of(socket: impl AsFd) -> Option<PathBuf> {
    let address = SocketAddrUnix::try_from(getsockname(socket).ok()?).ok()?;
    let path = Path::new(std::ffi::OsStr::from_bytes(address.path()?.to_bytes())).to_owned();
    path.is_absolute().then_some(path)
}

fn file_at(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|file| (file.dev(), file.ino()))
}

fn begin_to_listen(socket: &OwnedFd) -> io::Result<()> {
    // Connections are as the listening socket is, and the first packet is signed only if that is set
    // before it.
    set_socket_passcred(socket, true)?;
    rustix::io::ioctl_fionbio(socket, true)?;
    // Whoever connects is told that this process is at the other end.
    Ok(listen(socket, BACKLOG)?)
}

/// The process that has connected, if it may.
fn peer(socket: OwnedFd) -> Option<Peer> {
    let (pid, user) = sys::peer_of(&socket).ok()?;
    let pid = pid_of(pid)?;
    (user == getuid().as_raw() && !is_below_this(pid)).then_some(Peer { socket, pid })
}

/// Whether a process is a descendant of this one, as all of a tenant's are.
fn is_below_this(pid: Pid) -> bool {
    let own = getpid();
    let parent = |pid: &Pid| stat_of(*pid).and_then(|stat| pid_of(stat.parent));
    // This process itself is none: the fuzz target's host is a thread of it.
    std::iter::successors(parent(&pid), parent).take(ANCESTORS_MAX).any(|above| above == own)
}
