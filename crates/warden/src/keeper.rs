//! The keeper, the process between the warden and one tenant: it has the tenant's first process as
//! its child (launching.rs), adopts every orphan of the tree, and exits when no process of the tree is left. It obeys the
//! packets on its link to the warden, and takes a closed link as the order to end the tree soon.

use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, getpid, kill_process_group};

use warden::planted::{Bug, planted};
use warden::protocol::{Command, Depth, REPORT_BYTES, Report, StopStage};

use crate::asking::Asking;
use crate::clock;
use crate::group::Groups;
use crate::link::{self, Received};
use crate::memory_watch::{self, MemoryWatch};
use crate::outbox::Outbox;
use crate::priority;
use crate::slumber::Slumber;
use crate::sys::{self, Ending, Reaped};
use crate::temporary::{LEFT_STATUS, Temporary};
use crate::tree::Scope;
use crate::tree_kill::{Found, TreeKill};

/// The grace of a tree when the host or the warden is gone, so that no order to kill will come.
/// The whole tree has to be gone within a second of that.
const LAST_GRACE_MS: u64 = 600;

/// The time between two looks for processes whose parents have ended after the main process. No
/// event tells of these.
const ORPHANS_EVERY_MS: u64 = 20;

/// How far the launch has come.
enum Launch {
    /// The tenant's process has not executed its program yet. It writes to this pipe why it fails,
    /// or closes it by succeeding.
    Pending(OwnedFd),
    /// The program runs, or ran.
    Started,
    /// The program never ran.
    Failed(Report),
}

/// How the tree is being ended.
enum Phase {
    /// Not at all yet. As soon as the main process ends, the rest of the tree is killed.
    Serving,
    /// The main process was asked to end; once it is gone, the rest of the tree is asked. At
    /// `kill_due_ms`, if set, the tree is killed.
    Terminating { asking: Asking, kill_due_ms: Option<u64> },
    /// The tree is being killed.
    Killing(TreeKill),
}

/// A tenant whose process was made, and what belongs to it.
pub struct Tenancy {
    /// Which start.
    pub run: u64,
    /// Whose commands are obeyed.
    pub warden: Pid,
    /// Readable when a child may have ended.
    pub child_signals: OwnedFd,
    /// The tenant's main process, a child of this one.
    pub main: Pid,
    /// Where that process says why it fails to execute its program.
    pub status: OwnedFd,
    /// Its groups.
    pub groups: Groups,
    /// Its temporary directory.
    pub temporary: Option<Temporary>,
}

/// The keeper of a tenant.
pub struct Keeper {
    run: u64,
    warden: Pid,
    child_signals: OwnedFd,
    main: Pid,
    main_ending: Option<Ending>,
    /// The main process has ended before it was asked to, or its tree was killed for memory.
    has_ended_unasked: bool,
    launch: Launch,
    phase: Phase,
    groups: Groups,
    memory_watch: Option<MemoryWatch>,
    temporary: Option<Temporary>,
    slumber: Slumber,
    /// Reports for the warden.
    outbox: Outbox,
}

impl Keeper {
    /// Begins to keep a tenant.
    pub fn of(tenancy: Tenancy) -> Keeper {
        let Tenancy { run, warden, child_signals, main, status, groups, temporary } = tenancy;
        let (launch, phase) = (Launch::Pending(status), Phase::Serving);
        let memory_watch = MemoryWatch::over(&groups);
        let slumber = Slumber::of(run);
        let (main_ending, has_ended_unasked) = (None, false);
        let outbox = Outbox::default();
        Keeper {
            run,
            warden,
            child_signals,
            main,
            main_ending,
            has_ended_unasked,
            launch,
            phase,
            groups,
            memory_watch,
            temporary,
            slumber,
            outbox,
        }
    }

    /// Goes on until the whole tree, the groups and the temporary directory are gone. Returns the
    /// exit status of the keeper.
    pub fn serve(mut self, mut link: Option<OwnedFd>) -> i32 {
        let _lock = self.temporary.as_ref().and_then(Temporary::lock);
        // The event may be an order to kill, which is carried out with precedence, before reaping,
        // which gives way.
        while self.kill_round() != Found::Held && self.reap() {
            self.watch_memory();
            let has_to_ask = self.go_on_asking(link.as_ref());
            self.outbox.extend(self.slumber.go_on(&self.groups, link.as_ref()));
            if let Some(link) = &link {
                // A closed link is noticed when it is read from.
                self.outbox.flush(link);
            }
            self.wait(&mut link, has_to_ask);
        }
        self.resolve_launch();
        let result = self.result();
        let is_left = self.clear_up(link.is_some());
        self.outbox.push(result);
        if let Some(link) = link {
            send_all(self.outbox, &link);
        }
        if is_left { LEFT_STATUS } else { 0 }
    }

