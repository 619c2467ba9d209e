//! What a member has to know of the way to other hosts.

use fleet::{Question, Reply};
use std::sync::Arc;

/// The way to the other hosts of the fleet.
pub trait Peers: Send + Sync + 'static {
    /// Asks the host at this address. [`Reply::Failed`] if nobody knows what became of the
    /// question.
    fn ask(
        &self,
        host: Arc<str>,
        address: Arc<str>,
        question: Question,
    ) -> impl Future<Output = Reply> + Send + 'static;
}
