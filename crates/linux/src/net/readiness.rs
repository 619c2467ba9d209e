//! Default readiness: waits until the port is listened on, makes sure that the tenant owns the
//! listener, then waits until it answers one HTTP request with any status.
//!
//! The request is made once, and its answer awaited until the time is up. It is repeated only if
//! the connection broke or the answer was not HTTP/1.

use crate::net::accepting;
use crate::net::answer_kind::AnswerKind;
use crate::net::listeners;
use crate::net::listening::{self, LOOPBACK, Listening, Reached};
use crate::net::ownership::{Listener, Owner, Stranger};
use crate::net::request::Requests;
use crate::threads::clock;
use crate::threads::off_thread::OffThread;
use crate::threads::pause::Pause;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The pause between two looks at a port, and between two requests. A look costs 2–3 µs, and
/// waking up for it some more, so a start of 12 ms is noticed within half a millisecond. The pause
/// grows with the time waited and with the number of starts under way, which need the processors
/// themselves; and their pauses end together, so that one wake-up does for all of them.
const SHORTEST_PAUSE: Duration = Duration::from_micros(500);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);
/// The pause is this fraction of the time waited so far.
const PAUSE_FRACTION: u32 = 32;

/// After this many requests, a server that ended all connections is greeted in other protocols, so
/// that the message can name the one it speaks.
const GREETED_AT: u32 = 3;

/// Why a tenant is not ready.
#[derive(Debug, PartialEq, Eq)]
pub enum NotReady {
    /// The tenant did not answer in time. `found` is what was found instead, as text for messages.
    TimedOut { found: String },
    /// Another process listens on its port.
    Taken(Stranger),
}

/// How far a start has come, for the message of a time-out.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    /// Requests made so far.
    requests: u32,
    /// The answer to the last request that is over; `Some(None)` if its connection broke.
    last: Option<Option<AnswerKind>>,
    /// The protocol of the listener, if it is not HTTP/1.
    speaks: Option<AnswerKind>,
}

/// How long a connection that is to be taken in may take to be made. The kernel itself tries again
/// only after a second.
const CONNECT_PATIENCE: Duration = Duration::from_millis(100);

/// The sockets and counters of readiness, shared by all starts. Dropping a future that it returned
/// cancels that wait; dropping the value closes its sockets.
pub struct Readiness {
    listening: Listening,
    requests: Requests,
    off_thread: OffThread,
    /// Starts that are being waited for.
    waiting: AtomicU32,
    /// Connections made by `takes_a_connection` so far.
    connected: AtomicU32,
}

impl Readiness {
    pub fn new(off_thread: OffThread) -> Readiness {
        Readiness {
            listening: Listening::open(),
            requests: Requests::default(),
            off_thread,
            waiting: AtomicU32::new(0),
            connected: AtomicU32::new(0),
        }
    }

    /// Waits until the tenant answers an HTTP GET of this path on the port, and returns the address
    /// at which it does. Dropping the future cancels the wait. Errors: `limit` is over, or another
    /// process listens.
    pub async fn until_answered(
        &self,
        port: u16,
        path: &str,
        owner: Owner,
        limit: Duration,
    ) -> Result<IpAddr, NotReady> {
        let mut progress = Progress::default();
        match clock::timeout(limit, self.answered(port, path, owner, &mut progress)).await {
            Some(Ok(address)) => Ok(address),
            Some(Err(stranger)) => Err(NotReady::Taken(stranger)),
            None => Err(NotReady::TimedOut { found: self.found(port, owner, progress).await }),
        }
    }

