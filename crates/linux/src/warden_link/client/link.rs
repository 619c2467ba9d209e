//! The two directions of the socket to the warden: orders go out in the order in which they were
//! given, reports go to the receivers of the runs that they are about.

use rustix::process::Pid;
use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;
use warden::{Report, SocketFailure, host};

use super::errand::{Errand, Order, Packet, Pending};
use super::{Ended, LaunchError, Rest, Started};
use crate::confine::Traces;
use crate::threads::clock;
use crate::warden_link::surviving::Notice;

/// The pause between two tries after a shortage whose end no event tells. Most shortages pass in
/// about the time in which the warden reads what it was sent.
const SHORTAGE_PAUSE: Duration = Duration::from_millis(2);
/// How long a launch is tried. Its descriptors may be refused for as long as other processes of
/// the user have many in flight, and meanwhile it delays all stops behind it. Stops carry no
/// descriptors and are tried without end.
const LAUNCH_PATIENCE: Duration = Duration::from_secs(2);

/// The task of one warden's socket, which it owns. Dropping it closes the socket, which ends the
/// warden.
pub struct Link {
    socket: AsyncFd<Arc<OwnedFd>>,
    /// The warden's pid; packets of other processes are ignored.
    warden: Pid,
    receiver: mpsc::UnboundedReceiver<Errand>,
    pending: HashMap<u64, Pending>,
    leaves_when_idle: bool,
    traces: Traces,
    /// Of a surviving warden.
    notices: Option<mpsc::UnboundedSender<Notice>>,
}

/// The warden is gone.
struct Lost;

impl Link {
    pub fn new(
        socket: AsyncFd<Arc<OwnedFd>>,
        warden: Pid,
        receiver: mpsc::UnboundedReceiver<Errand>,
    ) -> Link {
        Link {
            socket,
            warden,
            receiver,
            pending: HashMap::new(),
            leaves_when_idle: false,
            traces: Traces::default(),
            notices: None,
        }
    }

    /// A link to a surviving warden: these runs are there already, and something was made for them.
    pub fn surviving(
        self,
        pending: HashMap<u64, Pending>,
        traces: Traces,
        notices: mpsc::UnboundedSender<Notice>,
    ) -> Link {
        Link { pending, traces, notices: Some(notices), ..self }
    }

    /// Runs until the warden is lost, or is idle and told to leave, or the client is dropped.
    /// Returns the runs that have not ended, and where something was made for any.
    pub async fn run(mut self) -> (HashMap<u64, Pending>, Traces) {
        // Whether the warden was lost or left, the link ends.
        let (Ok(()) | Err(Lost)) = self.serve().await;
        // Closed first, so that no further order is accepted and then lost.
        self.receiver.close();
        while let Some(errand) = self.receiver.recv().await {
            if let Errand::Order(order) = errand {
                self.pending.extend(order.pending.map(|pending| (order.number, pending)));
            }
        }
        (self.pending, self.traces)
    }

    async fn serve(&mut self) -> Result<(), Lost> {
        while !(self.leaves_when_idle && self.pending.is_empty()) {
            tokio::select! {
                biased;
                ready = self.socket.readable() => {
                    ready.map_err(|_| Lost)?.clear_ready();
                    self.receive().await?;
                }
                errand = self.receiver.recv() => match errand {
                    Some(Errand::Order(order)) => self.carry_out(order).await?,
                    Some(Errand::LeaveWhenIdle) => self.leaves_when_idle = true,
                    None => return Ok(()),
                },
            }
        }
        Ok(())
    }

    /// Reads all reports that have arrived.
    async fn receive(&mut self) -> Result<(), Lost> {
        loop {
            let error = match host::receive_report(self.socket.get_ref(), self.warden) {
                Ok(Some(report)) => {
                    self.pass_on(report);
                    continue;
                }
                Ok(None) => return Err(Lost),
                Err(error) => error,
            };
            match SocketFailure::from(&error) {
                SocketFailure::NotReady => return Ok(()),
                SocketFailure::Passing => tokio::time::sleep(SHORTAGE_PAUSE).await,
                // With an unreadable socket, or a warden of another protocol, the ends of tenants
                // would go unnoticed; so the warden counts as lost.
                SocketFailure::Closed | SocketFailure::Refused => {
                    tracing::error!(%error, "reading from the warden failed");
                    return Err(Lost);
                }
            }
        }
    }

