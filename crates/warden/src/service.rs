//! The warden's poll loop: takes the host's commands, passes on the keepers' reports, and ends
//! everything when the host is gone.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::process::{Pid, Uid, getpid, getuid};

use warden::planted::{Bug, planted};
use warden::protocol::{Command, LaunchStep, Report};

use crate::clock;
use crate::link::{self, Received};
use crate::outbox::Outbox;
use crate::priority;
use crate::roster::Roster;
use crate::sys::{self, Reaped};
use crate::tree::Scope;
use crate::tree_kill::{Found, TreeKill};

/// How long keepers have to end their trees once the host is gone: the trees' last grace, and the
/// time to kill what is left after it. A keeper that needs longer is held up, and the warden kills
/// it and its tree.
const KEEPERS_GRACE_MS: u64 = 850;

/// The most commands that are taken in one round, so that a host with many does not keep the
/// keepers waiting.
const COMMANDS_PER_ROUND: usize = 64;

/// Serves the host until it is gone, and then ends every process of every tenant. A host of
/// another protocol cannot be served: that ends everything too, and is an error.
pub fn serve((host, host_pid): (OwnedFd, Pid)) -> io::Result<()> {
    priority::raise_priority();
    let child_signals = sys::child_signals()?;
    let mut service = Service {
        host,
        host_pid,
        child_signals,
        roster: Roster::default(),
        outbox: Outbox::default(),
        strays: None,
        leaving: None,
        misuse: None,
    };
    service.run();
    service.misuse.map_or(Ok(()), Err)
}

/// The state after the host is gone.
struct Leaving {
    /// When the remaining keepers are killed; `None` once they are.
    keepers_due_ms: Option<u64>,
}

struct Service {
    host: OwnedFd,
    host_pid: Pid,
    child_signals: OwnedFd,
    roster: Roster,
    /// Reports for the host.
    outbox: Outbox,
    /// The killing of processes without a keeper, while it is under way.
    strays: Option<TreeKill>,
    leaving: Option<Leaving>,
    /// Why the warden ended although the host was there.
    misuse: Option<io::Error>,
}

/// The events of one wait.
struct Events {
    host: PollFlags,
    keepers: Vec<Pid>,
    /// Nothing has happened.
    are_none: bool,
}

impl Service {
    fn run(&mut self) {
        loop {
            let has_children = self.reap();
            if self.leaving.is_some() && !has_children {
                return self.roster.clear_up();
            }
            self.kill_late_keepers();
            if self.clear_strays() == Found::Held
                && self.leaving.is_some()
                && self.roster.keeper_pids().is_empty()
            {
                return self.roster.clear_up();
            }
            self.roster.pass_on_stops();
            self.roster.continue_late();
            self.flush();
            let events = self.wait();
            if events.are_none && self.leaving.is_none() && self.roster.has_spares_to_make() {
                self.roster.make_spares();
            }
            for pid in events.keepers {
                self.relay(|roster, reports| roster.listen(pid, reports));
            }
            if events.host.intersects(PollFlags::HUP | PollFlags::ERR) {
                self.leave();
            } else if events.host.contains(PollFlags::IN) {
                self.obey();
            }
        }
    }

    /// Lets the roster add reports to those for the host.
    fn relay(&mut self, hear: impl FnOnce(&mut Roster, &mut Vec<Report>)) {
        let mut reports = Vec::new();
        hear(&mut self.roster, &mut reports);
        self.outbox.extend(reports);
    }

    /// Reaps the keepers that have ended; false if no child is left.
    fn reap(&mut self) -> bool {
        priority::give_way();
        loop {
            match sys::reap() {
                Reaped::NoChildren => return false,
                Reaped::NothingYet => return true,
                Reaped::Child { pid, ending, cpu_us } => {
                    self.relay(|roster, reports| roster.reaped(pid, ending, cpu_us, reports));
                }
            }
        }
    }

    /// Kills every descendant that has no keeper. There should be some only after a keeper was
    /// killed. Before the warden exits it looks in any case, since no process of a tenant may be
    /// left then.
    fn clear_strays(&mut self) -> Found {
        let now_ms = clock::now_ms();
        if !self.roster.has_lost() && self.leaving.is_none() {
            self.strays = None;
            return Found::NotLooked;
        }
        let spared = self.roster.keeper_pids();
        let scope = Scope { root: getpid(), spared: &spared };
        let tree_kill = self.strays.get_or_insert_with(TreeKill::new);
        let found = tree_kill.round(now_ms, scope);
        if matches!(found, Found::Empty | Found::Held) {
            self.relay(Roster::strays_are_gone);
            if !self.roster.has_lost() {
                self.strays = None;
            }
        }
        found
    }

