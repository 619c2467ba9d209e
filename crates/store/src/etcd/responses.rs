//! What etcd answers. A field that is 0, false or empty is not there; a number is a string, because
//! JavaScript has no integers of 64 bits.

use super::base64::Base64;
use crate::{Revision, Standing};
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;

/// Where the member stood that answered.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Header {
    #[serde(deserialize_with = "number")]
    pub cluster_id: u64,
    #[serde(deserialize_with = "number")]
    pub revision: u64,
}

impl Header {
    pub fn standing(&self) -> Standing {
        Standing { cluster: self.cluster_id, revision: self.revision }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct KeyValue {
    pub key: Base64,
    pub value: Base64,
    #[serde(deserialize_with = "number")]
    pub create_revision: Revision,
    #[serde(deserialize_with = "number")]
    pub mod_revision: Revision,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Range {
    pub header: Header,
    pub kvs: Vec<KeyValue>,
    pub more: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct Txn {
    pub header: Header,
    #[serde(default)]
    pub succeeded: bool,
    #[serde(default)]
    pub responses: Vec<Response>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Response {
    pub response_range: Option<Range>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Authenticated {
    pub token: String,
}

/// One line of a watch.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum WatchLine {
    Result(Watched),
    Error(ErrorBody),
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Watched {
    pub header: Header,
    pub created: bool,
    pub canceled: bool,
    pub cancel_reason: String,
    /// If the watch ended because of that: from which revision on all is kept.
    #[serde(deserialize_with = "number")]
    pub compact_revision: Revision,
    pub events: Vec<WatchEvent>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WatchEvent {
    /// A put if it is not there.
    pub r#type: EventType,
    pub kv: KeyValue,
}

#[derive(Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum EventType {
    #[default]
    Put,
    Delete,
}

/// What etcd says instead of an answer; in the middle of a stream its code has another name.
#[derive(Debug, Deserialize)]
pub(super) struct ErrorBody {
    #[serde(alias = "grpc_code")]
    pub code: Option<u32>,
    #[serde(default)]
    pub message: String,
}

/// Takes "5" and 5.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Number<'a> {
        #[serde(borrow)]
        Text(Cow<'a, str>),
        Number(u64),
    }
    match Number::deserialize(deserializer)? {
        Number::Text(text) => text.parse().map_err(D::Error::custom),
        Number::Number(number) => Ok(number),
    }
}
