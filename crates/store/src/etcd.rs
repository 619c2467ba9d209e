//! etcd, 3.4 or newer, by its own HTTP/JSON interface (`/v3/…`).
//!
//! Why not the crate `etcd-client`: measured in the addon, it takes 837 KB, 21 more crates, and
//! `protoc` to build; this takes 505 KB and 3 crates (serde_json and what it needs), and hyper and
//! rustls are there anyway. What the crate would do by itself we do otherwise on purpose: it sends
//! a request again without saying so, and goes on with a watch where it broke off, which loses
//! events in every etcd before 3.6.2. And requests that each have a connection of their own show at
//! once which member does not answer. What it costs: a third more bytes on the wire, and the
//! interface has to be on, which it is unless etcd is started with `--enable-grpc-gateway=false`,
//! or with a configuration file that does not say `enable-grpc-gateway: true`.
//!
//! * **Endpoints** are tried one after the other, beginning with the one that answered last. Each
//!   attempt has `Settings::attempt` to be answered in; a member that is stopped or gone costs that
//!   once, and is then left.
//! * **A transaction whose answer is lost** is sent to the next endpoint only if that is safe by
//!   its own conditions ([`Transaction::may_be_repeated`]); otherwise it is `Unknown`.
//! * **No leases** of etcd's are used: see docs/fleet.md.
//! * **Nothing runs beside**: a connection is driven by the request that uses it, and rests between
//!   two. Dropping a future closes its connection; dropping the store closes all of them.

mod base64;
mod connection;
mod endpoint;
mod failure;
mod requests;
mod responses;
mod settings;
mod tls;
mod watch;

use crate::horizon::Horizon;
use crate::{
    Change, Compare, Outcome, Page, Range, Record, Result, Revision, Standing, Store, StoreError,
    Transaction,
};
use connection::Connection;
use endpoint::{Attempt, Endpoint};
use failure::Failure;
use requests::{Keys, body};
use responses::KeyValue;
use serde::de::DeserializeOwned;
pub use settings::{Credentials, Identity, Settings, SettingsError, Tls};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
pub use watch::EtcdWatch;

/// How many records a page has: some hundred kilobytes, as ours are.
const PAGE_RECORDS: u64 = 1_000;
/// A page may take longer than a transaction by so much.
const PAGE_ATTEMPTS: u32 = 4;

/// See the module. A clone is the same store.
#[derive(Clone, Debug)]
pub struct Etcd(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    endpoints: Vec<Endpoint>,
    /// The endpoint that is tried first.
    first: AtomicUsize,
    keys: Keys,
    attempt: Duration,
    credentials: Option<Credentials>,
    /// What etcd gave for the credentials; `None` until then, and when it is no longer taken.
    token: Mutex<Option<String>>,
    horizon: Horizon,
}

/// One request, as it is sent to any endpoint.
struct Request<'a> {
    path: &'static str,
    body: &'a str,
    time: Duration,
    /// Whether it may be sent again although it may have been carried out.
    is_repeatable: bool,
}

impl Etcd {
    /// Checks the settings. Connects to nothing yet.
    pub fn new(settings: Settings) -> std::result::Result<Etcd, SettingsError> {
        let Settings { endpoints, prefix, attempt, credentials, tls } = settings;
        let tls = tls.as_ref().map(tls::config).transpose()?;
        let endpoints: Vec<Endpoint> = endpoints
            .iter()
            .map(|address| Endpoint::new(address, tls.as_ref()))
            .collect::<std::result::Result<_, _>>()?;
        if endpoints.is_empty() {
            return Err(SettingsError::NoEndpoint);
        }
        Ok(Etcd(Arc::new(Shared {
            endpoints,
            first: AtomicUsize::default(),
            keys: Keys { prefix },
            attempt,
            credentials,
            token: Mutex::default(),
            horizon: Horizon::default(),
        })))
    }

