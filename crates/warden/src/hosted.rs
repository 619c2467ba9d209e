//! The side of the warden that faces the one host which has started it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::process::{Pid, Uid, getuid};

use warden::protocol::{Command, LaunchStep, Report};

use crate::link::{self, Received};
use crate::outbox::Outbox;
use crate::priority;
use crate::roster::Roster;

/// The most commands that are taken in one round, so that a host with many does not keep the
/// keepers waiting.
pub const COMMANDS_PER_ROUND: usize = 64;

/// What the warden is to do after it has heard something.
#[derive(Debug)]
pub enum Verdict {
    /// To serve on.
    Stay,
    /// To end everything.
    Leave,
    /// The same: the host is of another protocol.
    Misuse(io::Error),
}

/// The connection to the host.
pub struct Host {
    socket: OwnedFd,
    pid: Pid,
    /// Reports for the host.
    outbox: Outbox,
}

impl Host {
    /// The process at the other end is obeyed, and no other.
    pub fn new(socket: OwnedFd, pid: Pid) -> Host {
        Host { socket, pid, outbox: Outbox::default() }
    }

    /// What to wait for.
    pub fn interest(&self) -> (BorrowedFd<'_>, PollFlags) {
        (self.socket.as_fd(), PollFlags::IN | self.outbox.interest())
    }

    /// Queues reports.
    pub fn tell(&mut self, reports: Vec<Report>) {
        self.outbox.extend(reports);
    }

    /// Sends the reports that the socket has room for.
    pub fn flush(&mut self) -> Verdict {
        if self.outbox.flush(&self.socket) { Verdict::Stay } else { Verdict::Leave }
    }

    /// Drops all reports, since the host is gone.
    pub fn leave(&mut self) {
        self.outbox.clear();
    }

    /// Takes commands.
    pub fn hear(&mut self, events: PollFlags, roster: &mut Roster) -> Verdict {
        if events.intersects(PollFlags::HUP | PollFlags::ERR) {
            return Verdict::Leave;
        }
        let commands = if events.contains(PollFlags::IN) { COMMANDS_PER_ROUND } else { 0 };
        for _ in 0..commands {
            match link::receive(&self.socket, self.pid) {
                Received::Forged => {}
                Received::Nothing => break,
                Received::Closed => return Verdict::Leave,
                Received::Packet { bytes, user, fds, fds_lost } => match Command::decode(&bytes) {
                    Ok(Command::Launch { run }) => {
                        priority::give_way();
                        let refused = launch(roster, run, user, fds, fds_lost).err();
                        self.outbox.extend(refused);
                    }
                    Ok(Command::Stop { run, stage }) => roster.stop(run, stage),
                    Ok(order @ (Command::Sleep { .. } | Command::Wake { .. })) => {
                        roster.rest(order);
                    }
                    Ok(Command::Continue) => roster.continue_all(),
                    Ok(command) => {
                        let message = format!("{command:?} is for a surviving warden");
                        return misuse(message);
                    }
                    Err(error) => return misuse(error),
                },
            }
        }
        Verdict::Stay
    }
}

fn misuse(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Verdict {
    Verdict::Misuse(io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Launches a run, or returns what the host is to be told instead. Refuses a host that runs as
/// another user than when it started the warden: tenants must not have privileges that their host
/// has given up. The host can still stop runs.
pub fn launch(
    roster: &mut Roster,
    run: u64,
    user: Uid,
    fds: Vec<OwnedFd>,
    fds_lost: bool,
) -> Result<(), Report> {
    let launched = if user == getuid() {
        roster.launch(run, fds, fds_lost)
    } else {
        Err((LaunchStep::CheckUser, Errno::PERM))
    };
    launched.map_err(|(step, errno)| launch_failed(run, step, errno))
}

/// The report about a run that was not started.
pub fn launch_failed(run: u64, step: LaunchStep, errno: Errno) -> Report {
    Report::LaunchFailed { run, step, errno: errno.raw_os_error() }
}
