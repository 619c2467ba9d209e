//! One gateway of JavaScript's, from its start on a thread of its own until no connection is left.

use super::access::AccessQueue;
use super::hooks::{Hooks, Questions};
use super::notices::{NativeAddress, NativeNotice, Notices};
use super::tenants::Tenants;
use driver::Driver;
use gateway::listeners::{Listening, StartError};
use gateway::settings::{CertifiedPem, Settings};
use gateway::stats::{KeyStats, Stats};
use gateway::{Gateway, tls};
use std::path::PathBuf;
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
}

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
        driver: &Arc<Driver>,
        root: Option<PathBuf>,
        notices: Notices,
    ) -> Arc<Opened> {
        let tenants = Tenants::new(driver.clone(), root);
        let opened = Arc::new(Opened {
            driver: driver.clone(),
            notices: Arc::new(notices),
            questions: Arc::default(),
            access: Arc::default(),
            state: Mutex::new(State::Starting { close: None, certificates: None }),
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

    fn listen(&self, settings: Settings, tenants: Tenants) {
        let hooks = Hooks {
            notices: self.notices.clone(),
            questions: self.questions.clone(),
            access: self.access.clone(),
        };
        match Gateway::start(settings, tenants, hooks) {
            Ok(gateway) => self.started(Arc::new(gateway)),
            Err(error) => self.failed(&error),
        }
    }

    fn started(&self, gateway: Arc<Running>) {
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

fn address(listening: &Listening) -> NativeAddress {
    NativeAddress {
        url: listening.url.clone(),
        hostname: listening.hostname.clone(),
        port: listening.port.map(u32::from),
        path: listening.path.clone(),
    }
}