    /// Asks for what is not changed by asking.
    async fn read_only<T: DeserializeOwned>(
        &self,
        path: &'static str,
        body: &str,
        time: Duration,
    ) -> Result<T> {
        self.0
            .ask(Request { path, body, time, is_repeatable: true })
            .await
            .map(|(answer, _)| answer)
    }

    fn record(&self, kv: KeyValue) -> Option<Record> {
        let KeyValue { key, value, create_revision, mod_revision } = kv;
        let key = self.0.keys.ours(&key.0)?;
        Some(Record { key, value: value.0, created: create_revision, modified: mod_revision })
    }
}

impl Shared {
    /// Asks one endpoint after the other; returns the answer, and whether an attempt before it may
    /// have been carried out.
    async fn ask<T: DeserializeOwned>(&self, request: Request<'_>) -> Result<(T, bool)> {
        let first = self.first.load(Ordering::Relaxed);
        let mut lost = None;
        let mut unreachable = Vec::new();
        for index in (0..self.endpoints.len()).map(|nth| (first + nth) % self.endpoints.len()) {
            match self.attempt(index, &request).await {
                Ok(answer) => {
                    self.first.store(index, Ordering::Relaxed);
                    return Ok((answer, lost.is_some()));
                }
                Err(Failure::Final(why)) => return Err(why),
                Err(Failure::Token) => return Err(StoreError::Denied(failure::TOKEN.to_owned())),
                Err(Failure::NotCarriedOut(why)) => unreachable.push(why),
                Err(Failure::Lost(why)) => {
                    lost = Some(why);
                    if !request.is_repeatable {
                        // The next request begins with another one.
                        self.leave(index);
                        break;
                    }
                }
            }
            self.leave(index);
        }
        Err(match lost {
            Some(why) => StoreError::Unknown(why),
            None => StoreError::Unreachable(unreachable.join("; ")),
        })
    }

    fn leave(&self, index: usize) {
        let next = (index + 1) % self.endpoints.len();
        let _ = self.first.compare_exchange(index, next, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Asks one endpoint, with a new token if the old one is not taken.
    async fn attempt<T: DeserializeOwned>(
        &self,
        index: usize,
        request: &Request<'_>,
    ) -> std::result::Result<T, Failure> {
        let endpoint = &self.endpoints[index];
        let Request { path, body, time, .. } = *request;
        let token = self.token(endpoint).await?;
        let attempt = Attempt { path, body, time, token: token.as_deref() };
        match endpoint.ask(attempt).await {
            Err(Failure::Token) if token.is_some() => {
                *self.token.lock().unwrap_or_else(PoisonError::into_inner) = None;
                let token = self.token(endpoint).await?;
                endpoint.ask(Attempt { path, body, time, token: token.as_deref() }).await
            }
            answer => answer,
        }
    }

    /// The token for requests, if there are credentials.
    async fn token(&self, endpoint: &Endpoint) -> std::result::Result<Option<String>, Failure> {
        let Some(credentials) = &self.credentials else { return Ok(None) };
        let known = self.token.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if known.is_some() {
            return Ok(known);
        }
        let Credentials { user, password } = credentials;
        let body = body(&requests::Authenticate { name: user, password });
        let path = "/v3/auth/authenticate";
        let attempt = Attempt { path, body: &body, time: self.attempt, token: None };
        // What is asked for has not been sent yet.
        let answer: responses::Authenticated =
            endpoint.ask(attempt).await.map_err(|why| match why {
                Failure::Lost(why) => Failure::NotCarriedOut(why),
                why => why,
            })?;
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer.token.clone());
        Ok(Some(answer.token))
    }

    /// Opens a stream at the first endpoint that takes the request.
    async fn open(
        &self,
        path: &'static str,
        body: &str,
    ) -> Result<(Connection, hyper::body::Incoming)> {
        let first = self.first.load(Ordering::Relaxed);
        let mut failures = Vec::new();
        for index in (0..self.endpoints.len()).map(|nth| (first + nth) % self.endpoints.len()) {
            let endpoint = &self.endpoints[index];
            let opened = async {
                let token = self.token(endpoint).await?;
                let attempt = Attempt { path, body, time: self.attempt, token: token.as_deref() };
                endpoint.open(attempt).await
            };
            match opened.await {
                Ok(stream) => return Ok(stream),
                Err(Failure::Final(why)) => return Err(why),
                Err(Failure::Token) => {
                    *self.token.lock().unwrap_or_else(PoisonError::into_inner) = None;
                    failures.push(failure::TOKEN.to_owned());
                }
                Err(Failure::NotCarriedOut(why) | Failure::Lost(why)) => failures.push(why),
            }
            self.leave(index);
        }
        Err(StoreError::Unreachable(failures.join("; ")))
    }
}

impl Store for Etcd {
    type Watch = EtcdWatch;

