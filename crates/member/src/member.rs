//! A member of a fleet, as the rest of the host sees it.

use crate::drive::{Drive, Message};
use crate::{Local, Peers, Routes};
use fleet::{CallId, ClaimView, Config, Event, Fleet, HostView, Key, Question, Reply, Want, Where};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::thread;
use store::Store;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

/// Is told of each event, on the member's thread.
pub type OnEvent = Box<dyn FnMut(Event) + Send>;

/// A host's part in a fleet. Its clones are one member.
///
/// When the last clone is dropped without [`close`](Member::close), its thread ends: the host's
/// records stay until others find that it is gone, and from the end of its lease on nothing is
/// answered.
#[derive(Clone)]
pub struct Member {
    shared: Arc<Shared>,
}

struct Shared {
    fleet: Arc<Mutex<Fleet>>,
    routes: Arc<Routes>,
    messages: mpsc::UnboundedSender<Message>,
    calls: AtomicU64,
    thread: Handle,
}

impl Member {
    /// Joins the fleet, in a thread of its own, which goes on trying while the store does not
    /// answer. Errors: the thread could not be started.
    pub fn open<S: Store + Clone>(
        config: Config,
        store: S,
        local: impl Local,
        peers: impl Peers,
        on_event: OnEvent,
    ) -> io::Result<Member> {
        let (messages, inbox) = mpsc::unbounded_channel();
        let routes = Arc::new(Routes::new(&config.id));
        let fleet = Arc::new(Mutex::new(Fleet::new(config)));
        let (fleet_too, routes_too) = (fleet.clone(), routes.clone());
        let drive = Drive { fleet: fleet_too, routes: routes_too, store, local, peers, on_event };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let work = move || runtime.block_on(drive.run(inbox));
        thread::Builder::new().name("fleet".to_owned()).spawn(work)?;
        Ok(Member {
            shared: Arc::new(Shared {
                fleet,
                routes,
                messages,
                calls: AtomicU64::new(0),
                thread: handle,
            }),
        })
    }

    /// Who serves each key, and whether this host may answer.
    pub fn routes(&self) -> &Arc<Routes> {
        &self.shared.routes
    }

    /// Where the key is to be had. Dropping the future gives the question up.
    pub fn want(&self, key: &str, want: Want) -> Wanted {
        let key = Key::from(key);
        let call = self.call();
        let (answer, answered) = oneshot::channel();
        self.send(Message::Want { call, key: key.clone(), want, answer });
        Wanted { member: self.clone(), call, key, answered: Some(answered) }
    }

    /// Another host, which has shown that it is one, asks.
    pub async fn asked(&self, from: Arc<str>, question: Question) -> Reply {
        let (answer, answered) = oneshot::channel();
        self.send(Message::Asked { from, question, answer });
        answered.await.unwrap_or(Reply::Refused)
    }

    /// The hosts that are known, by their ids.
    pub fn hosts(&self) -> Vec<HostView> {
        self.fleet().hosts()
    }

    /// Whose these keys are, or all keys if none is named.
    pub fn claims(&self, keys: &[Key]) -> Vec<ClaimView> {
        self.fleet().claims(keys)
    }

    fn fleet(&self) -> MutexGuard<'_, Fleet> {
        self.shared.fleet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Resolves when this host has joined, which a store that does not answer puts off.
    pub async fn joined(&self) {
        self.shared.routes.until_answering().await;
    }

    /// Does work on the member's thread. It is dropped when that ends.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.shared.thread.spawn(work);
    }

    /// Ends the member's thread as if its host had been killed: nothing more is asked of the store,
    /// and the host's records stay until others find that it is gone.
    pub fn abandon(&self) {
        self.send(Message::Abandon);
    }

    /// Takes no new keys, and passes those that are here to others. Resolves when none is left.
    pub async fn drain(&self) {
        let (done, is_done) = oneshot::channel();
        self.send(Message::Drain { call: self.call(), done });
        let _ = is_done.await;
    }

    /// Leaves in order: ends the tenants of this host, and takes its records out of the store.
    /// Resolves when that is done; the member's thread has nothing to do any more then.
    pub async fn close(&self) {
        let (done, is_done) = oneshot::channel();
        self.send(Message::Close { call: self.call(), done });
        let _ = is_done.await;
    }

    fn call(&self) -> CallId {
        CallId(self.shared.calls.fetch_add(1, Ordering::Relaxed))
    }

    /// A thread that has ended answers nothing: who waits hears of it by its dropped end.
    fn send(&self, message: Message) {
        let _ = self.shared.messages.send(message);
    }
}

/// The answer to [`Member::want`]; `None` when the member has ended.
#[must_use = "a question that is dropped is given up"]
pub struct Wanted {
    member: Member,
    call: CallId,
    key: Key,
    answered: Option<oneshot::Receiver<Where>>,
}

impl Future for Wanted {
    type Output = Option<Where>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Where>> {
        let Some(answered) = &mut self.answered else { return Poll::Ready(None) };
        let place = ready!(Pin::new(answered).poll(context));
        self.answered = None;
        Poll::Ready(place.ok())
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        if self.answered.is_some() {
            self.member.send(Message::Abort { call: self.call, key: self.key.clone() });
        }
    }
}