    /// Removes what was made for the tenant, whose tree is gone. Returns whether the warden has
    /// something left to remove.
    fn clear_up(&self, has_warden: bool) -> bool {
        if !planted(Bug::GroupStays) {
            self.groups.remove_soon();
        }
        let temporary = self.temporary.as_ref().filter(|_| !planted(Bug::TemporaryDirectoryStays));
        let is_left = temporary.is_some_and(|temporary| temporary.remove_soon(has_warden));
        if !has_warden {
            self.temporary.iter().for_each(|temporary| temporary.remove_parent(is_left));
            self.groups.remove_parents();
        }
        is_left
    }

    /// Kills the tree if the kernel has killed a process of it for memory.
    fn watch_memory(&mut self) {
        let Some(watch) = &mut self.memory_watch else { return };
        if watch.sees_kill(&self.groups) {
            self.has_ended_unasked = true;
            self.kill();
        }
    }

    fn kill_round(&mut self) -> Found {
        let Phase::Killing(tree_kill) = &mut self.phase else { return Found::NotLooked };
        let found = tree_kill.round(clock::now_ms(), Scope { root: getpid(), spared: &[] });
        // The keeper has children, but sees none: `/proc` is missing or cannot be read. The main
        // process is not reaped, so its pid and group are its own, and the group can be killed.
        if matches!(found, Found::Empty | Found::Unseen) && self.main_ending.is_none() {
            let _ = kill_process_group(self.main, Signal::KILL);
        }
        found
    }

    /// Reaps the children that have ended; false if no child is left.
    fn reap(&mut self) -> bool {
        priority::give_way();
        loop {
            match sys::reap() {
                Reaped::NoChildren => return false,
                Reaped::NothingYet => {
                    return !(planted(Bug::DaemonsStay) && self.main_ending.is_some());
                }
                Reaped::Child { pid, ending, .. } => {
                    if let Phase::Terminating { asking, .. } = &mut self.phase {
                        asking.reaped(pid);
                    }
                    if pid == self.main && self.main_ending.is_none() {
                        self.main_ending = Some(ending);
                        if matches!(self.phase, Phase::Serving) {
                            self.has_ended_unasked = true;
                            self.kill();
                        }
                    }
                }
            }
        }
    }

    /// Waits for events; with `has_to_ask` it only takes those that are there already.
    fn wait(&mut self, link: &mut Option<OwnedFd>, has_to_ask: bool) {
        let timeout_ms = if has_to_ask { Some(0) } else { self.timeout_ms() };
        let status = match &self.launch {
            Launch::Pending(status) => Some(status),
            Launch::Started | Launch::Failed(_) => None,
        };
        let mut fds = vec![PollFd::new(&self.child_signals, PollFlags::IN)];
        fds.extend(status.map(|status| PollFd::new(status, PollFlags::IN)));
        fds.extend(
            link.as_ref().map(|link| PollFd::new(link, PollFlags::IN | self.outbox.interest())),
        );
        let watch = self.memory_watch.as_ref();
        fds.extend(watch.map(|watch| PollFd::from_borrowed_fd(watch.event(), PollFlags::IN)));
        fds.extend(self.slumber.interest());
        link::wait(&mut fds, timeout_ms);
        let has_event = |index: usize| fds.get(index).is_some_and(|fd| !fd.revents().is_empty());
        let link_index = 1 + usize::from(status.is_some());
        let is_link_ready = link.is_some() && has_event(link_index);
        let is_memory_short =
            watch.is_some() && has_event(link_index + usize::from(link.is_some()));
        let is_status_ready = status.is_some() && has_event(1);
        if has_event(0) {
            link::drain(&self.child_signals);
        }
        if is_status_ready {
            self.resolve_launch();
        }
        if let Some(watch) = self.memory_watch.as_mut().filter(|_| is_memory_short) {
            watch.heard();
        }
        if is_link_ready {
            self.obey(link);
        }
    }

    fn timeout_ms(&self) -> Option<u64> {
        let looks = self.memory_watch.as_ref().is_some_and(MemoryWatch::is_looking);
        let looks_ms = looks.then_some(memory_watch::LOOK_MS);
        let due_ms = [looks_ms, self.phase_timeout_ms(), self.slumber.timeout_ms()];
        due_ms.into_iter().flatten().min()
    }

    fn phase_timeout_ms(&self) -> Option<u64> {
        match &self.phase {
            Phase::Serving => None,
            Phase::Terminating { kill_due_ms, .. } => {
                let kill_ms = kill_due_ms.map(|due_ms| due_ms.saturating_sub(clock::now_ms()));
                let orphans_ms = self.main_ending.map(|_| ORPHANS_EVERY_MS);
                kill_ms.into_iter().chain(orphans_ms).min()
            }
            Phase::Killing(tree_kill) => Some(tree_kill.remaining_ms(clock::now_ms())),
        }
    }

