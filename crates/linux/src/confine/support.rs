//! What this host can keep, found when it is first asked.

use super::answer::{By, InForce, InForceIsolation, InForceLimit, Reason, Unsupported};
use super::limits::{self, Limit, Means as LimitMeans};
use super::neighbours::Shared;
use super::place::{Obstacle, Places};
use super::tree::Tree;
use super::walls::{self, Means};
use super::{Asked, Isolation, Limits, Me, User};
use crate::host::{Hierarchy, Process, ThisMachine};
use std::collections::HashMap;
use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use warden::confinement::{Confinement, Group, Resource};

/// What this process has found out.
static FOUND: Mutex<Option<Arc<Support>>> = Mutex::new(None);

/// What this host can keep.
pub struct Support {
    me: Me,
    walls: Means,
    open_files_hard: Option<u64>,
    places: Mutex<Option<Arc<Places>>>,
    /// What hosts that are gone have left of temporary directories was looked for.
    cleared: Once,
    /// Whether a path of the system is above a directory of all tenants, for each of these.
    roots: Mutex<HashMap<String, Option<Reason>>>,
}

/// What is known of a start when its confinement is made.
#[derive(Clone, Copy, Debug)]
pub struct StartFacts<'a> {
    /// The tenant's port.
    pub port: u16,
    /// The real paths of the programs that it executes beside those of the system.
    pub programs: &'a [String],
}

/// The parts of a launch that hold the tenant within bounds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    pub confinement: Confinement,
    /// The umask, where it is not the host's.
    pub umask: Option<u32>,
}

/// What this host could keep of everything that can be asked for.
#[derive(Clone, Debug)]
pub struct Foreseen {
    /// Each limit, and why it cannot be kept.
    pub limits: Vec<(InForceLimit, Option<Reason>)>,
    pub isolation: InForceIsolation,
    /// Why each of `isolation.missing` cannot be kept.
    pub broken: Vec<Reason>,
    /// Why no tenant can have a user of its own.
    pub no_users: Option<Reason>,
}

/// What this host can keep. All runtimes of a process share it; a process that was forked finds
/// its own.
pub fn support() -> Arc<Support> {
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    match &*found {
        Some(support) if support.me.id.pid == std::process::id() => support.clone(),
        _ => found.insert(Arc::new(Support::find(&ThisMachine, Me::here()))).clone(),
    }
}

/// Moves this process back to where it was before a start has taken the place of groups, if no
/// warden has done so, and none lives that will.
pub fn give_back_place() {
    let found = FOUND.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if let Some(support) = found.filter(|support| support.me.id.pid == std::process::id()) {
        support.give_back_in(&ThisMachine);
    }
}

impl Support {
    fn find(tree: &impl Tree, me: Me) -> Support {
        Support {
            me,
            walls: Means::of_this_machine(tree),
            open_files_hard: Process::of(tree).open_files.hard,
            places: Mutex::new(None),
            cleared: Once::new(),
            roots: Mutex::default(),
        }
    }

    /// Compares what is asked for with what this host can keep: what will be in force, or why
    /// something that is required cannot be kept. Of control groups that is foreseen: none is made,
    /// and this process stays where it is.
    pub fn check(&self, asked: &Asked) -> Result<InForce, Unsupported> {
        self.check_in(&ThisMachine, asked)
    }

    fn check_in(&self, tree: &impl Tree, asked: &Asked) -> Result<InForce, Unsupported> {
        self.compare(tree, asked, |needed| self.foreseen_places(tree, needed))
    }

    /// The same for a start, for which the place of groups is taken if a limit needs one. That
    /// takes some milliseconds the first time, and may move this process. A warden that makes a
    /// group there undoes it when it leaves; [`give_back_place`] does where there is none.
    pub fn take(&self, asked: &Asked) -> Result<InForce, Unsupported> {
        self.take_in(&ThisMachine, asked)
    }

    fn take_in(&self, tree: &impl Tree, asked: &Asked) -> Result<InForce, Unsupported> {
        self.compare(tree, asked, |needed| self.places(tree, needed))
    }

