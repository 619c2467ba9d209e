//! What etcd is sent.

use super::base64::Base64;
use super::{Change, Compare, Range as KeyRange};
use crate::Revision;
use serde::Serialize;

/// The text of a request.
pub(super) fn body(request: &impl Serialize) -> String {
    // Strings, numbers and lists of these: nothing that JSON does not have.
    serde_json::to_string(request).expect("requests are JSON")
}

#[derive(Serialize)]
pub(super) struct Authenticate<'a> {
    pub name: &'a str,
    pub password: &'a str,
}

#[derive(Default, Serialize)]
pub(super) struct Txn {
    pub compare: Vec<Condition>,
    pub success: Vec<Operation>,
    pub failure: Vec<Operation>,
}

#[derive(Serialize)]
pub(super) struct Condition {
    target: &'static str,
    result: &'static str,
    key: Base64,
    #[serde(skip_serializing_if = "Option::is_none")]
    create_revision: Option<Revision>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mod_revision: Option<Revision>,
}

#[derive(Serialize)]
pub(super) enum Operation {
    #[serde(rename = "request_range")]
    Read { key: Base64 },
    #[serde(rename = "request_put")]
    Put { key: Base64, value: Base64 },
    #[serde(rename = "request_delete_range")]
    Delete { key: Base64, range_end: Base64 },
}

#[derive(Serialize)]
pub(super) struct Range {
    pub key: Base64,
    pub range_end: Base64,
    pub limit: u64,
    /// 0 is the present.
    pub revision: Revision,
}

#[derive(Serialize)]
pub(super) struct Watch {
    pub create_request: WatchCreate,
}

#[derive(Serialize)]
pub(super) struct WatchCreate {
    pub key: Base64,
    pub range_end: Base64,
    pub start_revision: Revision,
}

/// Our keys among etcd's: those with the prefix.
#[derive(Debug)]
pub(super) struct Keys {
    pub prefix: String,
}

impl Keys {
    fn key(&self, key: &str) -> Base64 {
        Base64([self.prefix.as_bytes(), key.as_bytes()].concat())
    }

    /// The key as we know it; one that is not Unicode is not ours.
    pub fn ours(&self, key: &[u8]) -> Option<String> {
        let key = key.strip_prefix(self.prefix.as_bytes())?;
        String::from_utf8(key.to_vec()).ok()
    }

    /// The first key of a range, and the first after it.
    pub fn range(&self, range: &KeyRange) -> (Base64, Base64) {
        let (from, to) = range.below(self.prefix.as_bytes());
        // etcd has no empty key; as an end, a zero is the end of all keys.
        let or_zero = |key: Vec<u8>| Base64(if key.is_empty() { vec![0] } else { key });
        (or_zero(from), or_zero(to.unwrap_or_default()))
    }

    /// The rest of a range after a key of etcd's.
    pub fn rest(&self, range: &KeyRange, key: &[u8]) -> KeyRange {
        range.after_bytes(key.strip_prefix(self.prefix.as_bytes()).unwrap_or(key))
    }

    pub fn read(&self, key: &str) -> Operation {
        Operation::Read { key: self.key(key) }
    }

    pub fn change(&self, change: &Change) -> Operation {
        if let Change::Put { key, value } = change {
            return Operation::Put { key: self.key(key), value: Base64(value.clone()) };
        }
        let (key, range_end) = self.range(&change.range());
        Operation::Delete { key, range_end }
    }

    pub fn compare(&self, compare: &Compare) -> Condition {
        let (target, result) = match compare {
            Compare::Created { .. } => ("CREATE", "EQUAL"),
            Compare::CreatedIsNot { .. } => ("CREATE", "NOT_EQUAL"),
            Compare::Modified { .. } => ("MOD", "EQUAL"),
        };
        let (create_revision, mod_revision) = match compare {
            Compare::Created { is, .. } => (Some(*is), None),
            Compare::CreatedIsNot { not, .. } => (Some(*not), None),
            Compare::Modified { is, .. } => (None, Some(*is)),
        };
        Condition { target, result, key: self.key(compare.key()), create_revision, mod_revision }
    }
}
