//! Where this host may make control groups.
//!
//! In version 1 that is below its own group of each hierarchy. In version 2, too, but there a
//! group that has processes cannot pass controllers on to groups below it, unless it is the root
//! of the machine. So this process, and all others of its group, move into a leaf beside which
//! the tenants' groups are made:
//!
//! ```text
//! own group                        passes controllers on, and has no processes any more
//! ├─ absolute-host-<pid>-<start>   the leaf: what was in the own group
//! └─ absolute-<pid>-<start>        the parent of the tenants' groups
//!    └─ 7                          a tenant's group, which the warden makes
//! ```
//!
//! The warden undoes that when it leaves. A host that is started in the leaf of another one uses
//! the group above it as its own.

mod explain;
mod leaf;
#[cfg(test)]
pub(super) mod made_up;
#[cfg(test)]
mod tests;

use super::Me;
use super::tree::Tree;
use crate::host::{Groups, Hierarchy, Membership, Mounts};
pub(super) use explain::Obstacle;

/// The beginning of the name of each group that we make: see also [`Me::parent`].
pub(super) const PREFIX: &str = "absolute-";
pub(super) const LEAF_PREFIX: &str = "absolute-host-";
const PROBE_PREFIX: &str = "absolute-probe-";
/// The file that says in which groups a process is.
const OWN_GROUPS: &str = "/proc/self/cgroup";

/// A hierarchy in which this host may make groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub hierarchy: Hierarchy,
    /// The controllers for which it is used.
    pub controllers: Vec<String>,
    /// The directory of the group above those of the tenants.
    pub parent: String,
    /// The files that groups there have.
    pub files: Vec<String>,
}

/// The places for all controllers that are needed, and what is in the way of the others.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    pub places: Vec<Place>,
    obstacles: Vec<(&'static str, Obstacle)>,
    needed: Vec<&'static str>,
    /// The text of [`OWN_GROUPS`] for which this holds.
    own: String,
}

impl Place {
    pub fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|one| one == controller)
    }
}

impl Me {
    /// The name of the group above those of this host's tenants.
    pub(super) fn parent(&self) -> String {
        format!("{PREFIX}{}-{}", self.pid, self.started_at_ticks)
    }

    fn leaf(&self) -> String {
        format!("{LEAF_PREFIX}{}-{}", self.pid, self.started_at_ticks)
    }

    fn probe(&self) -> String {
        format!("{PROBE_PREFIX}{}-{}", self.pid, self.started_at_ticks)
    }
}

impl Places {
    /// Finds the places, and moves this process if that is needed.
    pub fn find(tree: &impl Tree, me: &Me, needed: &[&'static str]) -> Places {
        let groups = Groups::of(tree, &Mounts::of(tree));
        let usable = groups.0.iter().filter(|one| one.is_writable);
        tree.clear(&usable.map(|one| leaf::group_of_tenants(one).to_owned()).collect::<Vec<_>>());
        let mut found = Places {
            places: Vec::new(),
            obstacles: Vec::new(),
            needed: needed.to_vec(),
            own: String::new(),
        };
        for one in &groups.0 {
            let here: Vec<&'static str> = match one.hierarchy {
                Hierarchy::V1 => needed.iter().copied().filter(|name| one.has(name)).collect(),
                // In version 2 a controller is where version 1 has not got it.
                Hierarchy::V2 => {
                    let is_elsewhere = |name: &&str| {
                        groups.0.iter().any(|one| one.hierarchy == Hierarchy::V1 && one.has(name))
                    };
                    needed.iter().copied().filter(|name| !is_elsewhere(name)).collect()
                }
            };
            if !here.is_empty() {
                found.add(tree, me, one, &here);
            }
        }
        for controller in needed {
            if found.place_of(controller).is_none() && found.obstacle(controller).is_none() {
                found.obstacles.push((controller, Obstacle::no_hierarchy(controller)));
            }
        }
        found.add_version_2(tree, me, &groups);
        found.own = tree.read(OWN_GROUPS).unwrap_or_default();
        found
    }

