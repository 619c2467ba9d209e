//! Removes the temporary directories that hosts have left that are gone, and their wardens with
//! them. A warden, and each keeper, has the directory locked as long as it lives.

use super::Me;
use super::predecessors::is_alive;
use rustix::fs::{FlockOperation, Mode, OFlags, flock, fstat, open, openat};
use std::ffi::CString;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use warden::HostId;
use warden::remove_tree::remove_tree;

const PREFIX: &str = "absolute-";

impl Me {
    /// The directory of the tenants' private temporary directories.
    pub(super) fn temporary(&self) -> PathBuf {
        let name = format!("{PREFIX}{}-{}", self.uid, self.id);
        directory().join(name)
    }
}

fn directory() -> PathBuf {
    Some(std::env::temp_dir()).filter(|path| path.is_absolute()).unwrap_or("/tmp".into())
}

/// Removes what this user's hosts have left. What there is may be large, and is removed on a thread
/// of its own, which ends with that.
pub(super) fn clear(me: &Me) {
    let uid = me.uid;
    let left = left_in(&directory(), uid);
    if left.is_empty() {
        return;
    }
    let remove_all = move || left.iter().for_each(|name| remove(&directory(), name, uid));
    if let Err(error) = std::thread::Builder::new().name("abs-clear".to_owned()).spawn(remove_all) {
        tracing::warn!(%error, "temporary directories are left to the next host");
    }
}

/// The names of directories of hosts of this user that are gone.
fn left_in(directory: &Path, uid: u32) -> Vec<CString> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let is_left =
        |name: &String| named(name).is_some_and(|(of, host)| of == uid && !is_alive(host));
    names.filter(is_left).filter_map(|name| CString::new(name).ok()).collect()
}

/// The user and the host that a name is made of.
fn named(name: &str) -> Option<(u32, HostId)> {
    let (uid, host) = name.strip_prefix(PREFIX)?.split_once('-')?;
    Some((uid.parse().ok()?, HostId::parse(host)?))
}

/// Removes a directory unless it is another user's, or a warden or keeper still has it locked.
fn remove(directory: &Path, name: &CString, uid: u32) {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let Ok(above) = open(directory, flags - OFlags::NOFOLLOW, Mode::empty()) else { return };
    let Ok(left) = openat(&above, name, flags, Mode::empty()) else { return };
    if is_ours_to_remove(&left, uid)
        && let Err(error) = remove_tree(above.as_fd(), name, || false)
    {
        tracing::warn!(%error, ?name, "what a host that is gone has left could not be removed");
    }
}

fn is_ours_to_remove(left: &OwnedFd, uid: u32) -> bool {
    fstat(left).is_ok_and(|stat| stat.st_uid == uid)
        && flock(left, FlockOperation::NonBlockingLockExclusive).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    const GONE: u32 = 1 << 30;

    #[test]
    fn only_unlocked_directories_of_hosts_that_are_gone_are_removed() {
        let me = Me::here();
        let all = std::env::temp_dir().join(format!("leftovers-{}", me.id.pid));
        let make = |name: String| {
            fs::create_dir_all(all.join(&name).join("tenant/deeper")).unwrap();
            fs::write(all.join(&name).join("tenant/deeper/file"), "x").unwrap();
            all.join(name)
        };
        let gone_host = |started_at_ticks| HostId { pid: GONE, started_at_ticks, ..me.id };
        let gone = make(format!("absolute-{}-{}", me.uid, gone_host(1)));
        fs::set_permissions(gone.join("tenant/deeper"), fs::Permissions::from_mode(0o000)).unwrap();
        let locked = make(format!("absolute-{}-{}", me.uid, gone_host(2)));
        let alive = make(format!("absolute-{}-{}", me.uid, me.id));
        let others = make(format!("absolute-{}-{}", me.uid + 1, gone_host(1)));
        let outside = make("outside".to_owned());
        symlink(&outside, all.join(format!("absolute-{}-{}", me.uid, gone_host(3)))).unwrap();
        let lock = fs::File::open(&locked).unwrap();
        flock(&lock, FlockOperation::LockShared).unwrap();

        let clear = || left_in(&all, me.uid).iter().for_each(|name| remove(&all, name, me.uid));
        clear();
        assert!(!gone.exists());
        for stays in [&locked, &alive, &others, &outside] {
            assert!(stays.join("tenant/deeper/file").exists(), "{}", stays.display());
        }
        drop(lock);
        clear();
        assert!(!locked.exists(), "its warden is gone by now");
        fs::remove_dir_all(&all).unwrap();
    }
}
