//! How this host comes to have a surviving warden: it is found at its name's socket, or started, and
//! asked. All of it blocks, so it has a thread of its own.

use super::{FoundListener, FoundMarks, FoundRun, NotRecovered, Survive, room};
use crate::process::accounting::{Look, Root, Usage};
use crate::process::dying::is_dying;
use crate::threads::clock;
use crate::warden_link::client::{Ended, Rest, Started};
use crate::warden_link::program::Program;
use crate::warden_link::record::{FoundRecord, RecordFile, read_all};
use crate::warden_link::run::FoundOutput;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use rustix::thread::nanosleep;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};
use warden::Report;
use warden::hello::{Answer, Hello, Welcome, Wish};
use warden::place::Place;
use warden::ring::Written;
use warden::surviving::{self, Delivery, FoundFiles};

/// How long a warden may take to be there: another host starts it, or the one before ends.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };
/// An answer, which takes a fraction of this, is late after it: the warden may have been stopped.
const LATE_MS: i64 = 1_000;
/// So many late answers in a row are no answer.
const LATE_MAX: usize = 10;
/// How long a host has to leave that another one asks to.
const FENCE_AFTER_MS: u32 = 30_000;
/// What the warden tells right after what it has kept is there by then.
const FIRST_REPORTS_MS: i64 = 20;

/// A warden that obeys this host.
pub struct Met {
    pub socket: OwnedFd,
    pub warden: Pid,
    pub last_run: u64,
    pub found: Vec<FoundFile>,
    pub listeners: Vec<FoundListener>,
    /// What it has told since.
    pub early: Vec<Report>,
    /// Since when no host had it, in milliseconds since the epoch; 0 if one had until now.
    pub unowned_since_ms: u64,
}

/// A run that was found, without its end to come.
pub struct FoundFile {
    pub number: u64,
    pub started: Started,
    record: RecordFile,
    pub known: FoundRecord,
    usage: Option<Usage>,
    marks: FoundMarks,
    port: Option<OwnedFd>,
    stdout: OwnedFd,
    stderr: OwnedFd,
    written: Written,
    ring: OwnedFd,
}

/// Finds or starts the warden, and has it obey this host.
pub fn meet(program: &Program, survive: &Survive) -> Result<Met, NotRecovered> {
    let failed = |error: io::Error| NotRecovered::Failed(error.to_string());
    let place = Place::prepare(&survive.directory, &survive.name).map_err(failed)?;
    let mut since = clock::start();
    loop {
        let error = match surviving::connect(&place.socket) {
            Ok(socket) => match ask(socket, survive) {
                Ok(Asked::Owner(met)) => return Ok(*met),
                Ok(Asked::Refused(refused)) => return Err(refused),
                // It had waited for something else: from now on the time counts anew.
                Ok(Asked::Gone) => {
                    since = clock::start();
                    continue;
                }
                Err(error) => error,
            },
            Err(error) if nobody_listens(&error) => {
                start(program, &place).map_err(failed)?;
                error
            }
            Err(error) => return Err(failed(error)),
        };
        if since.elapsed() >= PATIENCE {
            return Err(NotRecovered::Failed(format!(
                "the process that keeps the tenants of {:?} does not answer at {:?}: {error}",
                survive.name, place.socket
            )));
        }
        // No event tells when a warden listens, or is gone.
        let _ = nanosleep(&PAUSE);
    }
}

