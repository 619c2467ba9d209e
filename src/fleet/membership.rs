//! The one place in which a member is joined to the addon: it is opened with what JavaScript has said,
//! the store, and the tenants of this host, and what it answers and tells is put into notices.

use super::local::Local;
use super::notices::{NativeFleetEvent, NativeFleetNotice, NativePlace, Notices};
use super::object::{NativeClaim, NativeHost, NativeOwner};
use super::operators::Operators;
use super::peers::{Peers, authority_of};
use super::settings::{Settings, Trust};
use super::side::{Side, Slot};
use super::tenants::{From, NoPlace, Placed};
use crate::gateway::tenants::{Local as LocalTenants, Tenants};
use fleet::{Config, Event, Why};
use gateway::listeners::StartError;
use gateway::peer::{Entry, Owner};
use gateway::settings::{Limits, Listen, Routing, Settings as GatewaySettings, Wake};
use gateway::{Gateway, NoHooks};
use linux::threads::clock::wall_ms;
use member::{Member, token_for};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use store::Etcd;

/// Requests of other hosts that are under way when this one has left have so long to end, and those
/// of this one to a host that is gone.
const GRACE: Duration = Duration::from_secs(5);
/// The gateway for other hosts.
type Door = Gateway<Tenants, NoHooks>;

/// One member of JavaScript's, from `createFleet` until the notice `closed`.
pub struct Membership {
    notices: Arc<Notices>,
    /// Questions of other hosts, for JavaScript.
    pub operators: Arc<Operators>,
    /// Until it listens for other hosts there is none.
    opened: OnceLock<Opened>,
    /// What was asked before that.
    early: Mutex<Vec<Early>>,
}

struct Opened {
    side: Arc<Side>,
    door: Door,
}

/// What is asked before there is a member.
enum Early {
    Ensure { ticket: f64, key: String },
    Drain,
    Close,
}

impl Membership {
    /// Joins. The notice `joined` tells when it has, `notJoined` that it cannot.
    pub fn open(
        settings: Settings,
        tenants: LocalTenants,
        slot: Arc<Slot>,
        notices: Notices,
    ) -> Arc<Membership> {
        let notices = Arc::new(notices);
        let operators = Arc::new(Operators::new(notices.clone()));
        let (opened, early) = (OnceLock::new(), Mutex::default());
        let membership = Arc::new(Membership { notices, operators, opened, early });
        let starting = membership.clone();
        // A name may have to be looked up for the listener.
        let start = move || {
            if let Err(error) = starting.start(settings, tenants, &slot) {
                starting.not_joined(error);
            }
        };
        if let Err(error) = std::thread::Builder::new().name("fleet-start".into()).spawn(start) {
            membership.not_joined(Problem { text: error.to_string(), code: None });
        }
        membership
    }

    fn start(
        self: &Arc<Self>,
        settings: Settings,
        tenants: LocalTenants,
        slot: &Arc<Slot>,
    ) -> Result<(), Problem> {
        let Settings { member: config, store, patience, drain, trust } = settings;
        let peers = Peers::new(&config.id, &trust, patience).map_err(Problem::from)?;
        let store = Etcd::new(store).map_err(|error| Problem::from(error.to_string()))?;
        let driver = tenants.driver.clone();
        let gateway = door(&config, &trust)?;
        let address = config.address.to_string();
        let tenants = Tenants::new(Arc::new(tenants), slot.clone(), From::Hosts);
        let door = Gateway::start(gateway, tenants, NoHooks)?;
        let local = Local::new(&driver, drain);
        let (told, known) = (self.clone(), peers.clone());
        let on_event = Box::new(move |event| {
            if let Event::HostGone { host } = &event {
                tokio::spawn(known.gone(host, GRACE));
            }
            told.tell(event);
        });
        let member = Member::open(config, store, local, peers.clone(), on_event);
        let member = member.map_err(|error| Problem::from(error.to_string()))?;
        let operators = self.operators.clone();
        let side = Arc::new(Side { member: member.clone(), peers, operators, address });
        slot.set(side.clone());
        let early = {
            let mut early = self.early();
            let _ = self.opened.set(Opened { side, door });
            std::mem::take(&mut *early)
        };
        let joining = self.clone();
        let joined = member.clone();
        member.spawn(async move {
            joined.joined().await;
            joining.notices.tell(NativeFleetNotice::of("joined"));
        });
        for asked in early {
            match asked {
                Early::Ensure { ticket, key } => self.ensure(ticket, key),
                Early::Drain => self.drain(),
                Early::Close => self.close(),
            }
        }
        Ok(())
    }

