//! The gateway: its threads, and where they listen.
//!
//! Each thread serves its own connections, requests and answers included, and has its own
//! connections to tenants. The first one accepts as well, and hands each connection to the thread
//! with the fewest.
//!
//! Dropping a [`Gateway`] closes it without grace, and does not wait for that. A panic in a
//! connection ends that connection.

mod door;

use crate::admission::Rates;
use crate::connection::{self, Phase, Tls};
use crate::exchange::{By, Site, Worker};
use crate::forward::{ForwardSettings, Forwarder};
use crate::hooks::Hooks;
use crate::listeners::{Listener, Listening, StartError};
use crate::peer::{self, Entry};
use crate::routing::Answers;
use crate::settings::{self, CertifiedPem, Listen, Routing, Settings};
use crate::stats::{Counters, KeyStats, Stats};
use crate::stream::Accepted;
use crate::tenants::Tenants;
use crate::tls::{Certificates, TlsError};
use door::{Door, Permit, Seat, accept};
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;
use tokio::runtime;
use tokio::sync::{mpsc, oneshot, watch};

/// Threads that serve, at most, unless it is said how many.
const THREADS_MAX: usize = 4;
/// A tenant takes at least as long for a request as the gateway does, and has to be on a core for it,
/// too: more threads than half of the cores would only take turns with the tenants, and the memory
/// that they share would go to and fro (on two cores a request takes 22.3 µs by one thread, and
/// 24.7 µs by two).
const CORES_PER_THREAD: usize = 2;
/// Threads of one serving thread for what waits for the file system.
const BLOCKING_THREADS: usize = 2;
/// A gateway that runs.
pub struct Gateway<T: Tenants, H: Hooks> {
    site: Arc<Site<T, H>>,
    workers: Vec<Arc<Worker<T, H>>>,
    listening: Vec<Listening>,
    certificates: Option<Arc<Certificates>>,
    /// Closes it, with a grace; dropped, it closes it at once.
    closing: mpsc::UnboundedSender<Duration>,
    ended: Arc<Ended>,
    /// Another gateway goes on with its sockets: their files stay.
    stays: Arc<AtomicBool>,
}

/// Who is told that all threads have ended.
#[derive(Default)]
struct Ended {
    state: Mutex<EndedState>,
}

#[derive(Default)]
struct EndedState {
    is_over: bool,
    told: Vec<Box<dyn FnOnce() + Send>>,
}

/// Each thread holds it; with the last one the gateway has ended.
struct EndGuard(Arc<Ended>);

impl Drop for EndGuard {
    fn drop(&mut self) {
        let told = {
            let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.is_over = true;
            std::mem::take(&mut state.told)
        };
        for tell in told {
            tell();
        }
    }
}

impl<T: Tenants, H: Hooks> Gateway<T, H> {
    /// Starts a gateway, which listens when this returns.
    pub fn start(settings: Settings, tenants: T, hooks: H) -> Result<Gateway<T, H>, StartError> {
        Gateway::start_and_show(settings, tenants, hooks, |_, _| ())
    }

