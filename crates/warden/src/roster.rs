//! What the warden knows of its keepers: which run each serves, what it has reported, and what the
//! host is still to be told. Nothing here waits.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, getpid, kill_process};

use warden::confinement::Group;
use warden::excerpt::confinement_in;
use warden::host::signed_pair;
use warden::planted::{Bug, planted_once_in};
use warden::protocol::{Command, LAUNCH_FDS_MAX, LaunchStep, Report, StopStage};

use crate::clock;
use crate::group::Groups;
use crate::group_files::REMOVAL_PATIENCE_MS;
use crate::launch::Outfit;
use crate::launching;
use crate::parents::{self, Parents};
use crate::roster_entries::{Keeper, Lost};
use crate::spares::{Spare, Spares};
use crate::sys::{self, Ending};
use crate::temporary::{LEFT_STATUS, Temporaries, Temporary};

/// After this time a launch is late: the keeper was stopped, or the tenant's directory is slow to
/// enter.
const LATE_AFTER_MS: u64 = 1_000;

/// All runs whose final report the host has not got. Dropping it closes the links, and each keeper
/// then ends its tree.
#[derive(Default)]
pub struct Roster {
    keepers: Vec<Keeper>,
    spares: Spares,
    lost: Vec<Lost>,
    parents: Parents,
    temporaries: Temporaries,
    /// How many groups were named so far.
    groups: u32,
}

impl Roster {
    /// Starts a keeper for a run. The error is for the host, and means that no process was
    /// started.
    pub fn launch(
        &mut self,
        run: u64,
        mut fds: Vec<OwnedFd>,
        fds_lost: bool,
    ) -> Result<(), (LaunchStep, Errno)> {
        if fds_lost {
            return Err((LaunchStep::ReadSpec, Errno::MFILE));
        }
        if fds.is_empty() || fds.len() > LAUNCH_FDS_MAX {
            return Err((LaunchStep::ReadSpec, Errno::PROTO));
        }
        let memory_file = fds.remove(0);
        if self.is_known(run) {
            return Err((LaunchStep::ReadSpec, Errno::EXIST));
        }
        if planted_once_in(10, Bug::WardenKeepsDescriptors) {
            std::mem::forget(memory_file.try_clone());
        }
        let outfit = Outfit { memory_file, descriptors: fds };
        let confinement =
            confinement_in(&outfit.memory_file).map_err(|errno| (LaunchStep::ReadSpec, errno))?;
        let temporary = Temporary::of(&confinement, run);
        if let Some(temporary) = &temporary {
            let at = |errno| (LaunchStep::MakeTemporary, errno);
            self.temporaries.hold(temporary).map_err(at)?;
        }
        let groups = confinement.groups;
        self.parents.prepare(&groups);
        let spare = if groups.is_empty() {
            Roster::fork_keeper(run, outfit)
        } else {
            self.launch_by_spare(run, &outfit, groups)
        };
        let Spare { pid, link, groups } = spare.map_err(|errno| (LaunchStep::Fork, errno))?;
        self.keepers.push(Keeper {
            run,
            pid,
            link,
            has_started: false,
            late_ms: clock::now_ms() + LATE_AFTER_MS,
            result: None,
            groups,
            temporary,
            stop_asked: None,
            stop_sent: None,
            rests: VecDeque::new(),
        });
        Ok(())
    }

    /// Forks a keeper for a run without groups.
    fn fork_keeper(run: u64, outfit: Outfit) -> Result<Spare, Errno> {
        let (link, keepers_end) = signed_pair()?;
        let warden = getpid();
        let pid = sys::fork_into(|| launching::keep(run, warden, keepers_end, outfit))?;
        Ok(Spare { pid, link: Some(link), groups: Groups::default() })
    }

    /// Has a spare launch the run, which is made now if there is none.
    fn launch_by_spare(
        &mut self,
        run: u64,
        outfit: &Outfit,
        groups: Vec<Group>,
    ) -> Result<Spare, Errno> {
        let spare = loop {
            let made = self.spares.take(&groups);
            let is_new = made.is_none();
            let spare = match made {
                Some(spare) => spare,
                None => Spare::fork(self.new_number(), &groups)?,
            };
            match spare.launch(run, outfit) {
                Ok(()) => break spare,
                Err(errno) => {
                    self.spares.dismiss(spare);
                    if is_new {
                        return Err(errno);
                    }
                }
            }
        };
        self.spares.want(&groups);
        Ok(Spare { groups: spare.groups.with_settings(groups), ..spare })
    }

    /// Names a group as no other warden names one.
    fn new_number(&mut self) -> u64 {
        self.groups += 1;
        parents::number(self.groups)
    }