    fn not_joined(&self, Problem { text, code }: Problem) {
        let notice = NativeFleetNotice::of("notJoined");
        self.notices.tell(NativeFleetNotice { problem: Some(text), code, ..notice });
    }

    /// The notice `placed` or `notPlaced` answers. Before this host has joined it waits for that.
    pub fn ensure(self: &Arc<Self>, ticket: f64, key: String) {
        let Some(member) = self.member_or(|| Early::Ensure { ticket, key: key.clone() }) else {
            return;
        };
        let (membership, asked) = (self.clone(), member.clone());
        member.spawn(async move {
            asked.joined().await;
            let Some(Opened { side, .. }) = membership.opened.get() else { return };
            let place = side.place(&key).await;
            membership.placed(ticket, key, place);
        });
    }

    fn placed(&self, ticket: f64, key: String, place: Result<Placed, NoPlace>) {
        let notice = NativeFleetNotice { ticket: Some(ticket), ..NativeFleetNotice::default() };
        self.notices.tell(match place {
            Ok(Placed { is_here, owner: Owner { host, address, epoch } }) => NativeFleetNotice {
                kind: "placed".to_owned(),
                place: Some(NativePlace { is_here, host, address, epoch: epoch.to_string() }),
                ..notice
            },
            Err(NoPlace { why, retry_after_ms }) => NativeFleetNotice {
                kind: "notPlaced".to_owned(),
                key: Some(key),
                why: Some(word_for(why).to_owned()),
                retry_after_ms: Some(retry_after_ms as f64),
                ..notice
            },
        });
    }

    /// Who serves the key, as far as is known here.
    pub fn owner_of(&self, key: &str) -> Option<NativeOwner> {
        let owner = self.opened.get()?.side.member.routes().owner(key)?;
        Some(NativeOwner {
            host: owner.host.id.clone(),
            address: owner.host.address.clone(),
            epoch: owner.epoch.to_string(),
        })
    }

    /// By their ids.
    pub fn hosts(&self) -> Vec<NativeHost> {
        let hosts = self.opened.get().map(|opened| opened.side.member.hosts());
        hosts.unwrap_or_default().into_iter().map(NativeHost::of).collect()
    }

    /// Whose these keys are, or all keys if none is named.
    pub fn claims(&self, keys: Vec<String>) -> Vec<NativeClaim> {
        let keys: Vec<_> = keys.into_iter().map(Arc::from).collect();
        let claims = self.opened.get().map(|opened| opened.side.member.claims(&keys));
        claims.unwrap_or_default().into_iter().map(NativeClaim::of).collect()
    }

    /// Asks another host for an operator. The notice `answered` or `notAnswered` follows.
    pub fn ask(self: &Arc<Self>, ticket: f64, host: String, question: String) {
        let membership = self.clone();
        let told = move |answer: Result<String, String>| {
            let ticket = Some(ticket);
            membership.notices.tell(match answer {
                Ok(text) => NativeFleetNotice {
                    ticket,
                    text: Some(text),
                    ..NativeFleetNotice::of("answered")
                },
                Err(problem) => NativeFleetNotice {
                    ticket,
                    problem: Some(problem),
                    ..NativeFleetNotice::of("notAnswered")
                },
            });
        };
        let Some(Opened { side, .. }) = self.opened.get() else {
            return told(Err("this host has not joined yet".to_owned()));
        };
        let known = side.member.hosts().into_iter().find(|known| *known.id == *host);
        let Some(address) = known.map(|known| known.address).filter(|at| !at.is_empty()) else {
            return told(Err("it is not there".to_owned()));
        };
        let peers = side.peers.clone();
        side.member.spawn(async move {
            told(peers.operator_question(&host, &address, &question).await);
        });
    }

    /// The notice `drained` follows.
    pub fn drain(self: &Arc<Self>) {
        let Some(member) = self.member_or(|| Early::Drain) else { return };
        let (membership, draining) = (self.clone(), member.clone());
        member.spawn(async move {
            draining.drain().await;
            membership.notices.tell(NativeFleetNotice::of("drained"));
        });
    }

