//! One tenant's process from its launch to its end, as a series of facts.

use crate::host::proc_check;
use crate::output::lines::{LineSink, Stream, pump};
use crate::threads::watched::watch;
use crate::warden_link::client::{Ended, Launch, LaunchError, Launched, Started, Turn, WardenClient};
use crate::warden_link::main_process::MainProcess;
use crate::warden_link::surroundings::{Noted, Surroundings};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use std::convert::Infallible;
use std::ffi::{CString, NulError};
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;
use tokio::sync::{oneshot, watch as channel};
use warden::{Descriptor, LaunchSpec, LaunchStep, StopStage};

/// What a lost start's processes get to be gone. Its keeper ends them as soon as the warden is; if they are not gone by
/// then, there is no second try beside them.
const LOST_START_TIME: Duration = Duration::from_secs(1);

/// What a launch gets at least to come as far as its program. It takes milliseconds, and seconds on a machine that is busy
/// with other launches.
const PATIENCE_MIN: Duration = Duration::from_secs(10);

/// What a pipe holds.
const OUTPUT_ROOM_BYTES: usize = 64 << 10;

/// What to run, and where.
pub struct Program {
    /// The tenant's directory.
    pub directory: String,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// `KEY=value`.
    pub environment: Vec<String>,
    /// It runs the start script of its directory, which has to have one.
    pub runs_start_script: bool,
}

/// Told what happens, in order.
pub trait RunSink: LineSink {
    /// The process exists. `number` is how [`WardenClient::stop`] knows it.
    fn started(&self, number: u64, started: Started);
    /// It does not and will not; the reason is for people.
    fn not_started(&self, reason: String);
    /// Its main process is gone; the rest of its tree follows.
    fn main_ended(&self);
    /// It does not, and no other can be started on this machine as it is set up.
    fn unsupported(&self, reason: String);
    /// Whether the start has not been called off.
    fn is_wanted(&self) -> bool;
    /// The tree is gone. What it has written is still passed on; this is dropped when that is done.
    fn tree_ended(&self) -> impl Future<Output = Infallible> + Send;
    /// The tree is gone and everything it had written has been delivered.
    fn ended(&self, ended: Ended) -> impl Future<Output = ()> + Send;
}

/// Runs the program to its end, with the rights and limits that were noted. Every error ends in `not_started` or
/// `unsupported`. The turn is given back when the warden has the launch, which has so much patience to get as far as to
/// the program.
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
    let (main, Start { ended: tree_ended, stdout, stderr }) = match tried {
        Ok((number, started, start)) => {
            let main = MainProcess::of(started);
            sink.started(number, started);
            (main, start)
        }
        Err(Failed { error: LaunchError::Unsupported(reason), .. }) => return sink.unsupported(reason),
        Err(Failed { error, outputs }) => return sink.not_started(explain(&program, error, &outputs)),
    };
    let (tell_ended, ended) = channel::channel(false);
    let end = async {
        let lost = Ended { exit_code: None, signal: None, cpu_us: None };
        let end = tree_ended.await.unwrap_or(lost);
        let _ = tell_ended.send(true);
        end
    };
    let pass_on = async {
        let (end, (), (), ()) = tokio::join!(
            end,
            watch_main(main, sink, ended.clone()),
            pump(stdout, Stream::Stdout, sink, ended.clone()),
            pump(stderr, Stream::Stderr, sink, ended.clone()),
        );
        sink.ended(end).await;
    };
    let mut is_ended = ended.clone();
    let meanwhile = async {
        let _ = is_ended.wait_for(|ended| *ended).await;
        sink.tree_ended().await
    };
    tokio::select! {
        () = pass_on => {}
        never = meanwhile => match never {},
    }
}

/// Says that the main process has ended, even if its keeper, being stopped, does not.
async fn watch_main(main: Option<MainProcess>, sink: &impl RunSink, mut ended: channel::Receiver<bool>) {
    let Some(main) = main else { return };
    tokio::select! {
        biased;
        _ = ended.wait_for(|ended| *ended) => {}
        () = main.end() => sink.main_ended(),
    }
}

/// What is left to wait for when the program runs.
struct Start {
    ended: oneshot::Receiver<Ended>,
    stdout: OwnedFd,
    stderr: OwnedFd,
}

/// A start that came to nothing.
struct Failed {
    error: LaunchError,
    /// Where its output would have come from, if it has got that far.
    outputs: Vec<OwnedFd>,
}

impl From<LaunchError> for Failed {
    fn from(error: LaunchError) -> Failed {
        Failed { error, outputs: Vec::new() }
    }
}

impl Failed {
    /// Nothing is wrong with the tenant: its start met the loss of the warden, say. Such a one is made once more.
    fn may_pass(&self) -> bool {
        self.error.may_pass()
    }

    /// Waits until nothing of it is left. A lost warden's last start may have got as far as to run.
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

/// What has been written so far, if it is anything.
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
    let prepared = prepare(program, &surroundings, turn);
    let (launch, stdout, stderr) = prepared.map_err(LaunchError::Prepare)?;
    let mut launched = warden.launch(launch, &surroundings)?;
    match outcome(warden, &mut launched, patience, sink).await {
        Ok(started) => Ok((launched.number, started, Start { ended: launched.ended, stdout, stderr })),
        Err(error) => Err(Failed { error, outputs: vec![stdout, stderr] }),
    }
}

/// Waits until it is known whether the program runs. A launch that does not come so far, as when a file system does not
/// answer, is ended when it is not wanted any more or has had its time. It is not the tenant's program yet, so there is
/// nothing in it to be asked first.
async fn outcome(
    warden: &WardenClient,
    launched: &mut Launched,
    patience: Duration,
    sink: &impl RunSink,
) -> Result<Started, LaunchError> {
    // Looks are counted and not time: a host that is stopped meanwhile makes none.
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
        // Again each time: a stop that overtakes its launch is lost.
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
        umask: surroundings.umask,
        needs_start_script: program.runs_start_script,
        argv: strings(&program.command)?,
        env: strings(&program.environment)?,
        descriptors: vec![Descriptor::Stdout, Descriptor::Stderr],
    };
    let launch = Launch { spec, descriptors: vec![stdout, stderr], turn };
    Ok((launch, stdout_reader, stderr_reader))
}

/// Our end does not block; the tenant's does, as programs expect.
fn output_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&reader, true)?;
    Ok((reader, writer))
}

/// Names the directory or the program, and what to do.
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
    let missing = error.kind() == io::ErrorKind::NotFound;
    match step {
        LaunchStep::ChangeDirectory if missing => {
            format!("its directory {directory:?} does not exist ({error})")
        }
        LaunchStep::ChangeDirectory => format!("its directory {directory:?} cannot be entered: {error}"),
        LaunchStep::Execute if missing && !name.contains('/') => {
            format!("the program {name:?} was not found on the tenant's PATH ({error})")
        }
        LaunchStep::Execute => {
            format!("the program {name:?} could not be executed in {directory:?}: {error}")
        }
        LaunchStep::CheckStartScript => outputs.last().and_then(written).unwrap_or(error.to_string()),
        LaunchStep::Fork => format!("no process could be made for it: {error}"),
        LaunchStep::ReadSpec => format!("the warden could not read what to start: {error}"),
        LaunchStep::CheckUser => {
            format!("the host becomes another user again and again while it is started: {error}")
        }
    }
}