    async fn answered(
        &self,
        port: u16,
        path: &str,
        owner: Owner,
        progress: &mut Progress,
    ) -> Result<IpAddr, Stranger> {
        let mut patience = Patience::new(&self.waiting);
        let mut theirs = Reached::default();
        loop {
            let address = self.until_listening(port, &mut patience).await;
            if self.is_still_owned(&mut theirs, owner, address, port).await? {
                let server = SocketAddr::new(address, port);
                progress.requests += 1;
                let answer = self.requests.ask(server, path, progress.requests).await;
                tracing::debug!(%server, ?answer, "readiness request");
                let answer = answer.ok();
                progress.last = Some(answer);
                progress.speaks = match answer {
                    Some(known @ (AnswerKind::Tls | AnswerKind::Http2)) => Some(known),
                    None if progress.requests == GREETED_AT => {
                        self.requests.identify(server, progress.requests).await
                    }
                    _ => progress.speaks,
                };
                // The owner is checked again after the answer: the listener may have closed, and
                // another process may have opened the port, or the tenant may now also listen at
                // the first address.
                if answer == Some(AnswerKind::Http1)
                    && self.address_of(port).await.is_none_or(|place| place == Some(address))
                    && self.is_still_owned(&mut theirs, owner, address, port).await?
                {
                    return Ok(address);
                }
            }
            patience.pause().await;
        }
    }

    async fn until_listening(&self, port: u16, patience: &mut Patience<'_>) -> IpAddr {
        loop {
            match self.address_of(port).await {
                Some(Some(address)) => return address,
                Some(None) => patience.pause().await,
                None => return LOOPBACK[0],
            }
        }
    }

    /// See [`Listening::address_of`]. Where `sock_diag` is not available, `/proc/net` is read, off
    /// the engine's thread.
    async fn address_of(&self, port: u16) -> Option<Option<IpAddr>> {
        match self.listening.address_of(port) {
            None => {
                self.off_thread.run(move || listening::read_address_of(port)).await.ok().flatten()
            }
            known => known,
        }
    }

    /// Whether a request to this address and port reaches the tenant, as far as that can be known;
    /// false if no socket listens just now. Errors: another process listens.
    pub async fn is_owned(
        &self,
        owner: Owner,
        address: IpAddr,
        port: u16,
    ) -> Result<bool, Stranger> {
        self.is_still_owned(&mut Reached::default(), owner, address, port).await
    }

    /// The same, given the sockets that the tenant's tree was found to have, of which there may be
    /// none yet: while no others are reached, they need not be looked for once more.
    async fn is_still_owned(
        &self,
        theirs: &mut Reached,
        owner: Owner,
        address: IpAddr,
        port: u16,
    ) -> Result<bool, Stranger> {
        // Where the sockets cannot be listed, the request itself shows whether the port is
        // listened on.
        let Ok(sockets) = listening::reached_at(address, port) else { return Ok(true) };
        if sockets.inodes.is_empty() {
            return Ok(false);
        }
        if sockets == *theirs {
            return Ok(true);
        }
        if owner.has(&sockets) {
            *theirs = sockets;
            return Ok(true);
        }
        match self.off_thread.run(move || owner.find(address, port)).await {
            Ok(Listener::Other(stranger)) => Err(stranger),
            Ok(Listener::Gone) => Ok(false),
            Ok(Listener::Tenant | Listener::Unknown) => Ok(true),
            // No thread could be started; the next look tries again.
            Err(_) => Ok(false),
        }
    }

    /// The loopback address at which the port is listened on; `None` if it is not, or if the
    /// kernel cannot be asked.
    pub fn place(&self, port: u16) -> Option<IpAddr> {
        self.listening.address_of(port).or_else(|| listening::read_address_of(port)).flatten()
    }

    /// Connects to the server, and ends when it has taken the connection in. One that refuses it,
    /// or closes it, does, too: it runs, or has closed its listener.
    pub async fn takes_a_connection(&self, server: SocketAddr) {
        let connection = loop {
            let number = self.connected.fetch_add(1, Ordering::Relaxed);
            match clock::timeout(CONNECT_PATIENCE, self.requests.connect(server, number)).await {
                Some(Ok(connection)) => break connection,
                Some(Err(error)) => {
                    return tracing::debug!(%server, %error, "it takes no connection");
                }
                // So many visitors wait that there is no place for one more.
                None => {}
            }
        };
        if let Err(error) = accepting::until_taken(&connection, &self.off_thread).await {
            tracing::debug!(%server, %error, "whether it takes connections in is unknown");
        }
    }

