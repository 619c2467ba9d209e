//! What the tenant's first process does between the fork and the exec of its program.

use std::convert::Infallible;
use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, chdir, getppid, set_parent_process_death_signal, setpgid, umask,
};
use rustix::stdio;

use warden::excerpt::read_at;
use warden::protocol::{LaunchStep, Report};
use warden::spec::{Descriptor, LaunchSpec};

use crate::group::Groups;
use crate::open_files;
use crate::start_script;
use crate::sys;
use crate::temporary::Temporary;
use crate::walls;

/// The shell for scripts without a `#!` line, which every shell and `execvp` use too.
const SHELL: &CStr = c"/bin/sh";

/// The search path if the tenant's environment has no `PATH`.
const DEFAULT_PATH: &[u8] = b"/usr/local/bin:/usr/bin:/bin";

/// The exit status of a process whose program could not be executed. It is not evaluated, since
/// the reason is sent through the status pipe.
const NOT_EXECUTED_STATUS: i32 = 127;

/// The descriptors of a launch.
pub struct Outfit {
    /// Holds the [`LaunchSpec`].
    pub memory_file: OwnedFd,
    /// What each becomes is listed in the specification.
    pub descriptors: Vec<OwnedFd>,
}

/// Becomes the tenant's program. If that fails, the reason is written to `status`; if it succeeds,
/// `status` closes without a byte.
pub fn become_tenant(
    run: u64,
    keeper: Pid,
    outfit: &Outfit,
    groups: &Groups,
    status: &OwnedFd,
) -> i32 {
    let Err((step, errno)) = start(run, keeper, outfit, groups, status);
    let report = Report::LaunchFailed { run, step, errno: errno.raw_os_error() };
    // A packet is far smaller than a pipe's capacity, so it is written whole.
    let _ = rustix::io::write(status, &report.encode());
    NOT_EXECUTED_STATUS
}

fn start(
    run: u64,
    keeper: Pid,
    outfit: &Outfit,
    groups: &Groups,
    status: &OwnedFd,
) -> Result<Infallible, (LaunchStep, Errno)> {
    let at = |step| move |errno| (step, errno);
    // The keeper does this too, so that both can rely on it, whichever comes first.
    setpgid(None, None).map_err(at(LaunchStep::Fork))?;
    die_with(keeper).map_err(at(LaunchStep::Fork))?;
    let mut spec = read_spec(&outfit.memory_file).map_err(at(LaunchStep::ReadSpec))?;
    if spec.descriptors.len() != outfit.descriptors.len() {
        return Err((LaunchStep::ReadSpec, Errno::PROTO));
    }
    // Standard input is /dev/null already, as it is the warden's.
    for (becomes, descriptor) in spec.descriptors.iter().zip(&outfit.descriptors) {
        match becomes {
            Descriptor::Stdout => stdio::dup2_stdout(descriptor),
            Descriptor::Stderr => stdio::dup2_stderr(descriptor),
        }
        .map_err(at(LaunchStep::Fork))?;
    }
    // All of these are close-on-exec too, but entering a directory can take long, and their other
    // ends must not wait for that.
    sys::close_all_except(&[0, 1, 2, status.as_raw_fd()]);
    open_files::fall_back();
    umask(Mode::from_raw_mode(spec.umask));
    chdir(spec.cwd.as_c_str()).map_err(at(LaunchStep::ChangeDirectory))?;
    let temporary = Temporary::of(&spec.confinement, run);
    if let Some(temporary) = &temporary {
        temporary.make(spec.confinement.user).map_err(at(LaunchStep::MakeTemporary))?;
        set_variable(&mut spec.env, b"TMPDIR=", &temporary.path());
    }
    if let Some(landlock) = spec.confinement.walls.as_mut().and_then(|it| it.landlock.as_mut()) {
        // Programs look there for the memory and the processors that they have.
        landlock.paths.extend(groups.readable());
    }
    walls::put_up(&spec, temporary.as_ref()).map_err(explained)?;
    // Another user forgets this.
    die_with(keeper).map_err(at(LaunchStep::Fork))?;
    // As the user and within the walls that the program will have: what it could not read is not
    // taken for found.
    if spec.needs_start_script {
        require_start_script(&spec).map_err(at(LaunchStep::CheckStartScript))?;
    }
    walls::refuse_system_calls(&spec).map_err(explained)?;
    sys::unblock_signals();
    Err((LaunchStep::Execute, search_and_execute(&spec)))
}

