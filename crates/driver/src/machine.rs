//! What the driver drives: clocks, ports, processes, and a thread for slow work. The real machine
//! is `crates/linux`; the driver's tests have one without processes.
//!
//! The driver takes a type parameter and no trait object, so that a start has no dynamic calls.

use linux::host::MemoryLooks;
use linux::net::activity::{self, Activity, Backlogs};
use linux::net::connections;
use linux::net::ownership::{Owner, Stranger};
use linux::net::ports::HeldPort;
use linux::net::readiness::NotReady;
use linux::process::accounting::{Root, of_tree};
use linux::threads::clock::{self, Sleep};
use linux::threads::off_thread::OffThread;
use linux::warden_link::client::Turn;
use linux::warden_link::run::{FoundOutput, Program, RunSink, supervise, supervise_found};
use linux::warden_link::surroundings::Noted;
use linux::warden_link::surviving::{NotRecovered, Notice, Recovery, Survive};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::task::AbortHandle;
use warden::{Depth, Mark, StopStage};

/// What a tree does by itself, and has used so far.
#[derive(Clone, Debug)]
pub struct Looked {
    /// `None`, as below: it is gone, or cannot be seen.
    pub activity: Option<Activity>,
    pub cpu_ms: Option<u64>,
}

/// Clocks, ports, and where the engine comes from.
pub trait Machine: Send + Sync + 'static {
    type Port: Port;
    type Engine: Engine<Port = Self::Port>;

    /// The engine, started if this is its first user. Each user gives it back once, with
    /// [`Engine::give_back`]. An error: its thread could not be started.
    fn share_engine(&self) -> io::Result<Arc<Self::Engine>>;

    /// Milliseconds on a clock that never jumps, without the time in which the host did not run.
    fn steady_ms(&self) -> u64;
    /// Microseconds on a clock that never jumps, by which it is measured how long something took.
    fn precise_us(&self) -> u64;
    /// Milliseconds since the epoch.
    fn wall_ms(&self) -> u64;
    /// Milliseconds since the machine was started.
    fn since_boot_ms(&self) -> u64;
    /// How many times the host has not run for a while, and from when to when it last did not; see
    /// [`clock::last_absence`].
    fn last_absence(&self) -> (u64, (u64, u64));
    /// Sleeps until this time on the steady clock; see [`clock::sleep_until`].
    fn sleep_until(&self, at_ms: u64, how: Sleep) -> impl Future<Output = bool> + Send;

    /// Reserves a port for which `is_free` holds; `None` if none was found in so many tries.
    fn reserve_port(&self, tries: usize, is_free: impl Fn(u16) -> bool) -> Option<Self::Port>;
    /// Holds this port; `None` if it is in use.
    fn hold_port(&self, port: u16) -> Option<Self::Port>;
    /// The port that this socket of an earlier host holds; `None` if it holds none.
    fn found_port(&self, socket: OwnedFd) -> Option<Self::Port>;

    /// Whether less than so many bytes of memory are free, or tasks wait for memory.
    fn is_memory_short(
        &self,
        engine: &Self::Engine,
        keep_free_bytes: u64,
    ) -> impl Future<Output = bool> + Send;
}

/// A port that is held by a socket. Dropping it frees the port.
pub trait Port: Send + 'static {
    fn number(&self) -> u16;
    /// Another descriptor of the socket. An error: no descriptor is left.
    fn descriptor(&self) -> io::Result<OwnedFd>;
}

