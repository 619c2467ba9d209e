//! Where the processes of a tree listen: for tenants that choose their own port, and for messages
//! about a tenant that does not listen where it should.

use crate::net::proc_net;
use crate::net::sock_diag::TCP_LISTEN;
use crate::process::accounting::Root;
use crate::process::children::children_of;
use crate::process::descriptor_table;
use crate::process::proc_stat;
use std::collections::HashSet;
use std::fs::DirEntry;
use std::net::SocketAddr;
use std::{fs, io};

/// The most listening sockets that a message names.
const MOST_NAMED: usize = 8;

/// The ports on which the process or a descendant listens, lowest first.
pub fn ports_of(pid: u32) -> Vec<u16> {
    let mut ports: Vec<u16> = listening(Root::Process(pid)).iter().map(SocketAddr::port).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// Where a tree listens, as text for messages: `127.0.0.1:3999`, `the unix socket /run/a.sock`.
/// Reads much of `/proc`: not for a thread that must not block.
pub fn named(root: Root) -> Vec<String> {
    let sockets = sockets_of_tree(root);
    let unix = fs::read_to_string(in_its_namespace(root, "unix")).unwrap_or_default();
    let unix = unix.lines().filter_map(listening_unix).filter(|(inode, _)| sockets.contains(inode));
    let mut names: Vec<String> = listening(root).iter().map(SocketAddr::to_string).collect();
    names.extend(unix.map(|(_, path)| format!("the unix socket {path}")));
    names.sort();
    names.dedup();
    names.truncate(MOST_NAMED);
    names
}

fn listening(root: Root) -> Vec<SocketAddr> {
    let sockets = sockets_of_tree(root);
    let all = proc_net::tcp_sockets(&first_of(root).to_string()).unwrap_or_default().into_iter();
    let listening =
        all.filter(|socket| socket.state == TCP_LISTEN && sockets.contains(&socket.inode));
    listening.map(|socket| SocketAddr::new(socket.address, socket.local_port)).collect()
}

/// A process of the tree, whose network namespace stands for the tree's.
fn first_of(root: Root) -> u32 {
    match root {
        Root::Process(pid) => pid,
        Root::Keeper(keeper) | Root::Grouped { keeper, .. } => {
            children_of(keeper, 1).first().copied().unwrap_or(keeper)
        }
    }
}

fn in_its_namespace(root: Root, table: &str) -> String {
    format!("/proc/{}/net/{table}", first_of(root))
}

/// Parses a line of `/proc/net/unix`, such as `0000: 00000002 00000000 00010000 0001 01 23456
/// /run/a.sock`: the fourth field holds the flag for listening, the seventh is the inode. `procfs`
/// leaves the fourth out.
fn listening_unix(line: &str) -> Option<(u64, &str)> {
    const ACCEPTS_CONNECTIONS: u32 = 1 << 16;
    let mut fields = line.split_ascii_whitespace();
    let flags = u32::from_str_radix(fields.nth(3)?, 16).ok()?;
    let (inode, path) = (fields.nth(2)?.parse().ok()?, fields.next()?);
    (flags & ACCEPTS_CONNECTIONS != 0).then_some((inode, path))
}

/// The inodes of the open sockets of all processes of a tree; processes that may not be looked
/// into are left out.
pub fn sockets_of_tree(root: Root) -> HashSet<u64> {
    processes(root, usize::MAX).flat_map(|pid| sockets_of(pid).unwrap_or_default()).collect()
}

/// The processes of a tree, found lazily: the root first, then the youngest children first. Looks
/// for the children of at most `most_threads` threads of each process.
pub fn processes(root: Root, most_threads: usize) -> impl Iterator<Item = u32> {
    let children_of = move |pid| children_of(pid, most_threads);
    let mut to_visit = match root {
        Root::Process(pid) => vec![pid],
        Root::Keeper(keeper) | Root::Grouped { keeper, .. } => children_of(keeper),
    };
    to_visit.reverse();
    let mut expanding = None;
    std::iter::from_fn(move || {
        // The children of a process are read only once the caller asks for more than the process
        // itself.
        to_visit.extend(expanding.take().map(&children_of).unwrap_or_default());
        expanding = to_visit.pop();
        expanding
    })
}

/// The inodes of a process's open sockets, including those in the own descriptor table of one of
/// its threads. Empty if the process has ended; an error if it may not be looked into.
pub fn sockets_of(pid: u32) -> io::Result<Vec<u64>> {
    let mut sockets = sockets_among(pid, usize::MAX)?;
    for thread in threads_of(pid).filter(|thread| descriptor_table::is_own(pid, *thread)) {
        sockets.extend(sockets_in(&descriptors(pid, thread, usize::MAX)?));
    }
    Ok(sockets)
}

/// The inodes of the sockets among the first `most_descriptors` of the descriptors that a
/// process's threads share.
///
/// Read by hand, since a start waits for it: 76 µs for 20 descriptors, against 107 µs through
/// `procfs`, which also examines each.
pub fn sockets_among(pid: u32, most_descriptors: usize) -> io::Result<Vec<u64>> {
    let of = |thread| descriptors(pid, thread, most_descriptors);
    let mut found = of(pid)?;
    if found.is_empty() {
        // The first thread may have ended while others go on.
        let seen =
            threads_of(pid).map(of).find(|seen| seen.as_ref().is_ok_and(|seen| !seen.is_empty()));
        found = seen.transpose()?.unwrap_or_default();
    }
    Ok(sockets_in(&found))
}

fn threads_of(pid: u32) -> impl Iterator<Item = u32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    threads.filter_map(|thread| thread.file_name().to_str()?.parse().ok())
}

