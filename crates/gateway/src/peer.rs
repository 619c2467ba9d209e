//! Gateways of other hosts: what one tells another with a request that it passes on, how it is known
//! to be one, and what it is told in place of a tenant's answer.
//!
//! All of it is in fields whose names begin with `absolute-`. Those of a visitor are taken off, those
//! of a tenant's answer too before another host sees them, and the ones with an underscore are refused.

mod asking;
mod connecting;
pub(crate) mod encryption;

use crate::forward::AnswerBody;
use crate::refusal::{Refusal, Why};
use crate::route::decoded;
use crate::settings::Limits;
use http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Response, response};
use std::fmt;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

pub use asking::{REPLY, ask, ask_at_length};
pub(crate) use connecting::{CONNECT_TIMEOUT, bear};
pub use encryption::{Encryption, Identity, MutualPem};

/// What the names of these fields begin with.
const OURS: &str = "absolute-";
/// Which key a request is for, as [`encoded_key`] writes it.
pub const KEY: HeaderName = HeaderName::from_static("absolute-key");
/// Which host sends it, and the proof: `ID TOKEN`.
pub const PEER: HeaderName = HeaderName::from_static("absolute-peer");
/// How often it was passed on.
pub const HOPS: HeaderName = HeaderName::from_static("absolute-hops");
/// It is a question of the host's own, and which.
pub const ASK: HeaderName = HeaderName::from_static("absolute-ask");
/// With 421: who has the key, `HOST ADDRESS EPOCH`, if that is known.
pub const OWNER: HeaderName = HeaderName::from_static("absolute-owner");
/// The answer is the other gateway's own: the code of its cause.
pub const REFUSED: HeaderName = HeaderName::from_static("absolute-refused");

/// How often a request is passed on. The second time is for one that waited while its tenant moved;
/// more would be hosts that send it to and fro.
const HOPS_MAX: u8 = 2;
/// What those fields, and what a first gateway tells of its client, may take of a head beyond what
/// a visitor may send.
const HEAD_BYTES: usize = 8 << 10;
const HEAD_FIELDS: usize = 16;
/// For how long a gateway keeps connections of others: longer than they do themselves, so that none
/// ends as a request is sent on it.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// The limits for requests that visitors' limits have let pass, and for their connections.
pub(crate) fn limits(visitors: Limits) -> Limits {
    Limits {
        header_bytes: visitors.header_bytes + HEAD_BYTES,
        headers: visitors.headers + HEAD_FIELDS,
        keep_alive: visitors.keep_alive.max(KEEP_ALIVE),
        // All of them come from a few addresses.
        requests_per_second_per_address: None,
        ..visitors
    }
}

/// The gateway of another host, at which a tenant is to be had.
#[derive(Debug)]
pub struct Peer {
    /// The host's id.
    pub host: String,
    /// What this host proves itself with to that one: `ID TOKEN`.
    pub credentials: HeaderValue,
    /// Encrypts the connections to it.
    pub encryption: Option<Encryption>,
    /// It is cut off when it has given no sign of life for so long.
    pub patience: Duration,
}

/// Who has a key, as a host says that has not got it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The id of its host.
    pub host: String,
    /// Where that one's gateway listens for other hosts.
    pub address: String,
    /// The number of its claim.
    pub epoch: u64,
}

impl Owner {
    /// Reads `HOST ADDRESS EPOCH`.
    pub fn parse(text: &str) -> Option<Owner> {
        let mut words = text.split(' ').filter(|word| !word.is_empty());
        let (host, address, epoch) = (words.next()?, words.next()?, words.next()?);
        let epoch = epoch.parse().ok()?;
        let (host, address) = (host.to_owned(), address.to_owned());
        words.next().is_none().then_some(Owner { host, address, epoch })
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {} {}", self.host, self.address, self.epoch)
    }
}

/// Why a key was not to be had from a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Miss {
    /// No connection to it could be made, or it broke off without an answer.
    Unreachable,
    /// The peer says that it has not got the key, and who has, if it knows.
    Elsewhere(Option<Owner>),
}

/// Who may pass requests on to a gateway, and ask it questions.
pub enum Entry {
    /// Who sends this token. It is made of the fleet's secret, and for this host alone.
    Token(
        /// As it is sent.
        String,
    ),
    /// Who shows a certificate of the fleet's; with others no connection is made.
    Certificate(
        /// What this host shows, and believes.
        MutualPem,
    ),
}

impl fmt::Debug for Entry {
    /// Without the token, which no log may have.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Entry::Token(_) => "Token",
            Entry::Certificate(_) => "Certificate",
        })
    }
}

/// What a peer says of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Passed {
    /// Empty with a question that is for no key.
    pub key: String,
    /// How often it was passed on: at least once.
    pub hops: u8,
    /// `None`: it is a visitor's request.
    pub question: Option<String>,
}

