//! Which host a control group belongs to, as its name says.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::LazyLock;

/// A host by its pid, its start in clock ticks, and the PID namespace in which these are true:
/// hosts of several containers may make groups in the same place, and each has a pid 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostId {
    /// Its pid.
    pub pid: u32,
    /// When it was started.
    pub started_at_ticks: u64,
    /// The inode of its PID namespace.
    pub pid_namespace: u64,
}

impl HostId {
    /// Reads what [`Display`](fmt::Display) writes.
    pub fn parse(text: &str) -> Option<HostId> {
        let mut parts = text.split('-');
        let pid = parts.next()?.parse().ok()?;
        let started_at_ticks = parts.next()?.parse().ok()?;
        let pid_namespace = parts.next()?.parse().ok()?;
        parts.next().is_none().then_some(HostId { pid, started_at_ticks, pid_namespace })
    }

    /// Whether this process can tell if the host lives. Version 1 does not even show the processes
    /// of other PID namespaces in a group.
    pub fn can_be_judged(&self) -> bool {
        self.pid_namespace == own_pid_namespace()
    }
}

impl fmt::Display for HostId {
    fn fmt(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(text, "{}-{}-{}", self.pid, self.started_at_ticks, self.pid_namespace)
    }
}

/// The inode of this process's PID namespace; 0 where that cannot be seen.
pub fn own_pid_namespace() -> u64 {
    static OWN: LazyLock<u64> =
        LazyLock::new(|| fs::metadata("/proc/self/ns/pid").map_or(0, |namespace| namespace.ino()));
    *OWN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_is_written() {
        let id = HostId { pid: 12, started_at_ticks: 345, pid_namespace: own_pid_namespace() };
        assert_eq!(HostId::parse(&id.to_string()), Some(id));
        assert!(id.can_be_judged());
        assert!(!HostId { pid_namespace: id.pid_namespace + 1, ..id }.can_be_judged());
        for other in ["12-345", "12-345-6-7", "-12-345-6", "12-345-x", ""] {
            assert_eq!(HostId::parse(other), None, "{other}");
        }
    }
}
