//! Leaves a group of version 2, so that it can pass controllers on.

use super::super::Me;
use super::super::predecessors::{HELPERS, pause};
use super::super::tree::Tree;
use super::LEAF_PREFIX;
use super::explain::Obstacle;
use crate::host::Membership;
use std::io;

/// How often the processes of the group are looked for again: those that were being forked
/// meanwhile are found by the next look.
const MOST_LOOKS: usize = 50;
/// How often a group without processes is tried again that is busy all the same: the kernel counts
/// those that are about to be gone, and does not show them any more.
const MOST_TRIES: usize = 200;

/// The group in which the tenants' groups are made: the own one, or the one above if the own one
/// is a leaf.
pub(super) fn group_of_tenants(group: &Membership) -> &str {
    let name = group.paths[0].rsplit('/').next().unwrap_or_default();
    match group.paths.get(1) {
        Some(above) if name.starts_with(LEAF_PREFIX) => above,
        _ => &group.paths[0],
    }
}

/// Makes the group pass these controllers on, after its processes have moved into a leaf if that
/// is needed. What was done is undone if it fails.
pub(super) fn pass_on(
    tree: &impl Tree,
    me: &Me,
    group: &str,
    controllers: &[&'static str],
) -> Result<(), Obstacle> {
    let passed_on = tree.read(&format!("{group}/cgroup.subtree_control")).unwrap_or_default();
    let is_passed_on = |name: &&&str| passed_on.split_ascii_whitespace().any(|one| one == **name);
    let missing: Vec<&str> =
        controllers.iter().filter(|name| !is_passed_on(name)).copied().collect();
    if missing.is_empty() {
        return Ok(());
    }
    let is_left = !is_root(tree, group) && !processes(tree, group).is_empty();
    let leaf = format!("{group}/{}", me.leaf());
    if is_left {
        empty(tree, group, &leaf)?;
    }
    let enable = |group: &str| {
        let words: Vec<String> = missing.iter().map(|name| format!("+{name}")).collect();
        tree.write(&format!("{group}/cgroup.subtree_control"), &words.join(" "))
    };
    let mut enabled = enable(group);
    for _ in 0..MOST_TRIES {
        let may_pass = is_left && enabled.as_ref().is_err_and(is_busy);
        // A process of another PID namespace stays.
        if !may_pass || processes(tree, group).contains(&0) {
            break;
        }
        pause();
        empty(tree, group, &leaf)?;
        enabled = enable(group);
    }
    if let Err(error) = enabled {
        if is_left {
            come_back(tree, group, &leaf);
        }
        return Err(Obstacle::not_passed_on(group, &missing, &error));
    }
    if is_left {
        // As long as a group below has them enabled, the kernel does not let another host's warden
        // take them from this group.
        let parent = format!("{group}/{}", me.parent());
        let made = match tree.make(&parent) {
            // It was made for tenants that have walls and no limits.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            made => made,
        };
        let made = made.and_then(|()| enable(&parent));
        if let Err(error) = made {
            tracing::debug!(%error, parent, "the group above the tenants' is left to the warden");
        }
    }
    Ok(())
}

fn is_busy(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ResourceBusy
}

/// The root of the machine may have processes and pass controllers on. Any other group has a
/// type; so has the root that a container sees.
fn is_root(tree: &impl Tree, group: &str) -> bool {
    !tree.has(&format!("{group}/cgroup.type"))
}

/// The processes in a group; 0 stands for one that this process does not see.
fn processes(tree: &impl Tree, group: &str) -> Vec<u32> {
    let text = tree.read(&format!("{group}/cgroup.procs")).unwrap_or_default();
    text.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// Moves all processes of the group into the leaf.
fn empty(tree: &impl Tree, group: &str, leaf: &str) -> Result<(), Obstacle> {
    match tree.make(leaf) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(Obstacle::not_made(group, &error));
        }
        _ => {}
    }
    let mut refused = None;
    for _ in 0..MOST_LOOKS {
        let left: Vec<u32> = processes(tree, group).into_iter().filter(|pid| *pid != 0).collect();
        if left.is_empty() {
            // Another host may have moved all of them, this process included, into its own leaf.
            if processes(tree, leaf).is_empty() {
                let _ = tree.remove(leaf);
            }
            return Ok(());
        }
        for pid in left {
            // One that has ended meanwhile is not there any more at the next look.
            if let Err(error) = tree.write(&format!("{leaf}/cgroup.procs"), &pid.to_string()) {
                refused = Some((pid, error));
            }
        }
    }
    come_back(tree, group, leaf);
    Err(Obstacle::not_left(group, refused))
}

/// Undoes [`pass_on`] where no warden does, as none was started, or none has heard of a group: moves
/// what is in this process's leaf back, and removes the leaf and the parent of groups. Leaves
/// everything as it is where something else depends on it: a warden or a keeper that lives, or
/// another program's group.
pub(super) fn give_back(tree: &impl Tree, me: &Me, group: &str) {
    let leaf = format!("{group}/{}", me.leaf());
    let is_helper = |pid: u32| {
        let name = tree.read(&format!("/proc/{pid}/comm")).unwrap_or_default();
        name.starts_with(HELPERS)
    };
    if !tree.has(&format!("{leaf}/cgroup.procs"))
        || processes(tree, &leaf).into_iter().any(is_helper)
    {
        return;
    }
    let is_other = |name: &String| *name != me.leaf() && *name != me.parent();
    if tree.groups_in(group).iter().any(is_other) {
        return;
    }
    let parent = format!("{group}/{}", me.parent());
    if let Err(error) = tree.remove(&parent)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::debug!(%error, parent, "the group above the tenants' is still in use");
        return;
    }
    let control = format!("{group}/cgroup.subtree_control");
    let passed_on = tree.read(&control).unwrap_or_default();
    for controller in passed_on.split_ascii_whitespace() {
        if let Err(error) = tree.write(&control, &format!("-{controller}")) {
            tracing::debug!(%error, control, controller, "a controller is still passed on");
        }
    }
    come_back(tree, group, &leaf);
}

/// Moves all processes back, those that were being forked meanwhile with a further look, and removes
/// the leaf.
fn come_back(tree: &impl Tree, group: &str, leaf: &str) {
    for _ in 0..MOST_LOOKS {
        let left = processes(tree, leaf);
        if left.is_empty() {
            break;
        }
        for pid in left {
            let _ = tree.write(&format!("{group}/cgroup.procs"), &pid.to_string());
        }
    }
    let _ = tree.remove(leaf);
}
