//! Connections to other hosts' gateways, which may be cut off without a word.

use super::Peer;
use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;

/// A gateway takes connections at once, and within a data centre a lost packet is sent again after
/// 200 ms: a host that has not answered by then is gone, and another one may have its tenants.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// A host that says nothing is asked for a sign of life so often: the kernel's shortest time.
const ASK_EVERY: Duration = Duration::from_secs(1);

impl Peer {
    /// Connects to it. Who cannot be reached any more ends the connection, also while an answer is
    /// waited for: then it is asked for a sign of life.
    pub(crate) async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let asked = TcpKeepalive::new().with_time(ASK_EVERY).with_interval(ASK_EVERY);
        SockRef::from(&stream).set_tcp_keepalive(&asked)?;
        bear(&stream, self.patience)?;
        Ok(stream)
    }
}

/// For how long nothing may be taken of what was sent. The kernel does not tell a host that takes
/// nothing from one that cannot be reached: a body may have to wait until its tenant reads.
pub(crate) fn bear(stream: &TcpStream, patience: Duration) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    SockRef::from(stream).set_tcp_user_timeout(Some(patience))?;
    Ok(())
}