/// The thread on which the tasks of all runtimes run, with the warden and the port stock. A
/// runtime holds it from its first start until its last process has ended.
///
/// Dropping a reference without [`give_back`](Self::give_back) keeps the engine running. A panic
/// in a task ends that task alone. The engine ends when its last user gives it back.
pub trait Engine: Send + Sync + 'static {
    type Port: Port;
    /// The right to launch; see [`turn`](Self::turn). Dropping it lets the next launch in.
    type Turn: Send + 'static;

    /// Runs a task on the engine's thread.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle;
    /// Does slow work on another thread. An error: no thread could be had.
    fn off_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = io::Result<T>> + Send + 'static;
    /// A thread for looks at the process groups of users' processes alone, since a stop waits for
    /// them.
    fn looks_at_groups(&self) -> OffThread;
    /// Gives the engine back. For its last user it ends: `then` is the last thing that its thread
    /// does, and the thread is returned to be joined.
    fn give_back(self: Arc<Self>, then: impl FnOnce() + Send + 'static) -> Option<JoinHandle<()>>;

    /// Waits until no earlier engine is ending, which would give back the place of control groups.
    fn predecessors_gone(&self) -> impl Future<Output = ()> + Send;
    /// Waits, in the order of the calls, until a launch may hold descriptors that the warden does
    /// not have yet.
    fn turn(&self) -> impl Future<Output = Self::Turn> + Send;
    /// Spawns the program and reports to `sink` until the tree is reaped.
    fn supervise(
        &self,
        program: Program,
        noted: Noted,
        turn: Self::Turn,
        patience: Duration,
        sink: &(impl RunSink + Send + Sync),
    ) -> impl Future<Output = ()> + Send;
    /// Stops the tree that was launched under this number.
    fn stop(&self, number: u64, stage: StopStage);
    /// Continues the warden and its keepers, in case they were stopped.
    fn continue_helpers(&self);
    /// Lets the tree with this number fall asleep, or sleep deeper. `RunSink::rested` answers.
    fn rest(&self, number: u64, depth: Depth);
    /// Wakes the tree with this number. `RunSink::rested` answers.
    fn rouse(&self, number: u64);

    /// Finds out what earlier hosts have left, and has it from then on. Only of an engine whose
    /// tenants outlive their host, as all up to `drop_listener`.
    fn recover(&self) -> impl Future<Output = Result<Recovery, NotRecovered>> + Send;
    /// What the warden tells next of other hosts; `None`: nothing more.
    fn notice(&self) -> impl Future<Output = Option<Notice>> + Send;
    /// Reports a run that was found to `sink` until its tree is reaped, or it is let go.
    fn supervise_found(
        &self,
        found: FoundOutput,
        sink: &(impl RunSink + Send + Sync),
    ) -> impl Future<Output = ()> + Send;
    /// Notes how far the run with this number has come, with why.
    fn mark(&self, number: u64, mark: Mark, detail: u8);
    /// The end of the run with this number was told.
    fn end_is_told(&self, number: u64);
    /// This host has left: the next one may have all runs.
    fn detach(&self);
    /// Has a listener kept in this slot.
    fn keep_listener(&self, slot: u64, socket: OwnedFd);
    fn drop_listener(&self, slot: u64);

    /// Whether each of these tenants, given as its port and its tree, has an open connection. An
    /// error: that cannot be seen.
    fn connected(
        &self,
        tenants: Vec<(u16, Option<Root>)>,
    ) -> impl Future<Output = io::Result<Vec<bool>>> + Send;
    /// Whether this tenant has taken a connection in that is open. An error: that cannot be seen.
    fn has_taken_in(
        &self,
        tenant: (u16, Option<Root>),
    ) -> impl Future<Output = io::Result<bool>> + Send;
    /// What each of these trees does by itself. An error: that cannot be seen.
    fn look_at(&self, trees: Vec<Root>) -> impl Future<Output = io::Result<Vec<Looked>>> + Send;
    /// The CPU time that each of these trees has used so far.
    fn cpu_ms_of(
        &self,
        trees: Vec<Root>,
    ) -> impl Future<Output = io::Result<Vec<Option<u64>>>> + Send;
    /// The ports whose connections wait to be taken in, and how many wait. `backlogs` comes back for
    /// the next look.
    fn look_at_backlogs(
        &self,
        backlogs: Backlogs,
    ) -> impl Future<Output = io::Result<(Backlogs, Vec<(u16, u32)>)>> + Send;
    /// Connects to the server, and ends when it has taken the connection in, or refused it.
    fn takes_a_connection(&self, server: SocketAddr) -> impl Future<Output = ()> + Send;

    /// A port that was reserved in advance, if one fits.
    fn port_in_stock(&self, is_free: impl Fn(u16) -> bool) -> Option<Self::Port>;
    /// Reserves a port where free ones are rare. Errors: no port (`AddrInUse`), or no descriptor.
    fn look_for_port(
        &self,
        is_free: impl Fn(u16) -> bool + Send,
    ) -> impl Future<Output = io::Result<Self::Port>> + Send;
    /// Returns a port that no tenant has used to the stock.
    fn unused_port(&self, port: Self::Port);
    /// Releases a port that a tenant has used. The engine's thread closes its socket later.
    fn release_port(&self, port: Self::Port);

    /// Waits until the owner answers a GET of this path on the port; the address at which it did.
    fn until_answered(
        &self,
        port: u16,
        path: &str,
        owner: Owner,
        limit: Duration,
    ) -> impl Future<Output = Result<IpAddr, NotReady>> + Send;
    /// The loopback address at which the port has a listener; `None` if there is none.
    fn listening_address(&self, port: u16) -> Option<IpAddr>;
    /// Whether a request to this address and port reaches the owner. An error: the process that it
    /// reaches instead.
    fn is_owned(
        &self,
        owner: Owner,
        address: IpAddr,
        port: u16,
    ) -> impl Future<Output = Result<bool, Stranger>> + Send;
}

