//! The tables of TCP and UDP sockets in `/proc`, for where `sock_diag` is not available or does not tell
//! enough.

use crate::net::sock_diag::{Connection, TCP_ESTABLISHED, TCP_LISTEN, UDP_UNCONNECTED};
use procfs::net::TcpNetEntry;
use procfs::process::Process;
use procfs::{ProcError, ProcResult};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

/// The fields of a socket that are used here.
#[derive(Debug, PartialEq, Eq)]
pub struct Socket {
    pub address: IpAddr,
    pub local_port: u16,
    /// The kernel's number of the TCP state.
    pub state: u8,
    pub inode: u64,
}

/// How many connections servers of this network namespace have been asked for and have got, ever.
pub fn connections_opened() -> Option<u64> {
    procfs::net::snmp().ok().map(|counted| counted.tcp_passive_opens)
}

/// Both ends of each established connection that this process sees, in the form of `sock_diag`.
pub fn connections() -> io::Result<Vec<Connection>> {
    connections_of("self")
}

/// The same in the network namespace of a process.
pub fn connections_of(pid: &str) -> io::Result<Vec<Connection>> {
    let established =
        entries(pid)?.into_iter().filter(|entry| entry.state.to_u8() == TCP_ESTABLISHED);
    let end = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    Ok(established
        .map(|entry| Connection {
            local: end(entry.local_address),
            remote: end(entry.remote_address),
            inode: entry.inode,
        })
        .collect())
}

/// The listening sockets that this process sees, each with its port and how many connections wait
/// to be accepted.
pub fn waiting() -> io::Result<Vec<(u16, u32)>> {
    let listening = entries("self")?.into_iter().filter(|it| it.state.to_u8() == TCP_LISTEN);
    Ok(listening.map(|entry| (entry.local_address.port(), entry.rx_queue)).collect())
}

/// The inodes of the UDP sockets in the network namespace of a process to which anybody may send.
pub fn open_to_datagrams(pid: &str) -> io::Result<Vec<u64>> {
    let process = Process::new_with_root(Path::new("/proc").join(pid)).map_err(io::Error::other)?;
    let mut entries = process.udp().map_err(io::Error::other)?;
    // The host may have no IPv6.
    entries.extend(process.udp6().unwrap_or_default());
    let is_open = |entry: &procfs::net::UdpNetEntry| entry.state.to_u8() == UDP_UNCONNECTED;
    Ok(entries.into_iter().filter(is_open).map(|entry| entry.inode).collect())
}

/// The TCP sockets in the network namespace of a process; `self` means this process.
pub fn tcp_sockets(pid: &str) -> io::Result<Vec<Socket>> {
    let sockets = entries(pid)?.into_iter();
    Ok(sockets
        .map(|entry| Socket {
            address: entry.local_address.ip(),
            local_port: entry.local_address.port(),
            state: entry.state.to_u8(),
            inode: entry.inode,
        })
        .collect())
}

fn entries(pid: &str) -> io::Result<Vec<TcpNetEntry>> {
    let tables = || -> ProcResult<_> {
        let process = Process::new_with_root(Path::new("/proc").join(pid))?;
        let mut entries = process.tcp()?;
        match process.tcp6() {
            Ok(more) => entries.extend(more),
            // The host has no IPv6.
            Err(ProcError::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
        Ok(entries)
    };
    tables().map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::sock_diag::TCP_LISTEN;
    use rustix::fs::fstat;
    use std::net::TcpListener;

    #[test]
    fn a_server_is_seen_with_its_port_its_state_and_its_inode() {
        for address in ["127.0.0.1:0", "[::1]:0", "[::]:0"] {
            let server = TcpListener::bind(address).unwrap();
            let local = server.local_addr().unwrap();
            let (address, local_port) = (local.ip(), local.port());
            let socket = Socket {
                address,
                local_port,
                state: TCP_LISTEN,
                inode: fstat(&server).unwrap().st_ino,
            };
            for pid in ["self", &std::process::id().to_string()] {
                assert!(tcp_sockets(pid).unwrap().contains(&socket), "{local} of {pid}");
            }
        }
    }

    #[test]
    fn a_process_that_is_not_there_has_no_table() {
        assert!(tcp_sockets("4294967295").is_err());
    }
}
