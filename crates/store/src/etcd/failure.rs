//! What a failure says of whether a request was carried out.

use super::responses::ErrorBody;
use crate::StoreError;
use hyper::StatusCode;

/// What to do with a token that is not taken.
pub(super) const TOKEN: &str = "etcd does not take the token that it gave";

/// Why one endpoint has not answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The request has surely not been carried out; another endpoint may do it.
    NotCarriedOut(String),
    /// Nobody knows whether it was.
    Lost(String),
    /// The token is too old. The request was not carried out.
    Token,
    /// No endpoint will say otherwise.
    Final(StoreError),
}

/// gRPC's codes, which etcd gives with an error.
mod code {
    pub const INVALID_ARGUMENT: u32 = 3;
    pub const NOT_FOUND: u32 = 5;
    pub const ALREADY_EXISTS: u32 = 6;
    pub const PERMISSION_DENIED: u32 = 7;
    pub const RESOURCE_EXHAUSTED: u32 = 8;
    pub const FAILED_PRECONDITION: u32 = 9;
    pub const OUT_OF_RANGE: u32 = 11;
    pub const UNIMPLEMENTED: u32 = 12;
    pub const UNAUTHENTICATED: u32 = 16;
}

impl Failure {
    /// Of an answer whose status is no success.
    pub fn of_answer(status: StatusCode, body: &[u8]) -> Failure {
        match serde_json::from_slice::<ErrorBody>(body) {
            Ok(ErrorBody { code: Some(code), message }) => Failure::of_code(code, message),
            _ if status == StatusCode::NOT_FOUND => Failure::Final(StoreError::Denied(
                "there is no /v3 here: etcd's HTTP interface is off (enable-grpc-gateway), or this \
                 is no etcd"
                    .to_owned(),
            )),
            _ => Failure::Lost(format!("status {status} without an explanation")),
        }
    }

    /// Of an error that etcd tells. What is listed is refused before it gets into etcd's log; all
    /// else (no leader, time out, stopping) may come after that.
    pub fn of_code(code: u32, message: String) -> Failure {
        let has = |words| message.contains(words);
        match code {
            code::UNAUTHENTICATED => Failure::Token,
            // The rights were changed: the token is of before.
            code::INVALID_ARGUMENT if has("revision of auth store is old") => Failure::Token,
            code::RESOURCE_EXHAUSTED if has("too many requests") => Failure::NotCarriedOut(message),
            code::OUT_OF_RANGE if has("compacted") => Failure::Final(StoreError::TooOld),
            code::INVALID_ARGUMENT
            | code::NOT_FOUND
            | code::ALREADY_EXISTS
            | code::PERMISSION_DENIED
            | code::RESOURCE_EXHAUSTED
            | code::FAILED_PRECONDITION
            | code::OUT_OF_RANGE
            | code::UNIMPLEMENTED => Failure::Final(StoreError::Denied(message)),
            _ => Failure::Lost(message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, body: &str) -> Failure {
        Failure::of_answer(StatusCode::from_u16(status).expect("a status"), body.as_bytes())
    }

    #[test]
    fn errors_of_every_etcd_are_understood() {
        let compacted = "etcdserver: mvcc: required revision has been compacted";
        // As 3.4, 3.5 and 3.6 say it.
        for body in [
            format!(r#"{{"error":"{compacted}","message":"{compacted}","code":11}}"#),
            format!(r#"{{"error":"{compacted}", "code":11, "message":"{compacted}"}}"#),
            format!(r#"{{"code":11,"message":"{compacted}","details":[]}}"#),
        ] {
            assert_eq!(of(400, &body), Failure::Final(StoreError::TooOld), "{body}");
        }
    }

    #[test]
    fn only_what_is_refused_before_etcds_log_is_known_not_to_be_carried_out() {
        let said = |code: u32, message: &str| {
            of(500, &format!(r#"{{"code":{code},"message":"etcdserver: {message}"}}"#))
        };
        for (code, message) in [
            (14, "request timed out"),
            (14, "no leader"),
            (14, "leader changed"),
            (14, "server stopped"),
            (4, "context deadline exceeded"),
            (2, "whatever"),
        ] {
            assert!(matches!(said(code, message), Failure::Lost(_)), "{code} {message}");
        }
        let full = said(8, "mvcc: database space exceeded");
        assert!(matches!(full, Failure::Final(StoreError::Denied(_))), "{full:?}");
        assert!(matches!(said(8, "too many requests"), Failure::NotCarriedOut(_)));
        assert_eq!(said(16, "invalid auth token"), Failure::Token);
        assert_eq!(said(3, "revision of auth store is old"), Failure::Token);
        assert!(matches!(of(502, "<html>"), Failure::Lost(_)), "something between");
    }
}
