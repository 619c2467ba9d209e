//! One request: checked, routed, admitted, passed on, and answered. What can be refused is refused
//! before a tenant is woken for it.

use crate::admission::Rates;
use crate::answer;
use crate::clock;
use crate::forward::{AnswerBody, AsSent, Forwarder, Next, Outgoing};
use crate::forwarded::{self, Cidr, address_of};
use crate::guarded;
use crate::headers::which;
use crate::hooks::{AccessEvent, Asked, Hooks, WokenOver, WokenRequest};
use crate::peer::{self, Entry, Passed};
use crate::record::{Record, Sink, Told};
use crate::refusal::{Refusal, Why};
use crate::route::{Route, Routed};
use crate::routing::Answers;
use crate::settings::{Limits, Wake};
use crate::stats::{Counters, KeyCounters, Tally};
use crate::stream::Socket;
use crate::streams;
use crate::strict::{HeadLimits, http2, is_http2_offer};
use crate::tenants::Tenants;
use crate::trace;
use crate::wake::Waiter;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderValue, UPGRADE};
use http::uri::PathAndQuery;
use http::{Request, Response, Version};
use http_body::Body;
use hyper::body::Incoming;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

/// So many more requests than connections may be at once: one connection of HTTP/2 has them all.
const REQUESTS_OVER_CONNECTIONS: usize = 128;

/// What all connections of a gateway share.
pub(crate) struct Site<T, H> {
    pub tenants: T,
    pub hooks: H,
    pub counters: Counters,
    pub by: By,
    pub trust: Arc<[Cidr]>,
    pub wake: Wake,
    pub limits: Limits,
    pub rates: Option<Rates>,
    pub access: bool,
    pub pages: bool,
    pub trace: bool,
    /// Another gateway goes on with the sockets.
    pub is_left: Arc<AtomicBool>,
}

/// How a request leads to a key.
pub(crate) enum By {
    Rule(Route),
    Asking(Answers),
    Peers(Entry),
}

impl By {
    /// The clients are other hosts' gateways.
    pub fn is_peers(&self) -> bool {
        matches!(self, By::Peers(_))
    }
}

/// What serves the connections of one thread.
pub(crate) struct Worker<T, H> {
    pub site: Arc<Site<T, H>>,
    pub forwarder: Forwarder,
    /// What it has counted.
    pub tally: Arc<Tally>,
    /// How many connections of HTTP/1 have the library.
    pub libraries: AtomicUsize,
}

/// Who is at the other end of a connection.
pub(crate) struct Client {
    pub peer: IpAddr,
    /// What tenants are told of it.
    pub told: forwarded::Client,
    pub socket: Socket,
}

/// What the requests of a connection share.
pub(crate) struct Visit<T, H> {
    pub worker: Arc<Worker<T, H>>,
    pub client: Arc<Client>,
    pub connection: Arc<guarded::Shared>,
}

/// What the head of a request says, once it is checked.
struct Checked {
    /// As sent.
    host: HeaderValue,
    /// The client's.
    address: IpAddr,
    is_http2: bool,
    asks_for_upgrade: bool,
    /// What another host's gateway says of it.
    passed: Option<Box<Passed>>,
}

impl Checked {
    fn host(&self) -> &str {
        // That it is visible ASCII was checked, which `to_str` would do again byte by byte.
        std::str::from_utf8(self.host.as_bytes()).unwrap_or("")
    }
}

impl<T: Tenants, H: Hooks> Sink for Site<T, H> {
    fn access(&self, event: AccessEvent) {
        self.hooks.access(event);
    }

    fn woken_over(&self, over: WokenOver) {
        self.hooks.woken_over(over);
    }
}

impl<T: Tenants, H: Hooks> Site<T, H> {
    pub fn head_limits(&self) -> HeadLimits {
        HeadLimits { bytes: self.limits.header_bytes, fields: self.limits.headers }
    }

    /// Counts what was refused before it was a request.
    pub fn count_refused(self: &Arc<Self>, tally: &Arc<Tally>, refusal: &Refusal, address: IpAddr) {
        let told = self.access.then(|| self.told("", "", "", address));
        Record::begin(tally.clone(), told, None).answered(refusal.status);
    }

    fn told(self: &Arc<Self>, host: &str, method: &str, path: &str, address: IpAddr) -> Told {
        Told {
            sink: self.clone(),
            host: host.to_owned(),
            method: method.to_owned(),
            path: path.to_owned(),
            address,
            at_ms: clock::epoch_ms(),
            began: clock::now(),
        }
    }
}

