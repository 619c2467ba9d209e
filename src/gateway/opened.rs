//! One gateway of JavaScript's, from its start on a thread of its own until no connection is left.

use super::access::AccessQueue;
use super::hooks::{Hooks, Questions};
use super::notices::{NativeAddress, NativeNotice, Notices};
use super::tenants::{Local, Tenants};
use crate::fleet::{From, Slot};
use driver::Driver;
use gateway::listeners::{Listening, Place, StartError};
use gateway::settings::{CertifiedPem, Listen, Settings};
use gateway::stats::{KeyStats, Stats};
use gateway::{Gateway, tls};
use pool::Refusal;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

type Running = Gateway<Tenants, Hooks>;

/// One gateway of JavaScript's.
pub struct Opened {
    pub driver: Arc<Driver>,
    pub notices: Arc<Notices>,
    pub questions: Arc<Questions>,
    pub access: Arc<AccessQueue>,
    state: Mutex<State>,
    /// The slots in which its sockets are kept, of a runtime whose tenants outlive their host.
    slots: Mutex<Vec<u64>>,
}

/// How long a gateway that is left may go on, unless JavaScript says it.
const LEFT_GRACE: Duration = Duration::from_secs(24 * 60 * 60);

enum State {
    /// It is about to listen: a name may have to be resolved for that. What is asked of it
    /// meanwhile is done afterwards.
    Starting { close: Option<Duration>, certificates: Option<Vec<CertifiedPem>> },
    /// It listens, or has.
    Started(Arc<Running>),
    /// It does not listen: it could not, or JavaScript has gone.
    Ended,
}

impl Opened {
    /// Starts a gateway. Whether that worked is told by a notice.
    pub fn start(
        settings: Result<Settings, StartError>,
        tenants: Local,
        slot: Arc<Slot>,
        notices: Notices,
    ) -> Arc<Opened> {
        let driver = tenants.driver.clone();
        let tenants = Tenants::new(Arc::new(tenants), slot, From::Visitors);
        let opened = Arc::new(Opened {
            driver,
            notices: Arc::new(notices),
            questions: Arc::default(),
            access: Arc::default(),
            state: Mutex::new(State::Starting { close: None, certificates: None }),
            slots: Mutex::default(),
        });
        let settings = match settings {
            Ok(settings) => settings,
            Err(error) => {
                opened.failed(&error);
                return opened;
            }
        };
        let starting = opened.clone();
        let start = move || starting.listen(settings, tenants);
        let thread = std::thread::Builder::new().name("gateway-start".into()).spawn(start);
        if let Err(error) = thread {
            opened.failed(&StartError::Thread(error));
        }
        opened
    }

