//! Whether a server takes connections in: that its event loop turns, without a request that it
//! would see.
//!
//! The kernel completes a connection before the server has taken it in. Until then no process has
//! its socket, which the kernel tells as the inode 0. Many servers, Bun's among them, have the kernel
//! wait for the first bytes (`TCP_DEFER_ACCEPT`), so an empty line is sent: HTTP has a server skip
//! those before a request, which does not follow.

use crate::net::proc_net;
use crate::net::sock_diag::{self, TCP_ESTABLISHED, TCP_SYN_RECV};
use crate::threads::off_thread::OffThread;
use rustix::net::{RecvFlags, SocketFlags, recv};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::sleep;

/// The pauses between looks at a connection. The first look finds nearly all taken.
const PAUSES: [Duration; 3] =
    [Duration::from_millis(5), Duration::from_millis(20), Duration::from_millis(75)];

/// Waits until the server has taken this connection to it in, or has closed it.
pub(super) async fn until_taken(connection: &TcpStream, off_thread: &OffThread) -> io::Result<()> {
    let (server, client) = (connection.peer_addr()?, connection.local_addr()?);
    connection.try_write(b"\r\n")?;
    let mut pauses = PAUSES.into_iter();
    let mut pause = PAUSES[0];
    loop {
        pause = pauses.next().unwrap_or(pause);
        sleep(pause).await;
        let is_waiting = match asked(server, client) {
            Ok(is_waiting) => is_waiting,
            Err(_) => off_thread.run(move || read(server, client)).await??,
        };
        if !is_waiting {
            return Ok(());
        }
    }
}

/// Whether the server's end of the connection waits to be taken in.
fn asked(server: SocketAddr, client: SocketAddr) -> io::Result<bool> {
    let socket = sock_diag::open(SocketFlags::NONBLOCK)?;
    sock_diag::ask_of_connection(&socket, server, client)?;
    // The kernel has answered within the call.
    let mut answer = [0u8; 512];
    let (length, _) = recv(&socket, &mut answer, RecvFlags::empty())?;
    let message = sock_diag::messages(&answer[..length]).next();
    let message = message.ok_or(io::ErrorKind::UnexpectedEof)?;
    let is_open = |state| matches!(state, TCP_ESTABLISHED | TCP_SYN_RECV);
    let found = message.socket().filter(|found| is_open(found.state));
    match found {
        Some(found) => Ok(found.inode == 0),
        // Without the kernel's module every question is answered by an error.
        None if message.is_error() && !knows_itself(&socket, client, server) => {
            Err(io::ErrorKind::Unsupported.into())
        }
        None => Ok(false),
    }
}

/// Whether the kernel tells of our own end.
fn knows_itself(socket: &std::os::fd::OwnedFd, local: SocketAddr, remote: SocketAddr) -> bool {
    let mut answer = [0u8; 512];
    sock_diag::ask_of_connection(socket, local, remote).is_ok()
        && recv(socket, &mut answer, RecvFlags::empty()).is_ok_and(|(length, _)| {
            let mut messages = sock_diag::messages(&answer[..length]);
            messages.next().is_some_and(|message| message.socket().is_some())
        })
}

/// The same, read from `/proc/net`.
fn read(server: SocketAddr, client: SocketAddr) -> io::Result<bool> {
    let is_of_it = |end: &&sock_diag::Connection| (end.local, end.remote) == (server, client);
    Ok(proc_net::connections()?.iter().find(is_of_it).is_some_and(|end| end.inode == 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream as Blocking};

    #[test]
    fn a_connection_waits_until_it_is_taken_in() {
        for look in [asked, read] {
            for address in ["127.0.0.1:0", "[::1]:0", "[::]:0"] {
                let server = TcpListener::bind(address).unwrap();
                let port = server.local_addr().unwrap().port();
                let host = if address.contains("::1") { "::1" } else { "127.0.0.1" };
                let client = Blocking::connect((host, port)).unwrap();
                let ends = (client.peer_addr().unwrap(), client.local_addr().unwrap());
                assert!(look(ends.0, ends.1).unwrap(), "{address}: nobody has taken it in");
                let taken = server.accept().unwrap();
                assert!(!look(ends.0, ends.1).unwrap(), "{address}: it is taken in");
                drop(taken);
                assert!(!look(ends.0, ends.1).unwrap(), "{address}: it is closed");
            }
        }
    }
}
