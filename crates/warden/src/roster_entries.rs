//! What the roster holds: live keepers, and runs whose keeper was lost.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};

use warden::protocol::{Command, LaunchStep, Report, StopStage};

use crate::group::Groups;
use crate::link::{self, Received, Sent};
use crate::temporary::Temporary;

/// The error number for a run whose keeper was killed before the program ran.
const KEEPER_LOST: Errno = Errno::IO;

/// One live keeper: an unreaped child of the warden, so its pid is not reused.
pub struct Keeper {
    pub run: u64,
    pub pid: Pid,
    /// `None` once either side has closed it.
    pub link: Option<OwnedFd>,
    pub has_started: bool,
    /// When the keeper is continued, in case it was stopped, unless it has reported its tenant's
    /// start by then.
    pub late_ms: u64,
    /// The final report about the run. The host gets it once the keeper is reaped.
    pub result: Option<Report>,
    /// What is removed for the keeper if that is lost.
    pub groups: Groups,
    pub temporary: Option<Temporary>,
    /// The last stop that the host asked for, and the last one that was sent to the keeper.
    pub stop_asked: Option<StopStage>,
    pub stop_sent: Option<StopStage>,
    /// Orders to sleep and to wake that were not sent yet.
    pub rests: VecDeque<Command>,
}

/// A run whose keeper died without a result: it was killed. The warden clears what is left of the
/// tenant.
#[derive(Debug)]
pub struct Lost {
    /// `None` if the keeper was a spare.
    pub run: Option<u64>,
    pub has_started: bool,
    pub cpu_us: u64,
    pub groups: Groups,
    pub temporary: Option<Temporary>,
    /// When its end is reported even if its groups cannot be removed, from the first attempt on.
    pub given_up_ms: Option<u64>,
}

impl Keeper {
    /// The stop that the host has asked for, unless it was sent.
    pub fn unsent_stop(&self) -> Option<StopStage> {
        self.stop_asked.filter(|_| self.stop_asked > self.stop_sent)
    }

    /// Whether something that was asked for was not sent.
    pub fn has_unsent(&self) -> bool {
        self.unsent_stop().is_some() || !self.rests.is_empty()
    }

    /// Sends what was asked for, and continues the keeper.
    pub fn pass_on(&mut self) {
        if !self.has_unsent() {
            return;
        }
        self.signal(Signal::CONT);
        if let Some(stage) = self.unsent_stop() {
            if !self.send(Command::Stop { run: self.run, stage }) {
                return;
            }
            self.stop_sent = Some(stage);
        }
        while let Some(order) = self.rests.front().copied() {
            if !self.send(order) {
                return;
            }
            self.rests.pop_front();
        }
    }

    /// Sends a packet; false if there is no room for it. Without a link the keeper ends its tree by
    /// itself, so the packet counts as sent.
    fn send(&self, command: Command) -> bool {
        let send = |link| link::transmit(link, &command.encode()) != Sent::Later;
        self.link.as_ref().is_none_or(send)
    }

    /// Signals the keeper: an unreaped child, so its pid was not reused.
    pub fn signal(&self, signal: Signal) {
        let _ = kill_process(self.pid, signal);
    }

    /// Reads its reports; `reports` gets those that are for the host at once.
    pub fn listen(&mut self, reports: &mut Vec<Report>) {
        while let Some(link) = &self.link {
            match link::receive(link, self.pid) {
                Received::Forged => {}
                Received::Nothing => return,
                Received::Closed => self.link = None,
                Received::Packet { bytes, .. } => match Report::decode(&bytes) {
                    Ok(started @ Report::Started { .. }) => {
                        self.has_started = true;
                        reports.push(started);
                    }
                    Ok(
                        rest @ (Report::Slept { .. }
                        | Report::SleepFailed { .. }
                        | Report::Awake { .. }
                        | Report::Stirred { .. }),
                    ) => reports.push(rest),
                    Ok(result) => self.result = Some(result),
                    // A keeper, which is the same program, sends no other packets.
                    Err(_) => {}
                },
            }
        }
    }
}

impl Lost {
    /// What the host is told of the run's end; nothing of a spare's.
    pub fn final_report(&self) -> Option<Report> {
        let Lost { run, has_started, cpu_us, .. } = *self;
        let run = run?;
        Some(if has_started {
            let signal = Some(Signal::KILL.as_raw());
            Report::Ended { run, exit_code: None, signal, cpu_us, out_of_memory: false }
        } else {
            let errno = KEEPER_LOST.raw_os_error();
            Report::LaunchFailed { run, step: LaunchStep::Fork, errno }
        })
    }
}
