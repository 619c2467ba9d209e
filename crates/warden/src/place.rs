//! Where a surviving warden is found: the socket and the lock of its name, in a directory that only
//! this user can reach. A host makes them, and a warden whose socket was removed makes them again.

use rustix::fs::{FlockOperation, Mode, OFlags, flock, fstat, open};
use rustix::io::Errno;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// The permissions of the directory: none for others.
const DIRECTORY_MODE: u32 = 0o700;

/// The files of a name.
#[derive(Clone, Debug)]
pub struct Place {
    /// What the warden listens at.
    pub socket: PathBuf,
    lock: PathBuf,
}

impl Place {
    /// The files of the name in this directory, which need not be there.
    pub fn of(directory: &Path, name: &str) -> Place {
        let file = |ending| directory.join(format!("{name}.{ending}"));
        Place { socket: file("sock"), lock: file("lock") }
    }

    /// The files of the name whose socket has this path.
    pub fn at(socket: &Path) -> Place {
        Place { socket: socket.to_owned(), lock: socket.with_extension("lock") }
    }

    /// The same, in a directory that is made if it is missing. An error, for people: others could
    /// reach it.
    pub fn prepare(directory: &Path, name: &str) -> io::Result<Place> {
        Place::prepare_directory(directory)?;
        Ok(Place::of(directory, name))
    }

    /// Makes the directory if it is missing.
    pub fn prepare_directory(directory: &Path) -> io::Result<()> {
        let made = fs::DirBuilder::new().mode(DIRECTORY_MODE).create(directory);
        match made {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(io::Error::new(
                    error.kind(),
                    format!("the directory {directory:?} cannot be made: {error}"),
                ));
            }
            _ => {}
        }
        require_own(directory)
    }

    /// The lock of the name, held by this process. `None` if another one holds it: a warden, or a
    /// host that starts one.
    pub fn lock(&self) -> io::Result<Option<OwnedFd>> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = open(&self.lock, flags, Mode::RUSR | Mode::WUSR)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(file)),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Whether this is the file of the lock.
    pub fn is_lock(&self, held: &OwnedFd) -> bool {
        let held = fstat(held).map(|held| (held.st_dev, held.st_ino));
        let file = fs::symlink_metadata(&self.lock).map(|file| (file.dev(), file.ino()));
        held.ok().is_some_and(|held| file.ok() == Some(held))
    }

    /// Removes the socket of a warden that was killed. Only with the lock.
    pub fn remove_socket(&self) -> io::Result<()> {
        match fs::remove_file(&self.socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// The directory is one of this user's, which no other can reach.
fn require_own(directory: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(directory)?;
    let own = rustix::process::geteuid().as_raw();
    let is_wrong = if !found.is_dir() {
        "it is no directory".to_owned()
    } else if found.uid() != own {
        format!("it belongs to user {}, and this is user {own}", found.uid())
    } else if found.mode() & 0o077 != 0 {
        format!("others may reach it (mode {:o})", found.mode() & 0o777)
    } else {
        return Ok(());
    };
    Err(io::Error::other(format!(
        "the directory {directory:?} is to be of this user alone (mode 700): {is_wrong}; remove it, or \
         set XDG_RUNTIME_DIR to a directory of this user's"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// A directory of the test's own, which is not there yet.
    fn directory(test: &str) -> PathBuf {
        std::env::temp_dir().join(format!("absolute-place-{test}-{}", std::process::id()))
    }

    #[test]
    fn the_directory_is_made_for_this_user_alone_and_the_lock_is_held_once() {
        let directory = directory("made");
        let place = Place::prepare(&directory, "app").unwrap();
        assert_eq!(fs::metadata(&directory).unwrap().mode() & 0o777, DIRECTORY_MODE);
        let held = place.lock().unwrap();
        assert!(held.is_some());
        assert!(Place::prepare(&directory, "app").unwrap().lock().unwrap().is_none());
        assert!(Place::prepare(&directory, "other").unwrap().lock().unwrap().is_some());
        drop(held);
        assert!(place.lock().unwrap().is_some());
        place.remove_socket().unwrap();
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn a_directory_that_others_can_reach_is_refused() {
        let directory = directory("reached");
        fs::create_dir(&directory).unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
        let refused = Place::prepare(&directory, "app").unwrap_err().to_string();
        assert!(refused.contains("others may reach it (mode 755)"), "{refused}");
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).unwrap();
        let link = directory.with_extension("link");
        std::os::unix::fs::symlink(&directory, &link).unwrap();
        let refused = Place::prepare(&link, "app").unwrap_err().to_string();
        assert!(refused.contains("it is no directory"), "{refused}");
        fs::remove_file(&link).unwrap();
        fs::remove_dir_all(&directory).unwrap();
    }
}
