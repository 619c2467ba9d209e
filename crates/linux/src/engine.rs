//! The one small tokio runtime of the host process, on a thread of its own, shared by all pools:
//! the first pool starts it, and it ends with the last.

use crate::confine;
use crate::net::ports::{HeldPort, PortStock};
use crate::net::readiness::Readiness;
use crate::threads::off_thread::OffThread;
use crate::warden_link::client::WardenClient;
use crate::warden_link::surviving::{Survive, room};
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};

/// The engine that new pools share, and the number of its users.
static SHARED: Mutex<Option<(Arc<Engine>, usize)>> = Mutex::new(None);

/// How many engines are ending. As long as one is, its warden may still give back the place of the
/// control groups.
static ENDING: LazyLock<watch::Sender<usize>> = LazyLock::new(|| watch::Sender::new(0));

/// An engine that is ending; counted until this is dropped.
struct EndingEngine;

impl EndingEngine {
    fn new() -> EndingEngine {
        ENDING.send_modify(|count| *count += 1);
        EndingEngine
    }
}

impl Drop for EndingEngine {
    fn drop(&mut self) {
        ENDING.send_modify(|count| *count -= 1);
    }
}

/// The engine's thread and what lives on it: the warden's client, readiness, the stock of ports.
///
/// Dropping a handle ends nothing and waits for nothing. Each [`share`](Self::share) is matched by
/// one [`give_back`](Self::give_back); the last of these returns a [`LastUse`], and the engine
/// ends with [`LastUse::end`]. A panic in a task ends that task alone.
pub struct Engine {
    handle: Handle,
    pub warden: WardenClient,
    pub readiness: Readiness,
    ports: Arc<PortStock>,
    pub off_thread: OffThread,
    /// For looks at process groups alone: a stop waits for these, and must not wait for all others.
    pub looks_at_groups: OffThread,
    /// What ends the thread, taken by the last user. Dropping the engine waits for nothing, so it
    /// may happen on any thread.
    end: Mutex<Option<(oneshot::Sender<AtExit>, JoinHandle<()>)>>,
    /// False: it has one user.
    is_shared: bool,
}

/// Ports that are tried for one start before it fails: where only one in a hundred is free, nearly
/// every start finds one. All tries take about a millisecond; after each batch of them the
/// engine's other tasks get a turn.
const MOST_PORT_TRIES: usize = 512;
const PORT_TRIES_AT_ONCE: usize = 64;

/// What the engine's thread calls last, before it exits.
type AtExit = Box<dyn FnOnce() + Send>;

impl Engine {
    /// The shared engine, started if there is none. Each caller gives it back once, with
    /// [`give_back`](Self::give_back). Errors: the thread or the runtime cannot be made.
    pub fn share(warden_path: PathBuf) -> io::Result<Arc<Engine>> {
        let mut shared = shared();
        if let Some((engine, users)) = &mut *shared {
            *users += 1;
            return Ok(engine.clone());
        }
        let engine = Arc::new(Engine::start(warden_path, None)?);
        *shared = Some((engine.clone(), 1));
        Ok(engine)
    }

    /// An engine of one runtime's own, whose tenants may outlive this host. It is given back as a
    /// shared one is.
    pub fn surviving(warden_path: PathBuf, survive: Survive) -> io::Result<Arc<Engine>> {
        room::begin();
        Ok(Arc::new(Engine::start(warden_path, Some(survive))?))
    }

    fn start(warden_path: PathBuf, survive: Option<Survive>) -> io::Result<Engine> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel::<AtExit>();
        let off_thread = OffThread::default();
        let readiness = Readiness::new(off_thread.clone());
        let looks_at_groups = OffThread::default();
        let running = [off_thread.clone(), looks_at_groups.clone()];
        let thread = std::thread::Builder::new().name("abs-runtime".into()).spawn(move || {
            let at_exit = runtime.block_on(ended);
            // Drops all tasks, so that none begins further work off the thread.
            drop(runtime);
            running.iter().for_each(OffThread::finish);
            if let Ok(at_exit) = at_exit {
                at_exit();
            }
        })?;
        let is_shared = survive.is_none();
        let warden = WardenClient::new(warden_path, survive, off_thread.clone());
        let ports = Arc::new(PortStock::default());
        let end = Mutex::new(Some((end, thread)));
        Ok(Engine { handle, warden, readiness, ports, off_thread, looks_at_groups, end, is_shared })
    }

    /// Runs a task on the engine's thread.
    pub fn spawn(
        &self,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> tokio::task::JoinHandle<()> {
        self.handle.spawn(task)
    }

    /// A port that was reserved in advance and fits, if there is one. The engine's thread refills
    /// the stock when it is low.
    pub fn port(&self, is_free: impl Fn(u16) -> bool) -> Option<HeldPort> {
        let (port, is_low) = self.ports.take(is_free);
        if is_low {
            self.fill_stock();
        }
        port
    }

    /// Reserves a port where free ones are rare: tries many, and then takes one that a tenant has
    /// released lately. Not for JavaScript's thread. Errors: no port (`AddrInUse`), or no
    /// descriptor.
    pub async fn look_for_port(&self, is_free: impl Fn(u16) -> bool) -> io::Result<HeldPort> {
        for _ in 0..MOST_PORT_TRIES / PORT_TRIES_AT_ONCE {
            match HeldPort::reserve(PORT_TRIES_AT_ONCE, &is_free) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    tokio::task::yield_now().await
                }
                result => return result,
            }
        }
        self.ports.take_released(is_free).ok_or_else(|| io::ErrorKind::AddrInUse.into())
    }

    /// Releases a port that a tenant has used. The engine's thread closes it later.
    pub fn let_go_of_port(&self, port: HeldPort) {
        if self.ports.release(port) {
            self.fill_stock();
        }
    }

    fn fill_stock(&self) {
        let ports = self.ports.clone();
        self.spawn(async move { ports.fill() });
    }

    /// Waits until no earlier engine is ending: its warden gives back the place of the control
    /// groups, which a start would otherwise find and lose again.
    pub async fn predecessors_gone(&self) {
        // The sender is never dropped, so this never fails.
        let _ = ENDING.subscribe().wait_for(|count| *count == 0).await;
    }

    /// Returns a port that no tenant has used to the stock.
    pub fn unused_port(&self, port: HeldPort) {
        self.ports.put(port);
    }

    /// Gives the engine back. The last user gets a [`LastUse`] and must call [`LastUse::end`].
    pub fn give_back(self: Arc<Engine>) -> Option<LastUse> {
        let ending = if self.is_shared { self.end_shared()? } else { EndingEngine::new() };
        let (end, thread) = self.end.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some(LastUse { engine: self, end, thread, ending })
    }

    /// Counts off a user of the shared engine. `None` if it was not the last.
    fn end_shared(self: &Arc<Engine>) -> Option<EndingEngine> {
        let mut shared = shared();
        let (engine, users) = shared.as_mut()?;
        if !Arc::ptr_eq(engine, self) {
            return None;
        }
        *users -= 1;
        if *users > 0 {
            return None;
        }
        *shared = None;
        // Before there can be another engine.
        Some(EndingEngine::new())
    }
}

