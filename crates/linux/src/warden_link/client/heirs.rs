//! Wardens of the program that this process was before: one that executes itself anew, as `bun --watch` does, keeps its
//! children, and what it has become knows nothing of them. They leave by themselves, since their sockets were closed;
//! unless they are waited for, a zombie of each stays.

use super::forget;
use crate::process::children::children_of;
use crate::threads::watched::watch_shared;
use procfs::process::Process;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a warden calls itself.
const NAME: &str = "abs-warden";

/// Those whose end is waited for.
#[derive(Default)]
pub struct Heirs {
    watched: Arc<Mutex<HashSet<Pid>>>,
}

impl Heirs {
    /// Waits, in the background, for the end of every warden that is a child of this process but these.
    pub fn reap_except(&self, known: &[Pid]) {
        for pid in children().filter(|pid| !known.contains(pid) && is_warden(*pid)) {
            if lock(&self.watched).contains(&pid) {
                continue;
            }
            // Opened while it is our unreaped child, so it is that very process.
            let Ok(process) = pidfd_open(pid, PidfdFlags::empty()).map(Arc::new) else { continue };
            let Ok(watched) = watch_shared(process.clone()) else { continue };
            lock(&self.watched).insert(pid);
            let heirs = self.watched.clone();
            tokio::spawn(async move {
                let has_ended = watched.readable().await.is_ok();
                // Before the pid can be another's.
                lock(&heirs).remove(&pid);
                if has_ended {
                    forget(&process);
                }
            });
        }
    }
}

fn lock(watched: &Mutex<HashSet<Pid>>) -> MutexGuard<'_, HashSet<Pid>> {
    watched.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Without the kernel's lists of children there are none: a zombie is not worth a look at every process of the machine.
fn children() -> impl Iterator<Item = Pid> {
    let children = children_of(std::process::id(), usize::MAX).into_iter();
    children.filter_map(|pid| Pid::from_raw(pid.cast_signed()))
}

fn is_warden(pid: Pid) -> bool {
    let stat = Process::new(pid.as_raw_pid()).and_then(|process| process.stat());
    stat.is_ok_and(|stat| stat.comm == NAME)
}
