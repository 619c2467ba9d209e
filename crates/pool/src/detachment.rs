//! Detachment: the host leaves, and its tenants stay for the next one.

use crate::CallId;
use crate::pool::{Pool, Step};

impl Pool {
    pub(crate) fn detach(&mut self, _step: &mut Step, _call: Option<CallId>) {}
}