/// The last user's handle of the engine, from [`Engine::give_back`]. Dropping it instead of
/// calling [`end`](Self::end) ends the engine's thread without closing the warden first.
pub struct LastUse {
    engine: Arc<Engine>,
    end: oneshot::Sender<AtExit>,
    thread: JoinHandle<()>,
    ending: EndingEngine,
}

impl LastUse {
    /// Ends the warden, all tasks, and all work off the thread, and does not wait for that. The
    /// engine's thread calls `at_exit` last; joining the thread after that call returns at once.
    pub fn end(self, at_exit: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
        let LastUse { engine, end, thread, ending } = self;
        let handle = engine.handle.clone();
        handle.spawn(async move {
            engine.warden.close().await;
            give_back_place();
            drop(ending);
            // The engine holds descriptors, which are to be closed before `at_exit` runs.
            drop(engine);
            let _ = end.send(Box::new(at_exit));
        });
        thread
    }
}

/// The place for control groups is needed no more, unless another engine was started meanwhile: that
/// waits here, and looks for the place anew.
fn give_back_place() {
    let shared = shared();
    if shared.is_none() {
        confine::give_back_place();
    }
}

fn shared() -> MutexGuard<'static, Option<(Arc<Engine>, usize)>> {
    SHARED.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    const LONG: Duration = Duration::from_secs(10);

    /// These tests share the one engine of the process.
    fn alone() -> MutexGuard<'static, ()> {
        static ALONE: Mutex<()> = Mutex::new(());
        ALONE.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[test]
    fn a_start_of_another_engine_can_wait_until_the_first_has_ended() {
        let _alone = alone();
        let first = Engine::share("/no/such/program".into()).unwrap();
        let last_use = first.give_back().unwrap();
        let second = Engine::share("/no/such/program".into()).unwrap();
        let (tell, told) = mpsc::channel();
        let waiting = second.clone();
        second.spawn(async move {
            waiting.predecessors_gone().await;
            tell.send(()).unwrap();
        });
        assert!(told.recv_timeout(Duration::from_millis(50)).is_err(), "the first may yet end");
        let thread = last_use.end(|| {});
        told.recv_timeout(LONG).unwrap();
        thread.join().unwrap();
        second.give_back().unwrap().end(|| {}).join().unwrap();
    }

    #[test]
    fn the_last_user_does_not_wait_for_the_end_and_is_told_when_nothing_is_left() {
        let _alone = alone();
        let share = || Engine::share("/no/such/program".into()).unwrap();
        let (first, last) = (share(), share());
        let (begun, has_begun) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let held = Arc::new(());
        let in_task = held.clone();
        let off_thread = last.off_thread.clone();
        last.spawn(async move {
            let _in_task = in_task;
            let work = move || {
                begun.send(()).unwrap();
                released.recv_timeout(LONG)
            };
            let _ = off_thread.run(work).await;
            std::future::pending::<()>().await;
        });
        has_begun.recv_timeout(LONG).unwrap();
        assert!(first.give_back().is_none(), "the other user still has it");
        let (tell, told) = mpsc::channel();
        let in_at_exit = held.clone();
        let thread = last
            .give_back()
            .unwrap()
            .end(move || tell.send(Arc::strong_count(&in_at_exit)).unwrap());
        assert!(
            told.recv_timeout(Duration::from_millis(50)).is_err(),
            "work off the thread still runs"
        );
        release.send(()).unwrap();
        assert_eq!(told.recv_timeout(LONG), Ok(2), "the task is gone before at_exit runs");
        thread.join().unwrap();
    }
}