    /// Whether a spare is to be made, and no tenant waits for this process.
    pub fn has_spares_to_make(&self) -> bool {
        self.spares.are_wanted() && self.keepers.iter().all(|keeper| keeper.has_started)
    }

    /// Makes the spares that the launches since the last call have taken.
    pub fn make_spares(&mut self) {
        let mut spares = std::mem::take(&mut self.spares);
        spares.make_wanted(|| self.new_number());
        self.spares = spares;
    }

    /// Has all spares end: nobody will launch by them.
    pub fn dismiss_spares(&mut self) {
        self.spares.end_all();
    }

    fn is_known(&self, run: u64) -> bool {
        self.keepers.iter().any(|keeper| keeper.run == run)
            || self.lost.iter().any(|lost| lost.run == Some(run))
    }

    /// Passes a stop on to the run's keeper, now or with [`pass_on_orders`](Self::pass_on_orders).
    /// Each stage is passed on once, so a link never fills up.
    pub fn stop(&mut self, run: u64, stage: StopStage) {
        if let Some(keeper) = self.keepers.iter_mut().find(|keeper| keeper.run == run) {
            keeper.stop_asked = keeper.stop_asked.max(Some(stage));
            keeper.pass_on();
        }
    }

    /// Passes an order to sleep or to wake on to the run's keeper, as a stop.
    pub fn rest(&mut self, order: Command) {
        if let Some(keeper) = self.keepers.iter_mut().find(|keeper| keeper.run == order.run()) {
            keeper.rests.push_back(order);
            keeper.pass_on();
        }
    }

    /// Passes on the orders that could not be sent earlier.
    pub fn pass_on_orders(&mut self) {
        self.keepers.iter_mut().for_each(Keeper::pass_on);
    }

    /// Continues every keeper that is late with its first report.
    pub fn continue_late(&mut self) {
        let now_ms = clock::now_ms();
        for keeper in &mut self.keepers {
            if !keeper.has_started && keeper.late_ms <= now_ms {
                keeper.signal(Signal::CONT);
                keeper.late_ms = now_ms + LATE_AFTER_MS;
            }
        }
    }

    /// Continues every keeper.
    pub fn continue_all(&self) {
        for keeper in &self.keepers {
            keeper.signal(Signal::CONT);
        }
    }

    /// When the next keeper will be late.
    pub fn next_late_ms(&self) -> Option<u64> {
        self.keepers.iter().filter(|keeper| !keeper.has_started).map(|keeper| keeper.late_ms).min()
    }

    /// The links to wait on and what for, by the keepers' pids.
    pub fn links(&self) -> impl Iterator<Item = (Pid, BorrowedFd<'_>, PollFlags)> {
        self.keepers.iter().filter_map(|keeper| {
            let interest = if keeper.has_unsent() { PollFlags::OUT } else { PollFlags::empty() };
            Some((keeper.pid, keeper.link.as_ref()?.as_fd(), PollFlags::IN | interest))
        })
    }

    /// The children of the warden that are keepers, spares included, or remove what these have
    /// left, and are not strays.
    pub fn keeper_pids(&self) -> Vec<Pid> {
        let keepers = self.keepers.iter().map(|keeper| keeper.pid);
        keepers.chain(self.spares.pids()).chain(self.temporaries.pids()).collect()
    }

    /// Reads a keeper's reports, and adds those to `reports` that the host gets at once.
    pub fn listen(&mut self, pid: Pid, reports: &mut Vec<Report>) {
        if let Some(keeper) = self.keepers.iter_mut().find(|keeper| keeper.pid == pid) {
            keeper.listen(reports);
        }
    }

    /// Notes that a child of the warden was reaped.
    pub fn reaped(&mut self, pid: Pid, ending: Ending, cpu_us: u64, reports: &mut Vec<Report>) {
        if self.temporaries.reaped(pid) {
            return;
        }
        if let Some(groups) = self.spares.reaped(pid) {
            // One that was dismissed has removed its groups. The process that waited with one that
            // was killed ends by itself, or is a stray.
            let (run, temporary, given_up_ms) = (None, None, None);
            let lost = Lost { run, has_started: false, cpu_us, groups, temporary, given_up_ms };
            return self.lost.push(lost);
        }
        let Some(index) = self.keepers.iter().position(|keeper| keeper.pid == pid) else {
            // A stray of a lost run. With several lost runs it is not known whose it was.
            if let [lost] = self.lost.as_mut_slice() {
                lost.cpu_us += cpu_us;
            }
            return;
        };
        let mut keeper = self.keepers.swap_remove(index);
        // The keeper may have reported and ended since its link was last read.
        keeper.listen(reports);
        match keeper.result {
            Some(result) => {
                reports.push(result);
                if ending == Ending::Exited(LEFT_STATUS) {
                    keeper.temporary.iter().for_each(|it| self.temporaries.remove_rest(it));
                }
            }
            None => {
                keeper.groups.kill();
                self.lost.push(Lost {
                    run: Some(keeper.run),
                    has_started: keeper.has_started,
                    cpu_us,
                    groups: keeper.groups,
                    temporary: keeper.temporary,
                    given_up_ms: None,
                });
            }
        }
    }

