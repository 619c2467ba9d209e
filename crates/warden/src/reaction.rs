//! Tells whether a process has reacted to a signal, as far as that shows from outside: it has
//! ended, or it has taken the signal and sleeps since.

use std::fs;
use std::path::Path;

use rustix::process::Pid;

use crate::{Disposition, Stat};

/// How long stopping processes is waited for. A process needs a turn on a processor to stop.
pub const FREEZE_MS: u64 = 200;

/// How long a process has to react while those that it may pass its signal on to are stopped. Only
/// a busy process needs all of it. Time in which it wants a processor and gets none does not
/// count: on a busy machine that is most of the time.
const REACTION_MS: u64 = 100;

/// How long the processes of one tree are waited for in all. The first process needs at most the
/// sum of the two times above, and most trees need a few milliseconds. Processes that are left
/// after that are asked all the same, and may get a second signal from a parent. Less than the
/// keeper's last grace, so that all have been asked by the end of it.
pub const WAIT_BUDGET_MS: u64 = 500;

/// The time between two looks at processes that are waited for.
pub const LOOK_MS: u64 = 1;

/// How often in a row a process has to be found asleep, without having run in between, to count as
/// having reacted.
const QUIET_LOOKS: u32 = 2;

/// The most threads that are looked at; JavaScript engines have a dozen.
const MOST_THREADS: usize = 64;

/// What was seen of a process since it was sent the signal.
#[derive(Debug, Default)]
pub struct Reaction {
    quiet_looks: u32,
    switches: Option<u64>,
    /// Looks that found all of it waiting for something other than a processor.
    waiting_looks: u64,
    /// The CPU time that it had used at the first look.
    begun_ms: Option<u64>,
}

impl Reaction {
    /// Adds one look, [`LOOK_MS`] after the last; `None` means that the process is gone. Returns
    /// whether the process has reacted, or its time is up. `is_at_work` (see [`is_at_work`]) is
    /// only called if the first thread sleeps.
    pub fn is_over(
        &mut self,
        now: Option<(Disposition, Stat)>,
        is_at_work: impl FnOnce() -> bool,
    ) -> bool {
        let Some((now, stat)) = now.filter(|(it, _)| !it.has_ended()) else { return true };
        let is_waiting = now.state != b'R' && !is_at_work();
        let is_quiet = is_waiting
            && now.state == b'S'
            && !now.is_pending
            && self.switches == Some(now.switches);
        self.quiet_looks = if is_quiet { self.quiet_looks + 1 } else { 0 };
        self.switches = Some(now.switches);
        self.waiting_looks += u64::from(is_waiting);
        let used_ms = stat.own_cpu_ms();
        let used_ms = used_ms.saturating_sub(*self.begun_ms.get_or_insert(used_ms));
        self.quiet_looks >= QUIET_LOOKS || self.waiting_looks * LOOK_MS + used_ms >= REACTION_MS
    }
}

/// Whether a thread of the process runs or is ready to run; the sleeping first thread may be
/// waiting for it. A thread in uninterruptible sleep (`D`) is not at work: a shell is in that
/// state until its child, which is stopped here, has executed the command.
pub fn is_at_work(proc: &Path, pid: Pid) -> bool {
    let threads = fs::read_dir(proc.join(format!("{}/task", pid.as_raw_pid())));
    let threads = threads.into_iter().flatten().flatten().take(MOST_THREADS);
    let mut lines = threads.filter_map(|thread| fs::read(thread.path().join("stat")).ok());
    lines.any(|line| state_in(&line) == Some(b'R'))
}

/// The state's letter, behind the name, which stands in parentheses and may contain some itself.
fn state_in(line: &[u8]) -> Option<u8> {
    let name_end = line.iter().rposition(|&byte| byte == b')')?;
    line.get(name_end + 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(own_ticks: u64) -> Stat {
        let line =
            format!("7 (sh) S 1 7 7 0 -1 0 0 0 0 0 {own_ticks} 0 0 0 20 0 1 0 5 0 1 0 0 0 9");
        crate::stat::parse(line.as_bytes(), 7).expect("a line")
    }

    fn looks(looks: &[Option<Disposition>]) -> Vec<bool> {
        let mut reaction = Reaction::default();
        looks.iter().map(|look| reaction.is_over(look.map(|it| (it, stat(0))), || false)).collect()
    }

    const ASLEEP: Disposition = Disposition {
        state: b'S',
        is_pending: false,
        listens: true,
        catches: true,
        ignores: false,
        switches: 7,
    };

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
    #[allow(
        clippy::disallowed_methods,
        reason = "the process that is looked at must come from somewhere"
    )]
    fn one_that_only_sleeps_is_not_at_work() {
        let proc = Path::new("/proc");
        let mut child =
            std::process::Command::new("sleep").arg("1000").spawn().expect("sleep starts");
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
        let over: Vec<bool> = (0..=ticks)
            .map(|used| reaction.is_over(Some((runnable, stat(30 + used))), || false))
            .collect();
        assert_eq!(over.iter().position(|over| *over), Some(over.len() - 1));
        let restless = |look| Disposition { switches: look, ..ASLEEP };
        let mut reaction = Reaction::default();
        let waits = (1..).find(|look| reaction.is_over(Some((restless(*look), stat(0))), || false));
        assert_eq!(waits, Some(REACTION_MS));
    }
}
