//! Checks that `/proc` is mounted and shows this process and those that it starts. Without it the
//! processes of a tenant's tree cannot be found, so their end could not be guaranteed.

use crate::host::{HiddenProcesses, Mounts};
use rustix::fs::{PROC_SUPER_MAGIC, statfs};
use rustix::process::{getegid, getgroups};
use rustix::thread::{CapabilitySet, capabilities};
use std::fs;

/// Refuses a machine on which a tenant's tree could not be found; the error says why and what to
/// do.
pub fn require_own() -> Result<(), String> {
    let is_proc = statfs("/proc").is_ok_and(|stat| stat.f_type == PROC_SUPER_MAGIC);
    if !is_proc {
        return refuse("there is no /proc here", "mount it: mount -t proc proc /proc");
    }
    let own = fs::read_link("/proc/self").ok().and_then(|link| link.to_str()?.parse::<u32>().ok());
    if own != Some(std::process::id()) {
        return refuse(
            "/proc is that of another pid namespace",
            "mount one in the namespace of this process: mount -t proc proc /proc",
        );
    }
    match Mounts::of_this_process().hidden_processes() {
        Some(hidden) if !sees(&hidden) => refuse(
            &format!(
                "/proc is mounted with {hidden}, which hides the processes that start tenants"
            ),
            "mount it without, give the host CAP_SYS_PTRACE, or make it a member of the group in its gid= option",
        ),
        _ => Ok(()),
    }
}

fn refuse(why: &str, what_to_do: &str) -> Result<(), String> {
    Err(format!(
        "nothing can be started, since {why}, and what belongs to a tenant cannot be seen without it; {what_to_do}"
    ))
}

/// Whether this process sees all processes in spite of `hidepid`: with `CAP_SYS_PTRACE`, or as a
/// member of the group that the mount names.
fn sees(hidden: &HiddenProcesses) -> bool {
    let may_trace =
        capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_PTRACE));
    // `ptraceable` grants the group nothing.
    let by_group = !matches!(hidden.hidepid.as_str(), "4" | "ptraceable");
    let is_member = |group: u32| {
        getegid().as_raw() == group
            || getgroups().is_ok_and(|groups| groups.iter().any(|member| member.as_raw() == group))
    };
    may_trace || (by_group && hidden.gid.is_some_and(is_member))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_accepted() {
        assert_eq!(require_own(), Ok(()));
    }
}
