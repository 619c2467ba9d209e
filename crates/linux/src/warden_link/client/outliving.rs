//! The client of a warden that may outlive this host: it is found or started before the first
//! launch, and tells of other hosts.

use rustix::process::{PidfdFlags, pidfd_open};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use warden::{Mark, Report};

use super::connection::{Connection, continue_stopped, reap_ended};
use super::errand::{Errand, Order, Packet, Pending};
use super::link::Link;
use super::{Ended, LaunchError, WardenClient};
use crate::confine::{self, Traces};
use crate::host::proc_check;
use crate::process::orphans;
use crate::threads::watched::watch_shared;
use crate::warden_link::program::Program;
use crate::warden_link::surroundings::Noted;
use crate::warden_link::surviving::meeting::{Met, meet};
use crate::warden_link::surviving::{FoundRun, NotRecovered, Notice, Recovery, Survive};

/// How long a warden whose socket has closed has to end, before it is taken for one that obeys
/// another host.
const END_TIME: Duration = Duration::from_secs(2);

/// What is held for the one warden that may outlive this host.
pub struct Outliving {
    survive: Survive,
    notices: mpsc::UnboundedSender<Notice>,
    received: tokio::sync::Mutex<Received>,
    /// Only one of them meets it at a time.
    meeting: tokio::sync::Mutex<()>,
    /// This host has left, or ends the warden: its socket closes, and that is no loss.
    has_left: Arc<AtomicBool>,
    /// What is kept, by slot: for the warden after one that was lost.
    listeners: Mutex<BTreeMap<u64, OwnedFd>>,
    /// The runs of a warden that obeys another host. They are neither lost nor ended.
    not_ours: Arc<Mutex<Vec<Pending>>>,
}

struct Received {
    notices: mpsc::UnboundedReceiver<Notice>,
    /// One that came with the last.
    next: Option<Notice>,
}

impl Outliving {
    pub fn new(survive: Survive) -> Outliving {
        let (notices, received) = mpsc::unbounded_channel();
        Outliving {
            survive,
            notices,
            received: Received { notices: received, next: None }.into(),
            meeting: tokio::sync::Mutex::default(),
            has_left: Arc::default(),
            listeners: Mutex::default(),
            not_ours: Arc::default(),
        }
    }
}

impl WardenClient {
    /// Finds the warden, or starts it, and has what it has kept. The methods up to `drop_listener`
    /// do nothing without `survive`.
    pub async fn recover(&self) -> Result<Recovery, NotRecovered> {
        let Some(outliving) = &self.outliving else {
            return Err(NotRecovered::Failed("tenants end with this host".into()));
        };
        let _meeting = outliving.meeting.lock().await;
        self.meet(outliving).await
    }

    /// Waits until there is a warden. One that was lost has a successor then.
    pub(in crate::warden_link) async fn until_met(&self) -> Result<(), LaunchError> {
        let Some(outliving) = &self.outliving else { return Ok(()) };
        let _meeting = outliving.meeting.lock().await;
        if self.lock().iter().any(|connection| !connection.errands.is_closed()) {
            return Ok(());
        }
        let met = self.meet(outliving).await;
        met.map(drop).map_err(|error| LaunchError::Warden {
            path: self.path.clone(),
            error: io::Error::other(format!("{error:?}")),
        })
    }

    async fn meet(&self, outliving: &Outliving) -> Result<Recovery, NotRecovered> {
        let failed = |error: io::Error| NotRecovered::Failed(error.to_string());
        proc_check::require_own().map_err(NotRecovered::Failed)?;
        let program = Program::held(&self.path).map_err(failed)?;
        let survive = outliving.survive.clone();
        let (tell, told) = oneshot::channel();
        // A thread of its own: another host may take half a minute to leave.
        let meeting = move || drop(tell.send(meet(&program, &survive)));
        let thread = std::thread::Builder::new().name("abs-meet".into());
        thread.spawn(meeting).map_err(failed)?;
        let lost = || Err(NotRecovered::Failed("the thread for it has ended".into()));
        let met = told.await.unwrap_or_else(|_| lost())?;
        self.take_up(outliving, met).map_err(failed)
    }

    /// Makes the link, with the runs that were found.
    fn take_up(&self, outliving: &Outliving, met: Met) -> io::Result<Recovery> {
        let Met { socket, warden, last_run, found, early, listeners, unowned_since_ms } = met;
        self.next_number.fetch_max(last_run + 1, Ordering::Relaxed);
        let process = Arc::new(pidfd_open(warden, PidfdFlags::empty())?);
        confine::note_staying(warden);
        rustix::io::ioctl_fionbio(&socket, true)?;
        let socket = Arc::new(socket);
        let weak = Arc::downgrade(&socket);
        let (errands, receiver) = mpsc::unbounded_channel();
        let (mut pending, mut traces, mut runs) =
            (HashMap::new(), Traces::default(), Vec::with_capacity(found.len()));
        for file in found {
            let record = &file.known.record;
            traces.add_made(&record.groups, record.temporary.as_ref());
            let (ended, receiver) = oneshot::channel();
            let keeper_pid = file.started.keeper_pid;
            let (rest, rests) = mpsc::unbounded_channel();
            pending.insert(file.number, Pending { started: None, ended, rest, keeper_pid });
            if file.is_known() {
                runs.push(file.into_run(receiver, rests));
            } else {
                tokio::spawn(forget_ended(file.number, receiver, errands.downgrade()));
            }
        }
        let link = Link::new(watch_shared(socket)?, warden, receiver);
        let mut link = link.surviving(pending, traces, outliving.notices.clone());
        for report in early {
            if let Report::Ended { run, .. } = report
                && let Some(run) = runs.iter_mut().find(|found: &&mut FoundRun| found.number == run)
            {
                run.marks.has_ended = true;
            }
            link.pass_on(report);
        }
        let closed = tokio::spawn(self.follow(outliving, link, process.clone()));
        let surroundings = Noted::here().surroundings()?;
        let connection =
            Connection { surroundings, pid: warden, process, socket: weak, errands, closed };
        let kept = outliving.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        for (slot, listener) in &*kept {
            connection.send_in_turn(*slot, Packet::KeepListener(listener.try_clone()?));
        }
        drop(kept);
        let mut connections = self.lock();
        connections.retain(|connection| !connection.closed.is_finished());
        connections.push(connection);
        Ok(Recovery { runs, listeners, unowned_since_ms })
    }

