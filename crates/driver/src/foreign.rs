//! Questions about processes that somebody else has started; the answers go up as numbered tickets.

use crate::Driver;
use crate::core::Core;
use crate::machine::{Engine, Machine};
use crate::uplink::Record;
use linux::net::listeners;
use linux::net::ownership::Owner;
use linux::process::accounting::Root;
use linux::process::foreign::Foreign;
use linux::threads::clock;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::AbortHandle;

/// Between two looks at where a process listens: each reads all of its descriptors.
const PORT_LOOK_PAUSE: Duration = Duration::from_millis(10);

/// A process of somebody else's that JavaScript has a ticket for.
pub(super) struct Watched {
    process: Arc<Foreign>,
    /// Answers the ticket when the process has ended.
    watching: Option<AbortHandle>,
}

impl Watched {
    fn let_go(self) {
        if let Some(watching) = self.watching {
            watching.abort();
        }
    }
}

impl<M: Machine> Core<M> {
    pub(super) fn let_go_of_foreign(&mut self) {
        self.foreign.drain().for_each(|(_, watched)| watched.let_go());
    }
}

impl<M: Machine> Driver<M> {
    /// Holds on to somebody else's process that was started within these times; its end is the answer to the ticket.
    /// Why it is not taken, if it is not.
    pub fn watch(self: &Arc<Self>, ticket: u64, pid: u32, born: (u64, u64)) -> Result<(), String> {
        let mut core = self.lock();
        let process = Arc::new(Foreign::open(pid, born)?);
        if core.engine.is_over() {
            // It can still be signalled, which is all that may be wanted of one that came too late.
            core.foreign.insert(ticket, Watched { process, watching: None });
            return Ok(());
        }
        let engine = self.ensure_engine(&mut core).map_err(|error| error.to_string())?;
        let (driver, watched, off_thread) = (self.clone(), process.clone(), engine.looks_at_groups());
        let watching = engine.spawn(async move {
            let exit_code = watched.wait_and_clear_group(off_thread).await;
            driver.lock().foreign.remove(&ticket);
            driver.answer(ticket, exit_code);
        });
        core.foreign.insert(ticket, Watched { process, watching: Some(watching) });
        Ok(())
    }

    /// Lets go of a process that is watched; nothing will be answered.
    pub fn unwatch(&self, ticket: u64) {
        if let Some(watched) = self.lock().foreign.remove(&ticket) {
            watched.let_go();
        }
    }

    /// Asks a process that is watched to end. Why it cannot be, if it cannot.
    pub fn signal(&self, ticket: u64, force: bool) -> Result<(), String> {
        let core = self.lock();
        let Some(Watched { process, watching }) = core.foreign.get(&ticket) else { return Ok(()) };
        let (process, is_waited_for) = (process.clone(), watching.is_some());
        drop(core);
        let signalled = if force { process.force() } else { process.ask(is_waited_for) };
        signalled.map_err(|error| error.to_string())
    }

    /// Finds out whether the process answers on the port within this time. The answer to the ticket: 0 if it does not, 1 at
    /// 127.0.0.1, 2 at `::1`.
    pub fn ask_ready(self: &Arc<Self>, ticket: u64, port: u16, pid: u32, timeout: Duration) {
        let Some(engine) = self.lock().engine.engine().cloned() else { return self.answer(ticket, Some(0)) };
        let (driver, shared) = (self.clone(), engine.clone());
        engine.spawn(async move {
            // It has just been brought back, so any time will do that its start may be compared with.
            let owner = Owner { root: Root::Process(pid), since_boot_ms: Some(0) };
            let answered = shared.until_answered(port, owner, timeout).await;
            driver.answer(ticket, Some(answered.map_or(0, |address| if address.is_ipv6() { 2 } else { 1 })));
        });
    }

    /// Finds out where the process listens: the port, or 0 if it does nowhere within this time, is the answer to the ticket.
    pub fn find_port(self: &Arc<Self>, ticket: u64, pid: u32, timeout: Duration) {
        let Some(engine) = self.lock().engine.engine().cloned() else { return self.answer(ticket, Some(0)) };
        let (driver, shared) = (self.clone(), engine.clone());
        engine.spawn(async move {
            let looking = async {
                loop {
                    let found = shared.off_thread(move || listeners::ports_of(pid)).await.unwrap_or_default();
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
