//! A tenant of very many busy processes, each in a session of its own, ends quickly, and does not
//! delay other tenants.

#![allow(clippy::disallowed_methods, reason = "tests start processes and measure time")]

mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use support::{SIGKILL, Warden, spec};
use warden::protocol::StopStage;

const PYTHON: &str = "/usr/bin/python3";

/// A fork bomb, bounded by the process limit of a user of its own, which takes root. Its processes
/// begin to work only when all of them exist.
const BOMB: &str = "
import os, resource, sys, time
count = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_NPROC, (count, count))
os.setgid(54321)
os.setuid(54321)
released, release = os.pipe()
def fork():
    try:
        return os.fork()
    except OSError:
        return -1
while (child := fork()) > 0:
    pass
if child == 0:
    os.setsid()
    os.close(release)
    os.read(released, 1)
else:
    os.close(release)
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        fork()
    print('full', flush=True)
while True:
    if fork() == 0:
        os.setsid()
";

/// A fifth of the number of processes that end within the promise on an idle machine.
const PROCESSES: &str = "400";

/// It takes a fifth of a second, and ten times that beside a load of fifty. With a keeper of
/// ordinary priority it would take 5 s and more, and no other tenant would start meanwhile.
const PROMISE: Duration = Duration::from_secs(3);

#[test]
fn a_fork_bomb_is_gone_within_seconds_and_others_start_meanwhile() {
    if !rustix::process::geteuid().is_root() || !Path::new(PYTHON).exists() {
        eprintln!("skipped: takes root and {PYTHON}");
        return;
    }
    let mut warden = Warden::start();
    let mut bomb = warden.start_tenant(1, &spec(&[PYTHON, "-c", BOMB, PROCESSES]));
    assert_eq!(bomb.stdout.line(), "full");
    let begin = Instant::now();
    warden.stop(1, StopStage::Kill);
    let mut other = warden.start_script(2, "echo here");
    assert_eq!(other.stdout.rest(), "here\n");
    assert_eq!(warden.expect_ended(1).how(), SIGKILL);
    let elapsed = begin.elapsed();
    assert!(elapsed < PROMISE, "{elapsed:?}");
}
