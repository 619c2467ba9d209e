//! Wardens of the program that this process was before: one that executes itself anew, as `bun --watch` does, keeps its
//! children, and what it has become knows nothing of them. They leave by themselves, since their sockets were closed;
//! unless they are waited for, a zombie of each stays.

use super::forget;
use crate::os::watched::watch_shared;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::fs;
use std::sync::Arc;

/// What a warden calls itself.
const NAME: &[u8] = b"(abs-warden)";

/// Waits, in the background, for the end of every warden that is a child of this process but these.
pub fn reap_except(known: &[Pid]) {
    for pid in children().into_iter().filter(|pid| !known.contains(pid) && is_warden(*pid)) {
        // Opened while it is our unreaped child, so it is that very process.
        let Ok(process) = pidfd_open(pid, PidfdFlags::empty()).map(Arc::new) else { continue };
        let Ok(watched) = watch_shared(process.clone()) else { continue };
        tokio::spawn(async move {
            if watched.readable().await.is_ok() {
                forget(&process);
            }
        });
    }
}

/// Without the kernel's lists of children (CONFIG_PROC_CHILDREN) there are none: a zombie is not worth a look at every
/// process of the machine.
fn children() -> Vec<Pid> {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let pids = lists.flat_map(|list| {
        list.split_ascii_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect::<Vec<_>>()
    });
    pids.collect()
}

fn is_warden(pid: Pid) -> bool {
    let stat = fs::read(format!("/proc/{}/stat", pid.as_raw_pid())).unwrap_or_default();
    stat.windows(NAME.len()).any(|part| part == NAME)
}