    async fn commit(&self, transaction: Transaction) -> Result<Outcome> {
        let is_repeatable = transaction.may_be_repeated();
        let Transaction { if_all, then, else_read } = &transaction;
        let keys = &self.0.keys;
        let body = body(&requests::Txn {
            compare: if_all.iter().map(|compare| keys.compare(compare)).collect(),
            success: then.iter().map(|change| keys.change(change)).collect(),
            failure: else_read.iter().map(|key| keys.read(key)).collect(),
        });
        let heard = self.0.horizon.heard();
        let request =
            Request { path: "/v3/kv/txn", body: &body, time: self.0.attempt, is_repeatable };
        let (answer, may_be_done): (responses::Txn, bool) = self.0.ask(request).await?;
        let at = answer.header.standing();
        self.0.horizon.accept(heard, at)?;
        if answer.succeeded {
            return Ok(Outcome::Committed { at });
        }
        if may_be_done {
            let why = "refused now, and an answer before was lost";
            return Err(StoreError::Unknown(why.to_owned()));
        }
        Ok(Outcome::Refused { at, read: self.records_of(answer) })
    }

    async fn read(&self, keys: Vec<String>) -> Result<(Standing, Vec<Option<Record>>)> {
        let success = keys.iter().map(|key| self.0.keys.read(key)).collect();
        let body = body(&requests::Txn { success, ..requests::Txn::default() });
        let heard = self.0.horizon.heard();
        let answer: responses::Txn = self.read_only("/v3/kv/txn", &body, self.0.attempt).await?;
        let at = answer.header.standing();
        self.0.horizon.accept(heard, at)?;
        Ok((at, self.records_of(answer)))
    }

    async fn page(&self, range: Range, of: Option<Revision>) -> Result<Page> {
        let (key, range_end) = self.0.keys.range(&range);
        let body = body(&requests::Range {
            key,
            range_end,
            limit: PAGE_RECORDS,
            revision: of.unwrap_or(0),
        });
        let heard = self.0.horizon.heard();
        let time = self.0.attempt * PAGE_ATTEMPTS;
        let answer: responses::Range = self.read_only("/v3/kv/range", &body, time).await?;
        let at = answer.header.standing();
        self.0.horizon.accept(heard, at)?;
        let last = answer.kvs.last().filter(|_| answer.more).map(|kv| kv.key.0.clone());
        let rest = last.map(|key| self.0.keys.rest(&range, &key));
        let records = answer.kvs.into_iter().filter_map(|kv| self.record(kv)).collect();
        Ok(Page { at, records, rest })
    }

    async fn watch(&self, range: Range, after: Revision) -> Result<EtcdWatch> {
        EtcdWatch::begin(self.clone(), range, after).await
    }
}

impl Etcd {
    /// The records that a transaction has read.
    fn records_of(&self, answer: responses::Txn) -> Vec<Option<Record>> {
        let ranges = answer.responses.into_iter().map(|response| response.response_range);
        ranges.map(|range| range?.kvs.into_iter().find_map(|kv| self.record(kv))).collect()
    }
}
