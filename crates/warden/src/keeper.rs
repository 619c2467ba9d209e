//! The keeper, the process between the warden and one tenant: it forks the tenant's first process,
//! adopts every orphan of the tree, and exits when no process of the tree is left. It obeys the
//! packets on its link to the warden, and takes a closed link as the order to end the tree soon.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{
    Pid, Signal, getpid, kill_process_group, set_child_subreaper, set_parent_process_death_signal,
    setpgid, setsid,
};

use warden::confinement::Confinement;
use warden::excerpt::confinement_in;
use warden::planted::{Bug, planted};
use warden::protocol::{Command, LaunchStep, REPORT_BYTES, Report, StopStage};

use crate::asking::Asking;
use crate::clock;
use crate::group::{Failure, Groups};
use crate::launch::{Outfit, become_tenant, explain};
use crate::link::{self, Received};
use crate::memory_watch::{self, MemoryWatch};
use crate::outbox::Outbox;
use crate::parked::{self, Awaited, Parked};
use crate::priority;
use crate::sys::{self, Ending, Reaped};
use crate::temporary::Temporary;
use crate::tree::Scope;
use crate::tree_kill::{Found, TreeKill};

/// Runs a tenant from its launch until its whole tree and its groups are gone. Returns the keeper's
/// exit status, which means nothing to the warden: it reads the reports.
pub fn keep(run: u64, warden: Pid, link: OwnedFd, outfit: Outfit, groups: Groups) -> i32 {
    let kept =
        [&link, &outfit.memory_file].into_iter().chain(&outfit.descriptors).map(AsRawFd::as_raw_fd);
    let kept: Vec<RawFd> = [0, 1, 2].into_iter().chain(kept).collect();
    // A copy of the host's socket, or of another keeper's link, would hide from its reader that it
    // was closed.
    sys::close_all_except(&kept);
    let launched = become_keeper().map_err(at_fork).and_then(|child_signals| {
        Keeper::launch(run, warden, child_signals, &outfit, groups.clone())
    });
    match launched {
        Ok(keeper) => {
            // The reader of the tenant's output sees its end only without these copies.
            drop(outfit);
            keeper.serve(Some(link));
        }
        Err(failure) => refuse(run, failure, &groups, &outfit, link),
    }
    0
}

/// Makes the groups and a process inside them, and waits for the launch to come. From then on it is
/// as [`keep`].
pub fn keep_ahead(warden: Pid, link: OwnedFd, groups: Groups) -> i32 {
    sys::close_all_except(&[0, 1, 2, link.as_raw_fd()]);
    let Ok(child_signals) = become_keeper() else { return 0 };
    // If that fails, the launch is told.
    let mut parked = Some(groups.make().and_then(|()| Parked::make(&groups)));
    match parked::wait_for_launch(warden, &link, &child_signals, &mut parked) {
        Awaited::Launch { run, outfit } => {
            let parked = parked.unwrap_or_else(|| Parked::make(&groups)).map_err(at_group);
            let launched = parked.and_then(|parked| {
                Keeper::launch_parked(run, warden, child_signals, &outfit, groups.clone(), parked)
            });
            match launched {
                Ok(keeper) => {
                    drop(outfit);
                    keeper.serve(Some(link));
                }
                Err(failure) => refuse(run, failure, &groups, &outfit, link),
            }
        }
        Awaited::Dismissed => {
            if let Some(Ok(parked)) = parked {
                parked.end();
            }
            groups.remove_soon();
            groups.remove_parents();
        }
    }
    0
}

/// Reports that a launch has failed, when nothing of it is left.
fn refuse(run: u64, failure: LaunchFailure, groups: &Groups, outfit: &Outfit, link: OwnedFd) {
    let (step, Failure { errno, text }) = failure;
    if step == LaunchStep::EnterGroup {
        explain(outfit, &text);
    }
    groups.remove_soon();
    let mut outbox = Outbox::default();
    outbox.push(Report::LaunchFailed { run, step, errno: errno.raw_os_error() });
    send_all(outbox, &link);
}

type LaunchFailure = (LaunchStep, Failure);

fn at_fork(errno: Errno) -> LaunchFailure {
    (LaunchStep::Fork, Failure { errno, text: String::new() })
}

fn at_group(failure: Failure) -> LaunchFailure {
    (LaunchStep::EnterGroup, failure)
}

/// What the program is held within; nothing if that cannot be read, which the tenant's process
/// reports.
fn confinement_of(outfit: &Outfit) -> Confinement {
    confinement_in(&outfit.memory_file).unwrap_or_default()
}

/// Turns this process into a keeper. Returns the descriptor of its child signals.
fn become_keeper() -> Result<OwnedFd, Errno> {
    rustix::thread::set_name(c"abs-keeper")?;
    priority::raise_priority();
    // Each keeper makes a session, so that no process of one tenant can enter a process group of
    // another.
    setsid()?;
    set_child_subreaper(Some(getpid()))?;
    // The keeper may be stopped when the warden is lost; this continues it.
    set_parent_process_death_signal(Some(Signal::CONT))?;
    sys::child_signals()
}

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