    /// Describes, for the message of a time-out, what was found instead of an answer.
    async fn found(&self, port: u16, owner: Owner, progress: Progress) -> String {
        let Some(address) = self.address_of(port).await.unwrap_or(Some(LOOPBACK[0])) else {
            let elsewhere = self.off_thread.run(move || listeners::named(owner.root)).await;
            return match &elsewhere.unwrap_or_default()[..] {
                [] => "nothing listens there, nor does the tenant anywhere else".into(),
                places => {
                    format!("nothing listens there; the tenant listens on {}", places.join(" and "))
                }
            };
        };
        match progress.last {
            None => "it has taken the request and not answered yet".into(),
            Some(_) if progress.speaks == Some(AnswerKind::Tls) => {
                "what listens there speaks TLS, and must speak plain HTTP".into()
            }
            Some(_) if progress.speaks == Some(AnswerKind::Http2) => {
                "what listens there speaks HTTP/2 alone, and must speak HTTP/1.1, too".into()
            }
            Some(Some(AnswerKind::Http1)) => "it answered and stopped listening".into(),
            Some(Some(_)) => "what it answers is no HTTP".into(),
            Some(None) => {
                format!("{} ends each connection without an answer", SocketAddr::new(address, port))
            }
        }
    }
}

/// Pauses that grow with the time waited so far. While it lives, its start counts as waiting.
struct Patience<'a> {
    /// The number of starts that are being waited for.
    waiting: &'a AtomicU32,
    since: Instant,
    /// `None` if no descriptor was left: then the shortest pause is a millisecond.
    pause: Option<Pause>,
}

impl<'a> Patience<'a> {
    fn new(waiting: &'a AtomicU32) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Patience { waiting, since: clock::start(), pause: Pause::new().ok() }
    }

    async fn pause(&mut self) {
        let now = clock::monotonic();
        let end = pause_end(now, self.since.elapsed(), self.waiting.load(Ordering::Relaxed));
        let paused = match &mut self.pause {
            Some(pause) => pause.until(end).await.is_ok(),
            None => false,
        };
        if !paused {
            tokio::time::sleep(end.saturating_sub(now)).await;
        }
    }
}

