//! What a member has to know of the tenants of its own host, and nothing else of them.

use fleet::Key;

/// The tenants of this host. Each method begins its work at once, and is called on the member's
/// thread; a future resolves when the work is done. None of them may take long before it returns.
pub trait Local: Send + Sync + 'static {
    /// Tells what becomes of tenants, until it is dropped: it runs for as long as the member does.
    fn watch(
        &self,
        tell: impl Fn(Key, fleet::Local) + Send + 'static,
    ) -> impl Future<Output = ()> + Send + 'static;

    /// From now on the key's tenant may be started and used here, with this epoch.
    fn admit(&self, key: &Key, epoch: u64);

    /// Admits the key for nobody but this start, and starts its tenant. Whether it is ready.
    fn prepare(&self, key: &Key, epoch: u64) -> impl Future<Output = bool> + Send + 'static;

    /// Hands the key out to nobody until [`resume`](Local::resume). Resolves when nobody uses it;
    /// who uses it for too long is cut off.
    fn hold(&self, key: &Key) -> impl Future<Output = ()> + Send + 'static;

    /// The held key may be handed out again.
    fn resume(&self, key: &Key);

    /// The key is not admitted any more, held or not: its tenant is ended, in order or `at_once`.
    /// Resolves when nothing of it lives.
    fn withdraw(&self, key: &Key, at_once: bool) -> impl Future<Output = ()> + Send + 'static;

    /// No key is admitted any more: kills all tenants. Resolves when none lives.
    fn fence(&self) -> impl Future<Output = ()> + Send + 'static;

    /// No key is admitted any more: ends all tenants in order. Resolves when none lives.
    fn stop_all(&self) -> impl Future<Output = ()> + Send + 'static;
}
