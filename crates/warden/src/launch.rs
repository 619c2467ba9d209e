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

use warden::Confinement;
use warden::confinement::Group;
use warden::protocol::{LaunchStep, Report};
use warden::spec::{Descriptor, LaunchSpec, groups_alone};

use crate::start_script;
use crate::sys;

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
pub fn become_tenant(run: u64, keeper: Pid, outfit: &Outfit, status: &OwnedFd) -> i32 {
    let Err((step, errno)) = start(keeper, outfit, status);
    let report = Report::LaunchFailed { run, step, errno: errno.raw_os_error() };
    // A packet is far smaller than a pipe's capacity, so it is written whole.
    let _ = rustix::io::write(status, &report.encode());
    NOT_EXECUTED_STATUS
}

fn start(
    keeper: Pid,
    outfit: &Outfit,
    status: &OwnedFd,
) -> Result<Infallible, (LaunchStep, Errno)> {
    let at = |step| move |errno| (step, errno);
    // The keeper does this too, so that both can rely on it, whichever comes first.
    setpgid(None, None).map_err(at(LaunchStep::Fork))?;
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(at(LaunchStep::Fork))?;
    if getppid() != Some(keeper) {
        // The keeper died before the line above took effect.
        sys::exit_now(NOT_EXECUTED_STATUS);
    }
    let spec = read_spec(&outfit.memory_file).map_err(at(LaunchStep::ReadSpec))?;
    if spec.descriptors.len() != outfit.descriptors.len() {
        return Err((LaunchStep::ReadSpec, Errno::PROTO));
    }
    // The groups are the keeper's work.
    let groups = spec.confinement.groups.clone();
    if spec.confinement != (Confinement { groups, ..Confinement::default() }) {
        return Err((LaunchStep::PutUpWalls, Errno::NOSYS));
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
    umask(Mode::from_raw_mode(spec.umask));
    chdir(spec.cwd.as_c_str()).map_err(at(LaunchStep::ChangeDirectory))?;
    if spec.needs_start_script {
        require_start_script(&spec).map_err(at(LaunchStep::CheckStartScript))?;
    }
    sys::unblock_signals();
    Err((LaunchStep::Execute, search_and_execute(&spec)))
}

/// Refuses a directory without a start script. The reason is written to standard error, which the
/// host reads when it gets the failure.
fn require_start_script(spec: &LaunchSpec) -> Result<(), Errno> {
    let Err(reason) = start_script::require(&spec.cwd.to_string_lossy()) else { return Ok(()) };
    // The pipe is empty and holds more than a path and a sentence.
    let _ = rustix::io::write(stdio::stderr(), reason.as_bytes());
    Err(Errno::NOENT)
}

/// Writes to the standard error of a launch why it fails. Nothing is said where that is not known.
pub fn explain(outfit: &Outfit, reason: &str) {
    let Ok(spec) = read_spec(&outfit.memory_file) else { return };
    let index = spec.descriptors.iter().position(|it| *it == Descriptor::Stderr);
    if let Some(stderr) = index.and_then(|index| outfit.descriptors.get(index)) {
        let _ = rustix::io::write(stderr, reason.as_bytes());
    }
}

/// The groups of a launch; none if it cannot be read, which the tenant's process reports.
pub fn read_groups(memory_file: &OwnedFd) -> Vec<Group> {
    groups_alone(|bytes, offset| read_exactly(memory_file, bytes, offset).ok())
}

fn read_spec(memory_file: &OwnedFd) -> Result<LaunchSpec, Errno> {
    let size_bytes = rustix::fs::fstat(memory_file)?.st_size;
    let mut bytes = vec![0; usize::try_from(size_bytes).map_err(|_| Errno::FBIG)?];
    read_exactly(memory_file, &mut bytes, 0)?;
    LaunchSpec::parse(&bytes).map_err(|_| Errno::PROTO)
}

/// Reads from an offset of the file, whatever its position.
fn read_exactly(file: &OwnedFd, bytes: &mut [u8], offset: u64) -> Result<(), Errno> {
    let mut filled = 0;
    while filled < bytes.len() {
        match rustix::io::pread(file, &mut bytes[filled..], offset + filled as u64) {
            Ok(0) => return Err(Errno::PROTO),
            Ok(length) => filled += length,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
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
