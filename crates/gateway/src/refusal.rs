//! Why the gateway answers a request itself, instead of its tenant.

use crate::peer::Owner;
use http::StatusCode;
use std::fmt;
use std::sync::Arc;

/// When another try may find room, where there is none now.
const OVERLOADED_RETRY_MS: u64 = 1_000;

/// The gateway's own answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status of the answer.
    pub status: u16,
    /// The cause, for logs and access events; no visitor is told more than the status.
    pub why: Why,
    /// When another try may succeed.
    pub retry_after_ms: Option<u64>,
    /// Of [`Why::Elsewhere`]: who has the key, if that is known.
    pub owner: Option<Arc<Owner>>,
}

impl Refusal {
    /// A refusal after which another try makes no sense.
    pub fn new(status: u16, why: Why) -> Refusal {
        Refusal { status, why, retry_after_ms: None, owner: None }
    }

    /// There are too many requests for now.
    pub fn overloaded() -> Refusal {
        Refusal::new(503, Why::Overloaded).retry_after(OVERLOADED_RETRY_MS)
    }

    /// The key is not this host's: for another host's gateway, which asks its owner.
    pub fn elsewhere(owner: Option<Owner>) -> Refusal {
        Refusal { owner: owner.map(Arc::new), ..Refusal::new(421, Why::Elsewhere) }
    }

    /// This host may answer nothing of its tenants' for now: another one may have them by now.
    pub fn fenced() -> Refusal {
        Refusal::new(503, Why::Fenced).retry_after(OVERLOADED_RETRY_MS)
    }

    /// It is not known for now which host has the tenant.
    pub(crate) fn moving() -> Refusal {
        Refusal::new(503, Why::Moving).retry_after(OVERLOADED_RETRY_MS)
    }

    /// The host that has the tenant cannot be reached.
    pub(crate) fn unreachable() -> Refusal {
        Refusal::new(503, Why::Unreachable).retry_after(OVERLOADED_RETRY_MS)
    }

    pub(crate) fn http_status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Whole seconds, as `Retry-After` has it: at least one, and none too early. What cannot be
    /// served now can be tried again, though it is not known when.
    pub(crate) fn retry_after_seconds(&self) -> Option<u64> {
        let wait_ms = self.retry_after_ms.or((self.status == 503).then_some(0));
        wait_ms.map(|wait_ms| wait_ms.div_ceil(1_000).max(1))
    }

    /// Whether it tells that the tenant failed, which was asked: all else is the gateway's own.
    pub fn is_tenants(&self) -> bool {
        matches!(self.why, Why::BrokeOff | Why::Stuck)
    }

    /// The same, with the time after which another try may succeed.
    pub fn retry_after(self, retry_after_ms: u64) -> Refusal {
        Refusal { retry_after_ms: Some(retry_after_ms), ..self }
    }
}

/// Writes the causes, their codes and their texts in one table.
macro_rules! causes {
    ($($(#[doc = $doc:expr])* $name:ident = $code:literal,)+) => {
        /// The cause of a refusal.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Why { $(#[doc = $code] $name,)+ }

        impl Why {
            /// The stable word for it, in access events and in the `page` function's argument.
            pub fn code(self) -> &'static str {
                match self { $(Why::$name => $code,)+ }
            }

            /// The cause with this code; the first of two that have the same.
            pub(crate) fn of_code(code: &str) -> Option<Why> {
                [$(Why::$name,)+].into_iter().find(|why| why.code() == code)
            }
        }
    };
}

causes! {
    // What can be read in two ways.
    RequestLine = "request-line",
    Version = "version",
    Target = "target",
    Connect = "connect",
    LineEnd = "line-end",
    FoldedField = "folded-field",
    FieldWithoutColon = "field-without-colon",
    FieldName = "field-name",
    FieldValue = "field-value",
    TwoHosts = "two-hosts",
    NoHost = "no-host",
    Host = "host",
    Length = "length",
    TwoLengths = "two-lengths",
    LengthAndEncoding = "length-and-encoding",
    Encoding = "encoding",
    Connection = "connection",
    Underscore = "underscore",
    Upgrade = "upgrade",
    UpgradeWithBody = "upgrade-with-body",
    UpgradeIn10 = "upgrade-in-1.0",
    Http2Upgrade = "http2-upgrade",
    ChunkSize = "chunk-size",
    ChunkEnd = "chunk-end",
    Trailer = "trailer",
    // What belongs elsewhere.
    Unencrypted = "unencrypted",
    // What has no end.
    BodyCut = "body-cut",
    // What is too much.
    HeadTooLarge = "head-too-large",
    TooManyFields = "too-many-fields",
    BodyTooLarge = "body-too-large",
    TooManyRequests = "too-many-requests",
    TooSlow = "too-slow",
    // Whom it is for.
    UnknownHost = "unknown-host",
    UnknownKey = "unknown-key",
    // What became of it.
    BackingOff = "backing-off",
    Draining = "draining",
    Overloaded = "overloaded",
    NotReady = "not-ready",
    // It is ready, and takes no connection. Visitors' pages need not tell these two apart.
    Stuck = "not-ready",
    Failed = "failed",
    CalledOff = "called-off",
    BrokeOff = "broke-off",
    ClientLeft = "client-left",
    // What is between the hosts of a fleet.
    Stranger = "stranger",
    Passed = "passed",
    Loop = "loop",
    Question = "question",
    Elsewhere = "elsewhere",
    Moving = "moving",
    Unreachable = "unreachable",
    Fenced = "fenced",
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({})", self.status, self.why.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_that_was_asked_and_failed_is_told_from_one_that_was_not_asked() {
        for why in [Why::BrokeOff, Why::Stuck] {
            assert!(Refusal::new(502, why).is_tenants(), "{}", why.code());
        }
        for why in [Why::Overloaded, Why::BackingOff, Why::Draining, Why::CalledOff, Why::NotReady]
        {
            assert!(!Refusal::new(503, why).is_tenants(), "{}", why.code());
        }
    }

    #[test]
    fn a_visitor_is_not_told_why_its_tenant_is_not_ready() {
        assert_eq!(Why::Stuck.code(), Why::NotReady.code());
    }
}
