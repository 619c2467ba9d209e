//! A request to the gateway of another host, which has its tenant.
//!
//! It is sent and sent again by the rules for tenants. Beyond them that gateway may say that the
//! tenant is not there, which it does before it has done anything with the request.

use super::retry::{Again, Failed, Tries, Unconnected};
use super::upstream::Upstream;
use super::{Forwarder, Prepared};
use crate::peer::{Miss, Missed, Peer, Verdict, verdict};
use crate::refusal::{Refusal, Why};
use crate::tenants::InUse;
use http::response;
use std::sync::Arc;

/// How much of a request's body is kept until its answer begins, to be sent to another host.
const KEPT_BYTES: usize = 64 << 10;

/// What became of a request to another host.
pub(super) enum Outcome<T> {
    Answered(response::Parts, Box<Upstream>, T),
    /// It is to be sent elsewhere.
    Missed(Missed),
}

impl Forwarder {
    /// Sends a request to the host at which its tenant is.
    pub(super) async fn pass_on<T: InUse>(
        &self,
        tenant: T,
        peer: Arc<Peer>,
        prepared: &mut Prepared<'_>,
        tries: &mut Tries,
    ) -> Result<Outcome<T>, Refusal> {
        let mut must_be_fresh = false;
        loop {
            let kept = if must_be_fresh { None } else { self.peers.take(tenant.run()) };
            let connected = match kept {
                Some(upstream) => Ok(upstream),
                None => {
                    let stall = self.settings.body_idle;
                    Upstream::connect_to_peer(tenant.address(), tenant.run(), &peer, stall).await
                }
            };
            let mut upstream = match connected {
                Ok(upstream) => upstream,
                Err(error) if Unconnected::of(&error) == Unconnected::Overloaded => {
                    return Err(Refusal::overloaded());
                }
                Err(error) => {
                    tracing::debug!(host = peer.host, %error, "another host cannot be reached");
                    // Those that are kept would be waited for in vain.
                    self.peers.forget(tenant.run());
                    return self.unreachable(peer, prepared, tries);
                }
            };
            match prepared.send_to_peer(&mut upstream, &tenant, &peer).await {
                Ok(answer) => return self.judged(answer, upstream, tenant, peer, prepared, tries),
                Err(failed) => match (prepared.failure(), tries.after(failed)) {
                    (Some(refusal), _) => return Err(refusal),
                    (None, Again::Nowhere) => {
                        prepared.record.is_passed_on(&peer);
                        return Err(Refusal::new(502, Why::BrokeOff));
                    }
                    (None, Again::Fresh) => must_be_fresh = true,
                    (None, Again::Next(_)) => return self.unreachable(peer, prepared, tries),
                },
            }
        }
    }

    fn unreachable<T>(
        &self,
        peer: Arc<Peer>,
        prepared: &Prepared<'_>,
        tries: &mut Tries,
    ) -> Result<Outcome<T>, Refusal> {
        if tries.is_another_host_due() {
            return Ok(Outcome::Missed(Missed { peer, miss: Miss::Unreachable }));
        }
        prepared.record.is_passed_on(&peer);
        Err(Refusal::unreachable())
    }

    /// What an answer of a peer means.
    fn judged<T: InUse>(
        &self,
        mut answer: response::Parts,
        upstream: Box<Upstream>,
        tenant: T,
        peer: Arc<Peer>,
        prepared: &Prepared<'_>,
        tries: &mut Tries,
    ) -> Result<Outcome<T>, Refusal> {
        let Some(verdict) = verdict(&mut answer) else {
            prepared.record.is_passed_on(&peer);
            return Ok(Outcome::Answered(answer, upstream, tenant));
        };
        // A gateway's own answer has no body. The rest of a request's is not sent for it, and the
        // connection ends if there is one.
        self.peers.put(upstream);
        match verdict {
            Verdict::Refused(refusal) => {
                prepared.record.is_passed_on(&peer);
                Err(refusal)
            }
            Verdict::Elsewhere(owner) if prepared.is_whole() && tries.is_correction_due() => {
                Ok(Outcome::Missed(Missed { peer, miss: Miss::Elsewhere(owner) }))
            }
            Verdict::Elsewhere(_) => Err(Refusal::moving()),
        }
    }
}

impl Prepared<'_> {
    /// Sends it once to a peer. Of a host that is gone no connection need tell: a machine that stands
    /// still keeps them all.
    async fn send_to_peer<T: InUse>(
        &self,
        upstream: &mut Upstream,
        tenant: &T,
        peer: &Peer,
    ) -> Result<response::Parts, Failed> {
        let body = self.body(KEPT_BYTES);
        tokio::select! {
            biased;
            sent = upstream.send_to_peer(&self.head, peer, body) => {
                sent.map_err(|()| self.failed(upstream))
            }
            () = tenant.revoked() => Err(Failed { was_reused: false, ..self.failed(upstream) }),
        }
    }
}