    pub fn warden(&self) -> Pid {
        self.warden
    }

    /// Passes on a report, as when it is read.
    pub fn pass_on(&mut self, report: Report) {
        tracing::trace!(?report, "warden");
        match report {
            Report::Started { run, pid, keeper_pid, group } => {
                let Some(pending) = self.pending.get_mut(&run) else { return };
                pending.keeper_pid = keeper_pid;
                if let Some(started) = pending.started.take() {
                    let _ = started.send(Ok(Started { pid, keeper_pid, group }));
                }
            }
            Report::LaunchFailed { run, step, errno } => {
                self.fail(
                    run,
                    LaunchError::Step { step, error: io::Error::from_raw_os_error(errno) },
                );
            }
            Report::Ended { run, exit_code, signal, cpu_us, out_of_memory } => {
                if let Some(pending) = self.pending.remove(&run) {
                    let cpu_us = Some(cpu_us);
                    let _ = pending.ended.send(Ended { exit_code, signal, cpu_us, out_of_memory });
                }
            }
            Report::Slept { run, depth, rss_bytes } => {
                self.rested(run, Rest::Slept { depth, rss_bytes });
            }
            Report::SleepFailed { run, errno } => self.rested(run, Rest::Failed { errno }),
            Report::Awake { run } => self.rested(run, Rest::Awake),
            Report::Stirred { run } => self.rested(run, Rest::Stirred),
            Report::Yield { pid } => self.notice(Notice::Yield { pid }),
            Report::Fenced { .. } => self.notice(Notice::Fenced),
            Report::PredecessorGone => self.notice(Notice::PredecessorGone),
            // They are read before there is a link.
            Report::Found { .. } | Report::FoundListener { .. } | Report::RosterEnd { .. } => {}
        }
    }

    fn rested(&self, run: u64, rest: Rest) {
        if let Some(pending) = self.pending.get(&run) {
            let _ = pending.rest.send(rest);
        }
    }

    fn notice(&self, notice: Notice) {
        if let Some(notices) = &self.notices {
            let _ = notices.send(notice);
        }
    }

    fn fail(&mut self, number: u64, error: LaunchError) {
        if let Some(started) = self.pending.remove(&number).and_then(|pending| pending.started) {
            let _ = started.send(Err(error));
        }
    }

    /// Sends one order. While the socket has no room for it, reports are still read.
    async fn carry_out(&mut self, order: Order) -> Result<(), Lost> {
        let Order { number, packet, pending } = order;
        if let Packet::Launch { launch, .. } = &packet {
            self.leaves_when_idle = false;
            self.traces.add(&launch.spec.confinement);
        }
        self.pending.extend(pending.map(|pending| (number, pending)));
        let since = clock::start();
        while let Err(error) = packet.send(self.socket.get_ref(), number) {
            match SocketFailure::from(&error) {
                SocketFailure::NotReady => self.wait_for_room().await?,
                SocketFailure::Passing if !packet.is_given_up(since) => {
                    self.wait_out_shortage().await?
                }
                SocketFailure::Passing | SocketFailure::Refused => {
                    tracing::error!(%error, number, "an order could not be sent to the warden");
                    // Only a launch has receivers to tell; a stop that can never be sent is a
                    // defect.
                    self.fail(number, LaunchError::HandOver(error));
                    return Ok(());
                }
                SocketFailure::Closed => {
                    tracing::error!(%error, number, "writing to the warden failed");
                    // What it has said before it went is heard.
                    self.receive().await?;
                    return Err(Lost);
                }
            }
        }
        Ok(())
    }

    async fn wait_for_room(&mut self) -> Result<(), Lost> {
        tokio::select! {
            ready = self.socket.writable() => {
                ready.map_err(|_| Lost)?.clear_ready();
                Ok(())
            }
            ready = self.socket.readable() => {
                ready.map_err(|_| Lost)?.clear_ready();
                self.receive().await
            }
        }
    }

    async fn wait_out_shortage(&mut self) -> Result<(), Lost> {
        tokio::time::sleep(SHORTAGE_PAUSE).await;
        self.receive().await
    }
}