    /// The notice `closed` follows.
    pub fn close(self: &Arc<Self>) {
        let Some(member) = self.member_or(|| Early::Close) else { return };
        let (membership, closing) = (self.clone(), member.clone());
        member.spawn(async move {
            closing.close().await;
            let notices = membership.clone();
            let Some(Opened { door, .. }) = membership.opened.get() else { return };
            door.close_with(GRACE, move || {
                notices.notices.tell(NativeFleetNotice::of("closed"));
            });
            closing.abandon();
        });
    }

    /// JavaScript has gone: nobody is told anything any more. What the runtime has is stopped with it,
    /// and others find that this host is gone.
    pub fn abandon(&self) {
        if let Some(Opened { side, door }) = self.opened.get() {
            side.member.abandon();
            door.begin_to_close(Duration::ZERO);
        }
    }

    /// The member; without one, this is done when there is.
    fn member_or(&self, early: impl FnOnce() -> Early) -> Option<Member> {
        let mut waiting = self.early();
        match self.opened.get() {
            Some(opened) => Some(opened.side.member.clone()),
            None => {
                waiting.push(early());
                None
            }
        }
    }

    fn early(&self) -> MutexGuard<'_, Vec<Early>> {
        self.early.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, event: Event) {
        let Some(event) = event_for(event) else { return };
        let notice = NativeFleetNotice::of("event");
        self.notices.tell(NativeFleetNotice { event: Some(event), ..notice });
    }
}

/// Why this host cannot join.
struct Problem {
    text: String,
    /// Of the operating system.
    code: Option<String>,
}

impl std::convert::From<String> for Problem {
    fn from(text: String) -> Problem {
        Problem { text, code: None }
    }
}

impl std::convert::From<StartError> for Problem {
    fn from(error: StartError) -> Problem {
        Problem { text: error.to_string(), code: None }
    }
}

/// The listener for other hosts.
fn door(config: &Config, trust: &Trust) -> Result<GatewaySettings, Problem> {
    let authority = authority_of(&config.address).unwrap_or_default();
    let (hostname, port) = authority.rsplit_once(':').unwrap_or((authority, ""));
    let port = port.parse().map_err(|_| Problem::from(format!("{authority} has no port")))?;
    let hostname = hostname.trim_start_matches('[').trim_end_matches(']').to_owned();
    let entry = match trust {
        Trust::Secret(secret) => Entry::Token(token_for(secret, &config.id)),
        Trust::Tls(_) => Entry::Certificate(trust.pem().expect("certificates")),
    };
    Ok(GatewaySettings {
        routing: Routing::Peers(entry),
        listen: vec![Listen::Tcp { hostname, port }],
        tls: None,
        trust: Vec::new(),
        wake: Wake::default(),
        limits: Limits::default(),
        access: false,
        pages: false,
        trace: false,
        threads: None,
    })
}

/// The word of `lib/errors.js`.
fn word_for(why: Why) -> &'static str {
    match why {
        Why::Apart => "apart",
        Why::StoreUnreachable => "store-unreachable",
        Why::StoreIsNew => "store-is-new",
        Why::NewerVersion => "newer-version",
        Why::NoHost => "no-host",
        Why::OwnerUnreachable => "owner-unreachable",
        Why::Unsettled => "unsettled",
        Why::Closing => "closing",
    }
}

fn event_for(event: Event) -> Option<NativeFleetEvent> {
    let of = |kind: &str| NativeFleetEvent {
        kind: kind.to_owned(),
        at: wall_ms() as f64,
        ..NativeFleetEvent::default()
    };
    let key_of = |kind: &str, key: fleet::Key, epoch: u64| NativeFleetEvent {
        key: Some(key.to_string()),
        epoch: Some(epoch.to_string()),
        ..of(kind)
    };
    Some(match event {
        Event::Claim { key, epoch } => key_of("claim", key, epoch),
        Event::Lost { key, epoch } => key_of("lost", key, epoch),
        Event::Moved { key, to, epoch } => {
            NativeFleetEvent { to: Some(to.to_string()), ..key_of("moved", key, epoch) }
        }
        Event::Fenced { keys } => NativeFleetEvent { keys: Some(keys as f64), ..of("fenced") },
        Event::HostJoined { host, address } => NativeFleetEvent {
            host: Some(host.to_string()),
            address: Some(address.to_string()),
            ..of("host-joined")
        },
        Event::HostGone { host } => {
            NativeFleetEvent { host: Some(host.to_string()), ..of("host-gone") }
        }
        Event::IdTaken { address } => {
            NativeFleetEvent { address: Some(address.to_string()), ..of("id-taken") }
        }
        Event::RolledBack => of("rolled-back"),
    })
}
