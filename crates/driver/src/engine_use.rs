//! A runtime's use of the engine, from the first start on. How it ends is in `ending.rs`.

use crate::Driver;
use crate::core::Core;
use crate::machine::{Engine, Machine};
use crate::uplink::Record;
use linux::process::root_claim::RootClaim;
use pool::CallId;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::task::AbortHandle;

/// The state of a runtime's use of the engine. A runtime uses it once, from its first start until
/// its end, and passes through these states in order.
#[derive(Default)]
pub(crate) enum EngineUse<E> {
    #[default]
    NotYet,
    InUse {
        engine: Arc<E>,
        /// The task of the pool's deadlines and the sweep.
        timer: AbortHandle,
    },
    /// This runtime was its last user, and waits for its end.
    Ending {
        /// The calls of `dispose` that are answered at its end.
        calls: Vec<CallId>,
        thread: JoinHandle<()>,
    },
    /// The runtime has given the engine back. If it was the last user, the thread is to be joined,
    /// which returns at once.
    Over(Option<JoinHandle<()>>),
}

impl<E> EngineUse<E> {
    pub fn engine(&self) -> Option<&Arc<E>> {
        match self {
            EngineUse::InUse { engine, .. } => Some(engine),
            EngineUse::NotYet | EngineUse::Ending { .. } | EngineUse::Over(_) => None,
        }
    }

    /// Whether the engine has been given back. It is not used again.
    pub fn is_over(&self) -> bool {
        matches!(self, EngineUse::Ending { .. } | EngineUse::Over(_))
    }
}

impl<M: Machine> Driver<M> {
    /// The engine, shared at the first call. Errors: its thread could not be started, or the
    /// runtime is closed.
    pub(crate) fn ensure_engine(
        self: &Arc<Self>,
        core: &mut Core<M>,
    ) -> io::Result<Arc<M::Engine>> {
        match &core.engine {
            EngineUse::InUse { engine, .. } => Ok(engine.clone()),
            EngineUse::Ending { .. } | EngineUse::Over(_) => {
                Err(io::Error::other("the runtime is closed"))
            }
            EngineUse::NotYet => {
                let engine = self.machine.share_engine()?;
                let driver = self.clone();
                let timer = engine.spawn(async move {
                    let timers = async { tokio::join!(driver.keep_deadlines(), driver.sweep()) };
                    tokio::join!(timers, driver.mark_cpu(), driver.watch_memory());
                });
                core.engine = EngineUse::InUse { engine: engine.clone(), timer };
                // A host before this one may own the root, and is no other.
                if core.survival.is_none() {
                    self.claim_root(&engine);
                }
                Ok(engine)
            }
        }
    }

    /// Claims the root, and warns if another runtime starts the tenants of the same root. The file
    /// system may be slow, so this is done on the thread for slow work.
    pub(crate) fn claim_root(self: &Arc<Self>, engine: &Arc<M::Engine>) {
        let (driver, root) = (self.clone(), PathBuf::from(&self.settings.recipe.root));
        let claiming = engine.off_thread(move || RootClaim::try_new(&root));
        engine.spawn(async move {
            match claiming.await.and_then(|claimed| claimed) {
                Ok(claimed) => {
                    {
                        let mut core = driver.lock();
                        core.root_claim = core.engine.engine().and(claimed.claim);
                    }
                    if let Some(other) = claimed.other {
                        driver.uplink.push(Record::SharedRoot { pid: other.pid });
                        driver.uplink.ring();
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "whether the root is shared cannot be found out")
                }
            }
        });
    }
}
