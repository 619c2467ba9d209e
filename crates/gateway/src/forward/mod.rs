//! One request to a tenant, and its answer.
//!
//! The request's body is not read before a connection to the tenant stands. Both bodies stream with
//! back-pressure: a part is read when the other end wants it. A client that leaves ends the exchange
//! at the tenant, as the future of [`Forwarder::forward`] or the answer's body is dropped then.

mod answer_body;
mod frames;
mod head;
mod line;
mod passing;
mod receiving;
mod request_body;
mod retry;
mod sending;
#[cfg(test)]
mod tests;
mod tunnel;
mod upgrade;
mod upstream;
mod upstreams;

use crate::forwarded::{Cidr, Client, Words};
use crate::guarded;
use crate::headers::elements;
use crate::peer::{Missed, Telling, take_off_ours};
use crate::record::Record;
use crate::refusal::{Refusal, Why};
use crate::tenants::InUse;
use answer_body::{By, TenantBody};
use head::{RequestHead, clean_answer};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Response, StatusCode, header, response};
use http_body::Body;
use hyper::body::Incoming;
use line::Line;
use passing::Outcome;
use request_body::Source;
use retry::{Again, Failed, Tries, Unconnected};
use sending::{Cut, Framing, Sending};
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::time::sleep;
use tunnel::Tunnel;
use upgrade::Wanted;
use upstream::Upstream;
use upstreams::Upstreams;

pub use answer_body::{AnswerBody, BodyError};

/// How long the rest of a request's body may take once its answer has ended.
const REST: Duration = Duration::from_secs(10);

/// Sends requests to tenants. Each worker has one, with connections of its own.
#[derive(Debug)]
pub struct Forwarder {
    settings: ForwardSettings,
    /// Connections to tenants.
    upstreams: Arc<Upstreams>,
    /// Connections to other hosts.
    peers: Arc<Upstreams>,
}

/// What requests to tenants are sent with.
#[derive(Clone, Debug)]
pub struct ForwardSettings {
    /// Bytes of a request's body.
    pub body_bytes: Option<u64>,
    /// How long a client may send nothing of a body that is waited for.
    pub body_idle: Duration,
    /// Proxies whose words on the client are believed.
    pub trusted: Arc<[Cidr]>,
    /// Tells WebSockets that it is time to end. Each open one has a receiver of it.
    pub farewell: Arc<watch::Sender<bool>>,
}

/// A request of a client's, and its body until that is taken. It stays where it is while it is
/// checked, routed and sent: with all of its parts it takes a third of a kilobyte.
pub type AsSent = http::Request<Option<Incoming>>;

/// A request that is checked, routed and admitted.
#[derive(Debug)]
pub struct Outgoing<'a> {
    /// As the client sent it.
    pub request: &'a mut AsSent,
    /// Whom it is for.
    pub key: &'a str,
    /// How often it was passed on: 0 if its client is the visitor. Otherwise all that tenants are
    /// told of that one is in the request.
    pub hops: u8,
    /// Path and query for the tenant, the prefix taken off.
    pub target: PathAndQuery,
    /// What its tenant is told of its client.
    pub client: &'a Client,
    /// What was taken off the path.
    pub prefix: Option<String>,
    /// The one host that was agreed on.
    pub host: HeaderValue,
    /// The stream it came by; `None`: HTTP/2.
    pub guard: Option<&'a Arc<guarded::Shared>>,
    /// What is known of it.
    pub record: Arc<Record>,
}

/// Which tenant of a request's key is wanted next.
#[derive(Clone, Debug)]
pub enum Next {
    /// Its next run, as the one that there was is dead.
    Run,
    /// Wherever it is, as it was not to be had from these peers.
    Instead(
        /// In their order.
        Vec<Missed>,
    ),
}

/// A request that is ready to be sent.
struct Prepared<'a> {
    head: RequestHead<'a>,
    /// `None`: it has no body.
    body: Option<(Source, Framing)>,
    wanted: Option<Wanted>,
    guard: Option<&'a Arc<guarded::Shared>>,
    /// Its client is another host's gateway.
    is_passed: bool,
    record: Arc<Record>,
}

impl Forwarder {
    /// A forwarder without connections.
    pub fn new(settings: ForwardSettings) -> Forwarder {
        Forwarder { settings, upstreams: Upstreams::to_tenants(), peers: Upstreams::to_peers() }
    }