impl Packet {
    fn is_given_up(&self, since: Instant) -> bool {
        matches!(self, Packet::Launch { .. }) && since.elapsed() >= LAUNCH_PATIENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::threads::watched::watch_shared;
    use crate::warden_link::client::{Launch, Launched, Turn};
    use rustix::net::{RecvFlags, SendFlags, recv};
    use rustix::process::{Resource, Rlimit, getpid, getrlimit, setrlimit};
    use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
    use std::ffi::CStr;
    use std::fs::File;
    use std::os::fd::AsFd;
    use tokio::sync::{Semaphore, oneshot};
    use warden::{COMMAND_BYTES, Command, Depth, Descriptor, LaunchSpec, StopStage};

    /// So many descriptors in flight that the user may send no more.
    struct Crowd(
        #[expect(dead_code, reason = "they are on their way as long as they are held")]
        Vec<(OwnedFd, OwnedFd)>,
    );

    impl Crowd {
        fn gather() -> Crowd {
            // A thread with these capabilities may have any number in flight, so this thread drops
            // them.
            let mut sets = capabilities(None).unwrap();
            sets.effective -= CapabilitySet::SYS_RESOURCE | CapabilitySet::SYS_ADMIN;
            set_capabilities(None, sets).unwrap();
            let limit = getrlimit(Resource::Nofile);
            let current = Some(limit.current.map_or(4_096, |count| count.min(4_096)));
            setrlimit(Resource::Nofile, Rlimit { current, ..limit }).unwrap();
            let null = File::open("/dev/null").unwrap();
            let mut crowd = Vec::new();
            loop {
                let (ours, theirs) = host::connection().unwrap();
                let refused = loop {
                    if let Err(error) =
                        host::send_launch(&ours, 0, null.as_fd(), &[null.as_fd(); 2])
                    {
                        break error;
                    }
                };
                crowd.push((ours, theirs));
                match SocketFailure::from(&refused) {
                    SocketFailure::NotReady => {}
                    SocketFailure::Passing => return Crowd(crowd),
                    other => panic!("{refused}: {other:?}"),
                }
            }
        }
    }

    fn launch(number: u64) -> (Order, Launched) {
        let null = || OwnedFd::from(File::open("/dev/null").unwrap());
        let empty = || CStr::to_owned(c"");
        let spec = LaunchSpec {
            cwd: empty(),
            umask: 0o022,
            needs_start_script: false,
            argv: vec![empty()],
            env: Vec::new(),
            descriptors: vec![Descriptor::Stdout, Descriptor::Stderr],
            confinement: Default::default(),
        };
        let launch = Launch { spec, descriptors: vec![null(), null()], kept: None, turn: None };
        let (started, started_receiver) = oneshot::channel();
        let (ended, ended_receiver) = oneshot::channel();
        let (rest, rests) = mpsc::unbounded_channel();
        let pending = Some(Pending { started: Some(started), ended, rest, keeper_pid: 0 });
        let packet = Packet::Launch { launch: Box::new(launch), memory_file: null() };
        (
            Order { number, packet, pending },
            Launched { number, started: started_receiver, ended: ended_receiver, rests },
        )
    }

    fn stop(number: u64) -> Order {
        Order { number, packet: Packet::Stop(StopStage::Kill), pending: None }
    }

    /// The commands that the warden was sent and has not read.
    fn commands(warden: &OwnedFd) -> Vec<Command> {
        let mut packet = [0; COMMAND_BYTES];
        let mut commands = Vec::new();
        while let Ok((length, _)) = recv(warden, &mut packet, RecvFlags::DONTWAIT) {
            commands.push(Command::decode(&packet[..length]).unwrap());
        }
        commands
    }

    #[tokio::test]
    async fn what_a_warden_has_said_before_it_went_is_heard_also_by_one_who_writes_to_it() {
        let (ours, warden) = host::connection().unwrap();
        let (orders, receiver) = mpsc::unbounded_channel();
        let link = Link::new(watch_shared(Arc::new(ours)).unwrap(), getpid(), receiver);
        let (notices, mut noticed) = mpsc::unbounded_channel();
        let mut link = link.surviving(HashMap::new(), Traces::default(), notices);
        rustix::net::send(&warden, &Report::Fenced { pid: 1 }.encode(), SendFlags::empty())
            .unwrap();
        drop(warden);
        // The event of the socket has not been seen yet.
        assert!(link.carry_out(stop(1)).await.is_err());
        assert_eq!(noticed.try_recv(), Ok(Notice::Fenced));
        drop(orders);
    }

    #[tokio::test]
    async fn what_comes_of_orders_to_sleep_and_to_wake_is_told_to_the_run_in_its_order() {
        let (ours, warden) = host::connection().unwrap();
        let (orders, receiver) = mpsc::unbounded_channel();
        let link = Link::new(watch_shared(Arc::new(ours)).unwrap(), getpid(), receiver);
        let (notices, _noticed) = mpsc::unbounded_channel();
        let (order, mut launched) = launch(7);
        let pending = order.pending.unwrap();
        let mut link = link.surviving([(7, pending)].into(), Traces::default(), notices);
        let (slept, failed) = (
            Report::Slept { run: 7, depth: Depth::PagedOut, rss_bytes: 9 },
            Report::SleepFailed { run: 7, errno: 4 },
        );
        let of_another = Report::Awake { run: 8 };
        let (stirred, awake) = (Report::Stirred { run: 7 }, Report::Awake { run: 7 });
        let reports = [slept, of_another, stirred, failed, awake];
        reports.into_iter().for_each(|report| link.pass_on(report));
        let told = [(); 4].map(|()| launched.rests.try_recv().unwrap());
        let slept = Rest::Slept { depth: Depth::PagedOut, rss_bytes: 9 };
        assert_eq!(told, [slept, Rest::Stirred, Rest::Failed { errno: 4 }, Rest::Awake]);
        assert!(launched.rests.try_recv().is_err());
        for packet in [Packet::Sleep(Depth::Frozen), Packet::Wake] {
            packet.send(link.socket.get_ref(), 7).unwrap();
        }
        let sleep = Command::Sleep { run: 7, depth: Depth::Frozen };
        assert_eq!(commands(&warden), [sleep, Command::Wake { run: 7 }]);
        drop(orders);
    }

    #[tokio::test]
    async fn a_launch_gives_its_turn_back_when_it_is_sent() {
        let (ours, warden) = host::connection().unwrap();
        let (orders, receiver) = mpsc::unbounded_channel();
        let link = tokio::spawn(
            Link::new(watch_shared(Arc::new(ours)).unwrap(), getpid(), receiver).run(),
        );
        let turns = Arc::new(Semaphore::new(1));
        let (mut order, _launched) = launch(1);
        let Packet::Launch { launch, .. } = &mut order.packet else { unreachable!() };
        launch.turn = Some(Turn { _permit: turns.clone().acquire_owned().await.ok() });
        assert_eq!(turns.available_permits(), 0);
        assert!(orders.send(Errand::Order(order)).is_ok());
        let given_back = turns.acquire().await;
        assert!(given_back.is_ok());
        drop(warden);
        link.await.unwrap();
    }

    /// One test for all of it, since the shortage that it makes holds for the whole user.
    #[tokio::test]
    async fn a_shortage_delays_orders_or_fails_a_launch_and_never_loses_the_warden() {
        let (ours, warden) = host::connection().unwrap();
        let (orders, receiver) = mpsc::unbounded_channel();
        let link = tokio::spawn(
            Link::new(watch_shared(Arc::new(ours)).unwrap(), getpid(), receiver).run(),
        );
        let give = |order| assert!(orders.send(Errand::Order(order)).is_ok());
        let stop_of = |run| Command::Stop { run, stage: StopStage::Kill };
        let crowd = Crowd::gather();

        // A shortage that lasts fails the launch alone.
        let (order, launched) = launch(1);
        give(order);
        give(stop(2));
        let failed = launched.started.await.unwrap();
        assert!(matches!(failed, Err(LaunchError::HandOver(_))), "{failed:?}");
        tokio::time::sleep(10 * SHORTAGE_PAUSE).await;
        assert_eq!(commands(&warden), [stop_of(2)]);

        // A shortage that passes costs time only.
        let (order, mut launched) = launch(3);
        give(order);
        give(stop(4));
        tokio::time::sleep(10 * SHORTAGE_PAUSE).await;
        assert!(launched.started.try_recv().is_err());
        assert_eq!(commands(&warden), [], "the stop keeps its place");
        drop(crowd);
        tokio::time::sleep(20 * SHORTAGE_PAUSE).await;
        assert_eq!(commands(&warden), [Command::Launch { run: 3 }, stop_of(4)]);

        assert!(!link.is_finished(), "the warden is not lost");
        drop(warden);
        assert_eq!(link.await.unwrap().0.into_keys().collect::<Vec<_>>(), [3]);
    }
}
