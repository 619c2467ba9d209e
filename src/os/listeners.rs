//! Where the processes of a tree listen: for those that nobody has told a port.

use std::collections::HashSet;
use std::fs;

const TCP_LISTEN: &str = "0A";

/// The ports on which the process or one below it listens, lowest first.
pub fn ports_of(pid: u32) -> Vec<u16> {
    let mut sockets = HashSet::new();
    let mut to_visit = vec![pid];
    while let Some(pid) = to_visit.pop() {
        sockets.extend(sockets_of(pid));
        to_visit.extend(children_of(pid));
    }
    let tables = ["tcp", "tcp6"].map(|table| fs::read_to_string(format!("/proc/{pid}/net/{table}")));
    let lines = tables.iter().flatten().flat_map(|table| table.lines().skip(1));
    let listeners = lines.filter_map(listener).filter(|(inode, _)| sockets.contains(inode));
    let mut ports: Vec<u16> = listeners.map(|(_, port)| port).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// The inodes of its open sockets: its descriptors lead to `socket:[1234]`.
fn sockets_of(pid: u32) -> Vec<u64> {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let targets = descriptors.filter_map(|descriptor| fs::read_link(descriptor.path()).ok());
    targets
        .filter_map(|target| target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok())
        .collect()
}

fn children_of(pid: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

/// `  0: 0100007F:1F90 00000000:0000 0A … uid timeout inode …`: the inode and the local port of a socket that listens.
fn listener(line: &str) -> Option<(u64, u16)> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
    let port = u16::from_str_radix(local.rsplit(':').next()?, 16).ok()?;
    (*state == TCP_LISTEN).then_some((inode.parse().ok()?, port))
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
