//! What the driver drives: clocks, ports, processes, and a thread for what takes time. The real
//! ones are `crates/linux`; the tests of the driver have one without processes.
//!
//! A type parameter and no trait object, so that a start costs the calls that it did before there
//! was a trait.

use linux::net::ownership::{Owner, Stranger};
use linux::net::ports::HeldPort;
use linux::net::readiness::NotReady;
use linux::threads::clock::{self, Sleep};
use linux::threads::off_thread::OffThread;
use linux::warden_link::client::Turn;
use linux::warden_link::run::{Program, RunSink, supervise};
use linux::warden_link::surroundings::Noted;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::task::AbortHandle;
use warden::StopStage;

/// Clocks, ports, and where the engine comes from.
pub trait Machine: Send + Sync + 'static {
    type Port: Port;
    type Engine: Engine<Port = Self::Port>;

    /// The engine, started if this is its first user. To be given back.
    fn share_engine(&self) -> io::Result<Arc<Self::Engine>>;

    /// Milliseconds on a clock that never jumps, without the time in which the host did not run.
    fn steady_ms(&self) -> u64;
    /// Milliseconds since the epoch.
    fn wall_ms(&self) -> u64;
    /// Milliseconds since the machine was started.
    fn since_boot_ms(&self) -> u64;
    /// See [`clock::last_absence`].
    fn last_absence(&self) -> (u64, (u64, u64));
    /// See [`clock::sleep_until`].
    fn sleep_until(&self, at_ms: u64, how: Sleep) -> impl Future<Output = bool> + Send;

    /// Reserves a port that fits, in so many tries.
    fn reserve_port(&self, tries: usize, is_free: impl Fn(u16) -> bool) -> Option<Self::Port>;
    /// Holds this port.
    fn hold_port(&self, port: u16) -> Option<Self::Port>;
}

/// A port that is held: free again when dropped.
pub trait Port: Send + 'static {
    fn number(&self) -> u16;
}

/// What a runtime uses from its first start until nothing is left of it. Tasks run on its thread.
pub trait Engine: Send + Sync + 'static {
    type Port: Port;
    /// See [`turn`](Self::turn).
    type Turn: Send + 'static;

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle;
    /// Does this on a thread for what takes long. An error: there is none.
    fn off_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = io::Result<T>> + Send + 'static;
    /// A thread of their own for looks at the process groups of the user's: a stop waits for these.
    fn looks_at_groups(&self) -> OffThread;
    /// Gives the engine back. For its last user it ends: `then` is the last thing that its thread
    /// does.
    fn give_back(self: Arc<Self>, then: impl FnOnce() + Send + 'static) -> Option<JoinHandle<()>>;

    /// Waits until a launch may hold descriptors that the warden does not have yet.
    fn turn(&self) -> impl Future<Output = Self::Turn> + Send;
    /// Starts the program and tells what becomes of it.
    fn supervise(
        &self,
        program: Program,
        noted: Noted,
        turn: Self::Turn,
        patience: Duration,
        sink: &(impl RunSink + Send + Sync),
    ) -> impl Future<Output = ()> + Send;
    /// Ends what was launched under this number.
    fn stop(&self, number: u64, stage: StopStage);
    /// The warden, or a keeper, may have been stopped.
    fn continue_helpers(&self);

    /// A port that was reserved in advance, if one fits.
    fn port_in_stock(&self, is_free: impl Fn(u16) -> bool) -> Option<Self::Port>;
    /// Reserves a port where one is hard to find.
    fn look_for_port(
        &self,
        is_free: impl Fn(u16) -> bool + Send,
    ) -> impl Future<Output = io::Result<Self::Port>> + Send;
    /// Takes a port back that nothing has used.
    fn unused_port(&self, port: Self::Port);
    /// Closes a port that need not be held any longer.
    fn let_go_of_port(&self, port: Self::Port);

    /// Waits until the owner answers on the port.
    fn until_answered(
        &self,
        port: u16,
        owner: Owner,
        limit: Duration,
    ) -> impl Future<Output = Result<IpAddr, NotReady>> + Send;
    /// Where the port is listened on, as far as that can be seen.
    fn place(&self, port: u16) -> Option<IpAddr>;
    /// Whether a request to this address and port reaches the owner; an error names who it reaches
    /// instead.
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
}

impl Machine for Linux {
    type Port = HeldPort;
    type Engine = linux::engine::Engine;

    fn share_engine(&self) -> io::Result<Arc<Self::Engine>> {
        linux::engine::Engine::share(self.warden_path.clone())
    }

    fn steady_ms(&self) -> u64 {
        clock::steady_ms()
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
}

impl Port for HeldPort {
    fn number(&self) -> u16 {
        self.port()
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

    fn let_go_of_port(&self, port: HeldPort) {
        self.let_go_of_port(port);
    }

    fn until_answered(
        &self,
        port: u16,
        owner: Owner,
        limit: Duration,
    ) -> impl Future<Output = Result<IpAddr, NotReady>> + Send {
        self.readiness.until_answered(port, owner, limit)
    }

    fn place(&self, port: u16) -> Option<IpAddr> {
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