impl Entry {
    /// Takes what a peer says off a request's head. From a stranger nothing else is looked at.
    pub(crate) fn take(&self, headers: &mut HeaderMap) -> Result<Passed, Refusal> {
        if let Entry::Token(token) = self
            && !is_proof(headers, token)
        {
            return Err(Refusal::new(401, Why::Stranger));
        }
        let bad = Refusal::new(400, Why::Passed);
        let question = one(headers, &ASK).map(str::to_owned);
        let hops = one(headers, &HOPS).and_then(|hops| hops.parse().ok()).filter(|hops| *hops > 0);
        // A question is for the host that is asked.
        let hops: u8 = hops.or(question.as_ref().map(|_| 1)).ok_or(bad.clone())?;
        if hops > HOPS_MAX {
            return Err(Refusal::new(508, Why::Loop));
        }
        let key = one(headers, &KEY).and_then(decoded).filter(|key| !key.is_empty());
        let key = key.map(|key| key.into_owned());
        let key = key.or(question.is_some().then(String::new)).ok_or(bad)?;
        take_off_ours(headers);
        Ok(Passed { key, hops, question })
    }
}

/// The token is there, once. How long the comparison takes tells nothing of how much of it is right.
fn is_proof(headers: &HeaderMap, token: &str) -> bool {
    let given = one(headers, &PEER).and_then(|value| value.rsplit_once(' '));
    let Some((_, given)) = given.filter(|(_, given)| given.len() == token.len()) else {
        return false;
    };
    let pairs = given.bytes().zip(token.bytes());
    pairs.fold(0, |differs, (one, other)| black_box(differs | (one ^ other))) == 0
}

/// The value of a field that is there once.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// Whether a field of this name is for gateways alone.
pub(crate) fn is_ours(name: &str) -> bool {
    name.starts_with(OURS)
}

/// The same, of a name as it was sent.
pub(crate) fn is_ours_as_sent(name: &[u8]) -> bool {
    name.get(..OURS.len()).is_some_and(|start| start.eq_ignore_ascii_case(OURS.as_bytes()))
}

pub(crate) fn take_off_ours(headers: &mut HeaderMap) {
    while let Some(name) = headers.keys().find(|name| is_ours(name.as_str())).cloned() {
        headers.remove(name);
    }
}

/// The value of [`KEY`] for a key: bytes that are not visible ASCII, and `%`, as `%XX`.
pub fn encoded_key(key: &str) -> HeaderValue {
    let mut text = String::with_capacity(key.len());
    for byte in key.bytes() {
        match byte {
            b'!'..=b'~' if byte != b'%' => text.push(char::from(byte)),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}

/// What is told to a peer with a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Telling<'a> {
    pub key: &'a str,
    /// How often it was passed on before.
    pub hops: u8,
}

impl Telling<'_> {
    pub fn fields(&self, peer: &Peer) -> HeaderMap {
        HeaderMap::from_iter([
            (KEY, encoded_key(self.key)),
            (PEER, peer.credentials.clone()),
            (HOPS, HeaderValue::from(u16::from(self.hops) + 1)),
        ])
    }
}

/// A gateway's own answer for a peer, of which that one makes an answer for its visitor.
pub(crate) fn refused(refusal: &Refusal) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::empty());
    *response.status_mut() = refusal.http_status();
    let headers = response.headers_mut();
    headers.insert(REFUSED, HeaderValue::from_static(refusal.why.code()));
    if let Some(seconds) = refusal.retry_after_seconds() {
        headers.insert(RETRY_AFTER, seconds.into());
    }
    let owner = refusal.owner.as_ref().map(|owner| HeaderValue::try_from(owner.to_string()));
    if let Some(Ok(owner)) = owner {
        headers.insert(OWNER, owner);
    }
    response
}

/// What a peer answered in place of a tenant.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It has not got the key.
    Elsewhere(Option<Owner>),
    /// For the visitor.
    Refused(Refusal),
}

/// Reads a peer's answer, and takes off what is for gateways. `None`: it is a tenant's.
pub(crate) fn verdict(head: &mut response::Parts) -> Option<Verdict> {
    let headers = &mut head.headers;
    let code = one(headers, &REFUSED).map(str::to_owned);
    let owner = one(headers, &OWNER).and_then(Owner::parse);
    take_off_ours(headers);
    let status = head.status.as_u16();
    let why = Why::of_code(&code?).unwrap_or(Why::BrokeOff);
    Some(match why {
        Why::Elsewhere => Verdict::Elsewhere(owner),
        // What is wrong between two hosts is nothing that a visitor could mend.
        Why::Stranger | Why::Passed => Verdict::Refused(Refusal::new(502, why)),
        _ => {
            let seconds =
                one(headers, &RETRY_AFTER).and_then(|seconds| seconds.parse::<u64>().ok());
            let retry_after_ms = seconds.map(|seconds| seconds.saturating_mul(1_000));
            Verdict::Refused(Refusal { retry_after_ms, ..Refusal::new(status, why) })
        }
    })
}