    /// Sends a request to its tenant and returns the answer, whose body keeps the tenant in use and
    /// the record until it has ended. `next` gives another tenant of the key: it is called when this
    /// one is found dead, or is not where it was looked for, and the request may safely be sent once
    /// more.
    pub async fn forward<T: InUse, F>(
        &self,
        mut tenant: T,
        mut next: impl FnMut(Next) -> F + Send,
        outgoing: Outgoing<'_>,
    ) -> Result<Response<AnswerBody>, Refusal>
    where
        F: Future<Output = Result<T, Refusal>> + Send,
    {
        let mut prepared = self.prepare(outgoing)?;
        let mut tries = Tries::new(prepared.head.method());
        let mut must_be_fresh = false;
        let mut missed = Vec::new();
        loop {
            if !tenant.may_answer() {
                return Err(Refusal::fenced());
            }
            if let Some(peer) = tenant.peer().cloned() {
                // On the heap: requests to tenants need no room for it.
                let passed = Box::pin(self.pass_on(tenant, peer, &mut prepared, &mut tries));
                match passed.await? {
                    Outcome::Answered(answer, upstream, tenant) => {
                        return self.answer(answer, upstream, tenant, prepared);
                    }
                    Outcome::Missed(last) => {
                        missed.push(last);
                        tenant = next(Next::Instead(missed.clone())).await?;
                    }
                }
                must_be_fresh = false;
                continue;
            }
            let kept = if must_be_fresh { None } else { self.upstreams.take(tenant.run()) };
            let connected = match kept {
                Some(upstream) => Ok(upstream),
                None => Upstream::connect(tenant.address(), tenant.run()).await,
            };
            let mut upstream = match connected {
                Ok(upstream) => upstream,
                Err(error) => {
                    let wait = after_unconnected(&error, &mut tries)?;
                    tenant = next_after(tenant, &mut next, wait).await?;
                    continue;
                }
            };
            match prepared.send(&mut upstream).await {
                Ok(answer) => return self.answer(answer, upstream, tenant, prepared),
                Err(failed) => match (prepared.failure(), tries.after(failed)) {
                    (Some(refusal), _) => return Err(refusal),
                    (None, Again::Nowhere) => return Err(Refusal::new(502, Why::BrokeOff)),
                    (None, Again::Fresh) => must_be_fresh = true,
                    (None, Again::Next(wait)) => {
                        must_be_fresh = false;
                        tenant = next_after(tenant, &mut next, wait).await?;
                    }
                },
            }
        }
    }

    /// Drops the idle connections of a run that is over, or is about to sleep.
    pub fn forget(&self, run: u64) {
        self.upstreams.forget(run);
    }

    /// Drops the idle connections to another host.
    pub fn forget_peer(&self, run: u64) {
        self.peers.forget(run);
    }

    fn prepare<'a>(&'a self, outgoing: Outgoing<'a>) -> Result<Prepared<'a>, Refusal> {
        let Outgoing { request, key, hops, target, client, prefix, host, guard, record } = outgoing;
        let wanted = Wanted::of(request);
        if request.method() == Method::CONNECT && wanted.is_none() {
            return Err(Refusal::new(405, Why::Connect));
        }
        let incoming = request.body_mut().take();
        let trusted = &self.settings.trusted;
        let words = Words { client, host, prefix, trusted };
        let telling = Telling { key, hops };
        let mut head = RequestHead::new(request, target, words, telling);
        // Of a request for another protocol the body is that protocol.
        let incoming = incoming.filter(|body| wanted.is_none() && !body.is_end_stream());
        let has_body = incoming.is_some();
        let body = incoming
            .map(|incoming| {
                let announced = elements(head.fields(), header::TRAILER)
                    .filter_map(|name| name.parse().ok())
                    .collect();
                Source::new(incoming, announced, &self.settings, &record, guard.cloned())
            })
            .transpose()?;
        match &wanted {
            Some(wanted) => head.asks_for(wanted),
            None => head.say_whether_it_has_a_body(has_body),
        }
        let body = body.map(|body| Ok((body, Framing::of(head.fields())?))).transpose()?;
        Ok(Prepared { head, body, wanted, guard, is_passed: hops > 0, record })
    }

