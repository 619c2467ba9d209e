//! What is in force, and why something is not.

use std::fmt;

/// The names of limits.
pub(crate) const LIMITS: &[&str] =
    &["memoryBytes", "swapBytes", "cpus", "cpuWeight", "processes", "openFiles", "fileBytes"];

/// The promises that may be missing from an isolation.
pub(crate) const PROMISES: &[&str] =
    &["files", "truncate", "ports", "signals", "abstract-sockets", "system-calls", "user"];

/// What keeps a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Cgroup2,
    Cgroup1,
    Rlimit,
    /// Nothing on this host.
    None,
}

impl By {
    /// The word that users see.
    pub fn word(self) -> &'static str {
        match self {
            By::Cgroup2 => "cgroup2",
            By::Cgroup1 => "cgroup1",
            By::Rlimit => "rlimit",
            By::None => "none",
        }
    }
}

/// What a tenant is held within.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InForce {
    /// The limits that were asked for.
    pub limits: Vec<InForceLimit>,
    pub isolation: Option<InForceIsolation>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InForceLimit {
    /// The option's name: `memoryBytes`.
    pub name: &'static str,
    pub value: f64,
    pub by: By,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InForceIsolation {
    /// The version of Landlock.
    pub landlock: Option<u32>,
    /// System calls are refused.
    pub seccomp: bool,
    /// The uid of its user.
    pub user: Option<u32>,
    /// The promises that are not kept: `signals`.
    pub missing: Vec<&'static str>,
}

/// Something that this host cannot keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// `limits.memoryBytes`, `isolation.user`, or a promise: `isolation ("ports": …)`.
    pub what: String,
    pub why: String,
    pub change: String,
}

/// What was asked for cannot be kept. Its text names each thing with why, and what to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported {
    pub reasons: Vec<Reason>,
}

impl fmt::Display for Unsupported {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left: Vec<&Reason> = self.reasons.iter().collect();
        let mut is_first = true;
        // Things with one reason are named together.
        while let Some(first) = left.first().copied() {
            let is_same = |one: &&Reason| one.why == first.why && one.change == first.change;
            let (same, others): (Vec<&Reason>, Vec<&Reason>) = left.into_iter().partition(is_same);
            let names: Vec<&str> = same.iter().map(|reason| reason.what.as_str()).collect();
            let between = if is_first { "" } else { ". " };
            let Reason { why, change, .. } = first;
            write!(
                out,
                "{between}{} cannot be kept on this host: {why}; {change}",
                listed(&names)
            )?;
            left = others;
            is_first = false;
        }
        Ok(())
    }
}

impl std::error::Error for Unsupported {}

/// `a`, `a and b`, `a, b and c`.
fn listed(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_with_the_same_reason_are_named_together() {
        let reason = |what: &str, why: &str| Reason {
            what: what.to_owned(),
            why: why.to_owned(),
            change: "change it".to_owned(),
        };
        let reasons = vec![reason("a", "1"), reason("b", "2"), reason("c", "1"), reason("d", "1")];
        assert_eq!(
            Unsupported { reasons }.to_string(),
            "a, c and d cannot be kept on this host: 1; change it. \
             b cannot be kept on this host: 2; change it"
        );
    }
}