pub(super) fn nobody_listens(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

/// Starts a warden, unless another process has the name's lock: a warden, or a host that starts
/// one.
#[allow(clippy::disallowed_methods, reason = "as in client/connection.rs")]
fn start(program: &Program, place: &Place) -> io::Result<()> {
    let Some(lock) = place.lock()? else { return Ok(()) };
    match surviving::connect(&place.socket) {
        Err(error) if nobody_listens(&error) => place.remove_socket()?,
        // A warden has come and has not got the lock yet, or something is not as it was.
        _ => return Ok(()),
    }
    let socket = surviving::bind(&place.socket)?;
    let mut command = std::process::Command::new(program.executable()?);
    command
        .arg0(program.path())
        .env_clear()
        .stdin(Stdio::from(socket))
        .stdout(Stdio::from(lock))
        .stderr(Stdio::null());
    let status = command.status()?;
    if status.success() {
        return Ok(());
    }
    let _ = place.remove_socket();
    let shown = program.path().display();
    Err(io::Error::other(format!("the warden {shown} could not be started: {status}")))
}

/// What came of a connection.
enum Asked {
    Owner(Box<Met>),
    Refused(NotRecovered),
    /// The warden has gone, and another one may be started.
    Gone,
}

fn ask(socket: OwnedFd, survive: &Survive) -> io::Result<Asked> {
    let (warden, user) = surviving::peer(&socket)?;
    if user != geteuid() {
        let reason = format!("the socket of {:?} is user {}'s", survive.name, user.as_raw());
        return Ok(Asked::Refused(NotRecovered::Failed(reason)));
    }
    let hello = Hello {
        fence_after_ms: FENCE_AFTER_MS,
        for_ms: survive.for_ms,
        stop_grace_ms: survive.stop_grace_ms,
        ..Hello::new(if survive.take_over { Wish::TakeOver } else { Wish::Own })
    };
    surviving::send_hello(&socket, &hello)?;
    let mut waits_until = None;
    loop {
        until_readable(&socket, warden, waits_until)?;
        let Some(welcome) = surviving::receive_welcome(&socket, warden)? else {
            return Ok(Asked::Gone);
        };
        tracing::debug!(?welcome, "warden");
        let Welcome { warden_pid, owner_pid, version, .. } = &welcome;
        let owner_or_warden = if *owner_pid == 0 { *warden_pid } else { *owner_pid };
        match welcome.answer {
            Answer::Owner => {
                let met = read_kept(socket, warden, &welcome, room::make)?;
                return Ok(Asked::Owner(Box::new(met)));
            }
            // It is asked again until the host that was killed is gone.
            Answer::InUse if is_dying(*owner_pid) => {
                return Err(io::Error::other(format!(
                    "host {owner_pid} was killed and is not gone"
                )));
            }
            Answer::InUse => {
                return Ok(Asked::Refused(NotRecovered::InUse { pid: owner_or_warden }));
            }
            Answer::Waiting => {
                let patience = Duration::from_millis(FENCE_AFTER_MS.into()) + PATIENCE;
                waits_until = Some(clock::start() + patience);
            }
            // The connection closes when all is gone.
            Answer::Ending => {
                let patience = Duration::from_millis(survive.stop_grace_ms) + PATIENCE;
                until_readable(&socket, warden, Some(clock::start() + patience))?;
                return Ok(Asked::Gone);
            }
            Answer::OtherProtocol | Answer::Looked | Answer::Unknown(_) => {
                let version = version.clone();
                let refused = NotRecovered::OtherVersion { pid: owner_or_warden, version };
                return Ok(Asked::Refused(refused));
            }
        }
    }
}

/// Waits for a packet. A warden that is late is continued, in case that it was stopped. Errors: it
/// does not answer, or not until then.
pub(super) fn until_readable(
    socket: &OwnedFd,
    warden: Pid,
    until: Option<Instant>,
) -> io::Result<()> {
    let mut late = 0;
    while !is_readable(socket, LATE_MS)? {
        let _ = kill_process(warden, Signal::CONT);
        late += 1;
        let is_over = until.map_or(late >= LATE_MAX, |until| clock::start() >= until);
        if is_over {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
    Ok(())
}

fn is_readable(socket: &OwnedFd, within_ms: i64) -> io::Result<bool> {
    let time = Timespec { tv_sec: within_ms / 1_000, tv_nsec: within_ms % 1_000 * 1_000_000 };
    let mut sockets = [PollFd::new(socket, PollFlags::IN)];
    Ok(rustix::io::retry_on_intr(|| poll(&mut sockets, Some(&time)))? > 0)
}

/// Reads what the warden has kept. Meanwhile another thread looks at what all processes have used.
/// `make_room` is called before descriptors are received that may not fit.
fn read_kept(
    socket: OwnedFd,
    warden: Pid,
    welcome: &Welcome,
    make_room: impl Fn(),
) -> io::Result<Met> {
    let look = || Builder::new().name("abs-look".into()).spawn(Look::at_all);
    let looking = (welcome.runs > 0).then(look);
    let (mut found, mut listeners, mut early) = (Vec::<FoundFile>::new(), Vec::new(), Vec::new());
    let next = || {
        until_readable(&socket, warden, None)?;
        surviving::receive(&socket, warden)?
            .ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))
    };
    loop {
        let delivery = next()?;
        match delivery.report {
            Report::Found { .. } => {
                found.extend(FoundFile::read(delivery)?);
                if found.len() == room::RUNS_THAT_FIT {
                    make_room();
                }
            }
            Report::FoundListener { slot } => {
                let socket = delivery.fds.into_iter().next();
                listeners.extend(socket.map(|socket| FoundListener { slot, socket }));
            }
            Report::RosterEnd { forgotten } => {
                if forgotten > 0 {
                    tracing::warn!(forgotten, "ends of tenants were not kept");
                }
                break;
            }
            report => early.push(report),
        }
    }
    // The ends that came meanwhile follow at once.
    while !early.contains(&Report::PredecessorGone) && is_readable(&socket, FIRST_REPORTS_MS)? {
        match surviving::receive(&socket, warden)? {
            Some(Delivery { report, .. }) => early.push(report),
            None => break,
        }
    }
    // Where it has failed, what the host before has noted counts.
    if let Some(Ok(Ok(Ok(look)))) = looking.map(|looking| looking.map(JoinHandle::join)) {
        found.iter_mut().for_each(|found| found.usage = look.usage(found.root()));
    }
    Ok(Met {
        socket,
        warden,
        last_run: welcome.last_run,
        found,
        listeners,
        early,
        unowned_since_ms: welcome.since_unix_ms,
    })
}

impl FoundFile {
    /// `None` for a start of which nothing was told: the warden ends it.
    fn read(delivery: Delivery) -> io::Result<Option<FoundFile>> {
        let Report::Found { run, pid, keeper_pid, group, marks } = delivery.report else {
            return Ok(None);
        };
        let too_few = || io::Error::other("no descriptor was left for what a tenant has");
        let files = delivery.found_files().ok_or_else(too_few)?;
        let FoundFiles { record, ring, stdout, stderr, port } = files;
        let written = Written::from_bytes(&read_all(&ring)?).unwrap_or_default();
        let (record, known) = RecordFile::found(record)?;
        let marks = FoundMarks {
            is_ready: marks.ready,
            is_retired: marks.retired,
            stopping: marks.stopping.then_some(marks.detail),
            asleep: marks.asleep,
            has_ended: false,
        };
        let started = Started { pid, keeper_pid, group };
        let found = FoundFile {
            number: run,
            started,
            record,
            known,
            usage: None,
            marks,
            port,
            stdout,
            stderr,
            written,
            ring,
        };
        Ok(Some(found))
    }

    /// What its usage is read from.
    fn root(&self) -> Root {
        let Started { keeper_pid, group, .. } = self.started;
        Root::of_tenant(keeper_pid, &self.known.record.groups, group)
    }

    /// Whether its process was told of: else the warden ends it, and nobody is told.
    pub fn is_known(&self) -> bool {
        self.started.pid != 0
    }

    /// The run, whose end comes by `ended`, and what comes of orders to sleep and to wake by `rests`.
    pub fn into_run(
        self,
        ended: oneshot::Receiver<Ended>,
        rests: mpsc::UnboundedReceiver<Rest>,
    ) -> FoundRun {
        let FoundFile {
            number,
            started,
            record,
            mut known,
            usage,
            marks,
            port,
            stdout,
            stderr,
            written,
            ring,
        } = self;
        let Written { lost_stdout_lines, lost_stderr_lines, pieces } = written;
        let lost = [lost_stdout_lines, lost_stderr_lines];
        let mut begun = std::mem::take(&mut known.begun);
        for (stream, bytes) in &mut begun {
            // The rest of this line is among those that are lost.
            if lost[*stream as usize] > 0 {
                bytes.push(b'\n');
            }
        }
        let figures = known.figures;
        let lines_lost = figures.lines_read.saturating_sub(figures.lines_told)
            + figures.lines_open
            + lost.iter().sum::<u64>();
        let written = pieces;
        let output = FoundOutput { started, ended, rests, stdout, stderr, begun, written, ring };
        FoundRun { number, started, record, known, usage, lines_lost, port, marks, output }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::warden_link::record::RunRecord;
    use rustix::fs::{MemfdFlags, memfd_create};
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair, sockopt};
    use rustix::process::getpid;
    use std::cell::Cell;
    use std::os::fd::AsFd;
    use warden::protocol::PROTOCOL;
    use warden::surviving::transmit;

    fn tell_found(warden: &OwnedFd, run: u64) {
        let record = RunRecord { key: "a".into(), ..RunRecord::default() };
        let record = RecordFile::new(&record).unwrap().descriptor().unwrap();
        let other = memfd_create("other", MemfdFlags::CLOEXEC).unwrap();
        let (pid, keeper_pid, group, marks) = (1, 2, 0, Default::default());
        let found = Report::Found { run, pid, keeper_pid, group, marks };
        let fds = [record.as_fd(), other.as_fd(), other.as_fd(), other.as_fd(), other.as_fd()];
        transmit(warden, &found.encode(), &fds).unwrap();
    }

    /// How many of so many runs are read, and how often room is made for that.
    fn read(runs: usize) -> (usize, usize) {
        let kind = SocketType::SEQPACKET;
        let pair = socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).unwrap();
        let (host, warden) = pair;
        sockopt::set_socket_passcred(&host, true).unwrap();
        let tell = |from: usize, to: usize| {
            (from..to).for_each(|run| tell_found(&warden, run as u64));
            if to == runs {
                let end = [Report::RosterEnd { forgotten: 0 }, Report::PredecessorGone];
                end.iter().for_each(|report| transmit(&warden, &report.encode(), &[]).unwrap());
            }
        };
        let welcome = Welcome {
            protocol: PROTOCOL,
            answer: Answer::Owner,
            warden_pid: 0,
            owner_pid: 0,
            epoch: 1,
            since_unix_ms: 0,
            last_run: runs as u64,
            runs: runs as u32,
            version: String::new(),
        };
        let fit = runs.min(room::RUNS_THAT_FIT);
        tell(0, fit);
        let made = Cell::new(0);
        // What does not fit is told here only: whoever goes on without room gets nothing.
        let make_room = || {
            made.set(made.get() + 1);
            if fit < runs {
                tell(fit, runs);
            }
        };
        let met = read_kept(host, getpid(), &welcome, make_room).unwrap();
        (met.found.len(), made.get())
    }

    #[test]
    fn there_is_room_before_descriptors_are_taken_that_may_not_fit() {
        let (fewer, more) = (room::RUNS_THAT_FIT - 1, room::RUNS_THAT_FIT + 8);
        assert_eq!(read(fewer), (fewer, 0));
        assert_eq!(read(more), (more, 1));
    }
}
