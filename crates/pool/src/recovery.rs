//! Recovery: processes that have outlived the host that started them become tenants of this one.

use crate::messages::Refusal;
use crate::pool::{Pool, Step};
use crate::{Key, Recovered};

impl Pool {
    /// A process that was found.
    pub(crate) fn recover(&mut self, _step: &mut Step, _key: Key, _process: Recovered) {}

    /// What was left by earlier hosts cannot be had.
    pub(crate) fn refuse_from_now_on(&mut self, _step: &mut Step, _refusal: Refusal) {}
}
