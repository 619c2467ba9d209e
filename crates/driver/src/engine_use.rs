//! The engine from its first use on. Its end is in `ending.rs`.

use crate::Driver;
use crate::core::Core;
use crate::machine::{Engine, Machine};
use crate::uplink::Record;
use linux::process::root_claim::{Claimed, RootClaim};
use pool::CallId;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::task::AbortHandle;

/// A runtime uses the engine once: from its first start until nothing is left of it.
#[derive(Default)]
pub(crate) enum EngineUse<E> {
    #[default]
    NotYet,
    InUse {
        engine: Arc<E>,
        /// Keeps the pool's deadlines.
        timer: AbortHandle,
    },
    /// We were its last user, and are told when it has ended.
    Ending {
        /// What is answered then.
        calls: Vec<CallId>,
        thread: JoinHandle<()>,
    },
    /// Of the thread, where it was ours to end, nothing is left but its exit.
    Over(Option<JoinHandle<()>>),
}

impl<E> EngineUse<E> {
    pub fn engine(&self) -> Option<&Arc<E>> {
        match self {
            EngineUse::InUse { engine, .. } => Some(engine),
            EngineUse::NotYet | EngineUse::Ending { .. } | EngineUse::Over(_) => None,
        }
    }

    /// It will not be used any more.
    pub fn is_over(&self) -> bool {
        matches!(self, EngineUse::Ending { .. } | EngineUse::Over(_))
    }
}

impl<M: Machine> Driver<M> {
    pub(crate) fn ensure_engine(self: &Arc<Self>, core: &mut Core<M>) -> io::Result<Arc<M::Engine>> {
        match &core.engine {
            EngineUse::InUse { engine, .. } => Ok(engine.clone()),
            EngineUse::Ending { .. } | EngineUse::Over(_) => Err(io::Error::other("the runtime is closed")),
            EngineUse::NotYet => {
                let engine = self.machine.share_engine()?;
                let driver = self.clone();
                let timer = engine.spawn(async move {
                    tokio::join!(driver.keep_deadlines(), driver.sweep());
                });
                core.engine = EngineUse::InUse { engine: engine.clone(), timer };
                self.claim_root(&engine);
                Ok(engine)
            }
        }
    }

    /// Finds out, off all threads that have something else to do, whether another runtime starts
    /// the same tenants.
    pub(crate) fn claim_root(self: &Arc<Self>, engine: &Arc<M::Engine>) {
        let (driver, root) = (self.clone(), PathBuf::from(&self.settings.recipe.root));
        let claiming = engine.off_thread(move || RootClaim::try_new(&root));
        engine.spawn(async move {
            match claiming.await.and_then(|claimed| claimed) {
                Ok(Claimed::First(claim)) => {
                    let mut core = driver.lock();
                    core.root_claim = core.engine.engine().map(|_| claim);
                }
                Ok(Claimed::Taken(pid)) => {
                    driver.uplink.push(Record::SharedRoot { pid });
                    driver.uplink.ring();
                }
                Err(error) => tracing::debug!(%error, "whether the root is shared cannot be found out"),
            }
        });
    }
}
