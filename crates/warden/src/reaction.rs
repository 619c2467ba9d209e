//! Whether a process has reacted to a signal, as far as that shows from outside: it has ended, or it has taken the
//! signal and waits for something else since.

use std::fs;
use std::path::Path;

use rustix::process::Pid;

use crate::{Disposition, Stat};

/// How long it may take until processes have stopped. They need a turn on a processor for it.
pub const FREEZE_MS: u64 = 200;

/// How long a process has to react while those that it may pass its signal on to are stopped. Only one that is kept
/// busy needs it all. Time in which it wants a processor and gets none does not count: on a busy machine that is most.
const REACTION_MS: u64 = 100;

/// How long processes are waited for in all, of one tree. The first needs no more than the two above, and most trees a
/// few milliseconds. Those that are left then are asked all the same, and may get a second one from a parent. Less than
/// the keeper's last grace, so that everybody has been asked by the end of that.
pub const CARE_MS: u64 = 500;

/// Between two looks at them.
pub const LOOK_MS: u64 = 1;

/// How often a process has to be found asleep, without having run in between, to have reacted.
const QUIET_LOOKS: u32 = 2;

/// So many threads are looked at; engines have a dozen.
const MOST_THREADS: usize = 64;

/// What has been seen of a process since it was sent the signal.
#[derive(Debug, Default)]
pub struct Reaction {
    quiet_looks: u32,
    switches: Option<u64>,
    /// Looks that found all of it waiting for something other than a processor.
    waiting_looks: u64,
    /// The CPU time that it had used by the first look.
    begun_ms: Option<u64>,
}

impl Reaction {
    /// Takes one more look into account, [`LOOK_MS`] after the last; `None` stands for a process that is gone. Returns
    /// whether the process has reacted, or has had its time. Whether it is at work ([`is_at_work`]) is asked of one whose first
    /// thread is not.
    pub fn is_over(&mut self, now: Option<(Disposition, Stat)>, is_at_work: impl FnOnce() -> bool) -> bool {
        let Some((now, stat)) = now.filter(|(it, _)| !it.has_ended()) else { return true };
        let is_waiting = now.state != b'R' && !is_at_work();
        let is_quiet =
            is_waiting && now.state == b'S' && !now.is_pending && self.switches == Some(now.switches);
        self.quiet_looks = if is_quiet { self.quiet_looks + 1 } else { 0 };
        self.switches = Some(now.switches);
        self.waiting_looks += u64::from(is_waiting);
        let used_ms = stat.own_cpu_ms();
        let used_ms = used_ms.saturating_sub(*self.begun_ms.get_or_insert(used_ms));
        self.quiet_looks >= QUIET_LOOKS || self.waiting_looks * LOOK_MS + used_ms >= REACTION_MS
    }
}

/// Whether a thread of the process runs, or would if it got a processor: the first one, asleep, may be waiting for it. One
/// that cannot be interrupted (`D`) is not at work: a shell is like that until its child, stopped here, is the command.
pub fn is_at_work(proc: &Path, pid: Pid) -> bool {
    let threads = fs::read_dir(proc.join(format!("{}/task", pid.as_raw_pid())));
    let threads = threads.into_iter().flatten().flatten().take(MOST_THREADS);
    let mut lines = threads.filter_map(|thread| fs::read(thread.path().join("stat")).ok());
    lines.any(|line| state_in(&line) == Some(b'R'))
}

/// The letter behind the name, which is in parentheses and can hold some itself.
fn state_in(line: &[u8]) -> Option<u8> {
    let name_end = line.iter().rposition(|&byte| byte == b')')?;
    line.get(name_end + 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(own_ticks: u64) -> Stat {
        let line = format!("7 (sh) S 1 7 7 0 -1 0 0 0 0 0 {own_ticks} 0 0 0 20 0 1 0 5 0 1 0 0 0 9");
        crate::stat::parse(line.as_bytes(), 7).expect("a line")
    }

    fn looks(looks: &[Option<Disposition>]) -> Vec<bool> {
        let mut reaction = Reaction::default();
        looks.iter().map(|look| reaction.is_over(look.map(|it| (it, stat(0))), || false)).collect()
    }

    const ASLEEP: Disposition =
        Disposition { state: b'S', is_pending: false, listens: true, ignores: false, switches: 7 };

    #[test]
    fn a_process_has_reacted_when_it_sleeps_and_has_not_run_since() {
        let once = Some(ASLEEP);
        assert_eq!(looks(&[once, once, once]), [false, false, true]);
        let ran = Some(Disposition { switches: 8, ..ASLEEP });
        assert_eq!(looks(&[once, once, ran, ran, ran]), [false, false, false, false, true]);
        let pending = Some(Disposition { is_pending: true, ..ASLEEP });
        assert_eq!(looks(&[pending, pending, pending]), [false; 3]);
        let ended = Some(Disposition { state: b'Z', ..ASLEEP });
        assert_eq!((looks(&[ended]), looks(&[None])), (vec![true], vec![true]));
    }

    #[test]
    fn a_process_that_waits_for_a_thread_of_its_own_has_not_reacted() {
        let mut reaction = Reaction::default();
        let mut look = |is_at_work| reaction.is_over(Some((ASLEEP, stat(0))), || is_at_work);
        assert!(!(0..10_000).any(|_| look(true)));
        assert_eq!([false, false].map(&mut look), [false, true]);
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "the process that is looked at must come from somewhere")]
    fn one_that_only_sleeps_is_not_at_work() {
        let proc = Path::new("/proc");
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().expect("sleep starts");
        while is_at_work(proc, Pid::from_child(&child)) {
            std::thread::yield_now();
        }
        assert!(is_at_work(proc, rustix::process::getpid()));
        child.kill().expect("our child");
        child.wait().expect("our child");
        assert_eq!(state_in(b"7 (a) R (b) S 1"), Some(b'S'));
        assert_eq!((state_in(b"7 (a)"), state_in(b"")), (None, None));
    }

    #[test]
    fn a_process_that_gets_no_processor_keeps_its_time() {
        let runnable = Disposition { state: b'R', ..ASLEEP };
        assert!(!looks(&[Some(runnable); 10_000]).contains(&true));
        let mut reaction = Reaction::default();
        let ticks = REACTION_MS * rustix::param::clock_ticks_per_second() / 1_000;
        let over: Vec<bool> =
            (0..=ticks).map(|used| reaction.is_over(Some((runnable, stat(30 + used))), || false)).collect();
        assert_eq!(over.iter().position(|over| *over), Some(over.len() - 1));
        let restless = |look| Disposition { switches: look, ..ASLEEP };
        let mut reaction = Reaction::default();
        let waits = (1..).find(|look| reaction.is_over(Some((restless(*look), stat(0))), || false));
        assert_eq!(waits, Some(REACTION_MS));
    }
}
