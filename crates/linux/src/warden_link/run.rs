//! Follows one tenant's process from its launch to its end, and reports it as a series of facts.

mod following;

pub use self::following::{FoundOutput, supervise_found};

use self::following::{Start, follow};
use crate::host::proc_check;
use crate::output::lines::{LineSink, Stream, unblocked};
use crate::threads::watched::watch;
use crate::warden_link::client::{
    Ended, Launch, LaunchError, Launched, Rest, Started, Turn, WardenClient,
};
use crate::warden_link::main_process::MainProcess;
use crate::warden_link::surroundings::{Noted, Surroundings};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use std::convert::Infallible;
use std::ffi::{CStr, CString, NulError};
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;
use warden::{Confinement, Descriptor, LaunchSpec, LaunchStep, StopStage};

/// How long the processes of a start that met the loss of the warden have to be gone. The keeper
/// ends them once the warden is gone. If they are not gone by then, the start is not tried again.
const LOST_START_TIME: Duration = Duration::from_secs(1);

/// The least time that a launch has until its program runs. It takes milliseconds, and seconds on
/// a machine that is busy with other launches.
const PATIENCE_MIN: Duration = Duration::from_secs(10);

/// The capacity of a pipe.
const OUTPUT_ROOM_BYTES: usize = 64 << 10;

/// What to do where a program cannot be found.
const GIVE_PATH: &str = "let the option `env` give it one, such as the host's";

/// What to run, and where.
pub struct Program {
    /// The tenant's directory.
    pub directory: String,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// `KEY=value`.
    pub environment: Vec<String>,
    /// Its user has given it a `PATH`. Without one it is told of that, not of what was added.
    pub has_path: bool,
    /// The program runs the start script of its directory, which must have one.
    pub runs_start_script: bool,
    /// What the program is held within.
    pub confinement: Confinement,
    /// The umask; `None`: the host's.
    pub umask: Option<u32>,
    /// What a surviving warden keeps for the run; `None`: the run does not outlive its host.
    pub kept: Option<Kept>,
}

/// What a surviving warden keeps for a run, beside the read ends of its output.
pub struct Kept {
    pub record: OwnedFd,
    /// The socket that holds its port.
    pub port: OwnedFd,
}

impl Kept {
    fn try_clone(&self) -> io::Result<Kept> {
        Ok(Kept { record: self.record.try_clone()?, port: self.port.try_clone()? })
    }
}

/// The receiver of a run's facts, in their order.
pub trait RunSink: LineSink {
    /// The process exists. `number` is how [`WardenClient::stop`] knows it.
    fn started(&self, number: u64, started: Started);
    /// The process does not exist and will not; the reason is for people.
    fn not_started(&self, reason: String);
    /// The main process has ended; the rest of the tree follows.
    fn main_ended(&self);
    /// What has come of an order to sleep or to wake, in the order of the orders.
    fn rested(&self, _rest: Rest) {}
    /// The process does not exist, and none can be started on this machine as it is set up.
    fn unsupported(&self, reason: String);
    /// Whether the start is still wanted.
    fn is_wanted(&self) -> bool;
    /// The tree is gone, and its output is still being delivered. The future is dropped when that
    /// is done.
    fn tree_ended(&self) -> impl Future<Output = Infallible> + Send;
    /// The tree is gone, and all of its output has been delivered.
    fn ended(&self, ended: Ended) -> impl Future<Output = ()> + Send;
    /// Resolves when the run is to be followed no more, although its tree may be there. Never, for
    /// a run that does not outlive its host.
    fn until_let_go(&self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }
    /// The run is followed no more; the beginnings of lines that were read from its pipes.
    fn let_go(&self, _begun: Vec<(Stream, Vec<u8>)>) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// Runs the program to its end, with the rights and limits that were noted. Every error ends in
/// `not_started` or `unsupported`. The turn is dropped when the warden has the launch. The program
/// must run within `patience`.
pub async fn supervise(
    warden: &WardenClient,
    program: Program,
    noted: Noted,
    turn: Turn,
    patience: Duration,
    sink: &impl RunSink,
) {
    let tried = match start(warden, &program, &noted, Some(turn), patience, sink).await {
        Err(failed) if failed.may_pass() && failed.is_over().await && sink.is_wanted() => {
            start(warden, &program, &noted.again(), None, patience, sink).await
        }
        tried => tried,
    };
    match tried {
        Ok((number, started, start)) => {
            let main = MainProcess::of(started);
            sink.started(number, started);
            follow(main, start, Default::default(), sink).await;
        }
        Err(Failed { error: LaunchError::Unsupported(reason), .. }) => sink.unsupported(reason),
        Err(Failed { error, outputs }) => sink.not_started(explain(&program, error, &outputs)),
    }
}

/// A start whose program does not run.
struct Failed {
    error: LaunchError,
    /// The read ends of its output, if they were made.
    outputs: Vec<OwnedFd>,
}

impl From<LaunchError> for Failed {
    fn from(error: LaunchError) -> Failed {
        Failed { error, outputs: Vec::new() }
    }
}

impl Failed {
    /// Whether the cause lies outside the tenant, such as the loss of the warden. Then the start
    /// is tried once more.
    fn may_pass(&self) -> bool {
        self.error.may_pass()
    }

