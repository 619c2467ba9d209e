//! What the gateway has to know of tenants, and nothing else of them.

use crate::peer::{Missed, Peer};
use crate::refusal::{Refusal, Why};
use std::net::SocketAddr;
use std::sync::Arc;

/// The tenants behind the gateway. Its methods are called on the gateway's threads.
pub trait Tenants: Send + Sync + 'static {
    /// A tenant that is ready, in use. While it is not dropped the tenant is not idle, and is
    /// evicted only if all others are in use too.
    type InUse: InUse;

    /// The key's tenant, if one is ready and takes requests. Neither waits nor takes a lock that a
    /// start or a stop holds: every request to a running tenant begins here.
    fn acquire(&self, key: &str) -> Option<Self::InUse>;

    /// Whether the key has a tenant that runs, which may not be had just now: one that sleeps. Then
    /// `exists` is not asked. As quick as `acquire`.
    fn is_there(&self, _key: &str) -> bool {
        false
    }

    /// Whether there is such a tenant, running or not. May read the file system: it is asked before
    /// a start, on a thread for such work.
    fn exists(&self, key: &str) -> bool;

    /// The key's tenant, which is started if it does not run. Callers share one start; dropping the
    /// future gives the wait up.
    fn wake(&self, key: &str) -> impl Future<Output = Result<Self::InUse, Refusal>> + Send;

    /// The key's tenant, now that it was not to be had from a peer. `missed` are those that the
    /// request was sent to, in their order: the last one is new. May wait, as `wake` does.
    fn instead(
        &self,
        _key: &str,
        _missed: &[Missed],
    ) -> impl Future<Output = Result<Self::InUse, Refusal>> + Send {
        std::future::ready(Err(Refusal::unreachable()))
    }

    /// Answers a question of another host's. The key is empty if it is for none.
    fn asked(
        &self,
        _question: &str,
        _key: &str,
    ) -> impl Future<Output = Result<Reply, Refusal>> + Send {
        std::future::ready(Err(Refusal::new(501, Why::Question)))
    }
}

/// The answer to another host's question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// Fields of its head.
    pub fields: Vec<(String, String)>,
    /// What is too long for them.
    pub body: String,
}

/// A tenant in use: one of this host, or one that is to be had from another host's gateway.
pub trait InUse: Send + Sync + 'static {
    /// Where it listens, or the gateway of its host does.
    fn address(&self) -> SocketAddr;
    /// The number of its process, which no other has had: connections to it are kept by it. Of a
    /// peer: a number of that host, which no other peer has had.
    fn run(&self) -> u64;
    /// Resolves when the tenant is about to be asked to end although it is in use. Of a peer: when
    /// that host is gone, and nothing more is waited for from it.
    fn revoked(&self) -> impl Future<Output = ()> + Send + 'static;
    /// The gateway of another host, which has the tenant; `None`: this host has.
    fn peer(&self) -> Option<&Arc<Peer>> {
        None
    }
    /// Whether anything of the tenant may be answered now. It is asked before a request is sent, and
    /// for each head, part of a body and part of a tunnel that is passed on to a client, so it has to
    /// be quick. A host that is one of several may have lost its tenants to another one while it
    /// stood still.
    fn may_answer(&self) -> bool {
        true
    }
}
