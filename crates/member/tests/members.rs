//! Members of one fleet in one process, with a store in memory, tenants that are only written down,
//! and a way from host to host that can be cut.

use fleet::{Config, Event, Key, Question, Reply, Terms, Want, Where};
use member::{Local, Member, Peers};
use std::collections::{BTreeMap, HashMap};
use std::future::{Ready, ready};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use store::MemoryStore;
use tokio::sync::watch;
use tokio::time::timeout;

const LEASE_MS: u64 = 3_000;
/// So that no two hosts are the same.
static RUNS: AtomicU64 = AtomicU64::new(0);
const LONG: Duration = Duration::from_secs(30);

/// The tenants of a host: which keys are admitted, with which epoch. All of them run.
#[derive(Clone)]
struct Tenants {
    admitted: watch::Sender<BTreeMap<String, u64>>,
    tell: Arc<Mutex<Option<Tell>>>,
}

type Tell = Box<dyn Fn(Key, fleet::Local) + Send>;

impl Tenants {
    fn new() -> Tenants {
        Tenants { admitted: watch::Sender::default(), tell: Arc::default() }
    }

    fn end(&self, which: impl Fn(&str) -> bool) -> Ready<()> {
        self.admitted.send_modify(|admitted| admitted.retain(|key, _| !which(key)));
        ready(())
    }

    async fn until(&self, fits: impl Fn(&BTreeMap<String, u64>) -> bool) {
        let mut changes = self.admitted.subscribe();
        timeout(LONG, changes.wait_for(|admitted| fits(admitted))).await.expect("in time").unwrap();
    }
}

impl Local for Tenants {
    fn watch(
        &self,
        tell: impl Fn(Key, fleet::Local) + Send + 'static,
    ) -> impl Future<Output = ()> + Send + 'static {
        *self.tell.lock().unwrap() = Some(Box::new(tell));
        ready(())
    }

    fn admit(&self, key: &Key, epoch: u64) {
        self.admitted.send_modify(|admitted| _ = admitted.insert(key.to_string(), epoch));
        if let Some(tell) = &*self.tell.lock().unwrap() {
            tell(key.clone(), fleet::Local::Busy);
        }
    }

    fn prepare(&self, key: &Key, epoch: u64) -> impl Future<Output = bool> + Send + 'static {
        self.admit(key, epoch);
        ready(true)
    }

    fn hold(&self, _: &Key) -> impl Future<Output = ()> + Send + 'static {
        ready(())
    }

    fn resume(&self, _: &Key) {}

    fn withdraw(&self, key: &Key, _: bool) -> impl Future<Output = ()> + Send + 'static {
        let gone = key.clone();
        self.end(move |key| *key == *gone)
    }

    fn fence(&self) -> impl Future<Output = ()> + Send + 'static {
        self.end(|_| true)
    }

    fn stop_all(&self) -> impl Future<Output = ()> + Send + 'static {
        self.end(|_| true)
    }
}

/// Which hosts can be asked.
#[derive(Clone, Default)]
struct Network(Arc<Mutex<HashMap<String, Member>>>);

struct Way {
    from: Arc<str>,
    network: Network,
}

impl Peers for Way {
    fn ask(
        &self,
        host: Arc<str>,
        _: Arc<str>,
        question: Question,
    ) -> impl Future<Output = Reply> + Send + 'static {
        let asked = self.network.0.lock().unwrap().get(&*host).cloned();
        let from = self.from.clone();
        async move {
            match asked {
                Some(member) => member.asked(from, question).await,
                None => Reply::Failed,
            }
        }
    }
}