    /// Kills the keepers that have not finished in time.
    fn kill_late_keepers(&mut self) {
        if let Some(leaving) = &mut self.leaving
            && leaving.keepers_due_ms.is_some_and(|due_ms| due_ms <= clock::now_ms())
        {
            leaving.keepers_due_ms = None;
            self.roster.kill_keepers();
        }
    }

    /// Sends the host the reports that the socket has room for.
    fn flush(&mut self) {
        if !self.outbox.flush(&self.host) {
            self.leave();
        }
    }

    fn wait(&self) -> Events {
        let pids: Vec<Pid> = self.roster.links().map(|(pid, _, _)| pid).collect();
        let links =
            self.roster.links().map(|(_, link, interest)| PollFd::from_borrowed_fd(link, interest));
        let mut fds = vec![PollFd::new(&self.child_signals, PollFlags::IN)];
        fds.extend(links);
        // Once the host is gone its socket is always readable, so it is not waited for.
        if self.leaving.is_none() {
            let interest = PollFlags::IN | self.outbox.interest();
            fds.push(PollFd::from_borrowed_fd(self.host.as_fd(), interest));
        }
        link::wait(&mut fds, self.timeout_ms());
        if !fds[0].revents().is_empty() {
            link::drain(&self.child_signals);
        }
        let flags: Vec<PollFlags> = fds.iter().map(PollFd::revents).collect();
        let are_none = flags.iter().all(|flags| flags.is_empty());
        let host = flags.get(1 + pids.len()).copied().unwrap_or(PollFlags::empty());
        let keepers = pids
            .into_iter()
            .zip(&flags[1..])
            .filter(|(_, flags)| !flags.is_empty())
            .map(|(pid, _)| pid)
            .collect();
        Events { host, keepers, are_none }
    }

    fn timeout_ms(&self) -> Option<u64> {
        let now_ms = clock::now_ms();
        let strays_ms = self.strays.as_ref().map(|tree_kill| tree_kill.remaining_ms(now_ms));
        let keepers_due_ms = self.leaving.as_ref().and_then(|leaving| leaving.keepers_due_ms);
        let keepers_ms = keepers_due_ms.map(|due_ms| due_ms.saturating_sub(now_ms));
        let late_ms = self.roster.next_late_ms().map(|late_ms| late_ms.saturating_sub(now_ms));
        let spares_ms = self.roster.has_spares_to_make().then_some(0);
        [strays_ms, keepers_ms, late_ms, spares_ms].into_iter().flatten().min()
    }

    fn obey(&mut self) {
        for _ in 0..COMMANDS_PER_ROUND {
            match link::receive(&self.host, self.host_pid) {
                Received::Forged => {}
                Received::Nothing => return,
                Received::Closed => return self.leave(),
                Received::Packet { bytes, user, fds, fds_lost } => match Command::decode(&bytes) {
                    Ok(Command::Launch { run }) => {
                        priority::give_way();
                        self.launch(run, user, fds, fds_lost);
                    }
                    Ok(Command::Stop { run, stage }) => self.roster.stop(run, stage),
                    Ok(Command::Continue) => self.roster.continue_all(),
                    Ok(command) => {
                        let message = format!("{command:?} is for a surviving warden");
                        self.misuse = Some(io::Error::new(io::ErrorKind::InvalidData, message));
                        return self.leave();
                    }
                    Err(error) => {
                        self.misuse = Some(io::Error::new(io::ErrorKind::InvalidData, error));
                        return self.leave();
                    }
                },
            }
        }
    }

    /// Refuses a host that runs as another user than when it started the warden: tenants must not
    /// have privileges that their host has given up. The host can still stop runs.
    fn launch(&mut self, run: u64, user: Uid, fds: Vec<OwnedFd>, fds_lost: bool) {
        let launched = if user == getuid() {
            self.roster.launch(run, fds, fds_lost)
        } else {
            Err((LaunchStep::CheckUser, Errno::PERM))
        };
        if let Err((step, errno)) = launched {
            self.outbox.push(Report::LaunchFailed { run, step, errno: errno.raw_os_error() });
        }
    }

    /// The host is gone: reports are dropped, and every tree is ended.
    fn leave(&mut self) {
        if self.leaving.is_none() && !planted(Bug::WardenStays) {
            self.leaving =
                Some(Leaving { keepers_due_ms: Some(clock::now_ms() + KEEPERS_GRACE_MS) });
            self.outbox.clear();
            self.roster.end_all();
        }
    }
}
