//! The other hosts of the fleet, as this one reaches them.

use super::settings::Trust;
use fleet::{Question, Reply};
use gateway::peer::{self, Identity, MutualPem, Peer};
use gateway::settings::CertifiedPem;
use http::HeaderValue;
use linux::threads::clock::since_boot_ms;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Runs of tenants are counted from 1; those of hosts from here.
const FIRST_NUMBER: u64 = 1 << 63;

/// For so long a host that could not be reached is not asked for keys that are nobody's.
const AVOIDED_MS: u64 = 2_000;

/// How long a host may take to get a tenant ready that passes to it.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long an operator waits for what a host says of itself.
const OPERATOR_PATIENCE: Duration = Duration::from_secs(3);

static NUMBERS: AtomicU64 = AtomicU64::new(FIRST_NUMBER);

/// A host that can be reached.
#[derive(Clone)]
pub struct Reached {
    pub peer: Arc<Peer>,
    pub address: SocketAddr,
    /// Its own, and that of no run.
    pub number: u64,
    gone: Arc<watch::Sender<bool>>,
}

impl Reached {
    /// Resolves when the host is gone, and nothing more is to be waited for from it.
    pub fn gone(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut gone = self.gone.subscribe();
        async move {
            // The sender lives as long as somebody has reached the host, or may.
            if gone.wait_for(|is_gone| *is_gone).await.is_err() {
                std::future::pending().await
            }
        }
    }
}

/// The other hosts. Its clones are one.
#[derive(Clone)]
pub struct Peers(Arc<Shared>);

struct Shared {
    me: String,
    proof: Proof,
    /// How long they may give no sign of life while something is asked of them.
    patience: Duration,
    known: Mutex<Known>,
}

/// By what this host proves to others that it is of the fleet.
enum Proof {
    Secret(Vec<u8>),
    Certificate(Identity),
}

#[derive(Default)]
struct Known {
    /// By where they say that they listen.
    reached: HashMap<String, Reached>,
    /// By their ids: what is told to those who wait for them when they are gone.
    gone: HashMap<String, Arc<watch::Sender<bool>>>,
    /// By their ids: when they could not be reached last.
    avoided_since_ms: HashMap<String, u64>,
}

impl Peers {
    /// Errors: what is wrong with the certificates.
    pub fn new(me: &str, trust: &Trust, patience: Duration) -> Result<Peers, String> {
        let proof = match trust {
            Trust::Secret(secret) => Proof::Secret(secret.clone()),
            Trust::Tls(_) => {
                let pem = trust.pem().expect("certificates");
                Proof::Certificate(Identity::read(&pem).map_err(|error| error.to_string())?)
            }
        };
        let (me, known) = (me.to_owned(), Mutex::default());
        Ok(Peers(Arc::new(Shared { me, proof, patience, known })))
    }

    /// The host, if it has been reached before.
    pub fn known(&self, host: &str, address: &str) -> Option<Reached> {
        // Another host may have come to this address since: what is shown to one opens no other.
        self.lock().reached.get(address).filter(|reached| reached.peer.host == host).cloned()
    }

    /// The host at this address; its name is looked up the first time. Errors: it has none, or it
    /// cannot be encrypted for.
    pub async fn reach(&self, host: &str, address: &str) -> Result<Reached, String> {
        if let Some(known) = self.known(host, address) {
            return Ok(known);
        }
        let authority = authority_of(address).ok_or("not an address of a host")?;
        let mut found =
            tokio::net::lookup_host(authority).await.map_err(|error| error.to_string())?;
        let socket = found.next().ok_or("the name has no address")?;
        let peer = Arc::new(self.peer(host, authority)?);
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let mut known = self.lock();
        let gone = known.gone.entry(host.to_owned()).or_default().clone();
        let reached = Reached { peer, address: socket, number, gone };
        known.reached.insert(address.to_owned(), reached.clone());
        Ok(reached)
    }

    fn peer(&self, host: &str, authority: &str) -> Result<Peer, String> {
        let me = &self.0.me;
        let (proof, encryption) = match &self.0.proof {
            Proof::Secret(secret) => (member::token_for(secret, host), None),
            Proof::Certificate(identity) => {
                let (name, _) = authority.rsplit_once(':').unwrap_or((authority, ""));
                let encryption = identity.for_host(name).map_err(|error| error.to_string())?;
                ("-".to_owned(), Some(encryption))
            }
        };
        let credentials = HeaderValue::try_from(format!("{me} {proof}"));
        let credentials = credentials.map_err(|error| error.to_string())?;
        let (host, patience) = (host.to_owned(), self.0.patience);
        Ok(Peer { host, credentials, encryption, patience })
    }

    /// The host could not be reached just now. Where it is is looked up again.
    pub fn avoid(&self, host: &str) {
        let mut known = self.lock();
        known.avoided_since_ms.insert(host.to_owned(), since_boot_ms());
        known.reached.retain(|_, reached| reached.peer.host != host);
    }

