//! The tables of TCP sockets in `/proc`, for where `sock_diag` is not to be had or does not say enough.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::{fs, io};

/// A socket, as far as it is needed here.
#[derive(Debug, PartialEq, Eq)]
pub struct Socket {
    pub address: IpAddr,
    pub local_port: u16,
    /// As the kernel numbers it.
    pub state: u8,
    pub inode: u64,
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
pub fn parse(line: &str) -> Option<Socket> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (local, state, inode) = (fields.next()?, fields.nth(1)?, fields.nth(5)?);
    let (address, port) = local.split_once(':')?;
    Some(Socket {
        address: address_of(address)?,
        local_port: u16::from_str_radix(port, 16).ok()?,
        state: u8::from_str_radix(state, 16).ok()?,
        inode: inode.parse().ok()?,
    })
}

/// In hexadecimal digits, four bytes at a time as a number of the machine.
fn address_of(digits: &str) -> Option<IpAddr> {
    let words =
        (0..digits.len() / 8).map(|word| u32::from_str_radix(digits.get(8 * word..8 * word + 8)?, 16).ok());
    let bytes: Vec<u8> =
        words.collect::<Option<Vec<u32>>>()?.into_iter().flat_map(u32::to_ne_bytes).collect();
    match bytes.len() {
        4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into()),
        16 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_the_kernel_prints_it() {
        let line =
            "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0  0 98765 1 0";
        let address = IpAddr::from([127, 0, 0, 1]);
        assert_eq!(parse(line), Some(Socket { address, local_port: 8080, state: 10, inode: 98_765 }));
        let digits = "00000000000000000000000001000000";
        assert_eq!(address_of(digits), Some(Ipv6Addr::LOCALHOST.into()));
        assert_eq!((address_of("0100"), address_of("é100007F")), (None, None));
        assert_eq!(parse("  sl  local_address rem_address   st"), None);
    }
}