    /// The answer for the client of a tenant's answer.
    fn answer<T: InUse>(
        &self,
        mut head: response::Parts,
        mut upstream: Box<Upstream>,
        in_use: T,
        prepared: Prepared<'_>,
    ) -> Result<Response<AnswerBody>, Refusal> {
        let Prepared { body, wanted, guard, is_passed, record, .. } = prepared;
        if !in_use.may_answer() {
            return Err(Refusal::fenced());
        }
        if is_passed {
            take_off_ours(&mut head.headers);
        }
        let agrees = head.status == StatusCode::SWITCHING_PROTOCOLS;
        let agreed = agrees.then(|| head.headers.get(header::UPGRADE).cloned()).flatten();
        clean_answer(&mut head);
        if agrees {
            let wanted = wanted.ok_or(Refusal::new(502, Why::BrokeOff))?;
            let is_websocket = wanted.is_websocket();
            let client = wanted.agree(&mut head, agreed)?;
            if let Some(guard) = guard {
                guard.allow_other_protocol();
            }
            let line = upstream.into_line();
            let (tenant, first) = line.ok_or(Refusal::new(502, Why::BrokeOff))?;
            let farewell = is_websocket.then(|| self.settings.farewell.subscribe());
            let tunnel = Tunnel { client, tenant, first, farewell, record, in_use };
            tokio::spawn(tunnel.run());
            return Ok(Response::from_parts(head, AnswerBody::empty()));
        }
        if let Some(wanted) = wanted {
            wanted.decline(head.status)?;
        }
        let body = body.map(|(body, _)| body);
        let by = match body.filter(|body| !body.is_ended() || upstream.is_sending()) {
            None => {
                let shelf = if in_use.peer().is_none() { &self.upstreams } else { &self.peers };
                By::Connection { keep: shelf.clone(), in_use }
            }
            Some(body) => {
                let (ended, answer_ended) = oneshot::channel();
                let in_use = Arc::new(in_use);
                let sending = upstream.take_sending();
                tokio::spawn(go_on(sending, body, answer_ended, in_use.clone()));
                By::Task { ended: Some(ended), in_use }
            }
        };
        let body = AnswerBody::of(TenantBody::new(upstream, record, by));
        Ok(Response::from_parts(head, body))
    }
}

impl Prepared<'_> {
    /// Sends it once.
    async fn send(&mut self, upstream: &mut Upstream) -> Result<response::Parts, Failed> {
        let body = self.body(0);
        let sent = upstream.send(&mut self.head, body).await;
        sent.map_err(|()| self.failed(upstream))
    }

    /// Its body from the beginning, of which so much is kept for another try.
    fn body(&self, keeps_bytes: usize) -> Option<(Source, Framing)> {
        self.body.as_ref().map(|(body, framing)| (body.again(keeps_bytes), *framing))
    }

    fn failed(&self, upstream: &Upstream) -> Failed {
        Failed {
            was_reused: upstream.is_reused(),
            was_sent: upstream.has_sent(),
            was_answered: upstream.has_received(),
            is_whole: self.is_whole(),
        }
    }

    /// It can be sent from its beginning.
    fn is_whole(&self) -> bool {
        self.body.as_ref().is_none_or(|(body, _)| body.is_whole())
    }

    /// Why the client's part of it failed, if it did.
    fn failure(&self) -> Option<Refusal> {
        self.body.as_ref().and_then(|(body, _)| body.failure())
    }
}

/// What follows when no connection was made: a wait before the next one, or the end.
fn after_unconnected(error: &std::io::Error, tries: &mut Tries) -> Result<Duration, Refusal> {
    match Unconnected::of(error) {
        Unconnected::Dead => tries.after_refusal().ok_or(Refusal::new(502, Why::BrokeOff)),
        Unconnected::Stuck => Err(Refusal::new(504, Why::Stuck)),
        Unconnected::Overloaded => Err(Refusal::overloaded()),
    }
}

/// The next tenant of the key. It is waited for if it is still the one that was found dead, of which
/// not everything knows yet.
async fn next_after<T: InUse, F>(
    dead: T,
    next: &mut (impl FnMut(Next) -> F + Send),
    wait: Duration,
) -> Result<T, Refusal>
where
    F: Future<Output = Result<T, Refusal>> + Send,
{
    let run = dead.run();
    // In use it could hold up its own end.
    drop(dead);
    let tenant = next(Next::Run).await?;
    if tenant.run() == run {
        sleep(wait).await;
    }
    Ok(tenant)
}

/// Sends the rest of a request whose answer came before its body had ended. It is passed on while the
/// tenant takes it, and then dropped: a client that is still sending when its connection ends may
/// never see the answer. Both have an end soon after the answer's; and a body that breaks off ends
/// the answer, which sees that nobody waits for its end.
async fn go_on<T>(
    (mut sending, line): (Sending, Arc<Line>),
    body: Source,
    mut answer_ended: oneshot::Receiver<()>,
    _in_use: Arc<T>,
) {
    let rest = async {
        let sent = poll_fn(|context| sending.poll(&line, context)).await;
        drop((sending, line));
        if sent != Err(Cut::Body) {
            body.drain().await;
        }
        body.failure().is_none()
    };
    let bounded = async {
        // Else the client has left.
        if (&mut answer_ended).await.is_ok() {
            sleep(REST).await;
        }
        false
    };
    let is_whole = tokio::select! {
        is_whole = rest => is_whole,
        is_whole = bounded => is_whole,
    };
    if is_whole && !answer_ended.is_terminated() {
        let _ = answer_ended.await;
    }
}