struct Keeper {
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
    /// Reports for the warden.
    outbox: Outbox,
}

impl Keeper {
    fn launch(
        run: u64,
        warden: Pid,
        child_signals: OwnedFd,
        outfit: &Outfit,
        groups: Groups,
    ) -> Result<Keeper, LaunchFailure> {
        groups.make().and_then(|()| groups.set()).map_err(at_group)?;
        let (status, status_writer) = pipe_with(PipeFlags::CLOEXEC).map_err(at_fork)?;
        let keeper = getpid();
        let forked = groups.fork_into(|| {
            priority::fall_back();
            become_tenant(run, keeper, outfit, &groups, &status_writer)
        });
        let step = if groups.number() > 0 { LaunchStep::EnterGroup } else { LaunchStep::Fork };
        let main = forked.map_err(|failure| (step, failure))?;
        // Fails if the tenant has executed its program already; then it has done this itself.
        let _ = setpgid(Some(main), Some(main));
        let temporary = Temporary::of(&confinement_of(outfit), run);
        Ok(Keeper { temporary, ..Keeper::of(run, warden, child_signals, main, status, groups) })
    }

    /// The same with a process that waits in its groups.
    fn launch_parked(
        run: u64,
        warden: Pid,
        child_signals: OwnedFd,
        outfit: &Outfit,
        groups: Groups,
        parked: Parked,
    ) -> Result<Keeper, LaunchFailure> {
        let confinement = confinement_of(outfit);
        let temporary = Temporary::of(&confinement, run);
        let groups = groups.with_settings(confinement.groups);
        if let Err(failure) = groups.set() {
            parked.end();
            return Err(at_group(failure));
        }
        let (main, status) = parked.start(run, outfit);
        let _ = setpgid(Some(main), Some(main));
        Ok(Keeper { temporary, ..Keeper::of(run, warden, child_signals, main, status, groups) })
    }

    fn of(
        run: u64,
        warden: Pid,
        child_signals: OwnedFd,
        main: Pid,
        status: OwnedFd,
        groups: Groups,
    ) -> Keeper {
        let (launch, phase) = (Launch::Pending(status), Phase::Serving);
        let outbox = Outbox::default();
        let memory_watch = MemoryWatch::over(&groups);
        let (main_ending, has_ended_unasked) = (None, false);
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
            temporary: None,
            outbox,
        }
    }

    fn serve(mut self, mut link: Option<OwnedFd>) {
        let _lock = self.temporary.as_ref().and_then(Temporary::lock);
        // The event may be an order to kill, which is carried out with precedence, before reaping,
        // which gives way.
        while self.kill_round() != Found::Held && self.reap() {
            self.watch_memory();
            let has_to_ask = self.go_on_asking(link.as_ref());
            if let Some(link) = &link {
                // A closed link is noticed when it is read from.
                self.outbox.flush(link);
            }
            self.wait(&mut link, has_to_ask);
        }
        self.resolve_launch();
        let result = self.result();
        self.clear_up(link.is_some());
        self.outbox.push(result);
        if let Some(link) = link {
            send_all(self.outbox, &link);
        }
    }

    /// Removes what was made for the tenant, whose tree is gone.
    fn clear_up(&self, has_warden: bool) {
        self.groups.remove_soon();
        if let Some(temporary) = &self.temporary {
            temporary.remove();
        }
        if !has_warden {
            self.temporary.iter().for_each(Temporary::remove_parent);
            self.groups.remove_parents();
        }
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
        link::wait(&mut fds, timeout_ms);
        let has_event = |index: usize| fds.get(index).is_some_and(|fd| !fd.revents().is_empty());
        let link_index = 1 + usize::from(status.is_some());
        let is_link_ready = link.is_some() && has_event(link_index);
        let is_memory_short = has_event(link_index + usize::from(link.is_some()));
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
        looks.then_some(memory_watch::LOOK_MS).into_iter().chain(self.phase_timeout_ms()).min()
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
                    // The warden, which is the same program, sends no other commands.
                    Ok(Command::Launch { .. } | Command::Continue) | Err(_) => {}
                },
            }
        }
    }

    fn terminate(&mut self, link: Option<&OwnedFd>) {
        if matches!(self.phase, Phase::Serving) {
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
        let out_of_memory = was_killed && self.groups.ran_out_of_memory();
        Report::Ended { run: self.run, exit_code, signal, cpu_us, out_of_memory }
    }
}

/// Waits until the warden has received every report, or is gone.
fn send_all(mut outbox: Outbox, link: &OwnedFd) {
    while outbox.flush(link) && !outbox.is_empty() {
        link::wait(&mut [PollFd::new(link, outbox.interest())], None);
    }
}

fn id(pid: Pid) -> u32 {
    pid.as_raw_pid().cast_unsigned()
}
