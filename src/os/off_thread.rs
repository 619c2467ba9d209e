//! What takes too long for the engine's thread: a look through `/proc`, or at all connections.
//!
//! Each gets a thread of its own. Where the machine has no thread to spare, that one look fails, and the next may succeed;
//! tokio's own threads for this purpose would take the loop that wanted it along.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use tokio::sync::oneshot;

/// Where such work is begun, and how its end is waited for.
#[derive(Clone, Default)]
pub struct OffThread {
    threads: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl OffThread {
    /// Runs this, and waits for it without blocking. Who no longer waits does not stop it.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
        let (tell, told) = oneshot::channel();
        let thread = Builder::new().name("abs-look".into()).spawn(move || {
            let _ = tell.send(work());
        })?;
        self.with_threads(|threads| {
            threads.retain(|thread| !thread.is_finished());
            threads.push(thread);
        });
        told.await.map_err(io::Error::other)
    }

    /// Waits, blocking, until nothing runs any more. To be called when nothing can be begun any more.
    pub fn finish(&self) {
        for thread in self.with_threads(std::mem::take) {
            let _ = thread.join();
        }
    }

    fn with_threads<T>(&self, act: impl FnOnce(&mut Vec<JoinHandle<()>>) -> T) -> T {
        act(&mut self.threads.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
