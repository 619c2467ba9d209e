//! When a request may be sent once more, and where.

use http::Method;
use std::io;
use std::time::Duration;

/// How often a request may have begun to reach a tenant: one that ends its tenant must not end one
/// after the other.
const SENT_MAX: u32 = 2;
/// How often a tenant may refuse the connection before the request is given up.
const REFUSED_MAX: u32 = 8;
/// How many hosts a request is sent to after ones that cannot be reached.
const OTHER_HOSTS_MAX: u32 = 3;
/// A run that has just ended may still be handed out. The wait for the first next one, which doubles
/// with each; all take 1.3 s.
const FIRST_WAIT: Duration = Duration::from_millis(10);

/// What became of a try.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failed {
    /// The connection had been used before.
    pub was_reused: bool,
    /// A byte of the request was sent.
    pub was_sent: bool,
    /// A byte of an answer came.
    pub was_answered: bool,
    /// The whole request can be sent once more.
    pub is_whole: bool,
}

/// Where a request is sent after a try that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    /// To the same tenant, on a new connection.
    Fresh,
    /// To the next tenant of the key; if that is still the same, after a while.
    Next(Duration),
    Nowhere,
}

/// The tries to send a request.
#[derive(Debug)]
pub(super) struct Tries {
    is_idempotent: bool,
    sent: u32,
    refused: u32,
    unreachable: u32,
    was_corrected: bool,
}

impl Tries {
    pub fn new(method: &Method) -> Tries {
        Tries {
            is_idempotent: method.is_idempotent(),
            sent: 0,
            refused: 0,
            unreachable: 0,
            was_corrected: false,
        }
    }

    /// After a connection that ended without an answer. A tenant that closed one that it had kept
    /// open may be well; one that closed a new one is not.
    pub fn after(&mut self, failed: Failed) -> Again {
        if failed.was_sent {
            self.sent += 1;
        }
        let is_safe = !failed.was_sent || (self.is_idempotent && self.sent < SENT_MAX);
        if failed.was_answered || !failed.is_whole || !is_safe {
            Again::Nowhere
        } else if failed.was_reused {
            Again::Fresh
        } else {
            self.after_refusal().map_or(Again::Nowhere, Again::Next)
        }
    }

    /// After a host that cannot be reached: whether another one is asked.
    pub fn is_another_host_due(&mut self) -> bool {
        self.unreachable += 1;
        self.unreachable <= OTHER_HOSTS_MAX
    }

    /// After a host that says that the tenant is elsewhere, which is believed once: whether it is
    /// looked for there.
    pub fn is_correction_due(&mut self) -> bool {
        !std::mem::replace(&mut self.was_corrected, true)
    }

    /// After a connection that was not made. Returns how long to wait before the next one is made
    /// to the same tenant, and `None` if the request is given up.
    pub fn after_refusal(&mut self) -> Option<Duration> {
        let wait = FIRST_WAIT * 2u32.pow(self.refused);
        self.refused += 1;
        (self.refused < REFUSED_MAX).then_some(wait)
    }
}

/// What it means that no connection could be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unconnected {
    /// No process listens there any more.
    Dead,
    /// The tenant takes no connections for now.
    Stuck,
    /// This host has no descriptor, port or memory for another one.
    Overloaded,
}

impl Unconnected {
    pub fn of(error: &io::Error) -> Unconnected {
        match error.kind() {
            io::ErrorKind::TimedOut => Unconnected::Stuck,
            io::ErrorKind::AddrNotAvailable | io::ErrorKind::OutOfMemory => Unconnected::Overloaded,
            // EMFILE, ENFILE, EAGAIN, ENOBUFS.
            _ if matches!(error.raw_os_error(), Some(24 | 23 | 11 | 105)) => {
                Unconnected::Overloaded
            }
            _ => Unconnected::Dead,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILED: Failed =
        Failed { was_reused: true, was_sent: true, was_answered: false, is_whole: true };

    fn after(method: &Method, failed: Failed) -> Again {
        Tries::new(method).after(failed)
    }

    #[test]
    fn what_is_safe_is_sent_once_more() {
        let unsent = Failed { was_sent: false, ..FAILED };
        for method in [Method::GET, Method::HEAD, Method::PUT, Method::DELETE, Method::OPTIONS] {
            assert_eq!(after(&method, FAILED), Again::Fresh, "{method}");
        }
        for method in [Method::POST, Method::PATCH, Method::CONNECT] {
            assert_eq!(after(&method, FAILED), Again::Nowhere, "{method}");
            assert_eq!(after(&method, unsent), Again::Fresh, "{method}");
        }
    }

    #[test]
    fn what_may_have_been_answered_is_not_sent_once_more() {
        let answered = Failed { was_answered: true, ..FAILED };
        let partial = Failed { is_whole: false, ..FAILED };
        assert_eq!(after(&Method::GET, answered), Again::Nowhere);
        assert_eq!(after(&Method::GET, partial), Again::Nowhere);
        assert_eq!(after(&Method::GET, Failed { was_sent: false, ..partial }), Again::Nowhere);
    }

    #[test]
    fn a_request_reaches_at_most_two_tenants() {
        let mut tries = Tries::new(&Method::GET);
        let fresh = Failed { was_reused: false, ..FAILED };
        assert_eq!(tries.after(fresh), Again::Next(FIRST_WAIT));
        assert_eq!(tries.after(fresh), Again::Nowhere);
    }

    #[test]
    fn a_tenant_that_refuses_connections_is_given_up_after_a_while() {
        let mut tries = Tries::new(&Method::POST);
        let waits: Vec<u64> = std::iter::from_fn(|| tries.after_refusal())
            .map(|wait| wait.as_millis() as u64)
            .collect();
        assert_eq!(waits, [10, 20, 40, 80, 160, 320, 640]);
    }
}
