//! Claims the root directory of a runtime's tenants. Two runtimes on one root, in one process or
//! in two, know nothing of each other, and each would start its own process for the same tenant,
//! with the same files. The claim tells the second runtime of the first.
//!
//! A claim is an abstract socket whose name is made of the root's identity. The kernel gives a
//! name to one socket only, tells which process has it, and frees it when that process ends in any
//! way; no file is left. Claims of all users in the same network namespace are seen.
//!
//! A root has several such names, and each runtime has one of them, so that a third one is told of
//! the second though the first has ended.

use rustix::io::Errno;
use rustix::net::sockopt::socket_peercred;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The backlog of the claim's socket. Each runtime that asks for the owner stays in it, since no
/// connection is accepted; once it is full, the owner stays unknown.
const QUEUE: i32 = 4_096;

/// How many runtimes can hold a claim of one root. A further one is told of them, and is not seen by
/// those after it.
const CLAIMS: u32 = 8;

/// A claim of a root. While it is held, other runtimes find the root taken; dropping it frees it.
pub struct RootClaim {
    _socket: OwnedFd,
}

/// The result of a claim.
pub struct Claimed {
    pub claim: Option<RootClaim>,
    /// Another runtime that has claimed the root before.
    pub other: Option<Other>,
}

pub struct Other {
    /// `None` where it cannot be known.
    pub pid: Option<u32>,
}

impl RootClaim {
    /// Claims a root. Fails if the root does not exist (yet), and where such sockets are
    /// forbidden.
    pub fn try_new(root: &Path) -> io::Result<Claimed> {
        let of_root = fs::metadata(root)?;
        let root = format!("absolutejs-runtime/tenants/{}:{}", of_root.dev(), of_root.ino());
        let mut claimed = Claimed { claim: None, other: None };
        for number in 0..CLAIMS {
            let name = if number == 0 { root.clone() } else { format!("{root}/{number}") };
            let address = SocketAddrUnix::new_abstract_name(name.as_bytes())?;
            let socket = new_socket()?;
            match bind(&socket, &address) {
                // A socket beside the claim only showed that the name is free.
                Ok(()) if claimed.claim.is_some() => {}
                Ok(()) => {
                    listen(&socket, QUEUE)?;
                    claimed.claim = Some(RootClaim { _socket: socket });
                }
                Err(Errno::ADDRINUSE) => {
                    claimed.other.get_or_insert_with(|| Other { pid: owner(&address) });
                }
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(claimed)
    }
}

fn new_socket() -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
}

/// The pid of the claim's owner. `None` if it is in another PID namespace, and in the moment
/// before it listens.
fn owner(address: &SocketAddrUnix) -> Option<u32> {
    let socket = new_socket().ok()?;
    connect(&socket, address).ok()?;
    let pid = socket_peercred(&socket).ok()?.pid.as_raw_pid().cast_unsigned();
    Path::new(&format!("/proc/{pid}")).exists().then_some(pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_by_any_path_tells_of_the_others_until_they_are_dropped() {
        let root = std::env::temp_dir().join(format!("root-claim-{}", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        let link = root.with_extension("link");
        std::os::unix::fs::symlink(&root, &link).unwrap();
        let first = RootClaim::try_new(&root).unwrap();
        assert!(first.claim.is_some() && first.other.is_none());
        let own = Some(std::process::id());
        let second = RootClaim::try_new(&link).unwrap();
        assert!(second.other.is_some_and(|other| other.pid == own));
        drop(first);
        let third = RootClaim::try_new(&link).unwrap();
        assert!(third.other.is_some(), "the second one is there");
        drop((second.claim, third.claim));
        assert!(RootClaim::try_new(&link).unwrap().other.is_none());
        fs::remove_file(&link).unwrap();
        fs::remove_dir(&root).unwrap();
        assert!(RootClaim::try_new(&root).is_err());
    }
}