    /// Waits until no process of the start is left, and returns whether that is so. The last start
    /// of a lost warden may have run its program.
    async fn is_over(&self) -> bool {
        let silent = async {
            for output in &self.outputs {
                until_closed(output).await?;
            }
            Ok::<(), io::Error>(())
        };
        matches!(tokio::time::timeout(LOST_START_TIME, silent).await, Ok(Ok(())))
    }
}

/// The output so far, if there is any.
fn written(output: &OwnedFd) -> Option<String> {
    let mut room = vec![0; OUTPUT_ROOM_BYTES];
    let length = rustix::io::read(output, &mut room).ok().filter(|length| *length > 0)?;
    Some(String::from_utf8_lossy(&room[..length]).into_owned())
}

/// Reads and drops output until its end.
async fn until_closed(output: &OwnedFd) -> io::Result<()> {
    let output = watch(output.try_clone()?)?;
    let mut room = [0; 4_096];
    loop {
        let mut ready = output.readable().await?;
        match rustix::io::read(output.get_ref(), &mut room) {
            Ok(0) => return Ok(()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => ready.clear_ready(),
            Err(errno) => return Err(errno.into()),
        }
    }
}

async fn start(
    warden: &WardenClient,
    program: &Program,
    noted: &Noted,
    turn: Option<Turn>,
    patience: Duration,
    sink: &impl RunSink,
) -> Result<(u64, Started, Start), Failed> {
    let surroundings = noted.surroundings().map_err(|error| match proc_check::require_own() {
        Err(reason) => LaunchError::Unsupported(reason),
        Ok(()) => LaunchError::Prepare(error),
    })?;
    warden.until_met().await?;
    let prepared = prepare(program, &surroundings, turn);
    let (launch, stdout, stderr) = prepared.map_err(LaunchError::Prepare)?;
    let mut launched = warden.launch(launch, &surroundings)?;
    match outcome(warden, &mut launched, patience, sink).await {
        Ok(started) => {
            let Launched { number, ended, rests, .. } = launched;
            Ok((number, started, Start { ended, rests, stdout, stderr }))
        }
        Err(error) => Err(Failed { error, outputs: vec![stdout, stderr] }),
    }
}

/// Waits until it is known whether the program runs. A launch that does not get there, because a
/// file system does not answer, say, is killed when it is not wanted any more or its time is up.
/// It is not asked to end first, since the tenant's program does not run yet.
async fn outcome(
    warden: &WardenClient,
    launched: &mut Launched,
    patience: Duration,
    sink: &impl RunSink,
) -> Result<Started, LaunchError> {
    // Counts looks instead of time, so that time in which the host is stopped does not count.
    let mut looks_left = patience.max(PATIENCE_MIN).as_secs();
    loop {
        if let Some(outcome) = warden.outcome(&mut launched.started).await {
            return outcome;
        }
        looks_left = looks_left.saturating_sub(1);
        if looks_left == 0 || !sink.is_wanted() {
            break;
        }
    }
    loop {
        // Repeated at each look, since a stop that overtakes its launch is lost.
        warden.stop(launched.number, StopStage::Kill);
        match warden.outcome(&mut launched.started).await {
            Some(Ok(_)) => {
                let _ = (&mut launched.ended).await;
                return Err(LaunchError::NoAnswer);
            }
            Some(failed) => return failed,
            None => {}
        }
    }
}

fn prepare(
    program: &Program,
    surroundings: &Surroundings,
    turn: Option<Turn>,
) -> io::Result<(Launch, OwnedFd, OwnedFd)> {
    let (stdout_reader, stdout) = output_pipe()?;
    let (stderr_reader, stderr) = output_pipe()?;
    let strings = |strings: &[String]| -> Result<Vec<CString>, NulError> {
        strings.iter().map(|string| CString::new(string.as_str())).collect()
    };
    let spec = LaunchSpec {
        cwd: CString::new(program.directory.as_str())?,
        umask: program.umask.unwrap_or(surroundings.umask),
        needs_start_script: program.runs_start_script,
        argv: strings(&program.command)?,
        env: strings(&program.environment)?,
        descriptors: vec![Descriptor::Stdout, Descriptor::Stderr],
        confinement: program.confinement.clone(),
    };
    let readers = || Ok::<_, io::Error>([stdout_reader.try_clone()?, stderr_reader.try_clone()?]);
    let kept =
        program.kept.as_ref().map(|kept| Ok::<_, io::Error>((kept.try_clone()?, readers()?)));
    let kept = kept.transpose()?;
    let launch = Launch { spec, descriptors: vec![stdout, stderr], kept, turn };
    Ok((launch, stdout_reader, stderr_reader))
}

/// A pipe whose read end, ours, does not block; the tenant's end does, as programs expect.
fn output_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
    unblocked(&reader)?;
    Ok((reader, writer))
}

/// The message of a failed launch: names the directory or the program, and what to do.
fn explain(program: &Program, error: LaunchError, outputs: &[OwnedFd]) -> String {
    let (directory, name) = (&program.directory, &program.command[0]);
    let (step, error) = match error {
        LaunchError::Step { step, error } => (step, error),
        LaunchError::NoAnswer => {
            return format!(
                "its directory {directory:?} or its program {name:?} could not be reached in time: \
                 a file system does not answer"
            );
        }
        other => return other.to_string(),
    };
    let said = |error: &io::Error| outputs.last().and_then(written).unwrap_or(error.to_string());
    let missing = error.kind() == io::ErrorKind::NotFound;
    match step {
        LaunchStep::ChangeDirectory if missing => {
            format!("its directory {directory:?} does not exist ({error})")
        }
        LaunchStep::ChangeDirectory => {
            format!("its directory {directory:?} cannot be entered: {error}")
        }
        LaunchStep::Execute if missing && !name.contains('/') && !program.has_path => {
            format!(
                "the program {name:?} was not found, and its environment has no PATH ({error}): \
                 {GIVE_PATH}"
            )
        }
        LaunchStep::Execute if missing && !name.contains('/') => {
            format!("the program {name:?} was not found on the tenant's PATH ({error})")
        }
        LaunchStep::Execute => {
            format!("the program {name:?} could not be executed in {directory:?}: {error}")
        }
        LaunchStep::CheckStartScript => said(&error),
        LaunchStep::EnterGroup => {
            format!("its control group could not be made or entered: {}", said(&error))
        }
        LaunchStep::SetLimit => format!("one of its limits could not be set: {error}"),
        LaunchStep::MakeTemporary => {
            let all = program.confinement.temporary.as_deref().map(CStr::to_string_lossy);
            format!(
                "its private temporary directory could not be made in {:?}, which is below the \
                 host's TMPDIR: {error}",
                all.unwrap_or_default()
            )
        }
        LaunchStep::BecomeUser => format!("it could not become its user: {}", said(&error)),
        LaunchStep::PutUpWalls => format!("its walls could not be put up: {}", said(&error)),
        LaunchStep::Fork => format!("no process could be made for it: {error}"),
        LaunchStep::ReadSpec => format!("the warden could not read what to start: {error}"),
        LaunchStep::CheckUser => {
            format!("the host becomes another user again and again while it is started: {error}")
        }
    }
}