    fn compare(
        &self,
        tree: &impl Tree,
        asked: &Asked,
        places: impl FnOnce(&[&'static str]) -> Arc<Places>,
    ) -> Result<InForce, Unsupported> {
        let mut in_force = InForce::default();
        let mut reasons = Vec::new();
        let places = needed(asked).map(|needed| places(&needed)).unwrap_or_default();
        if let Some(limits) = &asked.limits {
            let found = self.check_limits(limits, &places);
            reasons.extend(
                found
                    .iter()
                    .filter_map(|(_, reason)| reason.clone())
                    .filter(|_| limits.is_required),
            );
            in_force.limits = found.into_iter().map(|(limit, _)| limit).collect();
        }
        if let Some(isolation) = &asked.isolation {
            self.cleared.call_once(|| tree.clear_temporary(&self.me));
            let (kept, broken) = self.check_isolation(isolation);
            reasons.extend(broken.into_iter().filter(|_| isolation.is_required));
            in_force.isolation = Some(kept);
        }
        if reasons.is_empty() { Ok(in_force) } else { Err(Unsupported { reasons }) }
    }

    /// What could be kept of everything, as far as that can be seen without making a group or
    /// moving this process.
    pub fn foresee(&self) -> Foreseen {
        self.foresee_in(&ThisMachine)
    }

    fn foresee_in(&self, tree: &impl Tree) -> Foreseen {
        let everything = Limits {
            memory_bytes: Some(1),
            swap_bytes: Some(1),
            cpus: Some(1.0),
            cpu_weight: Some(1),
            processes: Some(1),
            open_files: Some(1),
            file_bytes: Some(1),
            is_required: false,
        };
        let places = Places::foresee(tree, &self.me, &limits::controllers(&everything));
        let (isolation, broken) = self.check_isolation(&Isolation::default());
        let no_users = self.walls.cannot_become(User { uid: 1, gid: 1 });
        Foreseen { limits: self.check_limits(&everything, &places), isolation, broken, no_users }
    }

    fn check_limits(
        &self,
        limits: &Limits,
        places: &Places,
    ) -> Vec<(InForceLimit, Option<Reason>)> {
        let answer = |limit: Limit| {
            let Limit { name, value, means } = limit;
            if let LimitMeans::Process(resource) = means {
                let most = self.hard_limit(resource).map_or(f64::INFINITY, |most| most as f64);
                return (InForceLimit { name, value: value.min(most), by: By::Rlimit }, None);
            }
            match by_group(&limit, limits, places) {
                Ok(by) => (InForceLimit { name, value, by }, None),
                Err(Obstacle { why, change }) => {
                    let reason = Reason { what: format!("limits.{name}"), why, change };
                    (InForceLimit { name, value, by: By::None }, Some(reason))
                }
            }
        };
        limits::asked(limits).into_iter().map(answer).collect()
    }

    fn hard_limit(&self, resource: Resource) -> Option<u64> {
        self.open_files_hard.filter(|_| resource == Resource::OpenFiles)
    }

    fn check_isolation(&self, isolation: &Isolation) -> (InForceIsolation, Vec<Reason>) {
        let refused = isolation.user.and_then(|user| self.walls.cannot_become(user));
        let is_own_user = isolation.is_own_user && refused.is_none();
        let isolation = &Isolation { is_own_user, ..isolation.clone() };
        let (mut missing, mut reasons): (Vec<&'static str>, Vec<Reason>) =
            self.walls.missing(isolation).into_iter().unzip();
        if !missing.contains(&walls::FILES)
            && let Some(reason) = self.reaches_neighbours(isolation)
        {
            missing.insert(0, walls::FILES);
            reasons.push(reason);
        }
        let user = isolation.user.filter(|_| refused.is_none()).map(|user| user.uid);
        let landlock = self.walls.landlock.as_ref().ok().copied();
        missing.extend(refused.as_ref().map(|_| "user"));
        reasons.extend(refused);
        (InForceIsolation { landlock, seccomp: self.walls.seccomp, user, missing }, reasons)
    }

    /// Why a tenant would reach what is its neighbours'. What belongs to a user of its own the kernel
    /// keeps from the others by itself, and a temporary directory does.
    fn reaches_neighbours(&self, isolation: &Isolation) -> Option<Reason> {
        let root = isolation.root.as_ref()?;
        let tenants = Shared::tenants(root);
        let mut roots = self.roots.lock().unwrap_or_else(PoisonError::into_inner);
        let of_system = roots.entry(root.clone()).or_insert_with(|| tenants.below_system()).clone();
        drop(roots);
        let temporaries = || {
            let temporaries = Shared::temporaries(&self.me.temporary());
            temporaries.below_listed(isolation).filter(|_| !isolation.is_own_user)
        };
        of_system.or_else(|| tenants.below_listed(isolation)).or_else(temporaries)
    }

    /// The parts of a launch, of what was asked for and [taken](Self::take). Errors: groups
    /// that could be made when it was checked cannot be made any more.
    pub fn confinement(&self, asked: &Asked, start: &StartFacts) -> io::Result<Parts> {
        self.confinement_in(&ThisMachine, asked, start)
    }

    fn confinement_in(
        &self,
        tree: &impl Tree,
        asked: &Asked,
        start: &StartFacts,
    ) -> io::Result<Parts> {
        let mut confinement =
            Confinement { groups: self.groups(tree, asked)?, ..Confinement::default() };
        if let Some(limits) = &asked.limits {
            confinement.limits = limits::of_processes(limits);
        }
        let Some(isolation) = &asked.isolation else {
            return Ok(Parts { confinement, umask: None });
        };
        confinement.temporary =
            Some(CString::new(self.me.temporary().into_os_string().into_vec())?);
        confinement.user = isolation.user.filter(|user| self.walls.cannot_become(*user).is_none());
        confinement.walls = Some(self.walls.walls(isolation, start.port, start.programs)?);
        Ok(Parts { confinement, umask: Some(walls::UMASK) })
    }

    /// The groups of the limits. A tenant within walls gets one of version 2 in any case, where
    /// that can be had: its tree is ended through it, also by the next host.
    fn groups(&self, tree: &impl Tree, asked: &Asked) -> io::Result<Vec<Group>> {
        let Some(controllers) = needed(asked) else { return Ok(Vec::new()) };
        let limits = asked.limits.clone().unwrap_or_default();
        let places = self.places(tree, &controllers);
        let has_walls = asked.isolation.is_some();
        if limits.is_required
            && let Some(Obstacle { why, change }) =
                controllers.iter().find_map(|controller| places.obstacle(controller))
        {
            return Err(io::Error::other(format!("{why}; {change}")));
        }
        let is_used = |one: &&super::place::Place| {
            one.controllers.is_empty()
                || controllers.iter().any(|name| one.has(name))
                || has_walls && one.hierarchy == Hierarchy::V2
        };
        let used: Vec<_> = places.places.iter().filter(is_used).collect();
        if !has_walls && used.iter().all(|place| place.controllers.is_empty()) {
            return Ok(Vec::new());
        }
        let group = |place: &&super::place::Place| {
            let settings = limits::settings(&limits, place).into_iter().map(CString::new);
            Ok(Group {
                hierarchy: match place.hierarchy {
                    Hierarchy::V1 => warden::confinement::Hierarchy::V1,
                    Hierarchy::V2 => warden::confinement::Hierarchy::V2,
                },
                parent: CString::new(place.parent.as_str())?,
                settings: settings.collect::<Result<_, _>>()?,
            })
        };
        used.iter().map(group).collect()
    }

    /// The places of groups with these controllers, looked for anew if this process has moved.
    fn places(&self, tree: &impl Tree, controllers: &[&'static str]) -> Arc<Places> {
        let mut known: MutexGuard<Option<Arc<Places>>> =
            self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let mut needed = controllers.to_vec();
        if let Some(places) = &*known {
            if places.are_current(tree, controllers) {
                return places.clone();
            }
            needed.extend(places.needed().iter().filter(|name| !controllers.contains(name)));
        }
        known.insert(Arc::new(Places::find(tree, &self.me, &needed))).clone()
    }

    /// The places that were taken, or else those that would be.
    fn foreseen_places(&self, tree: &impl Tree, controllers: &[&'static str]) -> Arc<Places> {
        if let Some(places) = &*self.places.lock().unwrap_or_else(PoisonError::into_inner)
            && places.are_current(tree, controllers)
        {
            return places.clone();
        }
        Places::clear_predecessors(tree);
        Arc::new(Places::foresee(tree, &self.me, controllers))
    }

    fn give_back_in(&self, tree: &impl Tree) {
        let taken = self.places.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(places) = taken {
            places.give_back(tree, &self.me);
        }
    }
}

/// The controllers of the groups that this takes; `None` if it takes no groups. Walls take one
/// without any.
fn needed(asked: &Asked) -> Option<Vec<&'static str>> {
    let controllers = asked.limits.as_ref().map(limits::controllers).unwrap_or_default();
    (!controllers.is_empty() || asked.isolation.is_some()).then_some(controllers)
}

/// What keeps a limit by control groups, or what is in the way.
fn by_group(limit: &Limit, limits: &Limits, places: &Places) -> Result<By, Obstacle> {
    let controller = limit.controller().unwrap_or_default();
    let Some(place) = places.place_of(controller) else {
        let obstacle = places.obstacle(controller).cloned();
        return Err(obstacle.unwrap_or_else(|| Obstacle::no_hierarchy(controller)));
    };
    let file = limit.file(place.hierarchy).unwrap_or_default();
    if !place.files.iter().any(|one| one == file) {
        return Err(Obstacle::no_file(file));
    }
    if limit.name == "swapBytes"
        && place.hierarchy == Hierarchy::V1
        && limits.memory_bytes.is_none()
    {
        return Err(Obstacle::swap_alone());
    }
    Ok(match place.hierarchy {
        Hierarchy::V1 => By::Cgroup1,
        Hierarchy::V2 => By::Cgroup2,
    })
}

#[cfg(test)]
mod tests;
