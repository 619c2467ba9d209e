//! What is told to the program that manages this process as a service: systemd, or what speaks its
//! protocol. Only the main process of a service is listened to, so no other program can do it.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Sends a state, such as `READY=1`, to the socket that `NOTIFY_SOCKET` names. A name that begins
/// with `@` is one of the abstract sockets.
pub fn notify(socket: &str, state: &str) -> io::Result<()> {
    let address = match socket.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    let sender = UnixDatagram::unbound()?;
    // A manager that does not read must not hold the host up.
    sender.set_nonblocking(true)?;
    sender.send_to_addr(state.as_bytes(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_with_a_path_is_told() {
        let directory = tempfile();
        let path = directory.join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        notify(path.to_str().unwrap(), "READY=1\nSTATUS=serves").unwrap();
        assert_eq!(received(&manager), "READY=1\nSTATUS=serves");
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn an_abstract_socket_is_told() {
        let name = format!("absolute-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        notify(&format!("@{name}"), "STOPPING=1").unwrap();
        assert_eq!(received(&manager), "STOPPING=1");
    }

    #[test]
    fn a_socket_that_is_not_there_is_an_error() {
        assert!(notify("/no/such/socket", "READY=1").is_err());
    }

    fn received(manager: &UnixDatagram) -> String {
        let mut bytes = [0; 100];
        let length = manager.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    fn tempfile() -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("absolute-notify-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        path
    }
}
