//! Questions about processes that somebody else has started; the answers go up as numbered tickets.

use super::*;

/// Between two looks at where a process listens: each reads all of its descriptors.
const PORT_LOOK_PAUSE: Duration = Duration::from_millis(10);

impl Driver {
    /// Holds on to somebody else's process that was started within these times; its end is the answer to the ticket.
    /// Why it is not taken, if it is not.
    pub fn watch(self: &Arc<Self>, ticket: u64, pid: u32, born: (u64, u64)) -> Result<(), String> {
        let mut core = self.lock();
        let foreign = Arc::new(Foreign::open(pid, born)?);
        if core.closed {
            // It can still be signalled, which is all that may be wanted of one that came too late.
            core.foreign.insert(ticket, (foreign, None));
            return Ok(());
        }
        self.ensure_engine(&mut core).map_err(|error| error.to_string())?;
        let (driver, watched) = (self.clone(), foreign.clone());
        let watching = core.engine.as_ref().expect("ensured above").spawn(async move {
            let gone = watched.gone().await;
            if let Err(error) = &gone {
                tracing::warn!(%error, pid, "the end of a process cannot be seen");
            }
            driver.lock().foreign.remove(&ticket);
            driver.answer(ticket, gone.ok().flatten());
        });
        core.foreign.insert(ticket, (foreign, Some(watching.abort_handle())));
        Ok(())
    }

    /// Lets go of a process that is watched; nothing will be answered.
    pub fn unwatch(&self, ticket: u64) {
        if let Some((_, Some(watching))) = self.lock().foreign.remove(&ticket) {
            watching.abort();
        }
    }

    /// Asks a process that is watched to end. Why it cannot be, if it cannot.
    pub fn signal(&self, ticket: u64, force: bool) -> Result<(), String> {
        let foreign = self.lock().foreign.get(&ticket).map(|(foreign, _)| foreign.clone());
        foreign.map_or(Ok(()), |foreign| foreign.signal(force)).map_err(|error| error.to_string())
    }

    /// Finds out whether the port answers within this time: 1 or 0 is the answer to the ticket.
    pub fn ask_ready(self: &Arc<Self>, ticket: u64, port: u16, timeout: Duration) {
        let Some(engine) = self.lock().engine.clone() else { return self.answer(ticket, Some(0)) };
        let (driver, shared) = (self.clone(), engine.clone());
        engine.spawn(async move {
            let answered = tokio::time::timeout(timeout, shared.readiness.until_answered(port)).await;
            driver.answer(ticket, Some(i32::from(matches!(answered, Ok(Ok(()))))));
        });
    }

    /// Finds out where the process listens: the port, or 0 if it does nowhere within this time, is the answer to the ticket.
    pub fn find_port(self: &Arc<Self>, ticket: u64, pid: u32, timeout: Duration) {
        let Some(engine) = self.lock().engine.clone() else { return self.answer(ticket, Some(0)) };
        let driver = self.clone();
        engine.spawn(async move {
            let looking = async {
                loop {
                    let found =
                        Engine::off_thread(move || listeners::ports_of(pid)).await.unwrap_or_default();
                    if let [port, ..] = found[..] {
                        return port;
                    }
                    tokio::time::sleep(PORT_LOOK_PAUSE).await;
                }
            };
            let port = tokio::time::timeout(timeout, looking).await.unwrap_or(0);
            driver.answer(ticket, Some(port.into()));
        });
    }

    pub(super) fn answer(&self, ticket: u64, answer: Option<i32>) {
        self.uplink.push(Record::Answer { ticket, answer });
        self.uplink.ring();
    }
}
