//! What the warden knows of its keepers: which run each serves, what it has reported, and what is still owed to the host
//! about it. No waiting happens here.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{Pid, Signal, kill_process};

use warden::protocol::{Command, LAUNCH_FDS, LaunchStep, Report, StopStage};

use crate::keeper;
use crate::launch::Outfit;
use crate::link::{self, Received};
use crate::sys;

/// The error number for a run whose keeper somebody killed before the program ran.
const KEEPER_LOST: Errno = Errno::IO;

/// One live keeper: our child, not reaped yet, so that its pid cannot mean anybody else.
struct Keeper {
    run: u64,
    pid: Pid,
    /// `None` once either side has closed it.
    link: Option<OwnedFd>,
    has_started: bool,
    /// The last word about the run. The host gets it when the keeper is reaped too.
    result: Option<Report>,
    terminate_is_sent: bool,
    kill_is_sent: bool,
}

/// A run whose keeper died without a result: somebody killed it. What is left of the tenant is ours to clear.
#[derive(Clone, Copy, Debug)]
struct Lost {
    run: u64,
    has_started: bool,
    cpu_us: u64,
}

/// All runs that the host has not heard the last word about.
#[derive(Default)]
pub struct Roster {
    keepers: Vec<Keeper>,
    lost: Vec<Lost>,
}

impl Roster {
    /// Starts a keeper for a run. The error is for the host: nothing was started.
    pub fn launch(&mut self, run: u64, fds: Vec<OwnedFd>, fds_lost: bool) -> Result<(), (LaunchStep, Errno)> {
        if fds_lost {
            return Err((LaunchStep::ReadSpec, Errno::MFILE));
        }
        let [memory_file, stdout, stderr] =
            <[OwnedFd; LAUNCH_FDS]>::try_from(fds).map_err(|_| (LaunchStep::ReadSpec, Errno::PROTO))?;
        if self.is_known(run) {
            return Err((LaunchStep::ReadSpec, Errno::EXIST));
        }
        let outfit = Outfit { memory_file, stdout, stderr };
        let at_fork = |errno| (LaunchStep::Fork, errno);
        let (link, keepers_end) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .map_err(at_fork)?;
        let pid = sys::fork_into(|| keeper::keep(run, keepers_end, outfit)).map_err(at_fork)?;
        self.keepers.push(Keeper {
            run,
            pid,
            link: Some(link),
            has_started: false,
            result: None,
            terminate_is_sent: false,
            kill_is_sent: false,
        });
        Ok(())
    }

    fn is_known(&self, run: u64) -> bool {
        self.keepers.iter().any(|keeper| keeper.run == run) || self.lost.iter().any(|lost| lost.run == run)
    }

    /// Passes a stop on to the run's keeper. Each stage is passed on once, so a link never fills up.
    pub fn stop(&mut self, run: u64, stage: StopStage) {
        let Some(keeper) = self.keepers.iter_mut().find(|keeper| keeper.run == run) else { return };
        let is_sent = match stage {
            StopStage::Terminate => &mut keeper.terminate_is_sent,
            StopStage::Kill => &mut keeper.kill_is_sent,
        };
        if !std::mem::replace(is_sent, true) {
            if let Some(link) = &keeper.link {
                link::transmit(link, &Command::Stop { run, stage }.encode());
            }
            signal(keeper, Signal::CONT);
        }
    }

    /// The links to wait on, by the keepers' pids.
    pub fn links(&self) -> impl Iterator<Item = (Pid, BorrowedFd<'_>)> {
        self.keepers.iter().filter_map(|keeper| Some((keeper.pid, keeper.link.as_ref()?.as_fd())))
    }

    /// The children of the warden that are not to be killed with the strays.
    pub fn keeper_pids(&self) -> Vec<Pid> {
        self.keepers.iter().map(|keeper| keeper.pid).collect()
    }

    /// Reads what a keeper has to say; what the host should hear at once is added to `reports`.
    pub fn listen(&mut self, pid: Pid, reports: &mut Vec<Report>) {
        if let Some(keeper) = self.keepers.iter_mut().find(|keeper| keeper.pid == pid) {
            keeper.listen(reports);
        }
    }

    /// Takes note that a child of the warden was reaped.
    pub fn reaped(&mut self, pid: Pid, cpu_us: u64, reports: &mut Vec<Report>) {
        let Some(index) = self.keepers.iter().position(|keeper| keeper.pid == pid) else {
            // A stray of a lost run. With several at once, nobody can tell whose it was.
            if let [lost] = self.lost.as_mut_slice() {
                lost.cpu_us += cpu_us;
            }
            return;
        };
        let mut keeper = self.keepers.swap_remove(index);
        // It may have reported and ended since we last listened.
        keeper.listen(reports);
        match keeper.result {
            Some(result) => reports.push(result),
            None => self.lost.push(Lost { run: keeper.run, has_started: keeper.has_started, cpu_us }),
        }
    }

    /// Whether there is a run whose keeper is lost and whose tree may not be gone.
    pub fn has_lost(&self) -> bool {
        !self.lost.is_empty()
    }

    /// No stray is left, so the lost runs have ended.
    pub fn strays_are_gone(&mut self, reports: &mut Vec<Report>) {
        reports.extend(self.lost.drain(..).map(|lost| lost.last_word()));
    }

    /// Tells every keeper to kill its tree. They may have been stopped by somebody; they have to run for this.
    pub fn dismiss(&mut self) {
        for keeper in &mut self.keepers {
            keeper.link = None;
            signal(keeper, Signal::CONT);
        }
    }

    /// Kills every keeper that has not finished. Their trees become strays.
    pub fn kill_keepers(&self) {
        for keeper in &self.keepers {
            signal(keeper, Signal::KILL);
        }
    }
}

impl Keeper {
    fn listen(&mut self, reports: &mut Vec<Report>) {
        while let Some(link) = &self.link {
            match link::receive(link) {
                Received::Nothing => return,
                Received::Closed => self.link = None,
                Received::Packet { bytes, .. } => match Report::decode(&bytes) {
                    Ok(started @ Report::Started { .. }) => {
                        self.has_started = true;
                        reports.push(started);
                    }
                    Ok(result) => self.result = Some(result),
                    // A keeper, the same program, sends nothing else.
                    Err(_) => {}
                },
            }
        }
    }
}

impl Lost {
    fn last_word(self) -> Report {
        let Lost { run, has_started, cpu_us } = self;
        if has_started {
            Report::Ended { run, exit_code: None, signal: Some(Signal::KILL.as_raw()), cpu_us }
        } else {
            let errno = KEEPER_LOST.raw_os_error();
            Report::LaunchFailed { run, step: LaunchStep::Fork, errno }
        }
    }
}

/// The keeper is our unreaped child, so its pid is its own.
fn signal(keeper: &Keeper, signal: Signal) {
    let _ = kill_process(keeper.pid, signal);
}