/// Has the kernel kill this process when its keeper dies.
fn die_with(keeper: Pid) -> Result<(), Errno> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid() != Some(keeper) {
        // The keeper died before the line above took effect.
        sys::exit_now(NOT_EXECUTED_STATUS);
    }
    Ok(())
}

/// Writes what the error number does not say to standard error, which the host reads when it gets
/// the failure.
fn explained(failure: walls::Failure) -> (LaunchStep, Errno) {
    if let Some(text) = failure.text {
        say(&text);
    }
    (failure.step, failure.errno)
}

fn say(reason: &str) {
    // The pipe is empty and holds more than a path and a sentence.
    let _ = rustix::io::write(stdio::stderr(), reason.as_bytes());
}

/// Writes to the standard error of a launch why it fails. Nothing is said where that is not known.
pub fn explain(outfit: &Outfit, reason: &str) {
    let Ok(spec) = read_spec(&outfit.memory_file) else { return };
    let index = spec.descriptors.iter().position(|it| *it == Descriptor::Stderr);
    if let Some(stderr) = index.and_then(|index| outfit.descriptors.get(index)) {
        let _ = rustix::io::write(stderr, reason.as_bytes());
    }
}

/// Sets a variable, whose name comes with the `=`, in an environment.
fn set_variable(env: &mut Vec<CString>, name: &[u8], value: &CStr) {
    env.retain(|entry| !entry.as_bytes().starts_with(name));
    let entry = [name, value.to_bytes()].concat();
    env.push(CString::new(entry).expect("parts of zero-terminated strings hold no zero byte"));
}

/// Refuses a directory without a start script. The reason is written to standard error.
fn require_start_script(spec: &LaunchSpec) -> Result<(), Errno> {
    let Err(reason) = start_script::require(&spec.cwd.to_string_lossy()) else { return Ok(()) };
    say(&reason);
    Err(Errno::NOENT)
}

/// Reads the file from its start, whatever its position.
fn read_spec(memory_file: &OwnedFd) -> Result<LaunchSpec, Errno> {
    let size_bytes = rustix::fs::fstat(memory_file)?.st_size;
    let mut bytes = vec![0; usize::try_from(size_bytes).map_err(|_| Errno::FBIG)?];
    if read_at(memory_file, &mut bytes, 0)? < bytes.len() {
        return Err(Errno::PROTO);
    }
    LaunchSpec::parse(&bytes).map_err(|_| Errno::PROTO)
}

/// Searches the program as `execvp` does, but in the tenant's `PATH`, and executes it. Returns
/// only if that fails, with the reason.
fn search_and_execute(spec: &LaunchSpec) -> Errno {
    let program = spec.argv[0].as_bytes();
    if program.is_empty() {
        return Errno::NOENT;
    }
    if program.contains(&b'/') {
        return execute(&spec.argv[0], spec);
    }
    let mut is_denied = false;
    for directory in search_path(&spec.env).split(|&byte| byte == b':') {
        match execute(&joined(directory, program), spec) {
            Errno::ACCESS => is_denied = true,
            // The program or its directory is missing here: the next directory may have it.
            Errno::NOENT | Errno::NOTDIR | Errno::STALE | Errno::NODEV | Errno::TIMEDOUT => {}
            errno => return errno,
        }
    }
    if is_denied { Errno::ACCESS } else { Errno::NOENT }
}

fn search_path(env: &[CString]) -> &[u8] {
    env.iter().find_map(|entry| entry.as_bytes().strip_prefix(b"PATH=")).unwrap_or(DEFAULT_PATH)
}

/// The path of a program in a directory; an empty directory means the working directory.
fn joined(directory: &[u8], program: &[u8]) -> CString {
    let separator: &[u8] = if directory.is_empty() { b"" } else { b"/" };
    let path = [directory, separator, program].concat();
    CString::new(path).expect("parts of zero-terminated strings hold no zero byte")
}

fn execute(path: &CStr, spec: &LaunchSpec) -> Errno {
    let errno = sys::execute(path, &spec.argv, &spec.env);
    if errno != Errno::NOEXEC {
        return errno;
    }
    let script = [SHELL.to_owned(), path.to_owned()];
    let argv: Vec<CString> = script.into_iter().chain(spec.argv.iter().skip(1).cloned()).collect();
    sys::execute(SHELL, &argv, &spec.env)
}
