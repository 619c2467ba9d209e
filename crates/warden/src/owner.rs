//! The host that owns a surviving warden: what it is told, and what it commands.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::process::{Pid, Uid};

use warden::protocol::{Command, LaunchStep, Report};
use warden::socket_failure::SocketFailure;

use crate::clock;
use crate::hosted::{COMMANDS_PER_ROUND, launch, launch_failed};
use crate::kept::{Item, Kept};
use crate::kept_run::Files;
use crate::link::{self, Received};
use crate::listener::Peer;
use crate::outbox::Outbox;
use crate::priority;
use crate::roster::Roster;

/// The pause after a shortage of descriptors, whose end no event tells: mostly the owner has yet to
/// take those that are on their way.
const SHORTAGE_PAUSE_MS: u64 = 2;

/// The connection to the owner. Dropping it closes it.
pub struct Owner {
    peer: Peer,
    /// What was kept for it and is to be told first.
    hand_over: VecDeque<Item>,
    /// Reports, in their order after that.
    outbox: Outbox,
    /// What came with the last command to keep something, and the run that it is for.
    keeps: Option<(u64, Result<Files, Errno>)>,
    /// When the hand-over goes on after a shortage.
    retry_ms: Option<u64>,
}

/// The connection is closed, or of no use.
pub struct Lost;

/// What became of the owner.
pub enum Heard {
    /// It is there.
    Present,
    /// It has gone without a word.
    Lost,
    /// It has left its tenants to the next one.
    Detached,
    /// It is done.
    Left,
}

impl Owner {
    /// A new owner, which is told all that is kept.
    pub fn new(peer: Peer, kept: &Kept) -> Owner {
        let mut outbox = Outbox::default();
        outbox.extend(kept.ends());
        Owner { peer, hand_over: kept.items(), outbox, keeps: None, retry_ms: None }
    }

    /// Its process.
    pub fn pid(&self) -> Pid {
        self.peer.pid
    }

    /// The connection.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// The connection alone, which is to be watched no longer for commands.
    pub fn into_peer(self) -> Peer {
        self.peer
    }

    /// What to wait for.
    pub fn interest(&self) -> (BorrowedFd<'_>, PollFlags) {
        let hands_over = match (self.hand_over.is_empty(), self.retry_ms) {
            (false, None) => PollFlags::OUT,
            (false, Some(_)) => PollFlags::empty(),
            (true, _) => self.outbox.interest(),
        };
        (self.peer.socket.as_fd(), PollFlags::IN | hands_over)
    }

    /// When the hand-over goes on without an event.
    pub fn retry_ms(&self) -> Option<u64> {
        self.retry_ms
    }

    /// Queues a report.
    pub fn tell(&mut self, report: Report) {
        self.outbox.push(report);
    }

    /// Sends what the socket has room for.
    pub fn flush(&mut self, kept: &mut Kept) -> Result<(), Lost> {
        self.retry_ms = None;
        let socket = &self.peer.socket;
        while let Some(item) = self.hand_over.front() {
            let send = |report: Report, fds: &[BorrowedFd<'_>]| {
                link::transmit_with(socket, &report.encode(), fds)
            };
            match kept.hand_over(item, send) {
                Ok(()) => drop(self.hand_over.pop_front()),
                Err(SocketFailure::NotReady) => return Ok(()),
                Err(SocketFailure::Passing) => {
                    self.retry_ms = Some(clock::now_ms() + SHORTAGE_PAUSE_MS);
                    return Ok(());
                }
                Err(SocketFailure::Closed | SocketFailure::Refused) => return Err(Lost),
            }
        }
        if self.outbox.flush(socket) { Ok(()) } else { Err(Lost) }
    }

    /// Tells it at once that it is no longer obeyed, if there is room for that.
    pub fn tell_fenced(&self, by: Pid) {
        let fenced = Report::Fenced { pid: by.as_raw_pid().cast_unsigned() };
        link::transmit(&self.peer.socket, &fenced.encode());
    }

    /// Takes commands; those of an owner that has gone, too, which may have been its last word.
    pub fn hear(&mut self, events: PollFlags, kept: &mut Kept, roster: &mut Roster) -> Heard {
        let is_gone = events.intersects(PollFlags::HUP | PollFlags::ERR);
        let most = match () {
            () if is_gone => usize::MAX,
            () if events.contains(PollFlags::IN) => COMMANDS_PER_ROUND,
            () => 0,
        };
        for _ in 0..most {
            match link::receive(&self.peer.socket, self.peer.pid) {
                Received::Forged => {}
                Received::Nothing => break,
                Received::Closed => return Heard::Lost,
                Received::Packet { bytes, user, fds, fds_lost } => match Command::decode(&bytes) {
                    Ok(Command::Launch { .. }) if is_gone => {}
                    Ok(Command::Launch { run }) => {
                        priority::give_way();
                        if let Err(refused) = self.launch(run, user, fds, fds_lost, kept, roster) {
                            self.outbox.push(refused);
                        }
                    }
                    Ok(Command::Keep { run }) => self.keeps = Some((run, files(fds, fds_lost))),
                    Ok(Command::Detach) => return Heard::Detached,
                    Ok(Command::Leave) => return Heard::Left,
                    Ok(command) => obey(command, fds, kept, roster),
                    // The same protocol has no such packet.
                    Err(_) => return Heard::Lost,
                },
            }
        }
        if is_gone { Heard::Lost } else { Heard::Present }
    }

    /// Launches a run whose descriptors were handed over to be kept, or returns what is to be told
    /// instead.
    fn launch(
        &mut self,
        run: u64,
        user: Uid,
        fds: Vec<OwnedFd>,
        fds_lost: bool,
        kept: &mut Kept,
        roster: &mut Roster,
    ) -> Result<(), Report> {
        let refused = |errno| launch_failed(run, LaunchStep::ReadSpec, errno);
        let (of, files) = self.keeps.take().ok_or_else(|| refused(Errno::PROTO))?;
        let files = files.map_err(refused)?;
        if of != run {
            return Err(refused(Errno::PROTO));
        }
        if kept.has(run) {
            return Err(refused(Errno::EXIST));
        }
        launch(roster, run, user, fds, fds_lost)?;
        kept.add(run, files);
        Ok(())
    }
}

fn files(fds: Vec<OwnedFd>, fds_lost: bool) -> Result<Files, Errno> {
    if fds_lost {
        return Err(Errno::MFILE);
    }
    Files::of(fds).ok_or(Errno::PROTO)
}

fn obey(command: Command, fds: Vec<OwnedFd>, kept: &mut Kept, roster: &mut Roster) {
    match command {
        Command::Stop { run, stage } => roster.stop(run, stage),
        Command::Sleep { .. } | Command::Wake { .. } => roster.rest(command),
        Command::Continue => roster.continue_all(),
        Command::Mark { run, mark, detail } => kept.mark(run, mark, detail),
        Command::Taken { run } => kept.take(run),
        Command::KeepListener { slot } => {
            if let Some(listener) = fds.into_iter().next() {
                kept.keep_listener(slot, listener);
            }
        }
        Command::DropListener { slot } => kept.drop_listener(slot),
        Command::Launch { .. } | Command::Keep { .. } | Command::Detach | Command::Leave => {}
    }
}
