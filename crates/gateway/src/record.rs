//! What is known of one request. The request's body, its answer's body and a tunnel share the
//! record; when the last of them drops it the request is over, and is counted. All of them are on the
//! thread that the request came to.

use crate::clock;
use crate::count::Count;
use crate::guarded;
use crate::hooks::{AccessEvent, WokenOver};
use crate::peer::Peer;
use crate::refusal::Refusal;
use crate::stats::{KeyTally, Over, Tally};
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// Is told what is over.
pub(crate) trait Sink: Send + Sync {
    fn access(&self, event: AccessEvent);
    fn woken_over(&self, over: WokenOver);
}

/// What is known of one request.
pub struct Record {
    /// That of the thread that it came to.
    tally: Arc<Tally>,
    /// Known if the times until answers are counted: see `Totals::time_answers`.
    began: Option<Instant>,
    status: AtomicU16,
    bytes_in: Count,
    bytes_out: Count,
    /// Set once the key is known to exist.
    key: OnceLock<Arc<KeyTally>>,
    /// It is among the requests that its tenant has to bear.
    is_admitted: AtomicBool,
    /// The answer is the gateway's own, and says nothing of the tenant.
    is_refused: AtomicBool,
    waited: OnceLock<Duration>,
    told: Option<Told>,
    traceparent: OnceLock<String>,
    /// The host that it was passed on to.
    peer: OnceLock<Arc<Peer>>,
    /// Its number among those that waited, and who is told that it is over.
    woken: OnceLock<(u64, Arc<dyn Sink>)>,
    /// The connection that the request came by.
    connection: Option<Arc<guarded::Shared>>,
}

/// What only an access event tells.
pub(crate) struct Told {
    pub sink: Arc<dyn Sink>,
    pub host: String,
    pub method: String,
    pub path: String,
    pub address: IpAddr,
    pub at_ms: u64,
    pub began: Instant,
}

impl Record {
    pub(crate) fn begin(
        tally: Arc<Tally>,
        told: Option<Told>,
        connection: Option<Arc<guarded::Shared>>,
    ) -> Record {
        tally.begins();
        if let Some(connection) = &connection {
            connection.begins();
        }
        Record {
            began: tally.all.times_answers().then(clock::now),
            tally,
            status: AtomicU16::new(0),
            bytes_in: Count::new(),
            bytes_out: Count::new(),
            key: OnceLock::new(),
            is_admitted: AtomicBool::new(false),
            is_refused: AtomicBool::new(false),
            waited: OnceLock::new(),
            told,
            traceparent: OnceLock::new(),
            peer: OnceLock::new(),
            woken: OnceLock::new(),
            connection,
        }
    }

    /// The request is for this key, which exists.
    pub(crate) fn is_for(&self, key: Arc<KeyTally>) -> &KeyTally {
        self.key.get_or_init(|| {
            key.begins();
            key
        })
    }

    /// Whom it is for, once that is known to exist.
    pub(crate) fn key(&self) -> Option<&str> {
        self.key.get().map(|key| &*key.all.key)
    }

    /// Takes one of the places that its tenant has for requests at once, until the request is over
    /// or refused; `false` if none is free.
    pub(crate) fn admit(&self, most: u32) -> bool {
        let Some(key) = self.key.get() else { return true };
        let add = |count| (count < most).then_some(count + 1);
        let is_admitted = key.all.admitted.fetch_update(Relaxed, Relaxed, add).is_ok();
        self.is_admitted.store(is_admitted, Relaxed);
        is_admitted
    }

    /// The request is refused: its place is free, however long its answer takes.
    pub(crate) fn refused(&self, refusal: &Refusal) {
        self.is_refused.store(!refusal.is_tenants(), Relaxed);
        self.give_up_place();
    }

    fn give_up_place(&self) {
        if let Some(key) = self.key.get()
            && self.is_admitted.load(Relaxed)
        {
            self.is_admitted.store(false, Relaxed);
            key.all.admitted.fetch_sub(1, Relaxed);
        }
    }

    /// The request got its tenant after a wait for its start.
    pub(crate) fn woke(&self, waited: Duration) {
        self.tally.all.woke(waited);
        // A second wait of the same request is not told by its event.
        let _ = self.waited.set(waited);
    }

    /// The tenant gets this trace context.
    pub(crate) fn is_traced_by(&self, traceparent: String) {
        let _ = self.traceparent.set(traceparent);
    }

    /// The answer is what became of it at this host.
    pub(crate) fn is_passed_on(&self, peer: &Arc<Peer>) {
        let _ = self.peer.set(peer.clone());
    }

    /// The request waits, under this number.
    pub(crate) fn waits_as(&self, id: u64, sink: Arc<dyn Sink>) {
        let _ = self.woken.set((id, sink));
    }

    /// Bytes of the request's body have come.
    pub fn count_in(&self, bytes: u64) {
        self.bytes_in.add(bytes);
    }

    /// Bytes of the answer's body were passed on.
    pub fn count_out(&self, bytes: u64) {
        self.bytes_out.add(bytes);
    }

    /// The status of the answer is known: the time until here is how long its client waited for the
    /// tenant, if the answer is of it.
    pub fn answered(&self, status: u16) {
        self.status.store(status, Relaxed);
        if self.is_refused.load(Relaxed) {
            return;
        }
        if let (Some(began), Some(key)) = (self.began, self.key.get()) {
            key.answered(clock::now() - began);
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.give_up_place();
        let status = match *self.status.get_mut() {
            0 => 499,
            status => status,
        };
        let (bytes_in, bytes_out) = (self.bytes_in.get(), self.bytes_out.get());
        let is_refused = *self.is_refused.get_mut();
        let key = self.key.get();
        let key_tally = key.map(Arc::as_ref);
        self.tally.ends(Over { status, is_refused, key: key_tally, bytes_in, bytes_out });
        if let Some(connection) = &self.connection {
            connection.ends();
        }
        let woke_ms = self.waited.get().map(|waited| waited.as_secs_f64() * 1_000.0);
        if let Some((id, sink)) = self.woken.take() {
            sink.woken_over(WokenOver { id, status, woke_ms });
        }
        if let Some(told) = self.told.take() {
            told.sink.access(AccessEvent {
                key: key.map(|key| key.all.key.to_string()),
                host: told.host,
                method: told.method,
                path: told.path,
                status,
                duration_ms: (clock::now() - told.began).as_secs_f64() * 1_000.0,
                woke_ms,
                bytes_in,
                bytes_out,
                address: told.address,
                peer: self.peer.get().map(|peer| peer.host.clone()),
                at_ms: told.at_ms,
                traceparent: self.traceparent.take(),
            });
        }
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.key.get().map(|key| &key.all.key);
        formatter.debug_struct("Record").field("key", &key).finish_non_exhaustive()
    }
}