    /// Finds out how the launch went: the status pipe is at its end, or holds the reason of the
    /// failure.
    fn resolve_launch(&mut self) {
        let Launch::Pending(status) = &self.launch else { return };
        let mut packet = [0; REPORT_BYTES];
        let length =
            rustix::io::retry_on_intr(|| rustix::io::read(status, &mut packet)).unwrap_or(0);
        if let Ok(failure) = Report::decode(&packet[..length]) {
            self.launch = Launch::Failed(failure);
            return;
        }
        self.launch = Launch::Started;
        let (pid, keeper_pid, group) = (id(self.main), id(getpid()), self.groups.number());
        self.outbox.push(Report::Started { run: self.run, pid, keeper_pid, group });
    }

    fn obey(&mut self, link: &mut Option<OwnedFd>) {
        while let Some(socket) = link {
            match link::receive(&*socket, self.warden) {
                Received::Forged => {}
                Received::Nothing => return,
                Received::Closed => {
                    *link = None;
                    self.end_alone();
                }
                Received::Packet { bytes, .. } => match Command::decode(&bytes) {
                    Ok(Command::Stop { stage: StopStage::Terminate, .. }) => {
                        self.terminate(Some(&*socket))
                    }
                    Ok(Command::Stop { stage: StopStage::Kill, .. }) => self.kill(),
                    Ok(Command::Sleep { depth, .. }) => self.sleep(depth, &*socket),
                    Ok(Command::Wake { .. }) => self.wake(),
                    // The warden, which is the same program, sends no other commands.
                    Ok(_) | Err(_) => {}
                },
            }
        }
    }

    /// A tree that ends, or has not begun, is not let sleep.
    fn sleep(&mut self, depth: Depth, link: &OwnedFd) {
        match (&self.phase, &self.launch) {
            (Phase::Serving, Launch::Started) => {
                self.outbox.extend(self.slumber.sleep(depth, &self.groups, Some(link)));
            }
            (Phase::Serving, _) => {
                let errno = Errno::AGAIN.raw_os_error();
                self.outbox.push(Report::SleepFailed { run: self.run, errno });
            }
            (Phase::Terminating { .. } | Phase::Killing(_), _) => {}
        }
    }

    fn wake(&mut self) {
        if matches!(self.phase, Phase::Serving) {
            self.outbox.extend(self.slumber.wake());
        }
    }

    fn terminate(&mut self, link: Option<&OwnedFd>) {
        if matches!(self.phase, Phase::Serving) {
            // Else it could not take the signal.
            self.slumber.rouse();
            self.phase =
                Phase::Terminating { asking: Asking::of(self.main, link), kill_due_ms: None };
        }
    }

    /// The link is closed, so no order to kill will come: sets a time for it.
    fn end_alone(&mut self) {
        let now_ms = clock::now_ms();
        self.terminate(None);
        if let Phase::Terminating { kill_due_ms, .. } = &mut self.phase {
            *kill_due_ms = Some(now_ms + LAST_GRACE_MS);
        }
    }

    /// Asks further processes. Returns whether more are to be asked at once.
    fn go_on_asking(&mut self, link: Option<&OwnedFd>) -> bool {
        let Phase::Terminating { asking, kill_due_ms } = &mut self.phase else { return false };
        if kill_due_ms.is_some_and(|due_ms| due_ms <= clock::now_ms()) {
            self.kill();
            return false;
        }
        self.main_ending.is_some() && asking.go_on(link)
    }

    fn kill(&mut self) {
        if planted(Bug::KillIsLost) && self.main_ending.is_none() {
            return;
        }
        if !matches!(self.phase, Phase::Killing(_)) {
            self.slumber.give_up();
            self.groups.kill();
            self.phase = Phase::Killing(TreeKill::new());
        }
    }

    fn result(&self) -> Report {
        if let Launch::Failed(failure) = &self.launch {
            return *failure;
        }
        let (exit_code, signal) = match self.main_ending {
            Some(Ending::Exited(code)) => (Some(code), None),
            Some(Ending::Signaled(signal)) => (None, Some(signal)),
            None => (None, None),
        };
        let cpu_us = sys::reaped_cpu_us();
        let was_killed = self.has_ended_unasked || signal == Some(Signal::KILL.as_raw());
        let out_of_memory =
            was_killed && self.groups.ran_out_of_memory() && !planted(Bug::OutOfMemoryIsNotTold);
        Report::Ended { run: self.run, exit_code, signal, cpu_us, out_of_memory }
    }
}

/// Waits until the warden has received every report, or is gone.
pub fn send_all(mut outbox: Outbox, link: &OwnedFd) {
    while outbox.flush(link) && !outbox.is_empty() {
        link::wait(&mut [PollFd::new(link, outbox.interest())], None);
    }
}

fn id(pid: Pid) -> u32 {
    pid.as_raw_pid().cast_unsigned()
}
