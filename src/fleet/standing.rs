//! What the tenants of this host do, as a member wants to know it: whether there is one, and whether it
//! is in use. By that it chooses which key passes to another host first.

use driver::Driver;
use driver::tenant_facts::TenantFact;
use fleet::Local as Standing;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// A tenant counts as idle when nobody has used it for so long.
const IDLE_AFTER_MS: u64 = 10_000;
/// Each look takes a tenth of a microsecond for each tenant.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Tells of each change, until the runtime ends or another listener takes its place.
pub async fn follow(driver: Arc<Driver>, tell: impl Fn(Arc<str>, Standing) + Send + 'static) {
    let mut facts = driver.hear_of_tenants();
    let mut standings = Standings { known: HashMap::new(), tell };
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            fact = facts.recv() => match fact {
                Some(TenantFact::Ready { key }) => standings.set(key, Standing::Busy),
                Some(TenantFact::Ended { key }) => standings.set(key, Standing::Cold),
                None => return,
            },
            _ = looks.tick(), if !standings.known.is_empty() => {
                for load in driver.loads() {
                    let is_idle = load.uses == 0 && load.idle_ms >= IDLE_AFTER_MS;
                    let standing = if is_idle { Standing::Idle } else { Standing::Busy };
                    if standings.known.contains_key(&load.key) {
                        standings.set(load.key, standing);
                    }
                }
            }
        }
    }
}

/// Those that are not cold.
struct Standings<T> {
    known: HashMap<Arc<str>, Standing>,
    tell: T,
}

impl<T: Fn(Arc<str>, Standing)> Standings<T> {
    fn set(&mut self, key: Arc<str>, standing: Standing) {
        let before = match standing {
            Standing::Cold => self.known.remove(&key),
            _ => self.known.insert(key.clone(), standing),
        };
        if before.unwrap_or(Standing::Cold) != standing {
            (self.tell)(key, standing);
        }
    }
}
