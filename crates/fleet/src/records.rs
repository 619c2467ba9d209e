//! The records of the fleet in the store: JSON with a version. Fields that are not known are
//! ignored, and so are records of another version: whoever finds one leaves it as it is.

use crate::transaction::Record;
use crate::{Key, Owner};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const VERSION: u64 = 1;

/// Where all is listed and watched.
pub const HOSTS: &str = "hosts/";
/// See [`HOSTS`].
pub const CLAIMS: &str = "claims/";
/// The one record that says since which store, and above which epoch, keys are claimed.
pub const ERA: &str = "era";

pub(crate) fn host_key(id: &str) -> String {
    format!("{HOSTS}{id}")
}

pub(crate) fn claim_key(key: &str) -> String {
    format!("{CLAIMS}{key}")
}

pub(crate) fn beat_key(id: &str) -> String {
    format!("beats/{id}")
}

pub(crate) fn move_key(key: &str) -> String {
    format!("moves/{key}")
}

/// `hosts/ID`. The revision at which it was created is its host's session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct HostRecord {
    pub address: Arc<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<Arc<str>>,
    pub weight: f64,
    pub state: HostState,
    /// It is gone when its beat has not changed for so long. Its own lease counts, and not that of who
    /// observes it: hosts are given another one after the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone_after_ms: Option<u64>,
    /// Which process has put it, and at which of its attempts.
    pub run: Arc<str>,
    pub attempt: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum HostState {
    Live,
    Draining,
}

/// `beats/ID`. Only that it changes is looked at; what it says is for people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct BeatRecord {
    pub session: u64,
    pub n: u64,
}

/// `claims/KEY` and, without an epoch, `moves/KEY`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ClaimRecord {
    pub host: Arc<str>,
    pub session: u64,
    /// The epoch of a claim that was passed on: its tenant was started before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// The epoch of any other claim is this and the revision at which it was put.
    #[serde(default)]
    pub base: u64,
}

/// `era`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EraRecord {
    /// What is added to revisions to make epochs.
    pub base: u64,
    /// The store that this was written in: in any other, it is of the past.
    pub cluster: u64,
    /// Whether keys may be claimed; not while everyone is to learn that the store is new.
    pub open: bool,
}

#[derive(Deserialize)]
struct Version {
    v: u64,
}

#[derive(Serialize)]
struct Versioned<'a, T> {
    v: u64,
    #[serde(flatten)]
    record: &'a T,
}

pub(crate) fn encode<T: Serialize>(record: &T) -> Vec<u8> {
    let versioned = Versioned { v: VERSION, record };
    serde_json::to_vec(&versioned).expect("records have only fields that JSON can hold")
}

/// None for what is of another version, or no record at all.
pub(crate) fn decode<T: DeserializeOwned>(value: &[u8]) -> Option<T> {
    let version: Version = serde_json::from_slice(value).ok()?;
    if version.v != VERSION {
        return None;
    }
    serde_json::from_slice(value).ok()
}

/// A claim as it was seen, in the picture or in an answer of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Absent,
    Held(Held),
    /// Of another version: it is somebody's, and stays so.
    Unreadable,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub host: Arc<str>,
    pub session: u64,
    pub epoch: u64,
    pub modified: u64,
}

impl Seen {
    pub fn of(record: Option<&Record>) -> Seen {
        let Some(record) = record else { return Seen::Absent };
        let Some(claim) = decode::<ClaimRecord>(&record.value) else { return Seen::Unreadable };
        let modified = record.modified;
        let epoch = claim.epoch.unwrap_or(claim.base.saturating_add(modified));
        Seen::Held(Held { host: claim.host, session: claim.session, epoch, modified })
    }

    pub fn held(&self) -> Option<&Held> {
        match self {
            Seen::Held(held) => Some(held),
            _ => None,
        }
    }
}

impl Held {
    pub fn is_of(&self, host: &str, session: u64) -> bool {
        *self.host == *host && self.session == session
    }

    pub fn owner(&self, address: &Arc<str>) -> Owner {
        Owner { host: self.host.clone(), address: address.clone(), epoch: self.epoch }
    }
}

/// The tenant's key or host's id of a record below `prefix`.
pub(crate) fn name_below<'a>(prefix: &str, key: &'a str) -> Option<&'a str> {
    key.strip_prefix(prefix)
}

pub(crate) fn shared(name: &str) -> Key {
    Arc::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(value: &str) -> Record {
        Record { key: "claims/k".into(), value: value.into(), created: 5, modified: 7 }
    }

    #[test]
    fn a_record_reads_as_it_was_written() {
        let host = HostRecord {
            address: "http://10.0.0.5:7070".into(),
            zone: Some("b".into()),
            weight: 1.5,
            state: HostState::Draining,
            gone_after_ms: Some(5_500),
            run: "r".into(),
            attempt: 2,
        };
        let text = encode(&host);
        assert!(text.starts_with(br#"{"v":1,"#), "{}", String::from_utf8_lossy(&text));
        assert_eq!(decode::<HostRecord>(&text), Some(host));
        let era = EraRecord { base: 1 << 40, cluster: 7, open: false };
        assert_eq!(decode::<EraRecord>(&encode(&era)), Some(era));
    }

    #[test]
    fn an_epoch_is_the_revision_unless_the_claim_was_passed_on() {
        let claimed = Seen::of(Some(&record(r#"{"v":1,"host":"a","session":3,"base":100}"#)));
        assert_eq!(claimed.held().map(|held| held.epoch), Some(107));
        let passed = Seen::of(Some(&record(r#"{"v":1,"host":"a","session":3,"epoch":6}"#)));
        assert_eq!(passed.held().map(|held| (held.epoch, held.modified)), Some((6, 7)));
    }

    #[test]
    fn what_is_not_known_is_ignored_and_another_version_is_somebodys() {
        let more = record(r#"{"v":1,"host":"a","session":3,"colour":{"x":[1]}}"#);
        assert!(Seen::of(Some(&more)).held().is_some());
        for odd in [r#"{"v":2,"host":"a","session":3}"#, "", "{}", "[1]", "\u{1}", "null"] {
            assert_eq!(Seen::of(Some(&record(odd))), Seen::Unreadable, "{odd:?}");
        }
        assert_eq!(Seen::of(None), Seen::Absent);
    }
}
