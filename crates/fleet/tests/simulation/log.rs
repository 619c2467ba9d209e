//! The story as it can be read, written down only when it will be printed.

#[derive(Default)]
pub struct Log {
    pub wanted: bool,
    pub lines: Vec<String>,
}
