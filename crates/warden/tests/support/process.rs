//! Looks at processes from outside.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use super::is_readable;

/// Whether there is such a process, a zombie included.
pub fn exists(pid: Pid) -> bool {
    Path::new(&format!("/proc/{}", pid.as_raw_pid())).exists()
}

/// Stops a process, and waits until it is stopped: until then it may take what it is sent.
pub fn stop(pid: Pid) {
    kill_process(pid, Signal::STOP).expect("it is there");
    while status_field(pid, "State").is_some_and(|state| !state.starts_with('T')) {}
}

/// Waits until a process has ended, reaped or not.
pub fn wait_for_end(pid: Pid, patience: Duration) -> bool {
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(pidfd) => is_readable(&pidfd, patience),
        Err(Errno::SRCH) => true,
        Err(errno) => panic!("pidfd_open: {errno}"),
    }
}

/// A field of `/proc/<pid>/status`.
pub fn status_field(pid: Pid, field: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_pid())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    Some(line.trim().to_owned())
}

/// The state's letter and the numbers behind it in `/proc/<pid>/stat`: parent, group, session.
pub fn ids(pid: Pid) -> Option<(String, Vec<i32>)> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_pid())).ok()?;
    let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace();
    let state = fields.next()?.to_owned();
    Some((state, fields.take(3).filter_map(|field| field.parse().ok()).collect()))
}

/// The live processes whose environment has this entry: all descendants of a tenant that was
/// started with it.
pub fn marked(entry: &str) -> Vec<i32> {
    let processes = fs::read_dir("/proc").expect("/proc").flatten();
    let pids = processes.filter_map(|process| process.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|&byte| byte == 0).any(|found| found == entry.as_bytes())
    })
    .collect()
}

/// An environment entry that no other test uses.
pub fn new_mark() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("WARDEN_TEST={}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}
