//! One tenant's process from its launch to its end, as a series of facts.

use crate::os::logs::{LineSink, Stream, pump};
use crate::os::warden::{Ended, Launch, LaunchError, Started, WardenClient};
use rustix::pipe::{PipeFlags, pipe_with};
use std::ffi::{CString, NulError};
use std::io;
use std::os::fd::OwnedFd;
use tokio::sync::watch;
use warden::planted::{Bug, planted};
use warden::{LaunchSpec, LaunchStep};

/// What to run, and where.
pub struct Program {
    /// The tenant's directory.
    pub directory: String,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// `KEY=value`.
    pub environment: Vec<String>,
}

/// Told what happens, in order.
pub trait RunSink: LineSink {
    /// The process exists. `number` is how [`WardenClient::stop`] knows it.
    fn started(&self, number: u64, started: Started);
    /// It does not and will not; the reason is for people.
    fn not_started(&self, reason: String);
    /// The tree is gone and everything it had written has been passed on.
    fn ended(&self, ended: Ended);
}

/// Runs the program to its end. Every error ends in `not_started`.
pub async fn supervise(warden: &WardenClient, program: Program, sink: &impl RunSink) {
    let (launch, stdout, stderr) = match prepare(&program) {
        Ok(prepared) => prepared,
        Err(error) => return sink.not_started(format!("its launch could not be prepared: {error}")),
    };
    let launched = match warden.launch(launch) {
        Ok(launched) => launched,
        Err(error) => return sink.not_started(error.to_string()),
    };
    match warden.outcome(launched.started).await {
        Ok(started) => sink.started(launched.number, started),
        Err(error) => return sink.not_started(explain(&program, error)),
    }
    let (tell_ended, ended) = watch::channel(false);
    let end = async {
        let lost = Ended { exit_code: None, cpu_us: None };
        let end = launched.ended.await.unwrap_or(lost);
        if planted(Bug::LinesAfterExit) {
            sink.ended(end);
        }
        let _ = tell_ended.send(true);
        end
    };
    let (end, (), ()) = tokio::join!(
        end,
        pump(stdout, Stream::Stdout, sink, ended.clone()),
        pump(stderr, Stream::Stderr, sink, ended.clone()),
    );
    sink.ended(end);
}

fn prepare(program: &Program) -> io::Result<(Launch, OwnedFd, OwnedFd)> {
    let (stdout_reader, stdout) = output_pipe()?;
    let (stderr_reader, stderr) = output_pipe()?;
    let strings = |strings: &[String]| -> Result<Vec<CString>, NulError> {
        strings.iter().map(|string| CString::new(string.as_str())).collect()
    };
    let spec = LaunchSpec {
        cwd: CString::new(program.directory.as_str())?,
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
    }
}
