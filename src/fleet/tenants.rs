//! The tenants of a fleet, as a gateway knows tenants: those of this host, and those that another
//! host's gateway has.

use super::operators;
use super::side::Side;
use crate::gateway::tenants::{Local, SOON_MS, Tenant};
use fleet::{Want, Where, Why};
use gateway::peer::{Miss, Missed, Owner};
use gateway::refusal::{self, Refusal};
use gateway::tenants::Reply;

/// A key that changes hands while it is looked for is looked for so often.
const MOST_TRIES: usize = 4;

/// A question that is not of the fleet's value: have the key's tenant ready, and say who has it.
const ENSURE: &str = "ensure";

/// Whose requests a gateway serves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum From {
    Visitors,
    /// Other hosts' gateways, which pass them on.
    Hosts,
}

/// Where a call's key is served.
pub struct Placed {
    pub is_here: bool,
    pub owner: Owner,
}

/// A key is served nowhere just now.
pub struct NoPlace {
    pub why: Why,
    pub retry_after_ms: u64,
}

impl Side {
    /// The key's tenant, if that is known without waiting.
    pub fn acquire(&self, local: &Local, key: &str, from: From) -> Option<Tenant> {
        let routes = self.member.routes();
        let owner = routes.owner(key)?;
        if owner.host.id == routes.me {
            let tenant = routes.may_answer().then(|| local.acquire(key)).flatten()?;
            return Some(Tenant::Here(tenant, routes.clone()));
        }
        // What another host has passed on is its to pass on again.
        let reached =
            (from == From::Visitors).then(|| self.peers.known(&owner.host.id, &owner.host.address));
        reached.flatten().map(Tenant::There)
    }

    /// Waits until it is known where the key is, and for its tenant if it is here. `missed`: where it
    /// was looked for already. What is asked of other hosts has a place in memory of its own, here and
    /// in `place`: it takes kilobytes, and most calls ask nobody.
    pub async fn wake(
        &self,
        local: &Local,
        key: &str,
        from: From,
        missed: &[Missed],
    ) -> Result<Tenant, Refusal> {
        let routes = self.member.routes();
        // A request that waited here while its tenant moved is passed on from here, whoever sent it:
        // nobody else has its body.
        let passes_on = from == From::Visitors || routes.is_mine(key);
        let mut want = self.want(from, missed);
        for _ in 0..MOST_TRIES {
            let place = self.member.want(key, want.clone()).await;
            match place.ok_or(Refusal::fenced())? {
                Where::Here { .. } => match local.wake(key).await {
                    Ok(tenant) => return Ok(Tenant::Here(tenant, routes.clone())),
                    // It has passed to another host meanwhile.
                    Err(Refusal { why: refusal::Why::Elsewhere, .. }) => {}
                    Err(refusal) => return Err(refusal),
                },
                Where::There { host, address, epoch } if !passes_on => {
                    return Err(Refusal::elsewhere(Some(owner(&host, &address, epoch))));
                }
                Where::There { host, address, .. } => {
                    match Box::pin(self.peers.reach(&host, &address)).await {
                        Ok(reached) => return Ok(Tenant::There(reached)),
                        Err(problem) => {
                            tracing::debug!(problem, host = &*host, "a host cannot be reached");
                            want.doubt(host);
                        }
                    }
                }
                Where::Refused { why, retry_after_ms } => {
                    return Err(refused(why, retry_after_ms));
                }
            }
        }
        Err(refused(Why::Unsettled, SOON_MS))
    }

    fn want(&self, from: From, missed: &[Missed]) -> Want {
        let mut want = Want { excluding: self.peers.avoided(), ..Want::default() };
        want.hops = u32::from(from == From::Hosts);
        for Missed { peer, miss } in missed {
            match miss {
                Miss::Unreachable => {
                    self.peers.avoid(&peer.host);
                    want.doubt(peer.host.as_str().into());
                }
                Miss::Elsewhere(owner) => {
                    want.told = owner.as_ref().map(|owner| fleet::Owner {
                        host: owner.host.as_str().into(),
                        address: owner.address.as_str().into(),
                        epoch: owner.epoch,
                    });
                }
            }
        }
        want
    }