/// A peer from which a request's key was not to be had.
#[derive(Clone, Debug)]
pub struct Missed {
    /// The peer.
    pub peer: Arc<Peer>,
    /// Why.
    pub miss: Miss,
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0f1e2d3c";

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            let value = HeaderValue::from_str(value).expect("a value");
            headers.append(HeaderName::from_static(name), value);
        }
        headers
    }

    fn entered(fields: &[(&'static str, &str)]) -> Result<Passed, Why> {
        let mut headers = headers(fields);
        let passed = Entry::Token(TOKEN.to_owned()).take(&mut headers);
        let passed = passed.map_err(|refusal| refusal.why)?;
        assert!(!headers.keys().any(|name| is_ours(name.as_str())), "{headers:?}");
        Ok(passed)
    }

    const PROOF: (&str, &str) = ("absolute-peer", "eu-1 0f1e2d3c");
    const OF_A: (&str, &str) = ("absolute-key", "a");
    const ONCE: (&str, &str) = ("absolute-hops", "1");

    #[test]
    fn only_who_has_the_token_enters() {
        let passed = Passed { key: "a".to_owned(), hops: 1, question: None };
        assert_eq!(entered(&[PROOF, OF_A, ONCE, ("absolute-new", "x")]), Ok(passed));
        for proof in [
            "eu-1 0f1e2d3d",
            "eu-1 0f1e2d3",
            "eu-1 0f1e2d3c0",
            "0f1e2d3c",
            "eu-1 0F1E2D3C",
            "eu-1  ",
            "",
        ] {
            let given = [("absolute-peer", proof), OF_A, ONCE];
            assert_eq!(entered(&given), Err(Why::Stranger), "{proof}");
        }
        assert_eq!(entered(&[OF_A, ONCE]), Err(Why::Stranger));
        assert_eq!(entered(&[PROOF, PROOF, OF_A, ONCE]), Err(Why::Stranger));
    }

    #[test]
    fn a_request_that_was_passed_on_says_for_whom_and_how_often() {
        for (hops, why) in
            [("0", Why::Passed), ("x", Why::Passed), ("3", Why::Loop), ("256", Why::Passed)]
        {
            assert_eq!(entered(&[PROOF, OF_A, ("absolute-hops", hops)]), Err(why), "{hops}");
        }
        assert_eq!(entered(&[PROOF, OF_A]), Err(Why::Passed));
        assert_eq!(entered(&[PROOF, ONCE]), Err(Why::Passed));
        assert_eq!(entered(&[PROOF, ONCE, OF_A, ("absolute-key", "b")]), Err(Why::Passed));
        let asked = entered(&[PROOF, ("absolute-ask", "state")]);
        let question = Some("state".to_owned());
        assert_eq!(asked, Ok(Passed { key: String::new(), hops: 1, question }));
    }

    #[test]
    fn a_key_comes_through_as_it_is() {
        for key in ["a", "org/app", " with space ", "ü%41", "a\u{85}b", "x".repeat(512).as_str()] {
            let value = encoded_key(key);
            let text = value.to_str().expect("visible");
            assert_eq!(decoded(text).as_deref(), Some(key), "{text}");
            assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{text}");
        }
    }

    #[test]
    fn a_refusal_comes_through_and_a_tenants_answer_is_none() {
        let owner = Owner { host: "eu-2".into(), address: "10.0.0.2:7070".into(), epoch: 7 };
        let told = |refusal: &Refusal| {
            let (mut head, _) = refused(refusal).into_parts();
            let verdict = verdict(&mut head).expect("a verdict");
            assert!(!head.headers.keys().any(|name| is_ours(name.as_str())));
            verdict
        };
        let elsewhere = Refusal::elsewhere(Some(owner.clone()));
        assert_eq!(told(&elsewhere), Verdict::Elsewhere(Some(owner)));
        assert_eq!(told(&Refusal::elsewhere(None)), Verdict::Elsewhere(None));
        let backing_off = Refusal::new(503, Why::BackingOff).retry_after(2_000);
        assert_eq!(told(&backing_off), Verdict::Refused(backing_off));
        let stranger = told(&Refusal::new(401, Why::Stranger));
        assert_eq!(stranger, Verdict::Refused(Refusal::new(502, Why::Stranger)));
        let answer = Response::builder().status(421).header("absolute-owner", "a b 1");
        let (mut head, ()) = answer.body(()).expect("an answer").into_parts();
        assert_eq!(verdict(&mut head), None);
        assert!(head.headers.is_empty());
    }

    #[test]
    fn an_owner_is_read_or_it_is_none() {
        for text in ["", "a", "a b", "a b c", "a b 1 2", "a b -1"] {
            assert_eq!(Owner::parse(text), None, "{text}");
        }
        let owner = Owner::parse("a http://b:1 18446744073709551615").expect("an owner");
        assert_eq!(owner.to_string(), "a http://b:1 18446744073709551615");
    }
}
