//! The side of a surviving warden that faces its hosts.
//!
//! ```text
//! visitor ── Hello ─► owner, if there is none
//!                 └─► claimant ── the owner has detached, or is lost or fenced ─► owner
//! owner ── Detach ─► guest ── closes its connection ─► gone
//! ```
//!
//! Only the owner's commands are obeyed: those of a guest are not read, and the connection of an
//! owner that is fenced is closed with what is in it. Without an owner the runs that were ready go
//! on (kept.rs) for as long as the last one has said, and are then asked to end.

mod succession;
#[cfg(test)]
mod tests;

use std::ops::ControlFlow;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use rustix::event::PollFlags;
use rustix::process::{Pid, getpid};

use warden::hello::{Answer, Hello, VERSION, Welcome, Wish};
use warden::protocol::{PROTOCOL, Report};
use warden::ring::Stream;

use crate::clock;
use crate::hosted::Verdict;
use crate::kept::Kept;
use crate::link::{self, Sent};
use crate::listener::{Listener, Peer};
use crate::owner::{Heard, Owner};
use crate::priority;
use crate::roster::Roster;
use crate::visitors::Visitors;

/// How long the first owner may need to come: the host that has started this warden connects at
/// once.
const FIRST_OWNER_MS: u64 = 10_000;

/// What a socket that is waited for belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    /// The owner, or the host of an ordinary warden.
    Owner,
    /// The host that waits for the owner to detach.
    Claimant,
    /// A guest.
    Guest(RawFd),
    /// A process that is about to say what it wants.
    Visitor(RawFd),
    /// The output of a run.
    Pipe(u64, Stream),
    /// The socket at the path of the name.
    Listener,
}

/// How long tenants go on without a host, and how long they may need to end after that.
#[derive(Clone, Copy)]
struct Terms {
    for_ms: u64,
    stop_grace_ms: u64,
}

enum Seat {
    Owner(Box<Owner>),
    /// Nobody owns the name. At this time everything is asked to end.
    Vacant {
        due_ms: u64,
    },
    /// Everything was asked to end, and is ended at this time.
    Ending {
        due_ms: u64,
    },
    /// Everything is being ended. The owner's connection is closed when it is.
    Over {
        _owner: Option<Box<Owner>>,
    },
}

/// A host that waits for the owner to detach.
struct Claim {
    peer: Peer,
    terms: Terms,
    /// When the owner is fenced.
    due_ms: u64,
}

/// The hosts of a name, and what is kept for them. Dropping it frees the name.
pub struct Owners {
    visitors: Visitors,
    seat: Seat,
    epoch: u64,
    /// Since when the seat is taken, or vacant.
    since_unix_ms: u64,
    terms: Terms,
    claim: Option<Claim>,
    guests: Vec<Peer>,
    /// Whom the end of the connection tells that all is gone.
    awaiting_end: Vec<Peer>,
    kept: Kept,
}

impl Owners {
    /// Nobody owns it yet.
    pub fn of(listener: Listener) -> Owners {
        Owners {
            visitors: Visitors::of(listener),
            seat: Seat::Vacant { due_ms: clock::now_ms() + FIRST_OWNER_MS },
            epoch: 0,
            since_unix_ms: clock::unix_ms(),
            terms: Terms { for_ms: FIRST_OWNER_MS, stop_grace_ms: 0 },
            claim: None,
            guests: Vec::new(),
            awaiting_end: Vec::new(),
            kept: Kept::default(),
        }
    }