/// The machine that this host runs on.
pub struct Linux {
    /// The helper program beside the addon.
    pub warden_path: PathBuf,
    /// Tenants may outlive this host.
    pub survive: Option<Survive>,
    memory: Arc<Mutex<Option<MemoryLooks>>>,
}

impl Linux {
    pub fn new(warden_path: PathBuf, survive: Option<Survive>) -> Linux {
        Linux { warden_path, survive, memory: Arc::default() }
    }
}

impl Machine for Linux {
    type Port = HeldPort;
    type Engine = linux::engine::Engine;

    fn share_engine(&self) -> io::Result<Arc<Self::Engine>> {
        match &self.survive {
            None => linux::engine::Engine::share(self.warden_path.clone()),
            Some(survive) => {
                linux::engine::Engine::surviving(self.warden_path.clone(), survive.clone())
            }
        }
    }

    fn steady_ms(&self) -> u64 {
        clock::steady_ms()
    }

    fn precise_us(&self) -> u64 {
        clock::precise_us()
    }

    fn wall_ms(&self) -> u64 {
        clock::wall_ms()
    }

    fn since_boot_ms(&self) -> u64 {
        clock::since_boot_ms()
    }

    fn last_absence(&self) -> (u64, (u64, u64)) {
        clock::last_absence()
    }

    fn sleep_until(&self, at_ms: u64, how: Sleep) -> impl Future<Output = bool> + Send {
        clock::sleep_until(at_ms, how)
    }

    fn reserve_port(&self, tries: usize, is_free: impl Fn(u16) -> bool) -> Option<HeldPort> {
        HeldPort::reserve(tries, is_free).ok()
    }

    fn hold_port(&self, port: u16) -> Option<HeldPort> {
        HeldPort::hold(port).ok()
    }

    fn found_port(&self, socket: OwnedFd) -> Option<HeldPort> {
        HeldPort::of_socket(socket).ok()
    }

    async fn is_memory_short(&self, engine: &Self::Engine, keep_free_bytes: u64) -> bool {
        let (memory, now_ms) = (self.memory.clone(), self.steady_ms());
        let look = move || {
            let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
            memory.get_or_insert_with(MemoryLooks::new).is_short(keep_free_bytes, now_ms)
        };
        engine.off_thread.run(look).await.unwrap_or(false)
    }
}

impl Port for HeldPort {
    fn number(&self) -> u16 {
        self.port()
    }

    fn descriptor(&self) -> io::Result<OwnedFd> {
        self.descriptor()
    }
}