    /// Where the key is served, for a call: has another host get its tenant ready if it is there.
    pub async fn place(&self, key: &str) -> Result<Placed, NoPlace> {
        let routes = self.member.routes();
        let mut want = self.want(From::Visitors, &[]);
        for _ in 0..MOST_TRIES {
            let closing = Where::Refused { why: Why::Closing, retry_after_ms: 0 };
            match self.member.want(key, want.clone()).await.unwrap_or(closing) {
                Where::Here { epoch } => {
                    let (host, address) = (routes.me.clone(), self.address.clone());
                    return Ok(Placed { is_here: true, owner: Owner { host, address, epoch } });
                }
                Where::There { host, address, .. } => {
                    let words = format!("{ENSURE} {}", routes.me);
                    let question = self.peers.question(&host, &address, &words, key);
                    let reply = Box::pin(question).await;
                    match reply.as_deref().map(Owner::parse) {
                        Some(Some(owner)) if *owner.host == *host => {
                            return Ok(Placed { is_here: false, owner });
                        }
                        Some(told) => {
                            want.told = told.map(|owner| fleet::Owner {
                                host: owner.host.into(),
                                address: owner.address.into(),
                                epoch: owner.epoch,
                            });
                        }
                        None => want.doubt(host),
                    }
                }
                Where::Refused { why, retry_after_ms } => {
                    return Err(NoPlace { why, retry_after_ms });
                }
            }
        }
        Err(NoPlace { why: Why::Unsettled, retry_after_ms: SOON_MS })
    }

    /// Answers another host's question.
    pub async fn asked(&self, local: &Local, question: &str, key: &str) -> Result<Reply, Refusal> {
        if let Some((question, from)) = operators::question_from_text(question) {
            let body = self.operators.asked(question, from).await;
            let body = body.ok_or(Refusal::new(501, refusal::Why::Question))?;
            return Ok(Reply { status: 200, fields: Vec::new(), body });
        }
        let reply = match member::question_from_text(question, key) {
            Some((from, question)) => {
                member::reply_to_text(self.member.asked(from, question).await)
            }
            None if question.split(' ').next() == Some(ENSURE) => {
                self.ensured(local, key).await?.to_string()
            }
            None => return Err(Refusal::new(501, refusal::Why::Question)),
        };
        let fields = vec![("absolute-reply".to_owned(), reply)];
        Ok(Reply { status: 204, fields, body: String::new() })
    }

    /// Who has the key, whose tenant is ready if this host has.
    async fn ensured(&self, local: &Local, key: &str) -> Result<Owner, Refusal> {
        let want = Want { hops: 1, ..Want::default() };
        for _ in 0..MOST_TRIES {
            match self.member.want(key, want.clone()).await.ok_or(Refusal::fenced())? {
                Where::Here { epoch } => match local.wake(key).await {
                    Ok(_) => {
                        let me = &self.member.routes().me;
                        return Ok(owner(me, &self.address, Some(epoch)));
                    }
                    // It has passed to another host meanwhile.
                    Err(Refusal { why: refusal::Why::Elsewhere, .. }) => {}
                    Err(refusal) => return Err(refusal),
                },
                Where::There { host, address, epoch } => return Ok(owner(&host, &address, epoch)),
                Where::Refused { why, retry_after_ms } => {
                    return Err(refused(why, retry_after_ms));
                }
            }
        }
        Err(refused(Why::Unsettled, SOON_MS))
    }
}

/// Who has a key, or is to have it: then it is nobody's, which the epoch 0 says.
fn owner(host: &str, address: &str, epoch: Option<u64>) -> Owner {
    Owner { host: host.to_owned(), address: address.to_owned(), epoch: epoch.unwrap_or(0) }
}

/// The answer to a request whose key has no place.
fn refused(why: Why, retry_after_ms: u64) -> Refusal {
    let why = match why {
        Why::Apart | Why::StoreUnreachable | Why::StoreIsNew => refusal::Why::Fenced,
        Why::Closing => refusal::Why::Draining,
        Why::NoHost | Why::OwnerUnreachable => refusal::Why::Unreachable,
        Why::NewerVersion | Why::Unsettled => refusal::Why::Moving,
    };
    Refusal::new(503, why).retry_after(retry_after_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of<F: Future>(_: impl Fn(&'static Side, &'static str) -> F) -> usize {
        size_of::<F>()
    }

    /// Each is a task that is made where the pool makes what it keeps of the tenant: what such tasks
    /// leave behind is lost between that.
    #[test]
    fn a_call_for_a_key_takes_no_kilobytes() {
        let bytes = bytes_of(Side::place);
        assert!(bytes <= 1_024, "{bytes} bytes");
    }
}