impl Drop for Patience<'_> {
    fn drop(&mut self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// When a pause that begins now ends: at the multiple of the shortest pause that is nearest to the
/// end of what [`pause_after`] says. So starts that wait side by side look at the same moments.
fn pause_end(now: Duration, waited: Duration, waiting: u32) -> Duration {
    let step = shortest_pause(waiting);
    let middle = (now + pause_after(waited, waiting) + step / 2).as_nanos() as u64;
    Duration::from_nanos(middle - middle % step.as_nanos() as u64)
}

fn pause_after(waited: Duration, waiting: u32) -> Duration {
    (waited / PAUSE_FRACTION).max(shortest_pause(waiting)).min(LONGEST_PAUSE)
}

fn shortest_pause(waiting: u32) -> Duration {
    (SHORTEST_PAUSE * (1 + waiting) / 2).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::activity::Backlogs;
    use crate::process::accounting::Root;
    use std::net::TcpListener;
    use tokio::net::{TcpSocket, TcpStream};

    #[test]
    fn a_start_is_looked_at_less_often_the_longer_it_takes_and_the_more_there_are() {
        let (at_once, ms) = (Duration::ZERO, Duration::from_millis);
        assert_eq!(pause_after(at_once, 1), SHORTEST_PAUSE);
        assert_eq!(pause_after(ms(320), 1), ms(10));
        assert_eq!(pause_after(at_once, 7), 4 * SHORTEST_PAUSE);
        assert_eq!(pause_after(ms(320), 7), ms(10), "which is longer anyway");
        assert_eq!(pause_after(ms(20_000), 1), LONGEST_PAUSE);
        assert_eq!(pause_after(at_once, 10_000), LONGEST_PAUSE);
    }

    #[test]
    fn starts_that_wait_side_by_side_look_at_the_same_moments() {
        let us = Duration::from_micros;
        let (one, other) = (us(7_000_000_020), us(7_000_000_300));
        let end = pause_end(one, Duration::ZERO, 4);
        assert_eq!(end, us(7_000_001_250));
        assert_eq!(pause_end(other, Duration::ZERO, 4), end);
        assert_eq!(pause_end(end + us(9), Duration::ZERO, 4), end + us(1_250), "and go on so");
        assert_eq!(pause_end(one, us(320_000), 4), us(7_000_010_000), "the longer they take");
    }

    #[tokio::test]
    async fn sockets_that_were_the_tenants_are_not_looked_for_again_and_others_are() {
        let readiness = Readiness::new(OffThread::default());
        let server = TcpListener::bind((LOOPBACK[0], 0)).unwrap();
        let port = server.local_addr().unwrap().port();
        let root_of = |pid| Owner { root: Root::Process(pid), since_boot_ms: None };
        let (host, nobody) = (root_of(std::process::id()), root_of(1 << 30));
        let mut theirs = Reached::default();
        assert_eq!(
            readiness.is_still_owned(&mut theirs, nobody, LOOPBACK[0], port).await,
            Ok(true),
            "unknown, since there is no such process"
        );
        assert_eq!(theirs, Reached::default(), "which is no proof");
        let owned = readiness.is_still_owned(&mut theirs, host, LOOPBACK[0], port).await;
        assert_eq!(owned, Ok(true));
        assert_eq!(theirs, listening::reached_at(LOOPBACK[0], port).unwrap());
        let keeper = Owner { root: Root::Keeper(1 << 30), since_boot_ms: None };
        let of_keeper = readiness.is_still_owned(&mut theirs, keeper, LOOPBACK[0], port).await;
        assert_eq!(of_keeper, Ok(true), "the same sockets");
        drop(server);
        let gone = readiness.is_still_owned(&mut theirs, host, LOOPBACK[0], port).await;
        assert_eq!(gone, Ok(false));
        let _other = TcpListener::bind((LOOPBACK[0], port)).unwrap();
        let other = readiness.is_still_owned(&mut theirs, keeper, LOOPBACK[0], port).await;
        assert!(other.is_err(), "{other:?}");
    }

    #[tokio::test]
    async fn a_server_whose_queue_was_full_is_seen_to_take_a_connection_before_the_kernel_tries_again()
     {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let server = socket.listen(1).unwrap();
        let address = server.local_addr().unwrap();
        let waiting = || {
            let all = Backlogs::default().look().unwrap();
            all.iter().find(|(port, _)| *port == address.port()).map_or(0, |(_, many)| *many)
        };
        let visitors: Vec<_> = (0..3).map(|_| tokio::spawn(TcpStream::connect(address))).collect();
        while waiting() < 2 {
            tokio::task::yield_now().await;
        }
        let late = tokio::spawn(TcpStream::connect(address));
        let readiness = Readiness::new(OffThread::default());
        let ours = tokio::spawn(async move { readiness.takes_a_connection(address).await });
        tokio::time::sleep(CONNECT_PATIENCE / 2).await;
        let accepts = async {
            loop {
                let (accepted, _) = server.accept().await.unwrap();
                tokio::spawn(async move {
                    accepted.readable().await.unwrap();
                    accepted.try_read(&mut [0; 2]).unwrap();
                    accepted.readable().await
                });
            }
        };
        tokio::select! {
            biased;
            () = accepts => {}
            _ = late => panic!("the kernel was first"),
            seen = ours => seen.unwrap(),
        }
        drop(visitors);
    }
}
