//! The tables of TCP sockets in `/proc`, for where `sock_diag` is not to be had or does not say enough.

use crate::os::sock_diag::{Connection, TCP_ESTABLISHED};
use std::net::{IpAddr, SocketAddr};
use std::{fs, io};

/// A socket, as far as it is needed here.
#[derive(Debug, PartialEq, Eq)]
pub struct Socket {
    pub local_port: u16,
    /// As the kernel numbers it.
    pub state: u8,
    pub inode: u64,
}

/// Both ends of each established connection that this process sees, as `sock_diag` has them.
pub fn connections() -> io::Result<Vec<Connection>> {
    let mut connections = Vec::new();
    for table in ["tcp", "tcp6"] {
        match fs::read_to_string(format!("/proc/self/net/{table}")) {
            Ok(text) => connections.extend(text.lines().skip(1).filter_map(parse_connection)),
            // A host without IPv6.
            Err(error) if error.kind() == io::ErrorKind::NotFound && table == "tcp6" => {}
            Err(error) => return Err(error),
        }
    }
    Ok(connections)
}

fn parse_connection(line: &str) -> Option<Connection> {
    let Socket { state, inode, .. } = parse(line)?;
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (local, remote) = (address(fields.next()?)?, address(fields.next()?)?);
    (state == TCP_ESTABLISHED).then_some(Connection { local, remote, inode })
}

/// `0100007F:1F90`: words of four bytes as numbers of this machine, then the port.
fn address(field: &str) -> Option<SocketAddr> {
    let (words, port) = field.split_once(':')?;
    let word = |at: usize| u32::from_str_radix(words.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
    let address = match words.len() {
        8 => IpAddr::from(word(0)?),
        _ => {
            let bytes = [word(0)?, word(8)?, word(16)?, word(24)?].concat();
            IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?).to_canonical()
        }
    };
    Some(SocketAddr::new(address, u16::from_str_radix(port, 16).ok()?))
}

/// The sockets that a process sees; `self` stands for this one.
pub fn tcp_sockets(pid: &str) -> io::Result<Vec<Socket>> {
    let mut sockets = Vec::new();
    for table in ["tcp", "tcp6"] {
        match fs::read_to_string(format!("/proc/{pid}/net/{table}")) {
            Ok(text) => sockets.extend(text.lines().skip(1).filter_map(parse)),
            // A host without IPv6.
            Err(error) if error.kind() == io::ErrorKind::NotFound && table == "tcp6" => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sockets)
}

/// `  0: 0100007F:1F90 0100007F:C350 01 …`: number, local and remote address, state, then the inode as the tenth field.
fn parse(line: &str) -> Option<Socket> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (local, state, inode) = (fields.next()?, fields.nth(1)?, fields.nth(5)?);
    Some(Socket {
        local_port: u16::from_str_radix(local.rsplit(':').next()?, 16).ok()?,
        state: u8::from_str_radix(state, 16).ok()?,
        inode: inode.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_the_kernel_prints_it() {
        let line =
            "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0  0 98765 1 0";
        assert_eq!(parse(line), Some(Socket { local_port: 8080, state: 10, inode: 98_765 }));
        assert_eq!(parse("  sl  local_address rem_address   st"), None);
    }
}
