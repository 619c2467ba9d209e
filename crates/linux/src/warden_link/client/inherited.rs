//! Reaps wardens that this process has inherited from the program that it ran before. A host that
//! executes itself anew, as `bun --watch` does, keeps its children, but the new program does not
//! know them. Such wardens exit by themselves, since their sockets were closed; unless they are
//! reaped, each stays as a zombie.

use super::connection::reap_ended;
use crate::process::children::children_of;
use crate::threads::watched::watch_shared;
use procfs::process::Process;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The name that a warden gives itself.
const NAME: &str = "abs-warden";

/// The inherited wardens whose end is waited for. Dropping it stops none of these waits.
#[derive(Default)]
pub struct InheritedWardens {
    watched: Arc<Mutex<HashSet<Pid>>>,
}

impl InheritedWardens {
    /// Waits, in the background, for the end of every warden that is a child of this process and
    /// not in `known`, and reaps it.
    pub fn reap_except(&self, known: &[Pid]) {
        for pid in children().filter(|pid| !known.contains(pid) && is_warden(*pid)) {
            if lock(&self.watched).contains(&pid) {
                continue;
            }
            // The pid belongs to an unreaped child, so the pidfd means that child.
            let Ok(process) = pidfd_open(pid, PidfdFlags::empty()).map(Arc::new) else { continue };
            let Ok(watched) = watch_shared(process.clone()) else { continue };
            lock(&self.watched).insert(pid);
            let inherited = self.watched.clone();
            tokio::spawn(async move {
                let has_ended = watched.readable().await.is_ok();
                // Removed before the child is reaped, since the pid may be reused after that.
                lock(&inherited).remove(&pid);
                if has_ended {
                    reap_ended(&process);
                }
            });
        }
    }
}

fn lock(watched: &Mutex<HashSet<Pid>>) -> MutexGuard<'_, HashSet<Pid>> {
    watched.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The children of this process. None without the kernel's lists of children: a zombie is not
/// worth a look at every process of the machine.
fn children() -> impl Iterator<Item = Pid> {
    let children = children_of(std::process::id(), usize::MAX).into_iter();
    children.filter_map(|pid| Pid::from_raw(pid.cast_signed()))
}

fn is_warden(pid: Pid) -> bool {
    let stat = Process::new(pid.as_raw_pid()).and_then(|process| process.stat());
    stat.is_ok_and(|stat| stat.comm == NAME)
}
