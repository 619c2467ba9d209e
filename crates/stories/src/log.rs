/// A story as it can be read, written down only when it will be printed.
#[derive(Default)]
pub struct Log {
    /// Whether it will be printed.
    pub wanted: bool,
    /// What has been written.
    pub lines: Vec<String>,
}

impl Log {
    pub(crate) fn to_be_read() -> Log {
        Log { wanted: true, lines: Vec::new() }
    }

    /// Writes a line, with how long after the story's beginning this is.
    pub fn note(&mut self, after_ms: u64, line: impl FnOnce() -> String) {
        if self.wanted {
            self.lines.push(format!("{after_ms:>7} ms  {}", line()));
        }
    }
}
