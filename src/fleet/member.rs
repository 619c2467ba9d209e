//! The one place in which a member is joined to the addon: it is opened with what JavaScript has said,
//! the store, and the tenants of this host, and what it answers and tells is put into notices.

use super::local::Local;
use super::notices::{NativeFleetEvent, NativeFleetNotice, NativePlace, Notices};
use super::object::{NativeHost, NativeOwner};
use super::settings::Settings;
use driver::Driver;
use fleet::{Event, HostView, Question, Reply, Want, Where, Why};
use linux::threads::clock;
use member::{Member, OnEvent, Peers};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use store::etcd::Etcd;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Between two looks whether this host has joined for the first time.
const JOIN_LOOK: Duration = Duration::from_millis(20);
/// When another try may succeed, where nothing says it.
const SOON_MS: u64 = 1_000;

/// One member of JavaScript's, from `createFleet` until the notice `closed`.
pub struct Membership {
    /// Of this host.
    id: Arc<str>,
    address: Arc<str>,
    notices: Arc<Notices>,
    /// `None`: it could not be opened, has left, or JavaScript has gone.
    opened: Mutex<Option<Opened>>,
}

#[derive(Clone)]
struct Opened {
    member: Member,
    /// What waits for the member does so on a thread of its own, which ends with this.
    tasks: UnboundedSender<Task>,
}

impl Membership {
    /// Joins. The notice `joined` tells when it has, `notJoined` that it cannot.
    pub fn open(settings: Settings, driver: &Arc<Driver>, notices: Notices) -> Arc<Membership> {
        let Settings { member: config, store, drain, .. } = settings;
        let membership = Arc::new(Membership {
            id: config.id.clone(),
            address: config.address.clone(),
            notices: Arc::new(notices),
            opened: Mutex::default(),
        });
        let local = Local::new(driver, drain);
        let told = membership.notices.clone();
        let on_event: OnEvent = Box::new(move |event| {
            told.tell(NativeFleetNotice {
                event: Some(event_of(event)),
                ..NativeFleetNotice::of("event")
            });
        });
        let opened = Etcd::new(store).map_err(|error| error.to_string()).and_then(|store| {
            let tasks = run_tasks().map_err(|error| error.to_string())?;
            let member = Member::open(config, store, local, NoPeers, on_event)
                .map_err(|error| error.to_string())?;
            Ok(Opened { member, tasks })
        });
        match opened {
            Ok(opened) => {
                membership.tell_joined(&opened);
                *membership.lock() = Some(opened);
            }
            Err(problem) => membership.notices.tell(NativeFleetNotice {
                problem: Some(problem),
                ..NativeFleetNotice::of("notJoined")
            }),
        }
        membership
    }

    /// Nobody tells when this host may answer for the first time. Ends with the member, too.
    fn tell_joined(&self, opened: &Opened) {
        let (routes, notices) = (Arc::downgrade(opened.member.routes()), self.notices.clone());
        opened.run(async move {
            loop {
                match routes.upgrade() {
                    Some(routes) if routes.may_answer() => break,
                    Some(_) => {}
                    None => return,
                }
                tokio::time::sleep(JOIN_LOOK).await;
            }
            notices.tell(NativeFleetNotice::of("joined"));
        });
    }

    /// The notice `placed` or `notPlaced` answers.
    pub fn ensure(&self, ticket: f64, key: String) {
        let (notices, id, address) = (self.notices.clone(), self.id.clone(), self.address.clone());
        let placed = move |notice: NativeFleetNotice| {
            notices.tell(NativeFleetNotice { ticket: Some(ticket), ..notice });
        };
        let Some(opened) = self.lock().clone() else {
            return placed(not_placed(key, Why::Closing, 0));
        };
        let wanted = opened.member.want(&key, Want::default());
        opened.run(async move {
            let place = |is_here: bool, host: &str, address: &str, epoch: u64| NativeFleetNotice {
                place: Some(NativePlace {
                    is_here,
                    host: host.to_owned(),
                    address: address.to_owned(),
                    epoch: epoch.to_string(),
                }),
                ..NativeFleetNotice::of("placed")
            };
            placed(match wanted.await {
                Some(Where::Here { epoch }) => place(true, &id, &address, epoch),
                Some(Where::There { host, address, epoch: Some(epoch) }) => {
                    place(false, &host, &address, epoch)
                }
                // It is that host's to claim, which has to be asked for that.
                Some(Where::There { epoch: None, .. }) => {
                    not_placed(key, Why::OwnerUnreachable, SOON_MS)
                }
                Some(Where::Refused { why, retry_after_ms }) => {
                    not_placed(key, why, retry_after_ms)
                }
                None => not_placed(key, Why::Closing, 0),
            });
        });
    }

    /// Who serves the key, as far as is known here.
    pub fn owner_of(&self, key: &str) -> Option<NativeOwner> {
        let owner = self.lock().as_ref()?.member.routes().owner(key)?;
        Some(NativeOwner {
            host: owner.host.id.clone(),
            address: owner.host.address.clone(),
            epoch: owner.epoch.to_string(),
        })
    }

