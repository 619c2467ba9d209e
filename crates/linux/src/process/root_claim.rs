//! Claims the root directory of a runtime's tenants. Two runtimes on one root, in one process or
//! in two, know nothing of each other, and each would start its own process for the same tenant,
//! with the same files. The claim tells the second runtime of the first.
//!
//! A claim is an abstract socket whose name is made of the root's identity. The kernel gives a
//! name to one socket only, tells which process has it, and frees it when that process ends in any
//! way; no file is left. Claims of all users in the same network namespace are seen.

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

/// A claimed root. While it is held, other runtimes find the root taken; dropping it frees the
/// root.
pub struct RootClaim {
    _socket: OwnedFd,
}

/// The result of a claim.
pub enum Claimed {
    First(RootClaim),
    /// Another runtime has the root; its pid, where that can be known.
    Taken(Option<u32>),
}

impl RootClaim {
    /// Claims a root. Fails if the root does not exist (yet), and where such sockets are
    /// forbidden.
    pub fn try_new(root: &Path) -> io::Result<Claimed> {
        let of_root = fs::metadata(root)?;
        let name = format!("absolutejs-runtime/tenants/{}:{}", of_root.dev(), of_root.ino());
        let address = SocketAddrUnix::new_abstract_name(name.as_bytes())?;
        let socket = new_socket()?;
        match bind(&socket, &address) {
            Ok(()) => {
                listen(&socket, QUEUE)?;
                Ok(Claimed::First(RootClaim { _socket: socket }))
            }
            Err(Errno::ADDRINUSE) => Ok(Claimed::Taken(owner(&address))),
            Err(errno) => Err(errno.into()),
        }
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
    fn a_root_is_claimed_once_by_whatever_path_until_it_is_dropped() {
        let root = std::env::temp_dir().join(format!("root-claim-{}", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        let link = root.with_extension("link");
        std::os::unix::fs::symlink(&root, &link).unwrap();
        let first = RootClaim::try_new(&root).unwrap();
        assert!(matches!(first, Claimed::First(_)));
        let own = Some(std::process::id());
        assert!(matches!(RootClaim::try_new(&link).unwrap(), Claimed::Taken(pid) if pid == own));
        drop(first);
        assert!(matches!(RootClaim::try_new(&link).unwrap(), Claimed::First(_)));
        fs::remove_file(&link).unwrap();
        fs::remove_dir(&root).unwrap();
        assert!(RootClaim::try_new(&root).is_err());
    }
}
