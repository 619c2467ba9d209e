//! Sends, receives and waits on packet sockets. Only [`wait`] blocks.

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendFlags, recvmsg, send,
};
use rustix::process::{Pid, Uid};

use warden::hello::HELLO_BYTES;
use warden::protocol::{COMMAND_BYTES, LAUNCH_FDS_MAX, REPORT_BYTES};
use warden::socket_failure::SocketFailure;
use warden::surviving;

use crate::priority;
use crate::sys;

/// Room for the largest packet and one byte, so that a longer packet is refused instead of cut.
const PACKET_ROOM_BYTES: usize = HELLO_BYTES + 1;
const _: () = assert!(HELLO_BYTES >= COMMAND_BYTES && HELLO_BYTES >= REPORT_BYTES);

/// Room for more descriptors than a launch may carry, so that surplus ones are noticed.
const FD_ROOM: usize = LAUNCH_FDS_MAX + 5;

/// The result of one attempt to receive.
pub enum Received {
    /// A packet, with the descriptors that came with it.
    Packet {
        /// Its bytes.
        bytes: Vec<u8>,
        /// The sender's real user.
        user: Uid,
        /// The descriptors, closed on exec.
        fds: Vec<OwnedFd>,
        /// Descriptors were sent that this process had no room for.
        fds_lost: bool,
    },
    /// A packet of another process than the one at the other end, which has obtained a copy of the
    /// descriptor. The packet is dropped.
    Forged,
    /// No packet is there now.
    Nothing,
    /// The other end is closed.
    Closed,
}

/// Receives one packet, if there is one. Only packets of `sender` count, as told by the kernel.
pub fn receive(socket: impl AsFd, sender: Pid) -> Received {
    match try_receive(&socket, sender) {
        // The other end was closed before it had read everything. The kernel reports that once,
        // ahead of the packets that the other end had sent; they can still be read.
        Err(Errno::CONNRESET) => try_receive(&socket, sender),
        received => received,
    }
    .unwrap_or_else(|errno| match SocketFailure::from(errno) {
        SocketFailure::NotReady | SocketFailure::Passing => Received::Nothing,
        SocketFailure::Closed | SocketFailure::Refused => Received::Closed,
    })
}

fn try_receive(socket: impl AsFd, sender: Pid) -> Result<Received, Errno> {
    let mut room = [0; PACKET_ROOM_BYTES];
    let mut space =
        [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1), ScmRights(FD_ROOM))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let message = recvmsg(&socket, &mut [IoSliceMut::new(&mut room)], &mut control, flags)?;
    if message.bytes == 0 {
        return Ok(Received::Closed);
    }
    let mut fds = Vec::new();
    let mut signed = None;
    for part in control.drain() {
        match part {
            RecvAncillaryMessage::ScmRights(received) => fds.extend(received),
            RecvAncillaryMessage::ScmCredentials(credentials) => signed = Some(credentials),
            _ => {}
        }
    }
    let Some(signed) = signed.filter(|signed| signed.pid == sender) else {
        return Ok(Received::Forged);
    };
    let fds_lost = message.flags.contains(ReturnFlags::CTRUNC);
    Ok(Received::Packet { bytes: room[..message.bytes].to_vec(), user: signed.uid, fds, fds_lost })
}

/// The result of one attempt to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The packet was sent.
    Yes,
    /// There is no room now, or the kernel is short of memory: to be tried again once the socket
    /// is writable.
    Later,
    /// The other end is closed.
    Closed,
}

/// Sends one packet, if there is room for it.
pub fn transmit(socket: impl AsFd, packet: &[u8]) -> Sent {
    match send(&socket, packet, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
        Ok(_) => Sent::Yes,
        Err(errno) => match SocketFailure::from(errno) {
            SocketFailure::NotReady | SocketFailure::Passing => Sent::Later,
            // All packets have the same form: if one cannot be sent, none can.
            SocketFailure::Closed | SocketFailure::Refused => Sent::Closed,
        },
    }
}

/// Sends one packet with descriptors, if there is room for it.
pub fn transmit_with(
    socket: impl AsFd,
    packet: &[u8],
    fds: &[BorrowedFd<'_>],
) -> Result<(), SocketFailure> {
    surviving::transmit(socket, packet, fds).map_err(|error| SocketFailure::from(&error))
}

/// The exit status of a process that cannot wait for events any more.
const CANNOT_WAIT_STATUS: i32 = 1;

/// Waits until one of the descriptors has an event, or the time is up. Afterwards this process has
/// precedence, until it gives way: the event may be an order.
pub fn wait(fds: &mut [PollFd<'_>], timeout_ms: Option<u64>) {
    let timeout = timeout_ms.map(|ms| Timespec {
        tv_sec: (ms / 1_000).cast_signed(),
        tv_nsec: i64::from((ms % 1_000) as u32 * 1_000_000),
    });
    priority::take_precedence();
    match poll(fds, timeout.as_ref()) {
        Ok(_) => {}
        // There are more descriptors than the process may have: another process of the user has
        // lowered its limit. No event can be waited for any more, nor can the end of the host.
        // Exiting ends the tenants' main processes.
        Err(Errno::INVAL) => sys::exit_now(CANNOT_WAIT_STATUS),
        // An interruption, as by SIGCONT, is an early wake-up without events; callers check
        // everything anyway.
        Err(_) => fds.iter_mut().for_each(PollFd::clear_revents),
    }
}

/// Reads a descriptor of child signals until it is empty; reaping finds the children.
pub fn drain(child_signals: impl AsFd) {
    let mut room = [0; 1024];
    while rustix::io::read(&child_signals, &mut room).is_ok_and(|length| length > 0) {}
}

/// Sockets for tests of what happens when a socket is full.
#[cfg(test)]
pub mod testing {
    use rustix::process::getpid;

    use super::*;

    pub fn pair() -> (OwnedFd, OwnedFd) {
        warden::host::signed_pair().expect("a socket pair")
    }

    /// Sends until the socket is full.
    pub fn fill(socket: &OwnedFd) {
        while transmit(socket, b"surplus") == Sent::Yes {}
    }

    /// Reads all packets, which makes room again.
    pub fn read_all(socket: &OwnedFd) -> Vec<Vec<u8>> {
        let mut packets = Vec::new();
        while let Received::Packet { bytes, .. } = receive(socket, getpid()) {
            packets.push(bytes);
        }
        packets
    }
}
