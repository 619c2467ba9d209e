//! The control groups that this process is in, version 1 or 2: its own, and those above it as far as they can be seen.

use super::{Files, Mounts, parsed};
use procfs::ProcessCGroups;
use procfs::process::MountInfo;
use std::path::{Component, Path};

/// Where this process is in each hierarchy that is mounted.
#[derive(Debug)]
pub struct Groups(pub Vec<Membership>);

/// Version 1 has a tree of groups for each controller or some of them, version 2 one for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hierarchy {
    V1,
    V2,
}

/// The place of this process in one hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    pub hierarchy: Hierarchy,
    /// `memory`, `pids` and so on: what a group at this place can limit.
    pub controllers: Vec<String>,
    /// The directories of its own group and of those above it, the own one first. Where the own one cannot be seen, those
    /// that can: a limit of theirs may hold.
    pub paths: Vec<String>,
    /// The own group can be seen, and groups be made below it.
    pub is_writable: bool,
}

impl Groups {
    pub(super) fn of(files: &impl Files, mounts: &Mounts) -> Groups {
        let own = parsed(files, "/proc/self/cgroup").map_or_else(Vec::new, |ProcessCGroups(own)| own);
        let memberships = own.into_iter().filter_map(|own| {
            // `procfs` has no public name for the type of `own`.
            let controllers = (own.hierarchy != 0).then_some(own.controllers);
            membership(files, mounts, controllers, &own.pathname)
        });
        Groups(memberships.collect())
    }

    /// Whether there are groups of this version.
    pub fn has(&self, hierarchy: Hierarchy) -> bool {
        self.0.iter().any(|one| one.hierarchy == hierarchy)
    }

    /// The hierarchy that has the controller, and the groups of this process in it, the own one first.
    pub fn with(&self, controller: &str) -> Option<(Hierarchy, &[String])> {
        let of = |hierarchy| self.0.iter().filter(move |one| one.hierarchy == hierarchy);
        let has_it = |one: &&Membership| one.controllers.iter().any(|name| name == controller);
        // In version 2 a group may have no say over what those above it limit.
        let one = of(Hierarchy::V1).find(has_it).or_else(|| of(Hierarchy::V2).next())?;
        Some((one.hierarchy, &one.paths))
    }
}

/// The control groups of another process, as it names them.
pub(super) fn paths_of(files: &impl Files, file: &str) -> Vec<String> {
    let groups = parsed(files, file).map_or_else(Vec::new, |ProcessCGroups(groups)| groups);
    groups.into_iter().map(|group| group.pathname).collect()
}

/// Where the group is to be found; `None` if its hierarchy is not mounted. In version 2 the group itself says which
/// controllers there are.
fn membership(
    files: &impl Files,
    mounts: &Mounts,
    v1_controllers: Option<Vec<String>>,
    path: &str,
) -> Option<Membership> {
    let (mount, below) = match &v1_controllers {
        Some(controllers) => {
            let first = controllers.first()?;
            widest(mounts.of_type("cgroup").filter(|mount| has_option(mount, first)), path)?
        }
        None => widest(mounts.of_type("cgroup2"), path)?,
    };
    let (is_seen, below) = (below.is_some(), below.unwrap_or_default());
    let point = mount.mount_point.to_string_lossy();
    let path_above = |above: usize| {
        let segments = below[..below.len() - above].iter().map(|segment| format!("/{segment}"));
        point.trim_end_matches('/').to_owned() + &segments.collect::<String>()
    };
    let paths: Vec<String> = (0..=below.len()).map(path_above).collect();
    let is_writable = is_seen && files.may_write(&paths[0]);
    let (hierarchy, controllers) = match v1_controllers {
        Some(controllers) => (Hierarchy::V1, controllers),
        None => {
            let listed = files.read(&format!("{}/cgroup.controllers", paths[0])).unwrap_or_default();
            (Hierarchy::V2, listed.split_ascii_whitespace().map(str::to_owned).collect())
        }
    };
    Some(Membership { hierarchy, controllers, paths, is_writable })
}

/// `memory`, or for a hierarchy without controllers `name=systemd`.
fn has_option(mount: &MountInfo, option: &str) -> bool {
    let (name, value) = option.split_once('=').map_or((option, None), |(name, value)| (name, Some(value)));
    mount.super_options.get(name).is_some_and(|given| given.as_deref() == value)
}

/// A hierarchy may be mounted at several places, parts of it as well: the one that shows most of what is above the group,
/// and the group's path below it. Where none shows the group, what a mount begins with is the nearest that can be seen.
fn widest<'a>(
    mounts: impl Iterator<Item = &'a MountInfo>,
    path: &str,
) -> Option<(&'a MountInfo, Option<Vec<String>>)> {
    let shown = |(_, below): &(_, Option<Vec<_>>)| below.as_ref().map(Vec::len);
    let with_path = mounts.map(|mount| (mount, below(&mount.root, path)));
    with_path.reduce(|best, other| if shown(&other) > shown(&best) { other } else { best })
}

/// `None` if the group is not below the root: a container sees the path of its own group only from outside.
fn below(root: &str, path: &str) -> Option<Vec<String>> {
    let below = Path::new(path).strip_prefix(root).ok()?;
    let is_outside = below.components().any(|part| part == Component::ParentDir);
    let names = below.components().map(|part| part.as_os_str().to_string_lossy().into_owned());
    (!is_outside).then(|| names.collect())
}