    /// What to wait for.
    pub fn interests(&self) -> Vec<(Token, BorrowedFd<'_>, PollFlags)> {
        let mut interests = Vec::new();
        match &self.seat {
            Seat::Owner(owner) => {
                let (socket, interest) = owner.interest();
                interests.push((Token::Owner, socket, interest));
            }
            _ => interests.extend(
                self.kept
                    .pipes()
                    .map(|(run, stream, pipe)| (Token::Pipe(run, stream), pipe, PollFlags::IN)),
            ),
        }
        // The end of a connection is told also if nothing is waited for.
        let watched = PollFlags::empty();
        let claimant = self.claim.as_ref().map(|claim| claim.peer.socket.as_fd());
        interests.extend(claimant.map(|socket| (Token::Claimant, socket, watched)));
        let guests = self.guests.iter().map(|guest| guest.socket.as_fd());
        interests.extend(guests.map(|socket| (Token::Guest(socket.as_raw_fd()), socket, watched)));
        let visitors = self.visitors.sockets();
        interests.extend(
            visitors.map(|socket| (Token::Visitor(socket.as_raw_fd()), socket, PollFlags::IN)),
        );
        // The last one: who is accepted may get the descriptor of one that has gone.
        let listener = self.visitors.listener();
        interests.extend(listener.map(|socket| (Token::Listener, socket, PollFlags::IN)));
        interests
    }

    /// When something is to be done without an event.
    pub fn due_ms(&self) -> Option<u64> {
        let seat_ms = match &self.seat {
            Seat::Owner(owner) => owner.retry_ms(),
            Seat::Vacant { due_ms } | Seat::Ending { due_ms } => Some(*due_ms),
            Seat::Over { .. } => return None,
        };
        let claim_ms = self.claim.as_ref().map(|claim| claim.due_ms);
        [seat_ms, claim_ms, self.kept.due_ms(), self.visitors.due_ms()].into_iter().flatten().min()
    }

    /// Notes reports, and queues them for the owner.
    pub fn tell(&mut self, reports: Vec<Report>) {
        for report in reports {
            self.kept.note(report);
            self.tell_owner(report);
        }
    }

    fn tell_owner(&mut self, report: Report) {
        if let Seat::Owner(owner) = &mut self.seat {
            owner.tell(report);
        }
    }

    /// Sends the owner what its socket has room for, and does what is due.
    pub fn go_on(&mut self, roster: &mut Roster) -> Verdict {
        let flushed = match &mut self.seat {
            Seat::Owner(owner) => owner.flush(&mut self.kept),
            Seat::Over { .. } => return Verdict::Stay,
            Seat::Vacant { .. } | Seat::Ending { .. } => Ok(()),
        };
        if flushed.is_err() {
            // It has gone. What it had sent before is read first, as where its end is heard of.
            let heard = self.hear_owner(PollFlags::HUP, roster);
            if self.act_on(heard, roster).is_break() {
                return Verdict::Leave;
            }
        }
        self.kept.kill_late(roster);
        self.visitors.go_on();
        self.look_at_path(roster);
        self.fence_late(roster);
        let now_ms = clock::now_ms();
        match self.seat {
            Seat::Vacant { due_ms } if due_ms <= now_ms => self.begin_to_end(roster),
            Seat::Ending { due_ms } if due_ms <= now_ms || !self.kept.has_live() => {
                return Verdict::Leave;
            }
            _ => {}
        }
        if self.is_done() { Verdict::Leave } else { Verdict::Stay }
    }

    /// Takes what has come.
    pub fn hear(&mut self, events: &[(Token, PollFlags)], roster: &mut Roster) -> Verdict {
        // What an owner sends after its time counts no more, also if this process was stopped
        // meanwhile. The other events come again.
        if self.fence_late(roster) {
            return Verdict::Stay;
        }
        for (token, flags) in events {
            match *token {
                Token::Pipe(run, stream) => {
                    // A tenant may write without end.
                    priority::give_way();
                    self.kept.read(run, stream);
                }
                Token::Owner => {
                    let heard = self.hear_owner(*flags, roster);
                    if self.act_on(heard, roster).is_break() {
                        return Verdict::Leave;
                    }
                }
                // Its end, as nothing else is waited for. The owner was asked, and detaches.
                Token::Claimant => self.claim = None,
                Token::Guest(socket) => self.say_goodbye(socket),
                Token::Visitor(socket) => {
                    if let Some((peer, hello)) = self.visitors.hear(socket) {
                        self.meet(peer, &hello, roster);
                    }
                }
                Token::Listener => self.visitors.accept(),
            }
        }
        Verdict::Stay
    }

