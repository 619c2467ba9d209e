//! Whether `/proc` is there and shows this process and those that it starts. Without it nobody can say which processes
//! belong to a tenant, so none could be ended for certain.

use rustix::fs::{PROC_SUPER_MAGIC, statfs};
use rustix::process::{getegid, getgroups};
use rustix::thread::{CapabilitySet, capabilities};
use std::fs;

/// Refuses a machine on which tenants could not be ended; the error says why and what to do.
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
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    match hiding(&mounts) {
        Some(hiding) if !sees_hidden(hiding) => refuse(
            &format!("/proc is mounted with {hiding}, which hides the processes that start tenants"),
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

/// The options that hide something, of what is mounted at `/proc` last: `hidepid=2`, or `hidepid=invisible,gid=7`.
fn hiding(mounts: &str) -> Option<&str> {
    let mount = mounts.lines().rfind(|line| line.split(' ').nth(4) == Some("/proc"))?;
    let options = mount.rsplit(' ').next()?;
    let hides = options
        .split(',')
        .any(|option| option.strip_prefix("hidepid=").is_some_and(|value| !matches!(value, "0" | "off")));
    hides.then_some(options)
}

/// Who may trace everybody sees everybody, and so do the members of a group that the mount names.
fn sees_hidden(options: &str) -> bool {
    let may_trace = capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_PTRACE));
    // With `ptraceable` the group does not help.
    let by_group = !options.split(',').any(|option| matches!(option, "hidepid=4" | "hidepid=ptraceable"));
    let group = options.split(',').find_map(|option| option.strip_prefix("gid=")?.parse::<u32>().ok());
    let is_member = |group: u32| {
        getegid().as_raw() == group
            || getgroups().is_ok_and(|groups| groups.iter().any(|member| member.as_raw() == group))
    };
    may_trace || (by_group && group.is_some_and(is_member))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_will_do() {
        assert_eq!(require_own(), Ok(()));
    }

    #[test]
    fn only_options_that_hide_something_count_and_only_of_the_last_mount() {
        let mount = |options: &str| format!("22 20 0:21 / /proc rw,nosuid - proc proc {options}\n");
        for (options, hides) in [
            ("rw", false),
            ("rw,hidepid=0", false),
            ("rw,hidepid=off", false),
            ("rw,hidepid=2", true),
            ("rw,gid=7,hidepid=invisible", true),
            ("rw,hidepid=ptraceable", true),
        ] {
            assert_eq!(hiding(&mount(options)).is_some(), hides, "{options}");
        }
        assert_eq!(hiding(&(mount("rw,hidepid=2") + &mount("rw"))), None);
        assert_eq!(hiding("22 20 0:21 / /proc/sys ro - proc proc rw,hidepid=2"), None);
    }
}