    /// Runs the link, and sees to what is left where the warden was lost.
    fn follow(
        &self,
        outliving: &Outliving,
        link: Link,
        process: Arc<OwnedFd>,
    ) -> impl Future<Output = ()> + Send + use<> {
        let (has_left, not_ours) = (outliving.has_left.clone(), outliving.not_ours.clone());
        let (off_thread, lost) = (self.off_thread.clone(), self.lost.clone());
        let warden = link.warden();
        async move {
            let (pending, traces) = link.run().await;
            if has_left.load(Ordering::Relaxed) || !has_ended(&process).await {
                let mut held = not_ours.lock().unwrap_or_else(PoisonError::into_inner);
                return held.extend(pending.into_values());
            }
            if !pending.is_empty() {
                let keepers = pending.values().map(|pending| pending.keeper_pid as i32);
                let keepers = keepers.filter_map(rustix::process::Pid::from_raw);
                orphans::clear(keepers.chain([warden]).collect(), off_thread.clone()).await;
            }
            traces.clear(warden, &off_thread).await;
            lost.lock().unwrap_or_else(PoisonError::into_inner).extend(traces);
            reap_ended(&process);
            pending.into_values().for_each(Pending::tell_lost);
        }
    }

    /// What the warden tells next of other hosts. A host that was stopped hears only that it is
    /// fenced, and not first that it is asked to leave.
    pub async fn notice(&self) -> Option<Notice> {
        let outliving = self.outliving.as_ref()?;
        let mut received = outliving.received.lock().await;
        let Received { notices, next } = &mut *received;
        let notice = match next.take() {
            Some(notice) => notice,
            None => notices.recv().await?,
        };
        if let Notice::Yield { .. } = notice {
            *next = notices.try_recv().ok();
            if *next == Some(Notice::Fenced) {
                return next.take();
            }
        }
        Some(notice)
    }

    /// Notes how far a run has come.
    pub fn mark(&self, number: u64, mark: Mark, detail: u8) {
        self.tell(number, || Packet::Mark(mark, detail));
    }

    /// The end of a run was told.
    pub fn end_is_told(&self, number: u64) {
        self.tell(number, || Packet::Taken);
    }

    /// This host leaves its tenants to the next one, and stays connected until [`close`].
    ///
    /// [`close`]: WardenClient::close
    pub fn detach(&self) {
        let Some(outliving) = &self.outliving else { return };
        if !outliving.has_left.swap(true, Ordering::Relaxed) {
            self.lock().iter().for_each(|open| open.send_in_turn(0, Packet::Detach));
        }
    }

    /// Has a listener kept in this slot.
    pub fn keep_listener(&self, slot: u64, socket: OwnedFd) {
        let Some(outliving) = &self.outliving else { return };
        let mut kept = outliving.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(copy) = socket.try_clone() {
            kept.insert(slot, copy);
        }
        if let Some(connection) = self.lock().last() {
            connection.send_in_turn(slot, Packet::KeepListener(socket));
        }
    }

    pub fn drop_listener(&self, slot: u64) {
        let Some(outliving) = &self.outliving else { return };
        outliving.listeners.lock().unwrap_or_else(PoisonError::into_inner).remove(&slot);
        self.lock().iter().for_each(|open| open.send_in_turn(slot, Packet::DropListener));
    }

    /// Ends a warden whose tenants are not left to another host.
    pub(super) async fn leave(&self) {
        let Some(outliving) = &self.outliving else { return };
        outliving.listeners.lock().unwrap_or_else(PoisonError::into_inner).clear();
        if outliving.has_left.swap(true, Ordering::Relaxed) {
            return;
        }
        let ending: Vec<_> = {
            let connections = self.lock();
            connections.iter().for_each(|open| {
                open.send_in_turn(0, Packet::Leave);
                continue_stopped(&open.process);
            });
            connections.iter().map(|open| open.process.clone()).collect()
        };
        for process in ending {
            has_ended(&process).await;
        }
    }

    fn tell(&self, number: u64, packet: impl Fn() -> Packet) {
        self.lock().iter().for_each(|connection| connection.send_now(number, packet()));
    }
}

/// Has the warden forget a run of which nobody is told, when it has ended.
async fn forget_ended(
    number: u64,
    ended: oneshot::Receiver<Ended>,
    errands: mpsc::WeakUnboundedSender<Errand>,
) {
    if ended.await.is_ok()
        && let Some(errands) = errands.upgrade()
    {
        let _ = errands.send(Errand::Order(Order { number, packet: Packet::Taken, pending: None }));
    }
}

/// Whether the process ends within [`END_TIME`].
async fn has_ended(process: &Arc<OwnedFd>) -> bool {
    let Ok(watched) = watch_shared(process.clone()) else { return true };
    tokio::time::timeout(END_TIME, watched.readable()).await.is_ok()
}
