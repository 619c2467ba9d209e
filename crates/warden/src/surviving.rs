//! The host's side of a surviving warden: how it is reached, and what is sent to and received from
//! it beyond what [`host`](crate::host) does for every warden.
//!
//! ```text
//! host                                   warden of a name
//! bind, lock, start the program      ──► listens; the program that was started exits
//! connect, send_hello                ──► receive_welcome: Owner, or why not
//!                                    ◄── Found and FoundListener with descriptors, RosterEnd,
//!                                        then what has ended meanwhile, PredecessorGone
//! send_keep, host::send_launch, …    ──►
//! ```
//!
//! On a non-blocking socket none of these blocks; `EAGAIN` is returned as an error like any other.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::io::Errno;
use rustix::net::sockopt::set_socket_passcred;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType, recvmsg, sendmsg,
    socket_with,
};
use rustix::process::{Pid, Uid};

use crate::hello::{HELLO_BYTES, Hello, Welcome};
use crate::protocol::{Command, Mark, REPORT_BYTES, Report};

/// The most descriptors that travel with a [`Command::Keep`] or a [`Report::Found`].
pub const KEPT_FDS_MAX: usize = 5;

/// What the warden keeps for a run.
pub struct KeptFiles<'a> {
    /// A memory file of the host's.
    pub record: BorrowedFd<'a>,
    /// The read end of the tenant's standard output.
    pub stdout: BorrowedFd<'a>,
    /// The read end of its standard error.
    pub stderr: BorrowedFd<'a>,
    /// The socket that holds its port, if it has one.
    pub port: Option<BorrowedFd<'a>>,
}

/// What the warden has kept for a run.
#[derive(Debug)]
pub struct FoundFiles {
    /// The memory file of the host that started it.
    pub record: OwnedFd,
    /// What the tenant has written without a host, before what is in the pipes: a memory file, see
    /// [`ring`](crate::ring).
    pub ring: OwnedFd,
    /// The read end of its standard output.
    pub stdout: OwnedFd,
    /// The read end of its standard error.
    pub stderr: OwnedFd,
    /// The socket that holds its port, if it has one and has not ended.
    pub port: Option<OwnedFd>,
}

/// A report with what travels with it.
#[derive(Debug)]
pub struct Delivery {
    /// The report.
    pub report: Report,
    /// Its descriptors, closed on exec.
    pub fds: Vec<OwnedFd>,
}

impl Delivery {
    /// The descriptors of a [`Report::Found`]. `None` if there are too few: this process had no
    /// room for more.
    pub fn found_files(self) -> Option<FoundFiles> {
        let mut fds = self.fds.into_iter();
        Some(FoundFiles {
            record: fds.next()?,
            ring: fds.next()?,
            stdout: fds.next()?,
            stderr: fds.next()?,
            port: fds.next(),
        })
    }
}

/// A socket for a name, bound to its path, which must be free: a warden that is started with it as
/// standard input, and the name's lock as standard output, listens on it. Files are made with the
/// process's umask, so the directory has to keep others out.
pub fn bind(path: &Path) -> io::Result<OwnedFd> {
    let socket = signed_socket()?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    rustix::fs::chmod(path, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)?;
    Ok(socket)
}

/// Connects to the warden of a name. Blocks for as long as its backlog is full. The kinds of error
/// `NotFound` and `ConnectionRefused` mean that there is none.
pub fn connect(path: &Path) -> io::Result<OwnedFd> {
    let socket = signed_socket()?;
    let address = SocketAddrUnix::new(path)?;
    rustix::io::retry_on_intr(|| rustix::net::connect(&socket, &address))?;
    Ok(socket)
}

/// A socket on which the kernel adds the sender to each packet, from the first one on: connections
/// to a listening one are as it is.
fn signed_socket() -> io::Result<OwnedFd> {
    let kind = SocketType::SEQPACKET;
    let socket = socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)?;
    set_socket_passcred(&socket, true)?;
    Ok(socket)
}

/// The process at the other end and its user: on the host's side the warden, as it listens itself.
pub fn peer(socket: impl AsFd) -> io::Result<(Pid, Uid)> {
    let peer = rustix::net::sockopt::socket_peercred(socket)?;
    Ok((peer.pid, peer.uid))
}

/// Says what this process wants.
pub fn send_hello(socket: impl AsFd, hello: &Hello) -> io::Result<()> {
    transmit(socket, &hello.encode(), &[])
}

