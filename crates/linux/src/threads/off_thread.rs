//! Work that takes too long for the engine's thread: a look through `/proc`, or at all
//! connections.
//!
//! It is done in turn on one more thread, which is started for the first piece of work and kept: a
//! new thread for each would have to get its memory from the kernel anew. If no thread can be
//! started, that piece of work fails, and the next may succeed; tokio's `spawn_blocking` would
//! panic in the calling task.

use std::io;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use tokio::sync::oneshot;

type Work = Box<dyn FnOnce() + Send>;

/// A handle of the worker thread; clones share it. Dropping it does not wait for work;
/// [`finish`](Self::finish) does. Work that panics fails alone, and the next starts a new thread.
#[derive(Clone, Default)]
pub struct OffThread {
    worker: Arc<Mutex<Option<Worker>>>,
}

struct Worker {
    work: Sender<Work>,
    thread: JoinHandle<()>,
}

impl Worker {
    fn start() -> io::Result<Worker> {
        let (work, to_do) = channel::<Work>();
        let thread = Builder::new().name("abs-look".into()).spawn(move || {
            to_do.iter().for_each(|work| work());
        })?;
        Ok(Worker { work, thread })
    }
}

impl OffThread {
    /// Runs the work, and waits for it without blocking. Dropping the future does not stop the
    /// work. Errors: no thread, or the work panicked.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        let (tell, told) = oneshot::channel();
        self.begin(Box::new(move || {
            let _ = tell.send(work());
        }))?;
        told.await.map_err(io::Error::other)
    }

    fn begin(&self, work: Work) -> io::Result<()> {
        let mut kept = self.lock();
        // A thread that has panicked takes no more work.
        if let Some(worker) = kept.take_if(|worker| worker.thread.is_finished()) {
            let _ = worker.thread.join();
        }
        let worker = match &mut *kept {
            Some(worker) => worker,
            none => none.insert(Worker::start()?),
        };
        worker.work.send(work).map_err(|_| io::Error::other("the thread for it has ended"))
    }

    /// Blocks until all work is done and the thread has ended. To be called when no more work can
    /// be begun.
    pub fn finish(&self) {
        let worker = self.lock().take();
        if let Some(Worker { work, thread }) = worker {
            drop(work);
            let _ = thread.join();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Worker>> {
        self.worker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn work_that_panics_fails_and_the_next_is_done() {
        let off_thread = OffThread::default();
        assert!(wait(off_thread.run(|| panic!("as it should"))).is_err());
        while off_thread.lock().as_ref().is_some_and(|worker| !worker.thread.is_finished()) {
            std::thread::yield_now();
        }
        assert_eq!(wait(off_thread.run(|| 7)).unwrap(), 7);
        off_thread.finish();
    }

    #[test]
    fn all_of_it_is_done_on_one_thread_which_ends_with_the_last() {
        let off_thread = OffThread::default();
        let here = || std::thread::current().id();
        let [first, second] = [(); 2].map(|()| wait(off_thread.run(here)).unwrap());
        assert_eq!(first, second);
        off_thread.finish();
        assert!(off_thread.lock().is_none());
    }
}
