//! Where the processes of a tree listen: for those that nobody has told a port.

use crate::os::proc_net;
use crate::os::sock_diag::TCP_LISTEN;
use procfs::process::{FDTarget, Process};
use std::collections::HashSet;

/// The ports on which the process or one below it listens, lowest first.
pub fn ports_of(pid: u32) -> Vec<u16> {
    let mut sockets = HashSet::new();
    let mut to_visit = vec![pid];
    while let Some(pid) = to_visit.pop() {
        let Some(process) = pid.try_into().ok().and_then(|pid| Process::new(pid).ok()) else { continue };
        sockets.extend(sockets_of(&process));
        to_visit.extend(children_of(&process));
    }
    let listening = proc_net::tcp_sockets(&pid.to_string()).unwrap_or_default().into_iter();
    let listening = listening.filter(|socket| socket.state == TCP_LISTEN && sockets.contains(&socket.inode));
    let mut ports: Vec<u16> = listening.map(|socket| socket.local_port).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// The inodes of its open sockets.
fn sockets_of(process: &Process) -> Vec<u64> {
    let descriptors = process.fd().into_iter().flatten().flatten();
    descriptors
        .filter_map(|descriptor| match descriptor.target {
            FDTarget::Socket(inode) => Some(inode),
            _ => None,
        })
        .collect()
}

fn children_of(process: &Process) -> Vec<u32> {
    let threads = process.tasks().into_iter().flatten().flatten();
    threads.filter_map(|thread| thread.children().ok()).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

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
}