impl Engine for linux::engine::Engine {
    type Port = HeldPort;
    type Turn = Turn;

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        self.spawn(task).abort_handle()
    }

    fn off_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = io::Result<T>> + Send + 'static {
        let off_thread = self.off_thread.clone();
        async move { off_thread.run(work).await }
    }

    fn looks_at_groups(&self) -> OffThread {
        self.looks_at_groups.clone()
    }

    fn give_back(self: Arc<Self>, then: impl FnOnce() + Send + 'static) -> Option<JoinHandle<()>> {
        Some(self.give_back()?.end(then))
    }

    fn predecessors_gone(&self) -> impl Future<Output = ()> + Send {
        self.predecessors_gone()
    }

    fn turn(&self) -> impl Future<Output = Turn> + Send {
        self.warden.turn()
    }

    fn supervise(
        &self,
        program: Program,
        noted: Noted,
        turn: Turn,
        patience: Duration,
        sink: &(impl RunSink + Send + Sync),
    ) -> impl Future<Output = ()> + Send {
        supervise(&self.warden, program, noted, turn, patience, sink)
    }

    fn stop(&self, number: u64, stage: StopStage) {
        self.warden.stop(number, stage);
    }

    fn continue_helpers(&self) {
        self.warden.continue_helpers();
    }

    fn rest(&self, number: u64, depth: Depth) {
        self.warden.sleep(number, depth);
    }

    fn rouse(&self, number: u64) {
        self.warden.wake(number);
    }

    fn recover(&self) -> impl Future<Output = Result<Recovery, NotRecovered>> + Send {
        self.warden.recover()
    }

    fn notice(&self) -> impl Future<Output = Option<Notice>> + Send {
        self.warden.notice()
    }

    fn supervise_found(
        &self,
        found: FoundOutput,
        sink: &(impl RunSink + Send + Sync),
    ) -> impl Future<Output = ()> + Send {
        supervise_found(found, sink)
    }

    fn mark(&self, number: u64, mark: Mark, detail: u8) {
        self.warden.mark(number, mark, detail);
    }

    fn end_is_told(&self, number: u64) {
        self.warden.end_is_told(number);
    }

    fn detach(&self) {
        self.warden.detach();
    }

    fn keep_listener(&self, slot: u64, socket: OwnedFd) {
        self.warden.keep_listener(slot, socket);
    }

    fn drop_listener(&self, slot: u64) {
        self.warden.drop_listener(slot);
    }

    async fn connected(&self, tenants: Vec<(u16, Option<Root>)>) -> io::Result<Vec<bool>> {
        self.off_thread.run(move || connections::of_tenants(&tenants)).await?
    }

    async fn has_taken_in(&self, tenant: (u16, Option<Root>)) -> io::Result<bool> {
        self.off_thread.run(move || connections::taken_in_by(tenant)).await?
    }

    async fn look_at(&self, trees: Vec<Root>) -> io::Result<Vec<Looked>> {
        let look = move || {
            let activities = activity::of_trees(&trees)?;
            let looked = trees.into_iter().zip(activities).map(|(tree, activity)| Looked {
                activity,
                cpu_ms: of_tree(tree).map(|usage| usage.cpu_ms),
            });
            Ok(looked.collect())
        };
        self.off_thread.run(look).await?
    }

    async fn cpu_ms_of(&self, trees: Vec<Root>) -> io::Result<Vec<Option<u64>>> {
        let used = |tree| of_tree(tree).map(|usage| usage.cpu_ms);
        self.off_thread.run(move || trees.into_iter().map(used).collect()).await
    }

    async fn look_at_backlogs(
        &self,
        mut backlogs: Backlogs,
    ) -> io::Result<(Backlogs, Vec<(u16, u32)>)> {
        let look = move || backlogs.look().map(|waiting| (backlogs, waiting));
        self.off_thread.run(look).await?
    }

    async fn takes_a_connection(&self, server: SocketAddr) {
        self.readiness.takes_a_connection(server).await;
    }

    fn port_in_stock(&self, is_free: impl Fn(u16) -> bool) -> Option<HeldPort> {
        self.port(is_free)
    }

    fn look_for_port(
        &self,
        is_free: impl Fn(u16) -> bool + Send,
    ) -> impl Future<Output = io::Result<HeldPort>> + Send {
        self.look_for_port(is_free)
    }

    fn unused_port(&self, port: HeldPort) {
        self.unused_port(port);
    }

    fn release_port(&self, port: HeldPort) {
        self.let_go_of_port(port);
    }

    fn until_answered(
        &self,
        port: u16,
        path: &str,
        owner: Owner,
        limit: Duration,
    ) -> impl Future<Output = Result<IpAddr, NotReady>> + Send {
        self.readiness.until_answered(port, path, owner, limit)
    }

    fn listening_address(&self, port: u16) -> Option<IpAddr> {
        self.readiness.place(port)
    }

    fn is_owned(
        &self,
        owner: Owner,
        address: IpAddr,
        port: u16,
    ) -> impl Future<Output = Result<bool, Stranger>> + Send {
        self.readiness.is_owned(owner, address, port)
    }
}