/// Answers a request, with a refusal if need be.
pub(crate) async fn exchange<T: Tenants, H: Hooks>(
    visit: Arc<Visit<T, H>>,
    request: Request<Incoming>,
) -> Result<Response<AnswerBody>, Infallible> {
    let Visit { worker, client, connection } = &*visit;
    let site = &worker.site;
    let mut request = request.map(Some);
    let address = address_of(request.headers(), client.peer, &site.trust);
    let checked = site.enter(&mut request).and_then(|passed| site.check(&request, address, passed));
    let told = site.access.then(|| {
        let host = checked.as_ref().map_or("", Checked::host);
        site.told(host, request.method().as_str(), request.uri().path(), address)
    });
    let record = Record::begin(worker.tally.clone(), told, Some(connection.clone()));
    let record = Arc::new(record);
    let asks_for_upgrade = checked.as_ref().is_ok_and(|checked| checked.asks_for_upgrade);
    let is_http2 = request.version() == Version::HTTP_2;
    let is_stranger = matches!(&checked, Err(refusal) if refusal.why == Why::Stranger);
    let answered = match checked {
        Ok(checked) => answered(&visit, &mut request, &record, checked).await,
        Err(refusal) => Err(refusal),
    };
    // A body that was not taken is not waited for.
    drop(request);
    let mut response = match answered {
        Ok(response) => response,
        Err(refusal) if site.by.is_peers() => {
            record.refused(&refusal);
            peer::refused(&refusal)
        }
        Err(refusal) => {
            record.refused(&refusal);
            let hooks = site.pages.then_some(&site.hooks);
            let response = answer::refused(&refusal, record.key(), hooks).await;
            record.count_out(response.body().size_hint().exact().unwrap_or(0));
            response
        }
    };
    record.answered(response.status().as_u16());
    streams::has_answered();
    // What follows a request for another protocol belongs to that, or to nothing.
    let ends_connection =
        asks_for_upgrade || is_stranger || (!is_http2 && site.is_left.load(Relaxed));
    if ends_connection && response.status() != http::StatusCode::SWITCHING_PROTOCOLS {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

async fn answered<T: Tenants, H: Hooks>(
    visit: &Visit<T, H>,
    request: &mut AsSent,
    record: &Arc<Record>,
    checked: Checked,
) -> Result<Response<AnswerBody>, Refusal> {
    let Visit { worker, client, connection } = visit;
    let site = &worker.site;
    if let Some(rates) = &site.rates {
        rates.admit(checked.address)?;
    }
    if let Some(Passed { question: Some(question), key, .. }) = checked.passed.as_deref() {
        return site.tenants.asked(question, key).await.map(answer::reply);
    }
    let (key, prefix) = match site.route(request, &checked).await? {
        Routed::Tenant { key, prefix } => (key, prefix),
        Routed::Redirect { key, path } => {
            if !site.exists(&key).await {
                return Err(Refusal::new(404, Why::UnknownKey));
            }
            record.is_for(worker.tally.of(&key));
            return Ok(answer::redirect(&path, request.uri().query()));
        }
    };
    let target = target_of(request, prefix.as_deref())?;
    let ready = site.tenants.acquire(&key);
    if ready.is_none() && !site.tenants.is_there(&key) && !site.exists(&key).await {
        return Err(Refusal::new(404, Why::UnknownKey));
    }
    let tally = record.is_for(worker.tally.of(&key));
    site.admit(record)?;
    let has_body = request.body().as_ref().is_some_and(|body| !body.is_end_stream());
    let is_unread = !checked.is_http2 && has_body;
    let waiter = Waiter { key: &tally.all, record, socket: is_unread.then_some(&client.socket) };
    let tenant = match ready {
        Some(tenant) => tenant,
        None if site.trace => {
            let woken = site.woken(request, &checked, &tally.all);
            let (tenant, context) = site.wake_traced(&waiter, woken).await?;
            if let Some(context) = context {
                trace::set(request.headers_mut(), &context);
            }
            tenant
        }
        None => site.wake(&waiter).await?,
    };
    if site.trace {
        site.trace(request, record);
    }
    let outgoing = Outgoing {
        request,
        key: &tally.all.key,
        hops: checked.passed.as_ref().map_or(0, |passed| passed.hops),
        target,
        client: &client.told,
        prefix,
        host: checked.host,
        guard: (!checked.is_http2).then_some(connection),
        record: record.clone(),
    };
    let (site, waiter) = (site, &waiter);
    let next = |next: Next| async move {
        match next {
            Next::Instead(missed) => site.instead(waiter, &missed).await,
            Next::Run => match site.tenants.acquire(&waiter.key.key) {
                Some(tenant) => Ok(tenant),
                None => site.wake(waiter).await,
            },
        }
    };
    worker.forwarder.forward(tenant, next, outgoing).await
}

impl<T: Tenants, H: Hooks> Site<T, H> {
    /// Takes what another host's gateway says off a request's head.
    fn enter(&self, request: &mut AsSent) -> Result<Option<Box<Passed>>, Refusal> {
        match &self.by {
            By::Peers(entry) => Ok(Some(Box::new(entry.take(request.headers_mut())?))),
            By::Rule(_) | By::Asking(_) => Ok(None),
        }
    }

    /// Checks the head. That of HTTP/1 was checked before it was parsed.
    fn check(
        &self,
        request: &AsSent,
        address: IpAddr,
        passed: Option<Box<Passed>>,
    ) -> Result<Checked, Refusal> {
        let headers = request.headers();
        let is_http2 = request.version() == Version::HTTP_2;
        let host = if is_http2 {
            HeaderValue::from_str(http2::check(request, self.head_limits())?).ok()
        } else {
            let authority = || HeaderValue::from_str(request.uri().authority()?.as_str()).ok();
            headers.get(HOST).cloned().or_else(authority)
        };
        let host = host.unwrap_or(HeaderValue::from_static(""));
        let [has_length, has_upgrade] = which(headers, [CONTENT_LENGTH, UPGRADE]);
        let length = has_length.then(|| headers.get(CONTENT_LENGTH)).flatten();
        if let (Some(most), Some(length)) = (self.limits.body_bytes, length) {
            let length = length.to_str().ok().and_then(|length| length.parse::<u64>().ok());
            if length.is_none_or(|length| length > most) {
                return Err(Refusal::new(413, Why::BodyTooLarge));
            }
        }
        let upgrade = has_upgrade.then(|| headers.get(UPGRADE)).flatten();
        let upgrade = upgrade.filter(|upgrade| !is_http2_offer(upgrade.as_bytes()));
        let asks_for_upgrade = !is_http2 && upgrade.is_some();
        Ok(Checked { host, address, is_http2, asks_for_upgrade, passed })
    }

    async fn route<'a>(
        &'a self,
        request: &'a AsSent,
        checked: &'a Checked,
    ) -> Result<Routed<'a>, Refusal> {
        let path = request.uri().path();
        match &self.by {
            By::Rule(route) => route.of(checked.host(), path),
            By::Asking(answers) => {
                let asked = |host| Asked {
                    host,
                    method: request.method().to_string(),
                    path: path.to_owned(),
                    address: checked.address,
                };
                answers.of(&self.hooks, checked.host(), asked).await
            }
            By::Peers(_) => {
                let key = checked.passed.as_ref().map(|passed| passed.key.as_str());
                let key = key.ok_or(Refusal::new(404, Why::UnknownKey))?;
                Ok(Routed::Tenant { key: key.into(), prefix: None })
            }
        }
    }

    /// Looks for the tenant, on a thread for such work.
    async fn exists(self: &Arc<Self>, key: &str) -> bool {
        let (site, key) = (self.clone(), key.to_owned());
        tokio::task::spawn_blocking(move || site.tenants.exists(&key)).await.unwrap_or(false)
    }

    /// Refuses a request that is one too many for its tenant or in all, itself counted.
    fn admit(&self, record: &Record) -> Result<(), Refusal> {
        // Each takes a connection to its tenant, so a descriptor of the host. With HTTP/1 there is
        // one request for a connection; the streams of HTTP/2 must not make a hundred times as
        // many of it.
        let in_all = self.limits.connections.saturating_add(REQUESTS_OVER_CONNECTIONS);
        let is_too_many = self.counters.in_flight() > in_all as u64;
        if is_too_many || self.limits.requests_per_tenant.is_some_and(|most| !record.admit(most)) {
            return Err(Refusal::overloaded());
        }
        Ok(())
    }

    fn woken(&self, request: &AsSent, checked: &Checked, key: &KeyCounters) -> WokenRequest {
        WokenRequest {
            id: trace::next_id(),
            key: key.key.to_string(),
            host: checked.host().to_owned(),
            method: request.method().to_string(),
            path: request.uri().path().to_owned(),
            address: checked.address,
            traceparent: trace::of(request.headers()),
        }
    }

    /// Begins a trace context for a request that has none.
    fn trace(&self, request: &mut AsSent, record: &Record) {
        let context = trace::of(request.headers()).unwrap_or_else(|| {
            let begun = trace::begun();
            trace::set(request.headers_mut(), &begun);
            begun
        });
        record.is_traced_by(context);
    }
}

/// The path and query that the tenant gets.
fn target_of(request: &AsSent, prefix: Option<&str>) -> Result<PathAndQuery, Refusal> {
    let target = request.uri().path_and_query();
    let target = target.cloned().unwrap_or(PathAndQuery::from_static("/"));
    match prefix {
        None => Ok(target),
        Some(prefix) => {
            let rest = target.as_str().get(prefix.len()..).unwrap_or("/");
            rest.parse().map_err(|_| Refusal::new(400, Why::Target))
        }
    }
}
