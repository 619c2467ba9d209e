//! The one place in which a member is joined to the addon: it is opened with what JavaScript has said,
//! the store, and the tenants of this host, and what it answers and tells is put into notices.

use super::local::Local;
use super::notices::{NativeFleetNotice, Notices};
use super::object::{NativeHost, NativeOwner};
use super::settings::Settings;
use driver::Driver;
use std::sync::Arc;

/// One member of JavaScript's, from `createFleet` until the notice `closed`.
pub struct Membership {
    notices: Notices,
    settings: Settings,
    local: Local,
}

impl Membership {
    /// Joins. The notice `joined` tells when it has, `notJoined` that it cannot.
    pub fn open(settings: Settings, driver: &Arc<Driver>, notices: Notices) -> Arc<Membership> {
        let local = Local::new(driver, settings.drain);
        let membership = Arc::new(Membership { notices, settings, local });
        let problem = Some("this build has no member of a fleet".to_owned());
        membership
            .notices
            .tell(NativeFleetNotice { problem, ..NativeFleetNotice::of("notJoined") });
        membership
    }

    /// The notice `placed` or `notPlaced` answers.
    pub fn ensure(&self, ticket: f64, key: String) {
        self.notices.tell(NativeFleetNotice {
            ticket: Some(ticket),
            key: Some(key),
            why: Some("apart".to_owned()),
            retry_after_ms: Some(1_000.0),
            ..NativeFleetNotice::of("notPlaced")
        });
    }

    /// Who serves the key, as far as is known here.
    pub fn owner_of(&self, _key: &str) -> Option<NativeOwner> {
        None
    }

    /// By their ids.
    pub fn hosts(&self) -> Vec<NativeHost> {
        Vec::new()
    }

    /// The notice `drained` follows.
    pub fn drain(&self) {
        self.notices.tell(NativeFleetNotice::of("drained"));
    }

    /// JavaScript has gone: nobody is told anything any more. What the runtime has is stopped with it,
    /// and others find that this host is gone.
    pub fn abandon(&self) {}

    /// The notice `closed` follows.
    pub fn close(&self) {
        self.notices.tell(NativeFleetNotice::of("closed"));
    }
}
