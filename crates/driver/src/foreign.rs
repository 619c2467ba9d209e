//! Foreign processes, which the runtime did not start: their exit, signals to them, and where they
//! listen. JavaScript asks with a numbered ticket, which a record answers.

use crate::Driver;
use crate::core::Core;
use crate::machine::{Engine, Machine};
use crate::tenant_settings::READINESS_PATH;
use crate::uplink::Record;
use linux::net::listeners;
use linux::net::ownership::Owner;
use linux::process::accounting::Root;
use linux::process::foreign::Foreign;
use linux::threads::clock;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::AbortHandle;

/// Time between two looks at the ports of a process: each look reads all of its descriptors.
const PORT_LOOK_PAUSE: Duration = Duration::from_millis(10);

/// A foreign process that JavaScript has a ticket for. Dropping it ends neither the process nor
/// the watch: `release` does the latter.
pub(super) struct Watched {
    process: Arc<Foreign>,
    /// The task that answers the ticket when the process has ended.
    watching: Option<AbortHandle>,
}

impl Watched {
    /// Ends the watch. The ticket is not answered.
    fn release(self) {
        if let Some(watching) = self.watching {
            watching.abort();
        }
    }
}

impl<M: Machine> Core<M> {
    /// Ends the watch of all foreign processes.
    pub(super) fn release_foreign(&mut self) {
        self.foreign.drain().for_each(|(_, watched)| watched.release());
    }
}

impl<M: Machine> Driver<M> {
    /// Watches a foreign process; its exit answers the ticket. `born` is between which times it
    /// must have been started, in milliseconds since the machine was: another process may have its
    /// pid by now. Errors: no such process, or it may not be watched, in words.
    pub fn watch(self: &Arc<Self>, ticket: u64, pid: u32, born: (u64, u64)) -> Result<(), String> {
        let process = Arc::new(Foreign::open(pid, born)?);
        let mut core = self.lock();
        if core.engine.is_over() {
            // The runtime is closed: the process can be signalled, and its exit is not seen.
            core.foreign.insert(ticket, Watched { process, watching: None });
            return Ok(());
        }
        let engine = self.ensure_engine(&mut core).map_err(|error| error.to_string())?;
        let (driver, watched, off_thread) =
            (self.clone(), process.clone(), engine.looks_at_groups());
        let watching = engine.spawn(async move {
            let exit_code = watched.wait_and_clear_group(off_thread).await;
            driver.lock().foreign.remove(&ticket);
            driver.answer(ticket, exit_code);
        });
        core.foreign.insert(ticket, Watched { process, watching: Some(watching) });
        Ok(())
    }

    /// Ends the watch of a process. The ticket is not answered.
    pub fn unwatch(&self, ticket: u64) {
        if let Some(watched) = self.lock().foreign.remove(&ticket) {
            watched.release();
        }
    }

    /// Asks a watched process and its group to end (SIGTERM), or kills them with `force`. An
    /// error: why it could not be signalled.
    pub fn signal(&self, ticket: u64, force: bool) -> Result<(), String> {
        let core = self.lock();
        let Some(Watched { process, watching }) = core.foreign.get(&ticket) else { return Ok(()) };
        let (process, is_waited_for) = (process.clone(), watching.is_some());
        drop(core);
        let signalled = if force { process.force() } else { process.ask(is_waited_for) };
        signalled.map_err(|error| error.to_string())
    }

    /// Waits until the process answers on the port. The answer to the ticket: 1 if it does at
    /// 127.0.0.1, 2 at `::1`, and 0 if it does not within `timeout`.
    pub fn ask_ready(self: &Arc<Self>, ticket: u64, port: u16, pid: u32, timeout: Duration) {
        let Some(engine) = self.lock().engine.engine().cloned() else {
            return self.answer(ticket, Some(0));
        };
        let (driver, shared) = (self.clone(), engine.clone());
        engine.spawn(async move {
            // 0 accepts any start time: the snapshot driver has started the process just now.
            let owner = Owner { root: Root::Process(pid), since_boot_ms: Some(0) };
            let answered = shared.until_answered(port, READINESS_PATH, owner, timeout).await;
            driver.answer(
                ticket,
                Some(answered.map_or(0, |address| if address.is_ipv6() { 2 } else { 1 })),
            );
        });
    }

    /// Waits until the process listens. The answer to the ticket: its lowest port, or 0 if it has
    /// none within `timeout`.
    pub fn find_port(self: &Arc<Self>, ticket: u64, pid: u32, timeout: Duration) {
        let Some(engine) = self.lock().engine.engine().cloned() else {
            return self.answer(ticket, Some(0));
        };
        let (driver, shared) = (self.clone(), engine.clone());
        engine.spawn(async move {
            let looking = async {
                loop {
                    let found = shared
                        .off_thread(move || listeners::ports_of(pid))
                        .await
                        .unwrap_or_default();
                    if let [port, ..] = found[..] {
                        return port;
                    }
                    tokio::time::sleep(PORT_LOOK_PAUSE).await;
                }
            };
            let port = clock::timeout(timeout, looking).await.unwrap_or(0);
            driver.answer(ticket, Some(port.into()));
        });
    }

    pub(super) fn answer(&self, ticket: u64, answer: Option<i32>) {
        self.uplink.push(Record::Answer { ticket, answer });
        self.uplink.ring();
    }
}
