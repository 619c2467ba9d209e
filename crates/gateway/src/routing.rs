//! Which tenant a request is for: by the rule, or by what the user's function says of its host.

use crate::clock;
use crate::hooks::{Asked, Hooks};
use crate::refusal::{Refusal, Why};
use crate::route::{Routed, name_of};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How many hosts are remembered. Clients can send any, and a host takes some 200 bytes.
const HOSTS_MAX: usize = 10_000;

/// What the user's function said of hosts. It is asked once for all requests that wait for it.
#[derive(Debug)]
pub(crate) struct Answers {
    cache: Duration,
    /// How long the function may take.
    deadline: Duration,
    hosts: Mutex<HashMap<String, Arc<Host>>>,
}

/// One host. The request that holds the lock asks; should its client leave, the next one does.
#[derive(Debug, Default)]
struct Host {
    answer: tokio::sync::Mutex<Option<Answer>>,
}

#[derive(Clone, Debug)]
struct Answer {
    key: Result<Option<String>, ()>,
    at: Instant,
}

impl Answers {
    pub fn new(cache: Duration, deadline: Duration) -> Answers {
        Answers { cache, deadline, hosts: Mutex::default() }
    }

    /// Routes a request by its host, as sent.
    pub async fn of<H: Hooks>(
        &self,
        hooks: &H,
        host: &str,
        asked: impl FnOnce(String) -> Asked,
    ) -> Result<Routed<'static>, Refusal> {
        let came = clock::now();
        let name = name_of(host);
        let host = self.host(&name);
        let mut answer = host.answer.lock().await;
        let known = answer.as_ref().filter(|answer| {
            // Who waited while it was asked takes what came of it, a failure too.
            answer.at >= came || (answer.key.is_ok() && answer.at + self.cache > came)
        });
        let key = match known {
            Some(known) => known.key.clone(),
            None => {
                let asking =
                    tokio::time::timeout(self.deadline, hooks.ask(asked(name.into_owned())));
                let key = asking.await.unwrap_or(Err(()));
                *answer = Some(Answer { key: key.clone(), at: clock::now() });
                key
            }
        };
        match key {
            Ok(Some(key)) => Ok(Routed::Tenant { key: key.into(), prefix: None }),
            Ok(None) => Err(Refusal::new(404, Why::UnknownHost)),
            Err(()) => Err(Refusal::new(502, Why::Failed)),
        }
    }

    fn host(&self, name: &str) -> Arc<Host> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = hosts.get(name) {
            return known.clone();
        }
        if hosts.len() >= HOSTS_MAX {
            // Those that are being asked stay, or they would be asked twice.
            hosts.retain(|_, host| Arc::strong_count(host) > 1);
        }
        let host = Arc::<Host>::default();
        // If all of them are being asked, this one is not remembered.
        if hosts.len() < HOSTS_MAX {
            hosts.insert(name.to_owned(), host.clone());
        }
        host
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_hosts_are_remembered_and_no_more() {
        let answers = Answers::new(Duration::from_secs(600), Duration::from_secs(600));
        // It is being asked.
        let first = answers.host("first");
        for number in 0..3 * HOSTS_MAX {
            answers.host(&number.to_string());
        }
        assert!(answers.hosts.lock().expect("no panic").len() <= HOSTS_MAX);
        assert!(Arc::ptr_eq(&first, &answers.host("first")));
    }
}
