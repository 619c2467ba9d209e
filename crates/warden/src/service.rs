//! The warden's poll loop: takes the host's commands, passes on the keepers' reports, and ends
//! everything when the host is gone.

use std::io;
use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, getpid};

use warden::planted::{Bug, planted};
use warden::protocol::Report;

use crate::clock;
use crate::hosted::{Host, Verdict};
use crate::link;
use crate::listener::Listener;
use crate::owners::{Owners, Token};
use crate::priority;
use crate::roster::Roster;
use crate::sys::{self, Reaped};
use crate::tree::Scope;
use crate::tree_kill::{Found, TreeKill};

/// How long keepers have to end their trees once the host is gone: the trees' last grace, and the
/// time to kill what is left after it. A keeper that needs longer is held up, and the warden kills
/// it and its tree.
const KEEPERS_GRACE_MS: u64 = 850;

/// Whom the warden is to serve.
pub enum Served {
    /// The one host that has started it.
    Host(Host),
    /// One host of a name after the other.
    Name(Listener),
}

/// Serves until the host is gone, or no host of the name has come for long enough, and then ends
/// every process of every tenant. A host of another protocol cannot be served: that ends everything
/// too, and is an error.
pub fn serve(served: Served) -> io::Result<()> {
    priority::raise_priority();
    let child_signals = sys::child_signals()?;
    let side = match served {
        Served::Host(host) => Side::Host(host),
        Served::Name(listener) => Side::Owners(Box::new(Owners::of(listener))),
    };
    let mut service = Service {
        side,
        child_signals,
        roster: Roster::default(),
        strays: None,
        leaving: None,
        misuse: None,
    };
    service.run();
    service.misuse.map_or(Ok(()), Err)
}

/// Whom the warden serves.
enum Side {
    /// The host that has started it.
    Host(Host),
    /// The hosts of a name.
    Owners(Box<Owners>),
}

/// The state after the host is gone.
struct Leaving {
    /// When the remaining keepers are killed; `None` once they are.
    keepers_due_ms: Option<u64>,
}

struct Service {
    side: Side,
    child_signals: OwnedFd,
    roster: Roster,
    /// The killing of processes without a keeper, while it is under way.
    strays: Option<TreeKill>,
    leaving: Option<Leaving>,
    /// Why the warden ended although the host was there.
    misuse: Option<io::Error>,
}

/// The events of one wait.
struct Events {
    /// From the side that the warden serves.
    side: Vec<(Token, PollFlags)>,
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
            self.roster.pass_on_orders();
            self.roster.continue_late();
            if self.flush() {
                continue;
            }
            let events = self.wait();
            if events.are_none && self.leaving.is_none() && self.roster.has_spares_to_make() {
                self.roster.make_spares();
            }
            for pid in events.keepers {
                self.relay(|roster, reports| roster.listen(pid, reports));
            }
            let verdict = match &mut self.side {
                Side::Host(host) => {
                    let flags = events.side.first().map_or(PollFlags::empty(), |event| event.1);
                    host.hear(flags, &mut self.roster)
                }
                Side::Owners(owners) => owners.hear(&events.side, &mut self.roster),
            };
            self.abide_by(verdict);
        }
    }

    /// Lets the roster add reports to those for the host.
    fn relay(&mut self, hear: impl FnOnce(&mut Roster, &mut Vec<Report>)) {
        let mut reports = Vec::new();
        hear(&mut self.roster, &mut reports);
        match &mut self.side {
            Side::Host(host) => host.tell(reports),
            Side::Owners(owners) => owners.tell(reports),
        }
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

    /// Sends the reports that there is room for, and does what is due. Returns whether this process
    /// is to leave since: there may be nothing to wait for.
    fn flush(&mut self) -> bool {
        let was_leaving = self.leaving.is_some();
        let verdict = match &mut self.side {
            Side::Host(host) => host.flush(),
            Side::Owners(owners) => owners.go_on(&mut self.roster),
        };
        self.abide_by(verdict);
        !was_leaving && self.leaving.is_some()
    }

    fn wait(&self) -> Events {
        let pids: Vec<Pid> = self.roster.links().map(|(pid, _, _)| pid).collect();
        let links =
            self.roster.links().map(|(_, link, interest)| PollFd::from_borrowed_fd(link, interest));
        let mut fds = vec![PollFd::new(&self.child_signals, PollFlags::IN)];
        fds.extend(links);
        // Once the host is gone its socket is always readable, so it is not waited for.
        let mut tokens = Vec::new();
        if self.leaving.is_none() {
            let interests = match &self.side {
                Side::Host(host) => {
                    let (socket, interest) = host.interest();
                    vec![(Token::Owner, socket, interest)]
                }
                Side::Owners(owners) => owners.interests(),
            };
            for (token, socket, interest) in interests {
                tokens.push(token);
                fds.push(PollFd::from_borrowed_fd(socket, interest));
            }
        }
        link::wait(&mut fds, self.timeout_ms());
        if !fds[0].revents().is_empty() {
            link::drain(&self.child_signals);
        }
        let flags: Vec<PollFlags> = fds.iter().map(PollFd::revents).collect();
        let are_none = flags.iter().all(|flags| flags.is_empty());
        let (of_keepers, of_side) = flags[1..].split_at(pids.len());
        let side = tokens.into_iter().zip(of_side.iter().copied());
        let side = side.filter(|(_, flags)| !flags.is_empty()).collect();
        let keepers = pids
            .into_iter()
            .zip(of_keepers)
            .filter(|(_, flags)| !flags.is_empty())
            .map(|(pid, _)| pid)
            .collect();
        Events { side, keepers, are_none }
    }

    fn timeout_ms(&self) -> Option<u64> {
        let now_ms = clock::now_ms();
        let strays_ms = self.strays.as_ref().map(|tree_kill| tree_kill.remaining_ms(now_ms));
        let side_due_ms = match &self.side {
            Side::Owners(owners) if self.leaving.is_none() => owners.due_ms(),
            _ => None,
        };
        let keepers_due_ms = self.leaving.as_ref().and_then(|leaving| leaving.keepers_due_ms);
        let due_ms = [keepers_due_ms, self.roster.next_late_ms(), side_due_ms];
        let due_ms = due_ms.into_iter().flatten().map(|due_ms| due_ms.saturating_sub(now_ms));
        let spares_ms = self.roster.has_spares_to_make().then_some(0);
        due_ms.chain(strays_ms).chain(spares_ms).min()
    }

    fn abide_by(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Stay => {}
            Verdict::Leave => self.leave(),
            Verdict::Misuse(error) => {
                self.misuse = Some(error);
                self.leave();
            }
        }
    }

    /// The host is gone: reports are dropped, and every tree is ended.
    fn leave(&mut self) {
        if self.leaving.is_none() && !planted(Bug::WardenStays) {
            self.leaving =
                Some(Leaving { keepers_due_ms: Some(clock::now_ms() + KEEPERS_GRACE_MS) });
            match &mut self.side {
                Side::Host(host) => host.leave(),
                Side::Owners(owners) => owners.leave(),
            }
            self.roster.end_all();
        }
    }
}
