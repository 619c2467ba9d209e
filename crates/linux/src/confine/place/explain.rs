//! Why no control groups can be made, and what to change.

use super::super::Me;
use super::super::tree::Tree;
use crate::host::{Hierarchy, Membership, Mounts};
use std::io;

/// What is in the way of a control group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Obstacle {
    pub why: String,
    pub change: String,
}

const DELEGATE: &str = "start the host by `systemd-run --user --scope -p Delegate=yes …`, or as a \
                        systemd service with `Delegate=yes`";
const WRITABLE_CONTAINER: &str = "start the container with a control group namespace of its own in which /sys/fs/cgroup is \
     writable (`docker run --security-opt writable-cgroups=true`, \
     `podman run --security-opt unmask=/sys/fs/cgroup`; `--privileged` for version 1)";

impl Obstacle {
    fn new(why: String, change: &str) -> Obstacle {
        Obstacle { why, change: change.to_owned() }
    }

    /// No hierarchy that is mounted has the controller.
    pub fn no_hierarchy(controller: &str) -> Obstacle {
        let why = format!("no control groups with the controller {controller} are mounted");
        Obstacle::new(
            why,
            "mount them (`mount -t cgroup2 none /sys/fs/cgroup`), or boot a kernel that has it",
        )
    }

    /// The group is not one below which this process may make others.
    pub fn not_writable(tree: &impl Tree, group: &Membership, me: &Me) -> Obstacle {
        let own = &group.paths[0];
        let mounts = Mounts::of(tree);
        let is_read_only =
            mounts.holding(own).is_some_and(|mount| mount.mount_options.contains_key("ro"));
        if is_read_only {
            return Obstacle::new(format!("{own} is mounted read-only"), WRITABLE_CONTAINER);
        }
        if !group.is_seen {
            let why = format!("the control group of this process is outside of what {own} shows");
            return Obstacle::new(why, WRITABLE_CONTAINER);
        }
        let who = if me.uid == 0 { "this root" } else { "this user" };
        let why = format!("{who} may not make control groups below {own}");
        match group.hierarchy {
            // The same for each hierarchy, so that it is told once.
            Hierarchy::V1 if me.uid != 0 => Obstacle::new(
                "the control groups here are version 1, in which only root may make groups"
                    .to_owned(),
                "run the host as root, or boot with version 2 \
                 (`systemd.unified_cgroup_hierarchy=1`) and have a group delegated",
            ),
            Hierarchy::V1 => Obstacle::new(why, WRITABLE_CONTAINER),
            Hierarchy::V2 if own.rsplit('/').next().is_some_and(is_session) => Obstacle::new(
                format!(
                    "{why}: the group of a login session is root's, and no process of it may move \
                     to a group of the user's"
                ),
                DELEGATE,
            ),
            Hierarchy::V2 if me.uid == 0 => Obstacle::new(why, WRITABLE_CONTAINER),
            Hierarchy::V2 => Obstacle::new(why, DELEGATE),
        }
    }

    /// The group has not got the controller from the one above it.
    pub fn no_controller(group: &str, me: &Me) -> Obstacle {
        let offered = "the groups above it do not pass the controller on";
        let why = format!("{group} cannot limit that: {offered}");
        let change = if me.uid == 0 {
            "enable it in the `cgroup.subtree_control` of each group above (systemd does for a \
             service with `Delegate=yes`), or boot a kernel that has it"
        } else {
            "let the user's services have it: `Delegate=cpu memory pids` in a drop-in of \
             `user@.service`, or start the host as a system service with `Delegate=yes`"
        };
        Obstacle::new(why, change)
    }

    pub fn not_made(above: &str, error: &io::Error) -> Obstacle {
        let why = format!("no control group can be made below {above}: {error}");
        let change = match error.raw_os_error() {
            Some(libc::EAGAIN | libc::ENOSPC) => {
                "raise `cgroup.max.descendants` and `cgroup.max.depth` of the groups above"
            }
            Some(libc::EROFS) => WRITABLE_CONTAINER,
            _ => {
                "let the host make groups there, or start it in a delegated group (`Delegate=yes`)"
            }
        };
        Obstacle::new(why, change)
    }

    /// Not all processes could be moved out of the group.
    pub fn not_left(group: &str, refused: Option<(u32, io::Error)>) -> Obstacle {
        let process = refused.map_or(String::new(), |(pid, error)| {
            format!(": process {pid} could not be moved ({error})")
        });
        let why = format!(
            "{group} has processes, and so cannot pass controllers on, and they could not all be \
             moved into a group of their own{process}"
        );
        Obstacle::new(
            why,
            "start the host in a group of its own (a systemd service with `Delegate=yes`)",
        )
    }

    /// The kernel refused to pass controllers on.
    pub fn not_passed_on(group: &str, controllers: &[&str], error: &io::Error) -> Obstacle {
        let names = controllers.join(" and ");
        let why = format!("{group} cannot pass on {names}: {error}");
        let change = match error.raw_os_error() {
            // Processes that this one does not see, as in a container with a part of a pod.
            Some(libc::EBUSY) => "start the host in a group of its own, in which nothing else runs",
            Some(libc::EINVAL) => {
                "end the processes with real-time priority (this kernel, built with \
                 CONFIG_RT_GROUP_SCHED, cannot limit processors beside them)"
            }
            _ => DELEGATE,
        };
        Obstacle::new(why, change)
    }

    /// Version 1 knows only the sum of memory and swap.
    pub fn swap_alone() -> Obstacle {
        let why = "control groups of version 1 limit swap only together with memory".to_owned();
        Obstacle::new(why, "give limits.memoryBytes as well")
    }

    /// Groups can be made, and have no such file.
    pub fn no_file(file: &str) -> Obstacle {
        let why = format!("this kernel's control groups have no {file}");
        let change = if file.contains("sw") {
            "boot with `swapaccount=1`"
        } else {
            "use a kernel that was built with it"
        };
        Obstacle::new(why, change)
    }
}

/// `session-3.scope`.
fn is_session(group: &str) -> bool {
    group.starts_with("session-") && group.ends_with(".scope")
}
