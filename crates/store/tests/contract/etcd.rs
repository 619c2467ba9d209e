//! The contract of etcd, with one member that all cases share, each below a prefix of its own.

use crate::bed::Bed;
use crate::member::{self, Member, Options};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use store::etcd::Settings;
use store::{Etcd, Revision};

/// A member that runs, and one prefix in it.
pub struct WithEtcd {
    member: Arc<Member>,
    prefix: String,
}

/// How long an attempt takes at most, where time is not what is tested: the machine may be busy.
pub const PATIENT: Duration = Duration::from_secs(5);

pub fn settings(endpoints: Vec<String>, prefix: &str, attempt: Duration) -> Settings {
    Settings { endpoints, prefix: prefix.to_owned(), attempt, credentials: None, tls: None }
}

pub fn way(endpoints: Vec<String>, prefix: &str, attempt: Duration) -> Etcd {
    Etcd::new(settings(endpoints, prefix, attempt)).expect("settings that can be used")
}

impl WithEtcd {
    /// With a member that ends with the last case that has it.
    fn shared() -> Option<WithEtcd> {
        static MEMBER: Mutex<Weak<Member>> = Mutex::new(Weak::new());
        if !member::is_there() {
            return None;
        }
        let mut shared = MEMBER.lock().unwrap_or_else(PoisonError::into_inner);
        let member = shared.upgrade().unwrap_or_else(|| {
            let member = Arc::new(started());
            *shared = Arc::downgrade(&member);
            member
        });
        Some(WithEtcd::on(member))
    }

    fn alone() -> Option<WithEtcd> {
        member::is_there().then(|| WithEtcd::on(Arc::new(started())))
    }

    fn on(member: Arc<Member>) -> WithEtcd {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let prefix = format!("/case-{}/", NEXT.fetch_add(1, Ordering::Relaxed));
        WithEtcd { member, prefix }
    }

    fn below(&self, prefix: &str) -> Etcd {
        way(vec![self.member.endpoint()], prefix, PATIENT)
    }
}

fn started() -> Member {
    let mut member = member::cluster(1, &Options::default()).remove(0);
    member.start().ready();
    member
}

impl Bed for WithEtcd {
    type Store = Etcd;

    fn way(&self) -> Etcd {
        self.below(&self.prefix)
    }

    fn way_to_neighbour(&self) -> Etcd {
        self.below(self.prefix.trim_end_matches('/'))
    }

    fn compact(&self, up_to: Revision) {
        self.member.post("/v3/kv/compaction", &format!("{{\"revision\":\"{up_to}\"}}"));
    }
}

crate::cases::run_contract!(WithEtcd::shared(), WithEtcd::alone());
