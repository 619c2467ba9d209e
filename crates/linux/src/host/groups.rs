//! The control groups that this process is in, version 1 or 2: its own, and the visible ones above
//! it.

use super::{Files, Mounts, parsed};
use procfs::ProcessCGroups;
use procfs::process::MountInfo;
use std::path::{Component, Path};

/// Where this process is in each hierarchy that is mounted.
#[derive(Debug)]
pub struct Groups(pub Vec<Membership>);

/// The version of a hierarchy: version 1 has a tree of groups for each controller or a few of
/// them, version 2 has one tree for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hierarchy {
    V1,
    V2,
}

/// The groups of this process in one hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    pub hierarchy: Hierarchy,
    /// `memory`, `pids` and so on: what a group here can limit.
    pub controllers: Vec<String>,
    /// The directories of the own group and of those above it, the own one first. Where the own
    /// one is not visible, only the visible ones above it: their limits hold as well.
    pub paths: Vec<String>,
    /// The own group is visible.
    pub is_seen: bool,
    /// The own group is visible, and this process may create groups below it.
    pub is_writable: bool,
}

impl Groups {
    pub(crate) fn of(files: &impl Files, mounts: &Mounts) -> Groups {
        let own =
            parsed(files, "/proc/self/cgroup").map_or_else(Vec::new, |ProcessCGroups(own)| own);
        let memberships = own.into_iter().filter_map(|own| {
            // `procfs` has no public name for the type of `own`.
            let controllers = (own.hierarchy != 0).then_some(own.controllers);
            membership(files, mounts, controllers, &own.pathname)
        });
        Groups(memberships.collect())
    }

    /// Whether a hierarchy of this version is mounted.
    pub fn has(&self, hierarchy: Hierarchy) -> bool {
        self.0.iter().any(|one| one.hierarchy == hierarchy)
    }

    /// The hierarchy that has the controller, and the groups of this process in it, the own one
    /// first.
    pub fn with(&self, controller: &str) -> Option<(Hierarchy, &[String])> {
        let of = |hierarchy| self.0.iter().filter(move |one| one.hierarchy == hierarchy);
        let has_it = |one: &&Membership| one.has(controller);
        // In version 2 a group need not have a controller that limits it from above, so the
        // version 2 hierarchy is taken without a check.
        let one = of(Hierarchy::V1).find(has_it).or_else(|| of(Hierarchy::V2).next())?;
        Some((one.hierarchy, &one.paths))
    }
}

impl Membership {
    /// Whether a group here can be limited by the controller.
    pub fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|name| name == controller)
    }
}

/// The paths of the control groups in a process's `cgroup` file, as written there.
pub(super) fn paths_of(files: &impl Files, file: &str) -> Vec<String> {
    let groups = parsed(files, file).map_or_else(Vec::new, |ProcessCGroups(groups)| groups);
    groups.into_iter().map(|group| group.pathname).collect()
}

/// Finds the group's directories; `None` if its hierarchy is not mounted. In version 2 the group
/// itself lists its controllers.
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
            let listed =
                files.read(&format!("{}/cgroup.controllers", paths[0])).unwrap_or_default();
            (Hierarchy::V2, listed.split_ascii_whitespace().map(str::to_owned).collect())
        }
    };
    Some(Membership { hierarchy, controllers, paths, is_seen, is_writable })
}

/// Whether a mount has this option: `memory`, or for a hierarchy without controllers
/// `name=systemd`.
fn has_option(mount: &MountInfo, option: &str) -> bool {
    let (name, value) =
        option.split_once('=').map_or((option, None), |(name, value)| (name, Some(value)));
    mount.super_options.get(name).is_some_and(|given| given.as_deref() == value)
}

/// A hierarchy, or a part of it, may be mounted at several places. Returns the mount that shows
/// most of the groups above this one, and the group's path below it. Where no mount shows the
/// group, the root of a mount is the nearest visible group.
fn widest<'a>(
    mounts: impl Iterator<Item = &'a MountInfo>,
    path: &str,
) -> Option<(&'a MountInfo, Option<Vec<String>>)> {
    let shown = |(_, below): &(_, Option<Vec<_>>)| below.as_ref().map(Vec::len);
    let with_path = mounts.map(|mount| (mount, below(&mount.root, path)));
    with_path.reduce(|best, other| if shown(&other) > shown(&best) { other } else { best })
}

/// The path of the group relative to a mount's root; `None` if the group is not below it, as in a
/// container that is told its group's path on the host.
fn below(root: &str, path: &str) -> Option<Vec<String>> {
    let below = Path::new(path).strip_prefix(root).ok()?;
    let is_outside = below.components().any(|part| part == Component::ParentDir);
    let names = below.components().map(|part| part.as_os_str().to_string_lossy().into_owned());
    (!is_outside).then(|| names.collect())
}