/// The warden's next answer; `None` once it is gone. Only for a connection whose answer is not
/// [`Owner`](crate::hello::Answer::Owner) yet. A packet of another process, or that is no answer,
/// is an error of the kind [`InvalidData`](io::ErrorKind::InvalidData).
pub fn receive_welcome(socket: impl AsFd, warden: Pid) -> io::Result<Option<Welcome>> {
    let mut packet = [0; HELLO_BYTES + 1];
    let (length, sender, _) = receive_with_fds(&socket, &mut packet)?;
    if length == 0 {
        return Ok(None);
    }
    let welcome = Welcome::decode(&packet[..length]).filter(|_| sender == Some(warden));
    welcome.map(Some).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// The warden's next report, with its descriptors, or `None` once it is gone. Errors are those of
/// [`receive_report`](crate::host::receive_report).
pub fn receive(socket: impl AsFd, warden: Pid) -> io::Result<Option<Delivery>> {
    let mut packet = [0; REPORT_BYTES + 1];
    loop {
        let (length, sender, fds) = receive_with_fds(&socket, &mut packet)?;
        if length == 0 {
            return Ok(None);
        }
        if sender == Some(warden) {
            let report = Report::decode(&packet[..length])
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            return Ok(Some(Delivery { report, fds }));
        }
    }
}

/// Has the warden keep what the launch that follows makes. The host keeps its own copies.
pub fn send_keep(socket: impl AsFd, run: u64, files: &KeptFiles<'_>) -> io::Result<()> {
    let KeptFiles { record, stdout, stderr, port } = *files;
    let fds: Vec<_> = [record, stdout, stderr].into_iter().chain(port).collect();
    transmit(socket, &Command::Keep { run }.encode(), &fds)
}

/// Has the warden keep a listening socket.
pub fn send_keep_listener(
    socket: impl AsFd,
    slot: u64,
    listener: BorrowedFd<'_>,
) -> io::Result<()> {
    transmit(socket, &Command::KeepListener { slot }.encode(), &[listener])
}

/// Has it drop one.
pub fn send_drop_listener(socket: impl AsFd, slot: u64) -> io::Result<()> {
    transmit(socket, &Command::DropListener { slot }.encode(), &[])
}

/// Notes how far a run has come.
pub fn send_mark(socket: impl AsFd, run: u64, mark: Mark, detail: u8) -> io::Result<()> {
    transmit(socket, &Command::Mark { run, mark, detail }.encode(), &[])
}

/// Has the warden forget a run whose end was told to the user.
pub fn send_taken(socket: impl AsFd, run: u64) -> io::Result<()> {
    transmit(socket, &Command::Taken { run }.encode(), &[])
}

/// Leaves the tenants to the next host. The connection is to be closed when what this process has
/// to finish is finished.
pub fn send_detach(socket: impl AsFd) -> io::Result<()> {
    transmit(socket, &Command::Detach.encode(), &[])
}

/// Has the warden end what is left, and leave.
pub fn send_leave(socket: impl AsFd) -> io::Result<()> {
    transmit(socket, &Command::Leave.encode(), &[])
}

/// Sends one packet, with at most [`KEPT_FDS_MAX`] descriptors.
pub fn transmit(socket: impl AsFd, packet: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(KEPT_FDS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let packet = [IoSlice::new(packet)];
    rustix::io::retry_on_intr(|| sendmsg(&socket, &packet, &mut control, SendFlags::NOSIGNAL))?;
    Ok(())
}

type Packet = (usize, Option<Pid>, Vec<OwnedFd>);

/// Receives a packet; returns its length, the process that sent it, and its descriptors.
fn receive_with_fds(socket: impl AsFd, packet: &mut [u8]) -> Result<Packet, Errno> {
    match try_receive_with_fds(&socket, packet) {
        // As in `host::receive_report`: what the warden had sent can still be read.
        Err(Errno::CONNRESET) => try_receive_with_fds(&socket, packet),
        received => received,
    }
}

fn try_receive_with_fds(socket: impl AsFd, packet: &mut [u8]) -> Result<Packet, Errno> {
    let mut space =
        [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1), ScmRights(KEPT_FDS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut room = [IoSliceMut::new(packet)];
    let receive = || recvmsg(&socket, &mut room, &mut control, RecvFlags::CMSG_CLOEXEC);
    let length = rustix::io::retry_on_intr(receive)?.bytes;
    let (mut sender, mut fds) = (None, Vec::new());
    for part in control.drain() {
        match part {
            RecvAncillaryMessage::ScmCredentials(credentials) => sender = Some(credentials.pid),
            RecvAncillaryMessage::ScmRights(received) => fds.extend(received),
            _ => {}
        }
    }
    Ok((length, sender, fds))
}
