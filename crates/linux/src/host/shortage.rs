//! Whether memory is short: two or three small files, to be read once a second.

use super::{Files, GroupLimits, Groups, Memory, Mounts, ThisMachine};

/// Tasks that wait for memory for more than this share of the time say that it is short.
const SHORT_FROM: f64 = 0.1;

/// Looks at memory again and again. Which control groups this process is in is found out once.
pub struct MemoryLooks {
    groups: Groups,
    /// For how long some task has waited for memory so far, and when that was read.
    before: Option<(u64, u64)>,
}

impl MemoryLooks {
    /// Reads which control groups there are, which takes a fraction of a millisecond.
    #[allow(clippy::new_without_default, reason = "it reads files")]
    pub fn new() -> MemoryLooks {
        MemoryLooks { groups: Groups::of(&ThisMachine, &Mounts::of(&ThisMachine)), before: None }
    }

    /// Whether less than so many bytes are free, of the machine's memory or of what a group of this
    /// process may still have; or since the last look tasks have waited for memory for a tenth of
    /// the time. `now_ms` is on a steady clock.
    pub fn is_short(&mut self, keep_free_bytes: u64, now_ms: u64) -> bool {
        self.is_short_by(&ThisMachine, keep_free_bytes, now_ms)
    }

    fn is_short_by(&mut self, files: &impl Files, keep_free_bytes: u64, now_ms: u64) -> bool {
        let machine = Memory::of(files).map(|memory| memory.available_bytes);
        let group = GroupLimits::memory_of(files, &self.groups).map(|limit| limit.free_bytes());
        let free_bytes = machine.into_iter().chain(group).min();
        // Not short-circuited: each look begins the next span.
        let is_stalled = self.is_stalled(files, now_ms);
        is_stalled || free_bytes.is_some_and(|free| free < keep_free_bytes)
    }

    fn is_stalled(&mut self, files: &impl Files, now_ms: u64) -> bool {
        let Some(waited_us) = super::memory::waited_us(files) else { return false };
        let Some((before_us, before_ms)) = self.before.replace((waited_us, now_ms)) else {
            return false;
        };
        let span_us = now_ms.saturating_sub(before_ms) * 1_000;
        waited_us.saturating_sub(before_us) as f64 > span_us as f64 * SHORT_FROM
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine with so much memory to give, on which tasks have waited for so long.
    struct Machine {
        available_kb: u64,
        waited_us: Option<u64>,
    }

    impl Files for Machine {
        fn read(&self, path: &str) -> Option<String> {
            match path {
                "/proc/meminfo" => Some(format!(
                    "MemTotal: 2000 kB\nMemFree: 9 kB\nMemAvailable: {} kB\n",
                    self.available_kb
                )),
                "/proc/pressure/memory" => Some(format!(
                    "some avg10=0.00 avg60=0.00 avg300=0.00 total={}\n\
                     full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
                    self.waited_us?
                )),
                _ => None,
            }
        }

        fn may_write(&self, _: &str) -> bool {
            false
        }
    }

    fn looks() -> MemoryLooks {
        MemoryLooks { groups: Groups(Vec::new()), before: None }
    }

    #[test]
    fn less_than_is_to_be_kept_free_is_short() {
        for (available_kb, is_short) in [(99, true), (100, false)] {
            let machine = Machine { available_kb, waited_us: None };
            assert_eq!(looks().is_short_by(&machine, 100 << 10, 1), is_short, "{available_kb} kB");
        }
    }

    #[test]
    fn waiting_for_memory_is_short_as_long_as_it_goes_on() {
        let mut looks = looks();
        let mut look = |waited_us, now_ms| {
            let machine = Machine { available_kb: 1_000, waited_us: Some(waited_us) };
            looks.is_short_by(&machine, 0, now_ms)
        };
        assert!(!look(5_000_000, 1_000), "that was before");
        assert!(!look(5_100_000, 2_000), "a tenth");
        assert!(look(5_300_000, 3_000), "a fifth");
        assert!(!look(5_300_000, 4_000), "it is over");
    }
}
