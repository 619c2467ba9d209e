//! The host's side of the socket: the system calls that carry the [`protocol`](crate::protocol).
//!
//! On a non-blocking socket none of them blocks; `EAGAIN` is returned as an error like any other.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;
use rustix::net::sockopt::set_socket_passcred;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, send, sendmsg, socketpair,
};
use rustix::process::Pid;

use crate::protocol::{Command, Depth, LAUNCH_FDS_MAX, REPORT_BYTES, Report, StopStage};
use crate::spec::LaunchSpec;

/// Makes the connection: the host's end, close-on-exec and non-blocking, and the end that becomes
/// the warden's standard input, close-on-exec as well until it is put there.
pub fn connection() -> io::Result<(OwnedFd, OwnedFd)> {
    let (host, warden) = signed_pair()?;
    rustix::io::ioctl_fionbio(&host, true)?;
    Ok((host, warden))
}

/// A pair of packet sockets on which the kernel adds the sender's pid to each packet. A process
/// that has obtained another's descriptor (by `pidfd_getfd`, say) can send on it, but not in the
/// other's name.
///
/// Both ends enable this before the first packet: the kernel notes the sender when a packet is
/// sent.
pub fn signed_pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    let (one, other) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    set_socket_passcred(&one, true)?;
    set_socket_passcred(&other, true)?;
    Ok((one, other))
}

/// Writes a launch specification to a memory file, to be sent with [`send_launch`].
pub fn memory_file(spec: &LaunchSpec) -> io::Result<OwnedFd> {
    let file = memfd_create("abs-launch", MemfdFlags::CLOEXEC)?;
    let bytes = spec.to_bytes();
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        let written = rustix::io::retry_on_intr(|| rustix::io::write(&file, rest))?;
        rest = &rest[written..];
    }
    Ok(file)
}

/// Asks for the start of a tenant, with the descriptors that its specification lists, in that
/// order. Afterwards the host may close its copies of the descriptors, and must close those of the
/// write ends, or it never sees the end of the tenant's output.
pub fn send_launch(
    socket: impl AsFd,
    run: u64,
    memory_file: BorrowedFd<'_>,
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let fds = [&[memory_file], descriptors].concat();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(LAUNCH_FDS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if fds.len() > LAUNCH_FDS_MAX || !control.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let packet = Command::Launch { run }.encode();
    let packet = [io::IoSlice::new(&packet)];
    rustix::io::retry_on_intr(|| sendmsg(&socket, &packet, &mut control, SendFlags::NOSIGNAL))?;
    Ok(())
}

/// Asks for a tenant to be stopped.
pub fn send_stop(socket: impl AsFd, run: u64, stage: StopStage) -> io::Result<()> {
    let packet = Command::Stop { run, stage }.encode();
    rustix::io::retry_on_intr(|| send(&socket, &packet, SendFlags::NOSIGNAL))?;
    Ok(())
}

/// Asks for stopped keepers to be continued.
pub fn send_continue(socket: impl AsFd) -> io::Result<()> {
    let packet = Command::Continue.encode();
    rustix::io::retry_on_intr(|| send(&socket, &packet, SendFlags::NOSIGNAL))?;
    Ok(())
}

/// Asks for a tenant to fall asleep, or to sleep deeper.
pub fn send_sleep(socket: impl AsFd, run: u64, depth: Depth) -> io::Result<()> {
    let packet = Command::Sleep { run, depth }.encode();
    rustix::io::retry_on_intr(|| send(&socket, &packet, SendFlags::NOSIGNAL))?;
    Ok(())
}

/// Asks for a tenant to be woken.
pub fn send_wake(socket: impl AsFd, run: u64) -> io::Result<()> {
    let packet = Command::Wake { run }.encode();
    rustix::io::retry_on_intr(|| send(&socket, &packet, SendFlags::NOSIGNAL))?;
    Ok(())
}

/// The next report of this warden, or `None` once it is gone. A packet that is no report is an
/// error of the kind [`InvalidData`](io::ErrorKind::InvalidData); packets of other processes are
/// skipped.
pub fn receive_report(socket: impl AsFd, warden: Pid) -> io::Result<Option<Report>> {
    // One byte more than a report, so that a longer packet is refused instead of cut.
    let mut packet = [0; REPORT_BYTES + 1];
    loop {
        let received = match receive_signed(&socket, &mut packet) {
            // The warden ended before it had read every command. The kernel reports that once,
            // ahead of the reports that the warden had sent; they can still be read.
            Err(Errno::CONNRESET) => receive_signed(&socket, &mut packet),
            received => received,
        };
        let (length, sender) = received?;
        if length == 0 {
            return Ok(None);
        }
        if sender == Some(warden) {
            return Report::decode(&packet[..length])
                .map(Some)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error));
        }
    }
}

/// Receives a packet; returns its length, and the process that sent it.
fn receive_signed(socket: impl AsFd, packet: &mut [u8]) -> Result<(usize, Option<Pid>), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut room = [IoSliceMut::new(packet)];
    let receive = || recvmsg(&socket, &mut room, &mut control, RecvFlags::CMSG_CLOEXEC);
    let length = rustix::io::retry_on_intr(receive)?.bytes;
    let sender = control.drain().find_map(|part| match part {
        RecvAncillaryMessage::ScmCredentials(sender) => Some(sender.pid),
        _ => None,
    });
    Ok((length, sender))
}
