//! Changes of the trees of control groups.

use super::{Me, leftovers, predecessors};
use crate::host::{Files, ThisMachine};
use std::fs;
use std::io;

/// The files of the trees of groups, which can be changed: those of this machine or, in tests,
/// made-up ones.
pub(super) trait Tree: Files {
    /// Makes a group.
    fn make(&self, group: &str) -> io::Result<()>;
    /// Removes a group, which must be empty.
    fn remove(&self, group: &str) -> io::Result<()>;
    /// Writes to a file of a group, in one write.
    fn write(&self, file: &str, text: &str) -> io::Result<()>;
    /// The names of the groups in a group.
    fn groups_in(&self, group: &str) -> Vec<String>;
    /// Whether a file of a group is there.
    fn has(&self, file: &str) -> bool;
    /// Ends and removes what hosts that are gone have left in these groups.
    fn clear(&self, groups: &[String]);
    /// Removes what hosts that are gone have left of temporary directories.
    fn clear_temporary(&self, me: &Me);
}

impl Tree for ThisMachine {
    fn make(&self, group: &str) -> io::Result<()> {
        fs::create_dir(group)
    }

    fn remove(&self, group: &str) -> io::Result<()> {
        fs::remove_dir(group)
    }

    fn write(&self, file: &str, text: &str) -> io::Result<()> {
        // Not `fs::write`: a file that is missing is not to be created.
        let file = fs::OpenOptions::new().write(true).open(file)?;
        io::Write::write_all(&mut &file, text.as_bytes())
    }

    fn groups_in(&self, group: &str) -> Vec<String> {
        let entries = fs::read_dir(group).into_iter().flatten().flatten();
        let groups = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        groups.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }

    fn has(&self, file: &str) -> bool {
        fs::exists(file).unwrap_or(false)
    }

    fn clear(&self, groups: &[String]) {
        predecessors::clear(groups);
    }

    fn clear_temporary(&self, me: &Me) {
        leftovers::clear(me);
    }
}
