//! Where the processes of a tree listen: for those that nobody has told a port.

use crate::os::proc_net;
use crate::os::sock_diag::TCP_LISTEN;
use std::collections::HashSet;
use std::fs;

/// The ports on which the process or one below it listens, lowest first.
pub fn ports_of(pid: u32) -> Vec<u16> {
    let mut sockets = HashSet::new();
    let mut to_visit = vec![pid];
    while let Some(pid) = to_visit.pop() {
        sockets.extend(sockets_of(pid));
        to_visit.extend(children_of(pid));
    }
    let listening = proc_net::tcp_sockets(&pid.to_string()).unwrap_or_default().into_iter();
    let listening = listening.filter(|socket| socket.state == TCP_LISTEN && sockets.contains(&socket.inode));
    let mut ports: Vec<u16> = listening.map(|socket| socket.local_port).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// The inodes of its open sockets: its descriptors lead to `socket:[1234]`.
pub(super) fn sockets_of(pid: u32) -> Vec<u64> {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let targets = descriptors.filter_map(|descriptor| fs::read_link(descriptor.path()).ok());
    targets
        .filter_map(|target| target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok())
        .collect()
}

pub(super) fn children_of(pid: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
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
