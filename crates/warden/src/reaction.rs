//! Whether a process has reacted to a signal, as far as that shows from outside: it has ended, or it has taken the
//! signal and waits for something else since.

use crate::Disposition;

/// How long it may take until processes have stopped. They need a turn on a processor for it.
pub const FREEZE_MS: u64 = 200;

/// How long a process has to react while those that it may pass its signal on to are stopped. Only one that is kept
/// busy needs it all.
pub const REACTION_MS: u64 = 100;

/// How long processes are waited for in all, of one tree. The first needs no more than the two above, and most trees a
/// few milliseconds. Those that are left then are asked all the same, and may get a second one from a parent. Less than
/// the keeper's last grace, so that everybody has been asked by the end of that.
pub const CARE_MS: u64 = 500;

/// Between two looks at them.
pub const LOOK_MS: u64 = 1;

/// How often a process has to be found asleep, without having run in between, to have reacted.
const QUIET_LOOKS: u32 = 2;

/// What has been seen of a process since it was sent the signal.
#[derive(Debug, Default)]
pub struct Reaction {
    quiet_looks: u32,
    switches: Option<u64>,
}

impl Reaction {
    /// Takes one more look into account, [`LOOK_MS`] after the last; `None` is a process that is gone. Returns whether
    /// the process has reacted.
    pub fn is_over(&mut self, now: Option<Disposition>) -> bool {
        let Some(now) = now.filter(|it| !it.has_ended()) else { return true };
        let is_quiet = now.state == b'S' && !now.is_pending && self.switches == Some(now.switches);
        self.quiet_looks = if is_quiet { self.quiet_looks + 1 } else { 0 };
        self.switches = Some(now.switches);
        self.quiet_looks >= QUIET_LOOKS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_reacted_when_it_sleeps_and_has_not_run_since() {
        let asleep = Disposition { state: b'S', switches: 7, ..Disposition::default() };
        let looks = |looks: &[Option<Disposition>]| {
            let mut reaction = Reaction::default();
            looks.iter().map(|look| reaction.is_over(*look)).collect::<Vec<bool>>()
        };
        let once = Some(asleep);
        assert_eq!(looks(&[once, once, once]), [false, false, true]);
        let ran = Some(Disposition { switches: 8, ..asleep });
        assert_eq!(looks(&[once, once, ran, ran, ran]), [false, false, false, false, true]);
        let pending = Some(Disposition { is_pending: true, ..asleep });
        assert_eq!(looks(&[pending, pending, pending]), [false; 3]);
        let ended = Some(Disposition { state: b'Z', ..asleep });
        assert_eq!((looks(&[ended]), looks(&[None])), (vec![true], vec![true]));
    }
}
