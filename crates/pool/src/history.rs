//! What is remembered of a key's processes when they are gone: how often it was started and
//! crashed, how the last one ended and what it wrote last.

use crate::queue::Queue;
use crate::{ExitReason, Key, KeyMap, Release, RunId};
use std::sync::Arc;

/// Keys remembered at most, as with failures (`backoff.rs`). The ones that go are those of which
/// nothing has been heard for longest.
const REMEMBERED_KEYS: usize = 100_000;
/// The last lines take most of the memory: some 4 KiB a key.
const REMEMBERED_OUTPUT_BYTES: usize = 32 << 20;

/// How a key's last process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastExit {
    /// The run that ended.
    pub run: RunId,
    /// `None` when a signal ended it, or when it is not known.
    pub exit_code: Option<i32>,
    /// The signal that ended it, unless we, or the user's `kill`, may have sent it.
    pub signal: Option<i32>,
    /// Why.
    pub reason: ExitReason,
    /// When, in milliseconds since the epoch.
    pub at_ms: u64,
    /// The last lines that it wrote.
    pub output: Arc<str>,
    /// The bytes of memory that the tree had, if the kernel ended it because it needed more.
    pub out_of_memory: Option<u64>,
}

/// What is remembered of a key, since the release that serves began to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Processes started so far; those that were adopted or restored are none.
    pub starts: u64,
    /// How many of its processes have crashed.
    pub crashes: u64,
    /// The end of the last one, if one has ended.
    pub last_exit: Option<LastExit>,
}

#[derive(Debug, Default)]
struct Entry {
    history: History,
    /// The one that served last.
    release: Release,
    /// Where it stands in `by_age`.
    changed: u64,
}

#[derive(Debug, Default)]
pub(crate) struct HistoryBook {
    by_key: KeyMap<Entry>,
    /// Each key by the number of its last change. A queue: a key that changes stops waiting and
    /// comes last.
    by_age: Queue,
    changes: u64,
    output_bytes: usize,
}

impl HistoryBook {
    /// A process of the key has been started.
    pub fn started(&mut self, key: &Key) {
        self.change(key).starts += 1;
    }

    /// A process of the key is gone.
    pub fn ended(&mut self, key: &Key, exit: LastExit) {
        self.output_bytes += exit.output.len();
        let history = self.change(key);
        history.crashes += u64::from(exit.reason.is_crash());
        let before = history.last_exit.replace(exit);
        self.output_bytes -= before.map_or(0, |exit| exit.output.len());
        self.forget_the_oldest();
    }

    /// Another release begins to serve, of which so many processes have been started.
    pub fn begin_release(&mut self, key: &Key, release: Release, starts: u64) {
        let history = self.change(key);
        let before = std::mem::replace(history, History { starts, ..History::default() });
        self.output_bytes -= before.last_exit.map_or(0, |exit| exit.output.len());
        self.by_key.get_mut(key).expect("changed just now").release = release;
        self.forget_the_oldest();
    }

    /// The release that served last, if it is remembered.
    pub fn release_of(&self, key: &str) -> Release {
        self.by_key.get(key).map(|entry| entry.release).unwrap_or_default()
    }

    /// `None` also for a key whose serving release has only just begun.
    pub fn of(&self, key: &str) -> Option<&History> {
        let history = self.by_key.get(key).map(|entry| &entry.history);
        history.filter(|history| history.starts > 0 || history.last_exit.is_some())
    }

    /// The keys of which something was heard last come first.
    pub fn latest(&self) -> impl Iterator<Item = &Key> {
        self.by_age.latest()
    }

    fn change(&mut self, key: &Key) -> &mut History {
        self.changes += 1;
        let entry = self.by_key.entry(key.clone()).or_default();
        let key = self.by_age.cancel(entry.changed).unwrap_or_else(|| key.clone());
        self.by_age.enqueue(self.changes, key);
        entry.changed = self.changes;
        &mut entry.history
    }

    fn forget_the_oldest(&mut self) {
        while self.by_key.len() > REMEMBERED_KEYS || self.output_bytes > REMEMBERED_OUTPUT_BYTES {
            let Some(key) = self.by_age.pop_first() else { return };
            let entry = self.by_key.remove(&key);
            let last_exit = entry.and_then(|entry| entry.history.last_exit);
            self.output_bytes -= last_exit.map_or(0, |exit| exit.output.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(output: &str) -> LastExit {
        let reason = ExitReason::Crashed;
        LastExit {
            run: RunId(1),
            exit_code: None,
            signal: None,
            reason,
            at_ms: 0,
            output: output.into(),
            out_of_memory: None,
        }
    }

    #[test]
    fn of_too_many_keys_the_oldest_go() {
        let mut book = HistoryBook::default();
        let key = |n: usize| Key::from(n.to_string());
        for n in 0..REMEMBERED_KEYS {
            book.ended(&key(n), exit(""));
        }
        book.started(&key(0));
        book.ended(&key(REMEMBERED_KEYS), exit(""));
        assert_eq!((book.by_key.len(), book.by_age.len()), (REMEMBERED_KEYS, REMEMBERED_KEYS));
        assert!(book.of("1").is_none() && book.of("2").is_some());
        assert_eq!(book.of("0").map(|history| (history.starts, history.crashes)), Some((1, 1)));
    }

    #[test]
    fn of_too_many_last_lines_the_oldest_go() {
        let mut book = HistoryBook::default();
        let megabyte = "x".repeat(1 << 20);
        for n in 0..100 {
            book.ended(&Key::from(n.to_string()), exit(&megabyte));
            book.ended(&"again".into(), exit("short"));
        }
        assert_eq!(book.of("again").map(|history| history.crashes), Some(100));
        assert_eq!(book.by_key.len(), 32, "and 31 with a megabyte each");
        assert!(book.of("99").is_some() && book.of("60").is_none());
        assert!(book.output_bytes <= REMEMBERED_OUTPUT_BYTES);
    }
}