    /// The host is gone. One that has left may still send the end of what it has begun, for `grace`;
    /// one that stands still keeps its connections, and nobody is to wait for it any longer.
    pub fn gone(&self, host: &str, grace: Duration) -> impl Future<Output = ()> + Send + 'static {
        let mut known = self.lock();
        known.reached.retain(|_, reached| reached.peer.host != host);
        let waiting = known.gone.remove(host);
        async move {
            if let Some(waiting) = waiting {
                tokio::time::sleep(grace).await;
                waiting.send_replace(true);
            }
        }
    }

    /// Hosts that could not be reached just now.
    pub fn avoided(&self) -> Vec<Arc<str>> {
        let mut known = self.lock();
        let now_ms = since_boot_ms();
        known.avoided_since_ms.retain(|_, since_ms| now_ms - *since_ms < AVOIDED_MS);
        known.avoided_since_ms.keys().map(|host| host.as_str().into()).collect()
    }

    /// Asks the host something for an operator. Errors: why there is no answer.
    pub async fn operator_question(
        &self,
        host: &str,
        address: &str,
        question: &str,
    ) -> Result<String, String> {
        let asking = async {
            let reached = self.reach(host, address).await?;
            let words = super::operators::question_to_text(question, &self.0.me);
            let answer = peer::ask_at_length(reached.address, &reached.peer, &words).await;
            answer.map_err(|error| error.to_string())
        };
        let answer = tokio::time::timeout(OPERATOR_PATIENCE, asking).await;
        answer.unwrap_or_else(|_| Err("it does not answer".to_owned()))
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the host something of the key. `None`: it cannot be reached, or knows no answer.
    pub async fn question(
        &self,
        host: &str,
        address: &str,
        words: &str,
        key: &str,
    ) -> Option<String> {
        let reached = self.reach(host, address).await.ok()?;
        let asking = peer::ask(reached.address, &reached.peer, words, key);
        let reply = tokio::time::timeout(PATIENCE, asking).await.ok()?;
        reply
            .inspect_err(|error| tracing::debug!(%error, host, words, "a host does not answer"))
            .ok()
    }
}

impl member::Peers for Peers {
    fn ask(
        &self,
        host: Arc<str>,
        address: Arc<str>,
        question: Question,
    ) -> impl Future<Output = Reply> + Send + 'static {
        let peers = self.clone();
        async move {
            let (key, words) = member::question_to_text(&question, &peers.0.me);
            let reply = peers.question(&host, &address, &words, key).await;
            reply.map_or(Reply::Failed, |reply| member::reply_from_text(&reply))
        }
    }
}

impl Trust {
    /// What this host shows and believes.
    pub fn pem(&self) -> Option<MutualPem> {
        let Trust::Tls(tls) = self else { return None };
        let own = CertifiedPem { names: Vec::new(), cert: tls.cert.clone(), key: tls.key.clone() };
        Some(MutualPem { own, ca: tls.ca.clone() })
    }
}

/// The host and the port of `http://HOST:PORT`, which `lib/fleet/store.js` has checked.
pub fn authority_of(address: &str) -> Option<&str> {
    let (_, rest) = address.split_once("://")?;
    Some(rest.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers() -> Peers {
        let trust = Trust::Secret(b"a secret of a fleet".to_vec());
        Peers::new("me", &trust, PATIENCE).expect("a secret needs no certificate")
    }

    async fn is_gone(reached: &Reached) -> bool {
        tokio::select! {
            biased;
            () = reached.gone() => true,
            () = std::future::ready(()) => false,
        }
    }

    #[tokio::test]
    async fn who_waits_for_a_host_that_is_gone_is_told() {
        let (peers, address) = (peers(), "http://127.0.0.1:7070");
        let reached = peers.reach("eu-1", address).await.expect("an address");
        let other = peers.reach("eu-2", "http://127.0.0.1:7071").await.expect("an address");
        // Where it is is looked up again; who waits for it waits on.
        peers.avoid("eu-1");
        assert!(!is_gone(&reached).await);
        let later = peers.gone("eu-1", Duration::ZERO);
        assert!(peers.known("eu-1", address).is_none());
        // It may still send what it has begun.
        assert!(!is_gone(&reached).await);
        later.await;
        assert!(is_gone(&reached).await);
        let back = peers.reach("eu-1", address).await.expect("an address");
        assert!(!is_gone(&back).await && !is_gone(&other).await);
    }

    #[tokio::test]
    async fn a_host_that_comes_to_the_address_of_another_is_shown_its_own_proof() {
        let peers = peers();
        let address = "http://127.0.0.1:7070";
        let first = peers.reach("eu-1", address).await.expect("an address");
        assert_eq!(peers.reach("eu-1", address).await.expect("known").number, first.number);
        assert!(peers.known("eu-2", address).is_none());
        let second = peers.reach("eu-2", address).await.expect("an address");
        assert_ne!(second.number, first.number);
        assert_ne!(second.peer.credentials, first.peer.credentials);
        assert!(peers.known("eu-1", address).is_none());
    }

    #[tokio::test]
    async fn an_operator_does_not_wait_for_a_host_that_says_nothing() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = silent.local_addr().expect("an address");
        let trust = Trust::Secret(b"a secret of a fleet".to_vec());
        let peers = Peers::new("me", &trust, Duration::from_secs(1));
        let peers = peers.expect("a secret needs no certificate");
        let asked = async |address: &str| peers.operator_question("eu-1", address, "states").await;
        // The system takes the connection.
        let answer = asked(&format!("http://{address}")).await;
        assert_eq!(answer, Err("it does not answer".to_owned()));
        drop(silent);
        let refused = asked(&format!("http://{address}")).await.expect_err("nobody listens");
        assert!(refused.contains("refused"), "{refused}");
        assert_eq!(asked("eu-1").await, Err("not an address of a host".to_owned()));
    }
}