struct Host {
    member: Member,
    tenants: Tenants,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Host {
    fn join(id: &str, store: &MemoryStore, network: &Network) -> Host {
        Host::join_by(id, store.another_way(), network)
    }

    fn join_by(id: &str, store: MemoryStore, network: &Network) -> Host {
        let config = Config {
            id: id.into(),
            address: format!("http://{id}:7070").into(),
            zone: None,
            weight: 1.0,
            run: format!("{id} {}", RUNS.fetch_add(1, Ordering::Relaxed)).into(),
            terms: Terms::of(LEASE_MS).expect("a lease"),
            keep_ms: 60_000,
            reserve_ms: 60_000,
            moves_at_once: 8,
            rebalance_every_ms: 1_000,
        };
        let (tenants, events) = (Tenants::new(), Arc::<Mutex<Vec<_>>>::default());
        let way = Way { from: id.into(), network: network.clone() };
        let told = events.clone();
        let on_event = Box::new(move |event| told.lock().unwrap().push(event));
        let member = Member::open(config, store, tenants.clone(), way, on_event);
        let member = member.expect("a thread");
        network.0.lock().unwrap().insert(id.to_owned(), member.clone());
        Host { member, tenants, events }
    }

    /// Where the key is served, once somebody serves it.
    async fn find(&self, key: &str) -> (Option<String>, Option<u64>) {
        let look = async {
            loop {
                match self.member.want(key, Want::default()).await.expect("it goes on") {
                    Where::Here { epoch } => return (None, Some(epoch)),
                    Where::There { host, epoch: Some(epoch), .. } => {
                        return (Some(host.to_string()), Some(epoch));
                    }
                    // It is to have it, or its claim has not been heard of yet.
                    Where::There { epoch: None, .. } => {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    // Its own advice; nothing tells when it is over.
                    Where::Refused { retry_after_ms, .. } => {
                        tokio::time::sleep(Duration::from_millis(retry_after_ms.min(50))).await;
                    }
                }
            }
        };
        timeout(LONG, look).await.expect("somebody serves it")
    }

    /// Claims the key here.
    async fn claim(&self, key: &str) -> u64 {
        let look = async {
            loop {
                let want = Want { hops: 1, ..Want::default() };
                if let Some(Where::Here { epoch }) = self.member.want(key, want).await {
                    return epoch;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(LONG, look).await.expect("it is claimed")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_host_serves_a_key_and_the_others_know_who() {
    let (store, network) = (MemoryStore::new(), Network::default());
    let (first, second) = (Host::join("a", &store, &network), Host::join("b", &store, &network));
    let epoch = first.claim("key").await;
    assert!(first.member.routes().is_mine("key"));
    assert!(first.member.routes().may_answer());
    assert_eq!(first.tenants.admitted.borrow().get("key"), Some(&epoch));
    assert_eq!(second.find("key").await, (Some("a".to_owned()), Some(epoch)));
    let owner = second.member.routes().owner("key").expect("an owner");
    assert_eq!((owner.host.id.as_str(), owner.epoch), ("a", epoch));
    assert_eq!(owner.host.address, "http://a:7070");
    assert!(second.tenants.admitted.borrow().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_the_store_does_not_answer_ends_its_tenants_and_another_takes_over() {
    let (store, network) = (MemoryStore::new(), Network::default());
    let way = store.another_way();
    let first = Host::join_by("a", way.clone(), &network);
    let second = Host::join("b", &store, &network);
    let epoch = first.claim("key").await;
    second.find("key").await;
    way.set_reachable(false);
    first.tenants.until(BTreeMap::is_empty).await;
    assert!(!first.member.routes().may_answer());
    let later = second.claim("key").await;
    assert!(later > epoch, "{later} after {epoch}");
    assert!(first.events.lock().unwrap().contains(&Event::Fenced { keys: 1 }));
    way.set_reachable(true);
    assert_eq!(first.find("key").await, (Some("b".to_owned()), Some(later)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_lost_is_succeeded() {
    let (store, network) = (MemoryStore::new(), Network::default());
    let (first, second) = (Host::join("a", &store, &network), Host::join("b", &store, &network));
    let epoch = first.claim("key").await;
    second.find("key").await;
    network.0.lock().unwrap().remove("a");
    // Its thread ends with it, as if it had been killed.
    drop(first);
    let later = second.claim("key").await;
    assert!(later > epoch, "{later} after {epoch}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_drains_passes_its_keys_on() {
    let (store, network) = (MemoryStore::new(), Network::default());
    let (first, second) = (Host::join("a", &store, &network), Host::join("b", &store, &network));
    let mut epochs = Vec::new();
    for key in ["one", "two", "three"] {
        epochs.push(first.claim(key).await);
    }
    second.find("three").await;
    timeout(LONG, first.member.drain()).await.expect("it is drained");
    first.tenants.until(BTreeMap::is_empty).await;
    for (key, before) in ["one", "two", "three"].into_iter().zip(epochs) {
        let (host, epoch) = second.find(key).await;
        assert_eq!(host, None);
        assert!(epoch > Some(before));
    }
    let moved = |event: &Event| matches!(event, Event::Moved { .. });
    let events = first.events.lock().unwrap().clone();
    assert_eq!(events.iter().filter(|event| moved(event)).count(), 3, "{events:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_leaves_is_gone_for_the_others_at_once() {
    let (store, network) = (MemoryStore::new(), Network::default());
    let (first, second) = (Host::join("a", &store, &network), Host::join("b", &store, &network));
    first.claim("key").await;
    assert_eq!(second.find("key").await.0.as_deref(), Some("a"));
    timeout(LONG, first.member.close()).await.expect("it has left");
    assert!(!first.member.routes().may_answer());
    assert!(first.tenants.admitted.borrow().is_empty());
    second.claim("key").await;
    let ids = second.member.hosts().into_iter().map(|host| host.id.to_string());
    assert_eq!(ids.collect::<Vec<_>>(), ["b"], "{:?}", second.events.lock().unwrap());
}