    /// Whether there is a run whose keeper is lost and whose tree may still have processes.
    pub fn has_lost(&self) -> bool {
        !self.lost.is_empty()
    }

    /// Ends the lost runs, as no stray is left. A run whose groups cannot be removed yet stays
    /// lost for a while.
    pub fn strays_are_gone(&mut self, reports: &mut Vec<Report>) {
        let now_ms = clock::now_ms();
        self.lost.retain_mut(|lost| {
            let given_up_ms = *lost.given_up_ms.get_or_insert(now_ms + REMOVAL_PATIENCE_MS);
            let is_over = lost.groups.remove() || given_up_ms <= now_ms;
            if is_over {
                lost.temporary.iter().for_each(|it| self.temporaries.remove(it));
                reports.extend(lost.final_report());
            }
            !is_over
        });
    }

    /// Removes what is left of groups and their parents: this process is about to leave, and has no
    /// child any more.
    pub fn clear_up(&mut self) {
        for lost in self.lost.drain(..) {
            lost.groups.remove_soon();
        }
        self.temporaries.leave();
        self.parents.leave();
    }

    /// Has every keeper end its tree by itself, by closing its link. Keepers that were stopped are
    /// continued for that.
    pub fn end_all(&mut self) {
        for keeper in &mut self.keepers {
            keeper.link = None;
            keeper.signal(Signal::CONT);
        }
        self.spares.end_all();
        self.temporaries.end();
    }

    /// Kills every keeper that has not finished. The processes of their trees become strays.
    pub fn kill_keepers(&self) {
        for keeper in &self.keepers {
            keeper.signal(Signal::KILL);
        }
        for spare in self.spares.pids() {
            let _ = kill_process(spare, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::testing::{fill, pair, read_all};
    use warden::protocol::Depth;

    /// A roster with one keeper, and the keeper's end of the link. This process stands for the
    /// keeper: the tests only send it SIGCONT.
    fn roster_of_one() -> (Roster, OwnedFd) {
        let (ours, theirs) = pair();
        let mut roster = Roster::default();
        roster.keepers.push(Keeper {
            run: 1,
            pid: getpid(),
            link: Some(ours),
            has_started: true,
            late_ms: 0,
            result: None,
            groups: Groups::default(),
            temporary: None,
            stop_asked: None,
            stop_sent: None,
            rests: VecDeque::new(),
        });
        (roster, theirs)
    }

    fn interest(roster: &Roster) -> PollFlags {
        roster.links().next().expect("the one").2
    }

    #[test]
    fn a_stop_that_there_is_no_room_for_is_sent_later_and_once() {
        let (mut roster, theirs) = roster_of_one();
        fill(roster.keepers[0].link.as_ref().expect("open"));
        roster.stop(1, StopStage::Terminate);
        roster.stop(1, StopStage::Kill);
        assert_eq!(interest(&roster), PollFlags::IN | PollFlags::OUT);
        read_all(&theirs);
        roster.pass_on_orders();
        let kill = Command::Stop { run: 1, stage: StopStage::Kill }.encode();
        assert_eq!(read_all(&theirs), [kill]);
        assert_eq!(interest(&roster), PollFlags::IN);
        roster.stop(1, StopStage::Kill);
        roster.stop(1, StopStage::Terminate);
        roster.pass_on_orders();
        assert!(read_all(&theirs).is_empty());
    }

    #[test]
    fn orders_to_sleep_and_to_wake_keep_their_order_also_without_room() {
        let (mut roster, theirs) = roster_of_one();
        let sleep = Command::Sleep { run: 1, depth: Depth::Frozen };
        let wake = Command::Wake { run: 1 };
        roster.rest(sleep);
        roster.rest(Command::Wake { run: 2 });
        assert_eq!(read_all(&theirs), [sleep.encode()]);
        fill(roster.keepers[0].link.as_ref().expect("open"));
        let orders = [wake, sleep, wake];
        orders.into_iter().for_each(|order| roster.rest(order));
        assert_eq!(interest(&roster), PollFlags::IN | PollFlags::OUT);
        read_all(&theirs);
        roster.pass_on_orders();
        assert_eq!(read_all(&theirs), orders.map(|order| order.encode()));
        assert_eq!(interest(&roster), PollFlags::IN);
    }
}