fn descriptors(pid: u32, thread: u32, most: usize) -> io::Result<Vec<DirEntry>> {
    match fs::read_dir(format!("/proc/{pid}/task/{thread}/fd")) {
        // What is left of a process that has ended is root's.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied && !has_ended(pid) => {
            Err(error)
        }
        descriptors => Ok(descriptors.into_iter().flatten().flatten().take(most).collect()),
    }
}

fn has_ended(pid: u32) -> bool {
    proc_stat::of(pid).is_none_or(|stat| stat.has_ended)
}

/// The inodes of those descriptors that are sockets: links to `socket:[1234]`.
fn sockets_in(descriptors: &[DirEntry]) -> Vec<u64> {
    let targets = descriptors.iter().filter_map(|descriptor| fs::read_link(descriptor.path()).ok());
    let inode = |target: &str| target.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok();
    targets.filter_map(|target| inode(target.to_str()?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use procfs::process::FDTarget;
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixListener;

    #[test]
    fn this_process_listens_where_it_does_and_not_where_it_is_connected() {
        let servers = ["127.0.0.1:0", "[::]:0"].map(|address| TcpListener::bind(address).unwrap());
        let expected = servers.each_ref().map(|server| server.local_addr().unwrap().port());
        let client = TcpStream::connect(servers[0].local_addr().unwrap()).unwrap();
        let found = ports_of(std::process::id());
        assert!(expected.iter().all(|port| found.contains(port)), "{expected:?} in {found:?}");
        assert!(!found.contains(&client.local_addr().unwrap().port()));
        assert!(ports_of(u32::MAX).is_empty());
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "tests start processes")]
    fn one_that_has_ended_and_was_not_waited_for_has_no_sockets() {
        let mut child = std::process::Command::new("cat");
        let mut child = child.stdin(std::process::Stdio::piped()).spawn().unwrap();
        let pid = child.id();
        let as_another = move || {
            let user = rustix::process::Uid::from_raw(65_534);
            let _ = rustix::thread::set_thread_res_uid(user, user, user);
            sockets_of(pid).map_err(|error| error.kind())
        };
        if rustix::process::geteuid().is_root() {
            let seen = std::thread::spawn(as_another).join().unwrap();
            assert_eq!(seen, Err(io::ErrorKind::PermissionDenied), "it is root's");
        }
        drop(child.stdin.take());
        while !has_ended(pid) {
            std::thread::yield_now();
        }
        assert_eq!(std::thread::spawn(as_another).join().unwrap(), Ok(Vec::new()));
        child.wait().unwrap();
    }

    #[test]
    fn procfs_sees_the_same_sockets() {
        let _server = TcpListener::bind("127.0.0.1:0").unwrap();
        // Other tests open and close sockets meanwhile.
        let process = procfs::process::Process::myself().unwrap();
        let seen_by_procfs = || -> HashSet<u64> {
            let targets = process.fd().unwrap().flatten().map(|descriptor| descriptor.target);
            targets
                .filter_map(
                    |target| if let FDTarget::Socket(inode) = target { Some(inode) } else { None },
                )
                .collect()
        };
        let seen = || HashSet::from_iter(sockets_of(std::process::id()).unwrap());
        assert!(
            (0..100).any(|_| seen_by_procfs() == seen()),
            "{:?} and {:?}",
            seen_by_procfs(),
            seen()
        );
    }

    #[test]
    fn a_unix_socket_is_named_by_its_path_if_it_listens() {
        let line = "0000: 00000002 00000000 00010000 0001 01 23456 /run/a.sock";
        assert_eq!(listening_unix(line), Some((23_456, "/run/a.sock")));
        assert_eq!(
            listening_unix("0000: 00000003 00000000 00000000 0001 03 23456 /run/a.sock"),
            None
        );
        let path = std::env::temp_dir().join(format!("listeners-{}.sock", std::process::id()));
        let _ = fs::remove_file(&path);
        let _server = UnixListener::bind(&path).unwrap();
        let inode = fs::metadata(&path).map(|_| sockets_of(std::process::id()).unwrap());
        assert!(!inode.unwrap().is_empty());
        let table = fs::read_to_string("/proc/self/net/unix").unwrap();
        let found = table
            .lines()
            .filter_map(listening_unix)
            .find(|(_, found)| *found == path.to_str().unwrap());
        let of_procfs = procfs::process::Process::myself().unwrap().unix().unwrap();
        let of_procfs =
            of_procfs.iter().find(|socket| socket.path.as_ref() == Some(&path)).unwrap();
        assert_eq!(found.map(|(inode, _)| inode), Some(of_procfs.inode));
        fs::remove_file(path).unwrap();
    }

    #[test]
    #[ignore = "a measurement"]
    fn what_a_read_costs() {
        // A server has some twenty descriptors.
        let _servers: Vec<_> = (0..12).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let process = procfs::process::Process::myself().unwrap();
        let with_procfs = || process.fd().unwrap().flatten().count();
        println!("{} descriptors", with_procfs());
        let by_hand = || sockets_of(std::process::id()).unwrap();
        crate::reader_costs::print("descriptors", by_hand, with_procfs);
    }
}