    /// Whether these are still the places: this process is in the same groups.
    pub fn are_current(&self, tree: &impl Tree, needed: &[&'static str]) -> bool {
        let is_known = |name: &&str| self.needed.contains(name);
        needed.iter().all(is_known) && tree.read(OWN_GROUPS).is_some_and(|own| own == self.own)
    }

    pub fn needed(&self) -> &[&'static str] {
        &self.needed
    }

    pub fn place_of(&self, controller: &str) -> Option<&Place> {
        self.places.iter().find(|place| place.has(controller))
    }

    pub fn obstacle(&self, controller: &str) -> Option<&Obstacle> {
        self.obstacles.iter().find(|(of, _)| *of == controller).map(|(_, obstacle)| obstacle)
    }

    fn add(&mut self, tree: &impl Tree, me: &Me, group: &Membership, controllers: &[&'static str]) {
        let found = match group.hierarchy {
            Hierarchy::V1 => v1(tree, me, group, controllers),
            Hierarchy::V2 => v2(tree, me, group, controllers),
        };
        match found {
            Ok((place, missing)) => {
                self.places.push(place);
                self.obstacles.extend(missing);
            }
            Err(obstacle) => {
                self.obstacles.extend(controllers.iter().map(|name| (*name, obstacle.clone())));
            }
        }
    }

    /// A hierarchy of version 2 is used beside those of version 1, also without controllers:
    /// groups there can be ended with one write, and say which sockets are theirs.
    fn add_version_2(&mut self, tree: &impl Tree, me: &Me, groups: &Groups) {
        let has = |hierarchy| self.places.iter().any(|place| place.hierarchy == hierarchy);
        if !has(Hierarchy::V1) || has(Hierarchy::V2) {
            return;
        }
        let version_2 = groups.0.iter().find(|one| one.hierarchy == Hierarchy::V2);
        let place = version_2.and_then(|one| v2(tree, me, one, &[]).ok());
        self.places.extend(place.map(|(place, _)| place));
    }
}

type Found = (Place, Vec<(&'static str, Obstacle)>);

fn v1(
    tree: &impl Tree,
    me: &Me,
    group: &Membership,
    controllers: &[&'static str],
) -> Result<Found, Obstacle> {
    let own = &group.paths[0];
    if !group.is_writable {
        return Err(Obstacle::not_writable(tree, group, me));
    }
    let files = probed(tree, me, own)?;
    Ok((place(me, Hierarchy::V1, own, controllers, files), Vec::new()))
}

fn v2(
    tree: &impl Tree,
    me: &Me,
    group: &Membership,
    controllers: &[&'static str],
) -> Result<Found, Obstacle> {
    let above = leaf::group_of_tenants(group);
    let is_writable =
        if above == group.paths[0] { group.is_writable } else { tree.may_write(above) };
    if !is_writable || !tree.may_write(&format!("{above}/cgroup.procs")) {
        return Err(Obstacle::not_writable(tree, group, me));
    }
    let offered = tree.read(&format!("{above}/cgroup.controllers")).unwrap_or_default();
    let offers = |name: &&&str| offered.split_ascii_whitespace().any(|one| one == **name);
    let (here, missing): (Vec<&'static str>, Vec<&'static str>) =
        controllers.iter().partition(|name| offers(name));
    if here.is_empty() && !controllers.is_empty() {
        return Err(Obstacle::no_controller(above, me));
    }
    let missing = missing.into_iter().map(|name| (name, Obstacle::no_controller(above, me)));
    let missing = missing.collect();
    if !here.is_empty() {
        leaf::pass_on(tree, me, above, &here)?;
    }
    let files = probed(tree, me, above)?;
    Ok((place(me, Hierarchy::V2, above, &here, files), missing))
}

fn place(
    me: &Me,
    hierarchy: Hierarchy,
    above: &str,
    controllers: &[&'static str],
    files: Vec<String>,
) -> Place {
    Place {
        hierarchy,
        controllers: controllers.iter().map(|name| (*name).to_owned()).collect(),
        parent: format!("{}/{}", above.trim_end_matches('/'), me.parent()),
        files,
    }
}

/// The files that may be written in a group for a limit.
const FILES: [&str; 12] = [
    "memory.max",
    "memory.swap.max",
    "memory.oom.group",
    "memory.limit_in_bytes",
    "memory.memsw.limit_in_bytes",
    "memory.kmem.tcp.limit_in_bytes",
    "cpu.max",
    "cpu.weight",
    "cpu.cfs_period_us",
    "cpu.cfs_quota_us",
    "cpu.shares",
    "pids.max",
];

/// Makes a group and removes it again: that it can be made is known only then, and which files a
/// group has depends on how the kernel was built.
fn probed(tree: &impl Tree, me: &Me, above: &str) -> Result<Vec<String>, Obstacle> {
    let probe = format!("{}/{}", above.trim_end_matches('/'), me.probe());
    let made = tree.make(&probe);
    if let Err(error) = made
        && error.kind() != std::io::ErrorKind::AlreadyExists
    {
        return Err(Obstacle::not_made(above, &error));
    }
    let has = |file: &&str| tree.has(&format!("{probe}/{file}"));
    let files = FILES.into_iter().filter(has).map(str::to_owned).collect();
    if let Err(error) = tree.remove(&probe) {
        tracing::warn!(%error, probe, "a control group could not be removed");
    }
    Ok(files)
}
