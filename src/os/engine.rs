//! The one small tokio runtime of the host process, on a thread of its own, shared by all pools: started by the first
//! that needs it, gone with the last.

use crate::os::ports::{HeldPort, PortStock};
use crate::os::readiness::Readiness;
use crate::os::warden::WardenClient;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// The engine that new pools share, and how many use it.
static SHARED: Mutex<Option<(Arc<Engine>, usize)>> = Mutex::new(None);

/// See the module.
pub struct Engine {
    handle: Handle,
    pub warden: WardenClient,
    pub readiness: Readiness,
    ports: Arc<PortStock>,
    end: Mutex<Option<(oneshot::Sender<()>, JoinHandle<()>)>>,
}

impl Engine {
    /// The shared engine, started if there is none. To be given back with [`release`](Self::release).
    pub fn share(warden_path: PathBuf) -> io::Result<Arc<Engine>> {
        let mut shared = shared();
        if let Some((engine, users)) = &mut *shared {
            *users += 1;
            return Ok(engine.clone());
        }
        let engine = Arc::new(Engine::start(warden_path)?);
        *shared = Some((engine.clone(), 1));
        Ok(engine)
    }

    fn start(warden_path: PathBuf) -> io::Result<Engine> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let readiness = Readiness::new().map_err(io::Error::other)?;
        let (end, ended) = oneshot::channel();
        let thread = std::thread::Builder::new().name("abs-runtime".into()).spawn(move || {
            let _ = runtime.block_on(ended);
        })?;
        let warden = WardenClient::new(warden_path);
        let ports = Arc::new(PortStock::default());
        Ok(Engine { handle, warden, readiness, ports, end: Mutex::new(Some((end, thread))) })
    }

    /// Runs a task on the engine's thread.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> tokio::task::JoinHandle<()> {
        self.handle.spawn(task)
    }

    /// Reserves a port. The next ones are reserved meanwhile on the engine's thread.
    pub fn port(&self) -> io::Result<HeldPort> {
        let (port, is_low) = self.ports.take();
        if is_low {
            let ports = self.ports.clone();
            self.spawn(async move { ports.fill() });
        }
        port.map_or_else(HeldPort::reserve, Ok)
    }

    /// Gives a port back that nobody has used.
    pub fn unused_port(&self, port: HeldPort) {
        self.ports.put(port);
    }

    /// Runs something slow on a thread of its own.
    pub async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        tokio::task::spawn_blocking(work).await.ok()
    }

    /// Gives the engine back. For the last user the warden is ended first; the thread ends when the last reference is
    /// dropped, and a drop on another thread waits for that.
    pub async fn release(self: Arc<Engine>) {
        let last = {
            let mut shared = shared();
            match &mut *shared {
                Some((engine, users)) if Arc::ptr_eq(engine, &self) => {
                    *users -= 1;
                    if *users == 0 {
                        *shared = None;
                    }
                    shared.is_none()
                }
                _ => false,
            }
        };
        if last {
            self.warden.close().await;
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let Some((end, thread)) = self.end.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return;
        };
        let _ = end.send(());
        if thread.thread().id() != std::thread::current().id() {
            let _ = thread.join();
        }
    }
}

fn shared() -> MutexGuard<'static, Option<(Arc<Engine>, usize)>> {
    SHARED.lock().unwrap_or_else(PoisonError::into_inner)
}
