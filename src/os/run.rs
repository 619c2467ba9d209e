//! One tenant's process from its launch to its end, as a series of facts.

use crate::os::logs::{LineSink, Stream, pump};
use crate::os::main_process::MainProcess;
use crate::os::proc_check;
use crate::os::start_script;
use crate::os::surroundings::{Noted, Surroundings};
use crate::os::warden::{Ended, Launch, LaunchError, Launched, Started, WardenClient};
use crate::os::watched::watch;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use std::convert::Infallible;
use std::ffi::{CString, NulError};
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;
use tokio::sync::{oneshot, watch as channel};
use warden::{LaunchSpec, LaunchStep};

/// What a lost start's processes get to be gone. Its keeper ends them as soon as the warden is; if they are not gone by
/// then, there is no second try beside them.
const LOST_START_TIME: Duration = Duration::from_secs(1);

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
    /// Neither does any other on this machine, as it is set up.
    fn unsupported(&self, reason: String);
    /// Whether the start has not been called off.
    fn is_wanted(&self) -> bool;
    /// The tree is gone. What it has written is still passed on; this is dropped when that is done.
    fn tree_ended(&self) -> impl Future<Output = Infallible> + Send;
    /// The tree is gone and everything it had written has been delivered.
    fn ended(&self, ended: Ended) -> impl Future<Output = ()> + Send;
}

/// Runs the program to its end, with the rights and limits that were noted. Every error ends in `not_started` or
/// `unsupported`.
pub async fn supervise(warden: &WardenClient, program: Program, noted: Noted, sink: &impl RunSink) {
    if let Err(reason) = check(warden, &program).await {
        return sink.not_started(reason);
    }
    let tried = match start(warden, &program, &noted).await {
        Err(failed) if failed.may_pass() && failed.is_over().await && sink.is_wanted() => {
            start(warden, &program, &noted.again()).await
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
        Err(Failed { error, .. }) => return sink.not_started(explain(&program, error)),
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

async fn check(warden: &WardenClient, program: &Program) -> Result<(), String> {
    if !program.runs_start_script {
        return Ok(());
    }
    let directory = program.directory.clone();
    // Its file system may be slow. Without a thread to spare it holds up this one.
    let checked = warden.off_thread().run(move || start_script::require(&directory)).await;
    checked.unwrap_or_else(|_| start_script::require(&program.directory))
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

/// Reads to the end of what nobody wants.
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
) -> Result<(u64, Started, Start), Failed> {
    let surroundings = noted.surroundings().map_err(|error| match proc_check::require_own() {
        Err(reason) => LaunchError::Unsupported(reason),
        Ok(()) => LaunchError::Prepare(error),
    })?;
    let (launch, stdout, stderr) = prepare(program, &surroundings).map_err(LaunchError::Prepare)?;
    let Launched { number, started, ended } = warden.launch(launch, &surroundings)?;
    match warden.outcome(started).await {
        Ok(started) => Ok((number, started, Start { ended, stdout, stderr })),
        Err(error) => Err(Failed { error, outputs: vec![stdout, stderr] }),
    }
}

fn prepare(program: &Program, surroundings: &Surroundings) -> io::Result<(Launch, OwnedFd, OwnedFd)> {
    let (stdout_reader, stdout) = output_pipe()?;
    let (stderr_reader, stderr) = output_pipe()?;
    let strings = |strings: &[String]| -> Result<Vec<CString>, NulError> {
        strings.iter().map(|string| CString::new(string.as_str())).collect()
    };
    let spec = LaunchSpec {
        cwd: CString::new(program.directory.as_str())?,
        umask: surroundings.umask,
        argv: strings(&program.command)?,
        env: strings(&program.environment)?,
    };
    Ok((Launch { spec, stdout, stderr }, stdout_reader, stderr_reader))
}

/// Our end does not block; the tenant's does, as programs expect.
fn output_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&reader, true)?;
    Ok((reader, writer))
}

/// Names the directory or the program, and what to do.
fn explain(program: &Program, error: LaunchError) -> String {
    let LaunchError::Step { step, error } = error else { return error.to_string() };
    let (directory, name) = (&program.directory, &program.command[0]);
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
        LaunchStep::Fork => format!("no process could be made for it: {error}"),
        LaunchStep::ReadSpec => format!("the warden could not read what to start: {error}"),
        LaunchStep::CheckUser => {
            format!("the host becomes another user again and again while it is started: {error}")
        }
    }
}
