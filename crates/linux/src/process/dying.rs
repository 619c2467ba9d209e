//! Processes that were killed, and are not gone yet.

use procfs::process::{Process, StatFlags};
use rustix::process::Signal;

/// Whether a process is about to be gone: it has ended, is ending, or has a SIGKILL before it, which
/// may take long with a large heap or on a busy machine.
pub fn is_dying(pid: u32) -> bool {
    const SIGKILL: u64 = 1 << (Signal::KILL.as_raw() - 1);
    let Ok(process) = Process::new(pid.cast_signed()) else { return true };
    let is_ending = process.stat().map_or(true, |stat| {
        matches!(stat.state, 'Z' | 'X')
            || StatFlags::from_bits_truncate(stat.flags).contains(StatFlags::PF_EXITING)
    });
    is_ending
        || process.status().map_or(true, |status| (status.sigpnd | status.shdpnd) & SIGKILL != 0)
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests start processes")]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_process_that_was_killed_is_dying_until_it_is_gone() {
        let mut host = Command::new("sleep").arg("1000").spawn().unwrap();
        assert!(!is_dying(host.id()));
        host.kill().unwrap();
        assert!(is_dying(host.id()), "also before it has come to that");
        host.wait().unwrap();
        assert!(is_dying(host.id()), "it is gone");
    }
}
