//! The processes that have connected to a surviving warden and have not said yet what they want.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use warden::hello::Hello;

use crate::clock;
use crate::link::{self, Received};
use crate::listener::{Listener, Peer};

/// How long a process that has connected has to say what it wants.
const HELLO_MS: u64 = 5_000;

/// The most visitors. Others wait to be accepted.
const VISITORS_MAX: usize = 32;

/// The listening socket, and who has come by it. Dropping it frees the name.
pub struct Visitors {
    listener: Listener,
    /// Each with the time at which it is sent away.
    waiting: Vec<(Peer, u64)>,
}

impl Visitors {
    /// Nobody has come yet.
    pub fn of(listener: Listener) -> Visitors {
        Visitors { listener, waiting: Vec::new() }
    }

    /// The connections to read.
    pub fn sockets(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.waiting.iter().map(|(peer, _)| peer.socket.as_fd())
    }

    /// Where to wait for more of them.
    pub fn listener(&self) -> Option<BorrowedFd<'_>> {
        self.listener.socket().filter(|_| self.waiting.len() < VISITORS_MAX)
    }

    /// When something is to be done without an event.
    pub fn due_ms(&self) -> Option<u64> {
        self.waiting.iter().map(|(_, due_ms)| *due_ms).chain([self.listener.due_ms()]).min()
    }

    /// Whether the path of the name leads here, or soon may.
    pub fn may_come(&mut self) -> bool {
        self.listener.stays_at_path()
    }

    /// The path is looked at the next time that something is done.
    pub fn look_soon(&mut self) {
        self.listener.look_soon();
    }

    /// Sends those away whose time is up.
    pub fn go_on(&mut self) {
        let now_ms = clock::now_ms();
        self.waiting.retain(|(_, due_ms)| *due_ms > now_ms);
        self.listener.go_on();
    }

    /// Lets more in.
    pub fn accept(&mut self) {
        let due_ms = clock::now_ms() + HELLO_MS;
        let accepted = self.listener.accept(VISITORS_MAX - self.waiting.len());
        self.waiting.extend(accepted.into_iter().map(|peer| (peer, due_ms)));
    }

    /// Reads what a visitor says. It is none any more when that is known, or when it has gone.
    pub fn hear(&mut self, socket: RawFd) -> Option<(Peer, Hello)> {
        let is_it = |(peer, _): &(Peer, u64)| peer.socket.as_raw_fd() == socket;
        let index = self.waiting.iter().position(is_it)?;
        let peer = &self.waiting[index].0;
        match link::receive(&peer.socket, peer.pid) {
            Received::Forged | Received::Nothing => None,
            Received::Closed => {
                self.waiting.swap_remove(index);
                None
            }
            Received::Packet { bytes, .. } => {
                let (peer, _) = self.waiting.swap_remove(index);
                Some((peer, Hello::decode(&bytes)?))
            }
        }
    }
}
