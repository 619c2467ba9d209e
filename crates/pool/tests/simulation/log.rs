//! The story as it can be read, written down only when it will be printed.

use super::world::START;
use pool::Now;

#[derive(Default)]
pub struct Log {
    pub wanted: bool,
    pub lines: Vec<String>,
}

impl Log {
    pub fn note(&mut self, now: Now, line: impl FnOnce() -> String) {
        if self.wanted {
            self.lines.push(format!("{:>7} ms  {}", now.steady_ms - START.steady_ms, line()));
        }
    }
}