    fn listen(self: &Arc<Self>, settings: Settings, tenants: Tenants) {
        let hooks = Hooks {
            notices: self.notices.clone(),
            questions: self.questions.clone(),
            access: self.access.clone(),
        };
        let ready = |listen: &mut [Listen]| {
            let taken = self.take_left(listen)?;
            Ok(move |place: usize, socket: BorrowedFd<'_>| {
                if taken.get(place) == Some(&false) {
                    self.keep_socket(socket);
                }
            })
        };
        match Gateway::start_when(settings, tenants, hooks, ready) {
            Ok(gateway) => self.started(Arc::new(gateway)),
            Err(error) => self.failed(&error),
        }
    }

    /// Waits until it is known what earlier hosts have left, and takes their sockets: as
    /// `take_sockets`. Nothing is waited for, and none is taken, if tenants end with their host.
    fn take_left(&self, listen: &mut [Listen]) -> Result<Vec<bool>, StartError> {
        let Some(recovered) = self.driver.when_recovered() else { return Ok(Vec::new()) };
        match recovered.blocking_recv() {
            Ok(Ok(())) => Ok(self.take_sockets(listen)),
            Ok(Err(refusal)) => Err(StartError::NoTenants(why(refusal))),
            Err(_) => Err(StartError::NoTenants("the runtime has ended".into())),
        }
    }

    fn started(self: &Arc<Self>, gateway: Arc<Running>) {
        let addresses = gateway.listening().iter().map(address).collect();
        let mut state = self.lock();
        let State::Starting { close, certificates } =
            std::mem::replace(&mut *state, State::Started(gateway.clone()))
        else {
            *state = State::Ended;
            return;
        };
        drop(state);
        self.notices
            .tell(NativeNotice { addresses: Some(addresses), ..NativeNotice::of("started") });
        if let Some(certificates) = certificates {
            // They were checked when they were given.
            let _ = gateway.set_certificates(&certificates);
        }
        if let Some(grace) = close {
            self.close(grace);
        }
        let kept = Arc::downgrade(&gateway);
        self.driver.when_tenants_rest(move |runs| {
            let Some(gateway) = kept.upgrade() else { return false };
            runs.iter().for_each(|run| gateway.forget(run.0));
            true
        });
        let left = Arc::downgrade(self);
        self.driver.when_leaving(move || {
            if let Some(opened) = left.upgrade() {
                opened.leave(LEFT_GRACE);
            }
        });
    }

    /// Takes sockets that a gateway of an earlier host has left, in place of new ones. Returns for
    /// which places that was so, or no socket is to be kept: it came from elsewhere.
    fn take_sockets(&self, listen: &mut [Listen]) -> Vec<bool> {
        let take = |listen: &mut Listen| {
            let Some(place) = Place::of(listen) else { return true };
            let found = self.driver.take_listener(|socket| place.is_of(socket));
            let is_found = found.is_some();
            if let Some((slot, socket)) = found {
                *listen = Listen::Inherited(socket);
                self.slots().push(slot);
            }
            is_found
        };
        listen.iter_mut().map(take).collect()
    }

    /// Has the warden keep a socket that this gateway listens at.
    fn keep_socket(&self, socket: BorrowedFd<'_>) {
        if let Ok(socket) = socket.try_clone_to_owned() {
            self.slots().extend(self.driver.keep_listener(socket));
        }
    }

    /// This host leaves: the gateway accepts nothing more, and finishes what it has.
    fn leave(&self, grace: Duration) {
        match &mut *self.lock() {
            State::Starting { close, .. } => *close = Some(grace),
            State::Started(gateway) => {
                gateway.leave_sockets();
                gateway.begin_to_close(grace);
            }
            State::Ended => {}
        }
    }

    fn slots(&self) -> MutexGuard<'_, Vec<u64>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, error: &StartError) {
        *self.lock() = State::Ended;
        self.notices.tell(NativeNotice {
            problem: Some(error.to_string()),
            code: error.code().map(str::to_owned),
            ..NativeNotice::of("notStarted")
        });
    }

    /// Ends the gateway when its open requests are over, or after this time. The end is told by a
    /// notice.
    pub fn close(&self, grace: Duration) {
        if !self.driver.is_leaving() {
            self.slots().drain(..).for_each(|slot| self.driver.drop_listener(slot));
        }
        let gateway = match &mut *self.lock() {
            State::Starting { close, .. } => {
                *close = Some(grace);
                return;
            }
            State::Started(gateway) => gateway.clone(),
            State::Ended => return,
        };
        let notices = self.notices.clone();
        gateway.close_with(grace, move || notices.tell(NativeNotice::of("closed")));
    }

    /// Drops the gateway, which ends it at once, since JavaScript has gone.
    pub fn abandon(&self) {
        if self.driver.survives() {
            self.leave(Duration::ZERO);
        }
        *self.lock() = State::Ended;
    }

    /// Replaces the certificates. Returns why they cannot be used, if they cannot.
    pub fn set_certificates(&self, given: Vec<CertifiedPem>) -> Option<String> {
        if let Some(problem) = problem_of(&given) {
            return Some(problem);
        }
        match &mut *self.lock() {
            State::Starting { certificates, .. } => *certificates = Some(given),
            State::Started(gateway) => {
                return gateway.set_certificates(&given).err().map(|error| error.to_string());
            }
            State::Ended => {}
        }
        None
    }

    pub fn stats(&self) -> Stats {
        self.gateway().map(|gateway| gateway.stats()).unwrap_or_default()
    }

    pub fn stats_of(&self, key: &str) -> KeyStats {
        self.gateway().and_then(|gateway| gateway.stats_of(key)).unwrap_or_default()
    }

    pub fn stats_of_all(&self) -> Vec<(String, KeyStats)> {
        self.gateway().map(|gateway| gateway.stats_of_all()).unwrap_or_default()
    }

    fn gateway(&self) -> Option<Arc<Running>> {
        match &*self.lock() {
            State::Started(gateway) => Some(gateway.clone()),
            _ => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why these certificates cannot be used; the text names which, if there are several.
pub fn problem_of(given: &[CertifiedPem]) -> Option<String> {
    given.iter().enumerate().find_map(|(index, one)| {
        let error = tls::check(std::slice::from_ref(one)).err()?;
        Some(if given.len() == 1 { error.to_string() } else { format!("[{index}]: {error}") })
    })
}

fn why(refusal: Refusal) -> String {
    match refusal {
        Refusal::InUse { pid, .. } => format!("the tenants are in use by process {pid}"),
        Refusal::NotRecovered { reason } => reason,
        other => format!("the runtime refuses: {other:?}"),
    }
}

fn address(listening: &Listening) -> NativeAddress {
    NativeAddress {
        url: listening.url.clone(),
        hostname: listening.hostname.clone(),
        port: listening.port.map(u32::from),
        path: listening.path.clone(),
    }
}
