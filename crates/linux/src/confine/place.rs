//! Where this host may make control groups.
//!
//! In version 1 that is below its own group of each hierarchy. In version 2, too, but there a
//! group that has processes cannot pass controllers on to groups below it, unless it is the root
//! of the machine. So this process, and all others of its group, move into a leaf beside which
//! the tenants' groups are made:
//!
//! ```text
//! own group                        passes controllers on, and has no processes any more
//! ├─ absolute-host-<host>          the leaf: what was in the own group
//! └─ absolute-<host>               the parent of the tenants' groups
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
        format!("{PREFIX}{}", self.id)
    }

    fn leaf(&self) -> String {
        format!("{LEAF_PREFIX}{}", self.id)
    }

    fn probe(&self) -> String {
        format!("{PROBE_PREFIX}{}", self.id)
    }
}

impl Places {
    /// Finds the places, and moves this process if that is needed. What hosts that are gone have
    /// left there is ended first.
    pub fn find(tree: &impl Tree, me: &Me, needed: &[&'static str]) -> Places {
        Places::clear_predecessors(tree);
        Look { tree, me, changes: true }.places(needed)
    }

    /// Ends what hosts that are gone have left in the groups in which this one may make others.
    pub fn clear_predecessors(tree: &impl Tree) {
        let groups = Groups::of(tree, &Mounts::of(tree));
        let usable = groups.0.iter().filter(|one| one.is_writable);
        tree.clear(&usable.map(|one| leaf::group_of_tenants(one).to_owned()).collect::<Vec<_>>());
    }

    /// Moves this process out of its leaf again, unless others depend on the leaf.
    pub fn give_back(&self, tree: &impl Tree, me: &Me) {
        for place in self.places.iter().filter(|place| place.hierarchy == Hierarchy::V2) {
            if let Some((above, _)) = place.parent.rsplit_once('/') {
                leaf::give_back(tree, me, above);
            }
        }
    }

    /// Which places there would be, as far as that can be seen without changing anything.
    pub fn foresee(tree: &impl Tree, me: &Me, needed: &[&'static str]) -> Places {
        Look { tree, me, changes: false }.places(needed)
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

    fn add(&mut self, controllers: &[&'static str], found: Result<Found, Obstacle>) {
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

    fn has(&self, hierarchy: Hierarchy) -> bool {
        self.places.iter().any(|place| place.hierarchy == hierarchy)
    }
}

/// A place, and what is in the way of those controllers that it has not got.
type Found = (Place, Vec<(&'static str, Obstacle)>);

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

/// A look for places.
struct Look<'a, T> {
    tree: &'a T,
    me: &'a Me,
    /// Groups may be made, and this process moved.
    changes: bool,
}

impl<T: Tree> Look<'_, T> {
    fn places(&self, needed: &[&'static str]) -> Places {
        let groups = Groups::of(self.tree, &Mounts::of(self.tree));
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
                found.add(&here, self.place(one, &here));
            }
        }
        for controller in needed {
            if found.place_of(controller).is_none() && found.obstacle(controller).is_none() {
                found.obstacles.push((controller, Obstacle::no_hierarchy(controller)));
            }
        }
        found.places.extend(self.version_2_beside(&found, &groups));
        found.own = self.tree.read(OWN_GROUPS).unwrap_or_default();
        found
    }

    /// A hierarchy of version 2 is used beside those of version 1, and for walls alone, also without
    /// controllers: groups there can be ended with one write, and say which sockets are theirs.
    fn version_2_beside(&self, found: &Places, groups: &Groups) -> Option<Place> {
        if found.has(Hierarchy::V2) {
            return None;
        }
        let version_2 = groups.0.iter().find(|one| one.hierarchy == Hierarchy::V2)?;
        // Groups below one for threads take no processes.
        let kind = self.tree.read(&format!("{}/cgroup.type", leaf::group_of_tenants(version_2)));
        if kind.is_some_and(|kind| kind.contains("threaded")) {
            return None;
        }
        self.v2(version_2, &[]).ok().map(|(place, _)| place)
    }

    fn place(&self, group: &Membership, controllers: &[&'static str]) -> Result<Found, Obstacle> {
        match group.hierarchy {
            Hierarchy::V1 => self.v1(group, controllers),
            Hierarchy::V2 => self.v2(group, controllers),
        }
    }

    fn v1(&self, group: &Membership, controllers: &[&'static str]) -> Result<Found, Obstacle> {
        if !group.is_writable {
            return Err(Obstacle::not_writable(self.tree, group, self.me));
        }
        let place = self.made(Hierarchy::V1, &group.paths[0], controllers)?;
        Ok((place, Vec::new()))
    }

    fn v2(&self, group: &Membership, controllers: &[&'static str]) -> Result<Found, Obstacle> {
        let Look { tree, me, .. } = self;
        let above = leaf::group_of_tenants(group);
        let is_writable =
            if above == group.paths[0] { group.is_writable } else { tree.may_write(above) };
        if !is_writable || !tree.may_write(&format!("{above}/cgroup.procs")) {
            return Err(Obstacle::not_writable(*tree, group, me));
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
        if self.changes && !here.is_empty() {
            leaf::pass_on(*tree, me, above, &here)?;
        }
        Ok((self.made(Hierarchy::V2, above, &here)?, missing))
    }

    fn made(
        &self,
        hierarchy: Hierarchy,
        above: &str,
        controllers: &[&'static str],
    ) -> Result<Place, Obstacle> {
        let files = match self.changes {
            true => probed(self.tree, self.me, above)?,
            false => foreseen_files(self.tree, above),
        };
        Ok(Place {
            hierarchy,
            controllers: controllers.iter().map(|name| (*name).to_owned()).collect(),
            parent: format!("{}/{}", above.trim_end_matches('/'), self.me.parent()),
            files,
        })
    }
}

/// The files that a group may be expected to have: all but those that the group above it has not,
/// although it has another one of the same controller. The root of the machine has none of some.
fn foreseen_files(tree: &impl Tree, above: &str) -> Vec<String> {
    let has = |file: &str| tree.has(&format!("{}/{file}", above.trim_end_matches('/')));
    let controller = |file: &str| file.split('.').next().unwrap_or_default().to_owned();
    let has_others =
        |file: &str| FILES.iter().any(|one| controller(one) == controller(file) && has(one));
    let is_expected = |file: &&str| has(file) || !has_others(file);
    FILES.into_iter().filter(is_expected).map(str::to_owned).collect()
}

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