    /// By their ids.
    pub fn hosts(&self) -> Vec<NativeHost> {
        let member = self.lock().as_ref().map(|opened| opened.member.clone());
        let hosts = member.map(|member| member.hosts()).unwrap_or_default();
        hosts.into_iter().map(host_of).collect()
    }

    /// The notice `drained` follows.
    pub fn drain(&self) {
        let notices = self.notices.clone();
        let drained = move || notices.tell(NativeFleetNotice::of("drained"));
        let Some(opened) = self.lock().clone() else { return drained() };
        let member = opened.member.clone();
        opened.run(async move {
            member.drain().await;
            drained();
        });
    }

    /// The notice `closed` follows.
    pub fn close(&self) {
        let notices = self.notices.clone();
        let closed = move || notices.tell(NativeFleetNotice::of("closed"));
        let Some(opened) = self.lock().take() else { return closed() };
        let member = opened.member.clone();
        opened.run(async move {
            member.close().await;
            closed();
        });
    }

    /// JavaScript has gone: nobody is told anything any more. What the runtime has is stopped with it,
    /// and others find that this host is gone.
    pub fn abandon(&self) {
        self.lock().take();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Opened>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Opened {
    fn run(&self, task: impl Future<Output = ()> + Send + 'static) {
        // An error: the thread has ended, and nobody waits any more.
        let _ = self.tasks.send(Box::pin(task));
    }
}

/// A thread for tasks, which ends when no more can come and those that came are done.
fn run_tasks() -> std::io::Result<UnboundedSender<Task>> {
    let (tasks, mut come) = unbounded_channel::<Task>();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let run = async move {
        let mut running = tokio::task::JoinSet::new();
        loop {
            tokio::select! {
                task = come.recv() => match task {
                    Some(task) => drop(running.spawn(task)),
                    None => break,
                },
                Some(_) = running.join_next() => {}
            }
        }
        while running.join_next().await.is_some() {}
    };
    let name = "fleet-calls".to_owned();
    std::thread::Builder::new().name(name).spawn(move || runtime.block_on(run))?;
    Ok(tasks)
}

/// The way to other hosts is not joined yet.
struct NoPeers;

impl Peers for NoPeers {
    fn ask(
        &self,
        _: Arc<str>,
        _: Arc<str>,
        _: Question,
    ) -> impl Future<Output = Reply> + Send + 'static {
        std::future::ready(Reply::Failed)
    }
}

fn not_placed(key: String, why: Why, retry_after_ms: u64) -> NativeFleetNotice {
    NativeFleetNotice {
        key: Some(key),
        why: Some(word(why).to_owned()),
        retry_after_ms: Some(retry_after_ms as f64),
        ..NativeFleetNotice::of("notPlaced")
    }
}

/// The word for it of `lib/errors.js`.
fn word(why: Why) -> &'static str {
    match why {
        Why::Apart => "apart",
        Why::StoreUnreachable => "store-unreachable",
        Why::StoreIsNew => "store-is-new",
        Why::NewerVersion => "newer-version",
        Why::OwnerUnreachable => "owner-unreachable",
        Why::NoHost => "no-host",
        Why::Unsettled => "unsettled",
        Why::Closing => "closing",
    }
}

fn host_of(host: HostView) -> NativeHost {
    NativeHost {
        id: host.id.to_string(),
        address: host.address.to_string(),
        state: if host.is_draining { "draining" } else { "live" }.to_owned(),
        tenants: host.tenants as f64,
        weight: host.weight,
        zone: host.zone.map(|zone| zone.to_string()),
    }
}

fn event_of(event: Event) -> NativeFleetEvent {
    let of = |kind: &str| NativeFleetEvent {
        kind: kind.to_owned(),
        at: clock::wall_ms() as f64,
        ..NativeFleetEvent::default()
    };
    let text = |text: Arc<str>| Some(text.to_string());
    match event {
        Event::Claim { key, epoch } => {
            NativeFleetEvent { key: text(key), epoch: Some(epoch.to_string()), ..of("claim") }
        }
        Event::Lost { key, epoch } => {
            NativeFleetEvent { key: text(key), epoch: Some(epoch.to_string()), ..of("lost") }
        }
        Event::Moved { key, to, epoch } => NativeFleetEvent {
            key: text(key),
            to: text(to),
            epoch: Some(epoch.to_string()),
            ..of("moved")
        },
        Event::Fenced { keys } => NativeFleetEvent { keys: Some(keys as f64), ..of("fenced") },
        Event::HostJoined { host, address } => {
            NativeFleetEvent { host: text(host), address: text(address), ..of("host-joined") }
        }
        Event::HostGone { host } => NativeFleetEvent { host: text(host), ..of("host-gone") },
        Event::IdTaken { address } => NativeFleetEvent { address: text(address), ..of("id-taken") },
        Event::RolledBack => of("rolled-back"),
    }
}