    /// Everything is being ended: nothing more is told.
    pub fn leave(&mut self) {
        let seat = std::mem::replace(&mut self.seat, Seat::Over { _owner: None });
        if let Seat::Owner(owner) = seat {
            self.seat = Seat::Over { _owner: Some(owner) };
        }
    }

    fn hear_owner(&mut self, events: PollFlags, roster: &mut Roster) -> Heard {
        match &mut self.seat {
            Seat::Owner(owner) => owner.hear(events, &mut self.kept, roster),
            _ => Heard::Present,
        }
    }

    /// Breaks off if everything is to end.
    fn act_on(&mut self, heard: Heard, roster: &mut Roster) -> ControlFlow<()> {
        match heard {
            Heard::Present => {}
            Heard::Lost => self.lose_owner(roster),
            Heard::Detached => self.let_owner_go(roster),
            Heard::Left => return ControlFlow::Break(()),
        }
        ControlFlow::Continue(())
    }

    /// Without an owner, and at a path that leads elsewhere, nobody finds what is kept: another
    /// host of the name would start each tenant a second time.
    fn look_at_path(&mut self, roster: &mut Roster) {
        let may_be_found = self.visitors.may_come();
        if !may_be_found && matches!(self.seat, Seat::Vacant { .. }) {
            self.begin_to_end(roster);
        }
    }

    /// A guest has closed its connection.
    fn say_goodbye(&mut self, socket: RawFd) {
        self.guests.retain(|guest| guest.socket.as_raw_fd() != socket);
        if self.guests.is_empty() {
            self.tell_owner(Report::PredecessorGone);
        }
    }

    fn meet(&mut self, peer: Peer, hello: &Hello, roster: &mut Roster) {
        let terms = Terms { for_ms: hello.for_ms, stop_grace_ms: hello.stop_grace_ms };
        let answer = match (hello.wish, &mut self.seat) {
            (Wish::Look, _) => Answer::Looked,
            (Wish::Own | Wish::TakeOver, _) if hello.protocol != PROTOCOL => Answer::OtherProtocol,
            (Wish::Unknown(_), _) => Answer::OtherProtocol,
            (_, Seat::Ending { .. } | Seat::Over { .. }) => Answer::Ending,
            (Wish::End, Seat::Vacant { .. }) => {
                self.begin_to_end(roster);
                Answer::Ending
            }
            (Wish::Own | Wish::TakeOver, Seat::Vacant { .. }) => {
                let vacant_since_ms = if self.epoch > 0 { self.since_unix_ms } else { 0 };
                return self.seat_owner(peer, terms, vacant_since_ms, roster);
            }
            (Wish::TakeOver, Seat::Owner(owner)) if self.claim.is_none() => {
                owner.tell(Report::Yield { pid: number(peer.pid) });
                Answer::Waiting
            }
            (Wish::Own | Wish::TakeOver | Wish::End, Seat::Owner(_)) => Answer::InUse,
        };
        self.answer(&peer, answer, self.since_unix_ms);
        match answer {
            Answer::Ending => self.awaiting_end.push(peer),
            Answer::Waiting => {
                let due_ms = clock::now_ms().saturating_add(hello.fence_after_ms.into());
                self.claim = Some(Claim { peer, terms, due_ms });
            }
            _ => {}
        }
    }

    fn answer(&self, peer: &Peer, answer: Answer, since_unix_ms: u64) -> Sent {
        let claimant = self.claim.as_ref().filter(|_| answer == Answer::InUse);
        let owner = match &self.seat {
            Seat::Owner(owner) => Some(owner.pid()),
            _ => None,
        };
        let welcome = Welcome {
            protocol: PROTOCOL,
            answer,
            warden_pid: number(getpid()),
            owner_pid: claimant.map(|claim| claim.peer.pid).or(owner).map_or(0, number),
            epoch: self.epoch,
            since_unix_ms,
            last_run: self.kept.last_run(),
            runs: self.kept.count() as u32,
            version: VERSION.to_owned(),
        };
        link::transmit(&peer.socket, &welcome.encode())
    }
}

fn number(pid: Pid) -> u32 {
    pid.as_raw_pid().cast_unsigned()
}