    /// The same; shows each socket that it listens at, by the place of its settings, before a
    /// connection is accepted.
    pub fn start_and_show(
        settings: Settings,
        tenants: T,
        hooks: H,
        show: impl FnMut(usize, BorrowedFd<'_>),
    ) -> Result<Gateway<T, H>, StartError> {
        Gateway::start_when(settings, tenants, hooks, |_| Ok(show))
    }

    /// The same, where it has to be waited for what is served: calls `ready` when all is made but the
    /// sockets. It may exchange where the gateway listens, and returns what shows them.
    pub fn start_when<S: FnMut(usize, BorrowedFd<'_>)>(
        settings: Settings,
        tenants: T,
        hooks: H,
        ready: impl FnOnce(&mut [Listen]) -> Result<S, StartError>,
    ) -> Result<Gateway<T, H>, StartError> {
        let tls = tls_of(&settings).map_err(StartError::Tls)?;
        let mut listen = settings.listen;
        let stays = Arc::<AtomicBool>::default();
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let threads = settings.threads.unwrap_or_else(|| threads_for(cores)).max(1);
        let counters = Counters::new(threads);
        let (all, tallies) = (counters.all.clone(), counters.tallies().to_vec());
        let are_peers = matches!(settings.routing, Routing::Peers(_));
        let wake = settings.wake;
        let limits = if are_peers { peer::limits(settings.limits) } else { settings.limits };
        let trust: Arc<[_]> = settings.trust.into();
        let site = Arc::new(Site {
            tenants,
            hooks,
            counters,
            by: match settings.routing {
                Routing::Rule(route) => By::Rule(route),
                Routing::Ask { cache } => By::Asking(Answers::new(cache, wake.timeout)),
                Routing::Peers(entry) => By::Peers(entry),
            },
            trust: trust.clone(),
            wake,
            limits,
            rates: limits.requests_per_second_per_address.map(Rates::new),
            access: settings.access,
            pages: settings.pages,
            trace: settings.trace,
            is_left: stays.clone(),
        });
        let (phase, phases) = watch::channel(Phase::Open);
        let farewell = Arc::new(watch::Sender::new(false));
        let (closing, closed) = mpsc::unbounded_channel();
        let ended = Arc::<Ended>::default();
        let guard = Arc::new(EndGuard(ended.clone()));
        let (mut seats, mut workers, mut parts) = (Vec::new(), Vec::new(), Vec::new());
        for tally in tallies {
            let forward = ForwardSettings {
                body_bytes: limits.body_bytes,
                body_idle: limits.body_idle,
                trusted: trust.clone(),
                farewell: farewell.clone(),
            };
            let worker = Arc::new(Worker {
                site: site.clone(),
                forwarder: Forwarder::new(forward),
                tally,
                libraries: AtomicUsize::new(0),
            });
            let (inbox, connections) = mpsc::unbounded_channel();
            workers.push(worker.clone());
            let runtime = runtime::Builder::new_current_thread()
                .enable_all()
                .max_blocking_threads(BLOCKING_THREADS)
                .build()
                .map_err(StartError::Thread)?;
            parts.push((worker, connections, runtime));
            seats.push(Seat { inbox, connections: Arc::default() });
        }
        let mut show = ready(&mut listen)?;
        let listeners = listen.into_iter().map(Listener::open);
        let mut listeners = listeners.collect::<Result<Vec<_>, _>>()?;
        for (place, listener) in listeners.iter_mut().enumerate() {
            listener.stays = stays.clone();
            show(place, listener.descriptor());
        }
        let listening = listeners.iter().map(|listener| listener.listening(tls.is_some()));
        let listening = listening.collect();
        let gone = Arc::default();
        let most = limits.connections;
        let door = Door { seats, all, most, gone, phase, stays: stays.clone(), farewell };
        let mut door = Some((door, listeners, closed));
        for (number, (worker, connections, runtime)) in parts.into_iter().enumerate() {
            let serving = serve(worker, connections, tls.clone(), phases.clone());
            let door = door.take();
            let guard = guard.clone();
            let run = move || {
                let _guard = guard;
                runtime.block_on(async {
                    match door {
                        Some((door, listeners, closed)) => {
                            tokio::join!(serving, accept(door, listeners, closed));
                        }
                        None => serving.await,
                    }
                });
                // What waits for the file system is not waited for.
                runtime.shutdown_background();
            };
            let thread = thread::Builder::new().name(format!("gateway-{number}"));
            thread.spawn(run).map_err(StartError::Thread)?;
        }
        let certificates = tls.map(|tls| tls.certificates);
        Ok(Gateway { site, workers, listening, certificates, closing, ended, stays })
    }

    /// Where it listens, in the order of the settings.
    pub fn listening(&self) -> &[Listening] {
        &self.listening
    }

    /// Exchanges the certificates. Connections that are there keep theirs.
    pub fn set_certificates(&self, given: &[CertifiedPem]) -> Result<(), TlsError> {
        match &self.certificates {
            Some(certificates) => certificates.set(given),
            None => Err(TlsError::NotEncrypted),
        }
    }

    /// Its figures now.
    pub fn stats(&self) -> Stats {
        self.site.counters.stats()
    }

    /// The figures of one key; `None` if no request has been for it. From the first call on it is
    /// counted how soon answers begin.
    pub fn stats_of(&self, key: &str) -> Option<KeyStats> {
        self.site.counters.all.time_answers();
        self.site.counters.stats_of(key)
    }

    /// The figures of all keys that have had requests. It counts as a call of `stats_of`.
    pub fn stats_of_all(&self) -> Vec<(String, KeyStats)> {
        self.site.counters.all.time_answers();
        self.site.counters.stats_of_all()
    }

    /// Drops idle connections to a run that is over, or is about to sleep.
    pub fn forget(&self, run: u64) {
        for worker in &self.workers {
            worker.forwarder.forget(run);
        }
    }

    /// Drops idle connections to another host, by its number: it is gone, or is about to be.
    pub fn forget_peer(&self, run: u64) {
        for worker in &self.workers {
            worker.forwarder.forget_peer(run);
        }
    }

    /// Closes the gateway: takes no further connection and no further request, and cuts off what
    /// goes on after the grace. May be called again, to shorten the grace.
    pub async fn close(&self, grace: Duration) {
        let (sender, closed) = oneshot::channel();
        self.close_with(grace, move || {
            let _ = sender.send(());
        });
        let _ = closed.await;
    }

    /// Another gateway goes on with its sockets, whose files stay when this one closes.
    pub fn leave_sockets(&self) {
        self.stays.store(true, Relaxed);
    }

    /// Closes it as `close` does, without being told of the end.
    pub fn begin_to_close(&self, grace: Duration) {
        // Other hosts may have sent a request before they know that this one leaves: each of their
        // connections may have one more, as those to a gateway whose sockets another one has.
        if self.site.by.is_peers() {
            self.leave_sockets();
        }
        // The accepting thread that does not hear it is ending already.
        let _ = self.closing.send(grace);
    }

    /// The same as `close`; calls back from one of its threads, or at once if it is closed already.
    pub fn close_with(&self, grace: Duration, closed: impl FnOnce() + Send + 'static) {
        let mut state = self.ended.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.is_over {
            drop(state);
            return closed();
        }
        state.told.push(Box::new(closed));
        drop(state);
        self.begin_to_close(grace);
    }
}

/// How many threads serve on a machine with so many cores.
fn threads_for(cores: usize) -> usize {
    cores.div_ceil(CORES_PER_THREAD).clamp(1, THREADS_MAX)
}

fn tls_of(settings: &Settings) -> Result<Option<Tls>, TlsError> {
    let (certificates, asks) = match (&settings.routing, &settings.tls) {
        (Routing::Peers(Entry::Certificate(pem)), _) => (Certificates::mutual(pem)?, false),
        (Routing::Peers(Entry::Token(_)), _) | (_, None) => return Ok(None),
        (_, Some(settings::Tls::Certificates(given))) if given.is_empty() => {
            return Err(TlsError::None);
        }
        (_, Some(settings::Tls::Certificates(given))) => (Certificates::new(given)?, false),
        (_, Some(settings::Tls::Ask)) => (Certificates::new(&[])?, true),
    };
    Ok(Some(Tls { certificates, asks }))
}

/// Serves the connections that come in, until none can.
async fn serve<T: Tenants, H: Hooks>(
    worker: Arc<Worker<T, H>>,
    mut connections: mpsc::UnboundedReceiver<(Accepted, Permit)>,
    tls: Option<Tls>,
    phase: watch::Receiver<Phase>,
) {
    while let Some((accepted, permit)) = connections.recv().await {
        let (worker, tls, phase) = (worker.clone(), tls.clone(), phase.clone());
        tokio::spawn(async move {
            let _permit = permit;
            // Made in here: a future that is handed in has room twice in the task.
            connection::serve(worker, accepted, tls, phase).await;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_cores_are_left_to_the_tenants() {
        let threads = [1, 2, 3, 4, 8, 64].map(threads_for);
        assert_eq!(threads, [1, 1, 2, 2, 4, 4]);
    }
}
