//! Requests that wait for their tenant's start.

use crate::clock;
use crate::exchange::Site;
use crate::hooks::{Hooks, WokenRequest};
use crate::peer::Missed;
use crate::record::Record;
use crate::refusal::{Refusal, Why};
use crate::stats::{KeyCounters, Totals};
use crate::stream::Socket;
use crate::tenants::{InUse, Tenants};
use crate::trace;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// How long a request whose tenant is there waits for its trace context.
const TRACE_PATIENCE: Duration = Duration::from_millis(50);

/// A place among the requests that wait for one tenant. It is free again when this is dropped.
struct Place {
    all: Arc<Totals>,
    key: Arc<KeyCounters>,
}

impl Place {
    fn take(all: &Arc<Totals>, key: &Arc<KeyCounters>, most: u32) -> Result<Place, Refusal> {
        all.waiting.fetch_add(1, Relaxed);
        let before = key.waiting.fetch_add(1, Relaxed);
        let place = Place { all: all.clone(), key: key.clone() };
        match before < most {
            true => Ok(place),
            false => Err(Refusal::overloaded()),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.all.waiting.fetch_sub(1, Relaxed);
        self.key.waiting.fetch_sub(1, Relaxed);
    }
}

/// A request that is to wait.
pub(crate) struct Waiter<'a> {
    pub key: &'a Arc<KeyCounters>,
    pub record: &'a Record,
    /// The client's socket, if the HTTP library does not see its end: it does not read while a
    /// body waits to be taken.
    pub socket: Option<&'a Socket>,
}

impl<T: Tenants, H: Hooks> Site<T, H> {
    /// Waits for the key's tenant.
    pub(crate) async fn wake(&self, waiter: &Waiter<'_>) -> Result<T::InUse, Refusal> {
        let began = clock::now();
        let tenant = self.wait(waiter, self.tenants.wake(&waiter.key.key)).await?;
        // What it waits for at another host is that one's to count.
        if tenant.peer().is_none() {
            waiter.record.woke(clock::now() - began);
        }
        Ok(tenant)
    }

    /// Waits for the key's tenant, now that it was not to be had from a peer.
    pub(crate) async fn instead(
        &self,
        waiter: &Waiter<'_>,
        missed: &[Missed],
    ) -> Result<T::InUse, Refusal> {
        self.wait(waiter, self.tenants.instead(&waiter.key.key, missed)).await
    }

    async fn wait(
        &self,
        waiter: &Waiter<'_>,
        ready: impl Future<Output = Result<T::InUse, Refusal>>,
    ) -> Result<T::InUse, Refusal> {
        let _place = Place::take(&self.counters.all, waiter.key, self.wake.queue)?;
        let ready = tokio::time::timeout(self.wake.timeout, ready);
        let left = async {
            match waiter.socket {
                Some(socket) => socket.left().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            ready = ready => ready.unwrap_or_else(|_| Err(Refusal::new(504, Why::NotReady))),
            () = left => Err(Refusal::new(499, Why::ClientLeft)),
        }
    }

    /// Waits for the key's tenant, and beside that for the trace context that the request gets.
    pub(crate) async fn wake_traced(
        self: &Arc<Self>,
        waiter: &Waiter<'_>,
        request: WokenRequest,
    ) -> Result<(T::InUse, Option<String>), Refusal> {
        waiter.record.waits_as(request.id, self.clone());
        let mut woken = pin!(self.hooks.woken(request));
        let mut tenant = pin!(self.wake(waiter));
        let mut context = None;
        let tenant = tokio::select! {
            biased;
            tenant = &mut tenant => tenant?,
            said = &mut woken => {
                context = Some(said);
                tenant.await?
            }
        };
        let context = match context {
            Some(said) => said,
            None => tokio::time::timeout(TRACE_PATIENCE, woken).await.ok().flatten(),
        };
        Ok((tenant, context.filter(|context| trace::is_valid(context))))
    }
}
