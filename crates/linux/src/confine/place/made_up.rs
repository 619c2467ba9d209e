//! Trees of control groups that behave as the kernel's, for tests.

use super::super::Me;
use super::super::tree::Tree;
use crate::host::Files;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;

/// This process.
pub const PID: u32 = 100;

/// The controllers of a hierarchy of version 2, or the one tree of these of version 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    V1(&'static str),
    /// Offers these; below the root of the machine, or of a namespace.
    V2 {
        offers: &'static str,
        is_namespace: bool,
    },
}

#[derive(Debug, Default)]
struct Group {
    processes: Vec<u32>,
    passed_on: Vec<String>,
    /// Another user may change it.
    is_ours: bool,
}

/// A machine with some hierarchies.
#[derive(Debug)]
pub struct MadeUp {
    kinds: BTreeMap<String, Kind>,
    groups: RefCell<BTreeMap<String, Group>>,
    mounts: String,
    texts: BTreeMap<String, String>,
    /// Files that the kernel does not have.
    missing: Vec<String>,
    is_read_only: bool,
    is_root: bool,
    /// Where leftovers were looked for.
    pub cleared: RefCell<Vec<String>>,
    /// How often a group that was left is busy all the same, with processes that are not shown.
    pub dying: Cell<usize>,
    /// How often a group was told to pass controllers on.
    pub tries: Cell<usize>,
}

impl MadeUp {
    pub fn root() -> MadeUp {
        MadeUp {
            kinds: BTreeMap::new(),
            groups: RefCell::default(),
            mounts: String::new(),
            texts: BTreeMap::new(),
            missing: Vec::new(),
            is_read_only: false,
            is_root: true,
            cleared: RefCell::default(),
            dying: Cell::new(0),
            tries: Cell::new(0),
        }
    }

    pub fn user() -> MadeUp {
        MadeUp { is_root: false, ..MadeUp::root() }
    }

    pub fn read_only(self) -> MadeUp {
        let mounts = self.mounts.replace(" rw,nosuid ", " ro,nosuid ");
        MadeUp { is_read_only: true, mounts, ..self }
    }

    /// A hierarchy, with this process in the group `own`.
    pub fn with(mut self, point: &str, kind: Kind, own: &str) -> MadeUp {
        let (name, options) = match kind {
            Kind::V1(controllers) => ("cgroup", format!("rw,{controllers}")),
            Kind::V2 { .. } => ("cgroup2", "rw".to_owned()),
        };
        self.mounts += &format!("40 30 0:50 / {point} rw,nosuid - {name} {name} {options}\n");
        self.kinds.insert(point.to_owned(), kind);
        self.add(point, "/", &[], false);
        let parts: Vec<&str> = own.split('/').filter(|part| !part.is_empty()).collect();
        for length in 1..=parts.len() {
            self.add(point, &format!("/{}", parts[..length].join("/")), &[], false);
        }
        self.add(point, own, &[PID], false);
        self
    }

    /// More of a group: its processes, and that it is this user's.
    pub fn add(&self, point: &str, group: &str, processes: &[u32], is_ours: bool) {
        let path = format!("{point}{}", group.trim_end_matches('/'));
        let mut groups = self.groups.borrow_mut();
        let group = groups.entry(path).or_default();
        group.processes.extend(processes);
        group.is_ours |= is_ours;
    }

    pub fn passing_on(self, group: &str, controllers: &[&str]) -> MadeUp {
        let mut groups = self.groups.borrow_mut();
        let passed_on = controllers.iter().map(|name| (*name).to_owned());
        groups.get_mut(group).unwrap().passed_on.extend(passed_on);
        drop(groups);
        self
    }

    pub fn text(mut self, path: &str, text: &str) -> MadeUp {
        self.texts.insert(path.to_owned(), text.to_owned());
        self
    }

    pub fn without(mut self, path: &str) -> MadeUp {
        self.missing.push(path.to_owned());
        self
    }

    /// The names of all groups below a mount point, and how many processes each has.
    pub fn seen(&self, point: &str) -> Vec<(String, usize)> {
        let groups = self.groups.borrow();
        let below = groups.iter().filter(|(path, _)| path.starts_with(&format!("{point}/")));
        below.map(|(path, group)| (path[point.len()..].to_owned(), group.processes.len())).collect()
    }

    pub fn passed_on(&self, group: &str) -> String {
        self.groups.borrow()[group].passed_on.join(" ")
    }

    fn kind(&self, path: &str) -> Option<(&str, Kind)> {
        let (point, kind) =
            self.kinds.iter().find(|(point, _)| path.starts_with(point.as_str()))?;
        Some((point, *kind))
    }

    fn offered(&self, group: &str) -> Vec<String> {
        match self.kind(group) {
            Some((point, Kind::V2 { offers, .. })) if point == group => {
                offers.split(' ').map(str::to_owned).collect()
            }
            Some((_, Kind::V1(controllers))) => controllers.split(',').map(str::to_owned).collect(),
            Some(_) => {
                let (above, _) = group.rsplit_once('/').unwrap();
                self.groups.borrow().get(above).map_or(Vec::new(), |group| group.passed_on.clone())
            }
            None => Vec::new(),
        }
    }

    fn is_v2_root(&self, group: &str) -> bool {
        matches!(self.kind(group), Some((point, Kind::V2 { is_namespace: false, .. })) if point == group)
    }

    fn may_change(&self, group: &str) -> bool {
        !self.is_read_only
            && (self.is_root || self.groups.borrow().get(group).is_some_and(|group| group.is_ours))
    }

    fn own_groups(&self) -> String {
        let groups = self.groups.borrow();
        let line = |(number, (point, kind)): (usize, (&String, &Kind))| {
            let is_in = |(path, group): &(&String, &Group)| {
                path.starts_with(point.as_str()) && group.processes.contains(&PID)
            };
            let path = groups.iter().find(is_in)?.0[point.len()..].to_owned();
            let path = if path.is_empty() { "/".to_owned() } else { path };
            Some(match kind {
                Kind::V1(controllers) => format!("{}:{controllers}:{path}\n", number + 1),
                Kind::V2 { .. } => format!("0::{path}\n"),
            })
        };
        self.kinds.iter().enumerate().filter_map(line).collect()
    }
}

impl Files for MadeUp {
    fn read(&self, path: &str) -> Option<String> {
        match path {
            "/proc/self/mountinfo" => return Some(self.mounts.clone()),
            "/proc/self/cgroup" => return Some(self.own_groups()),
            _ => {}
        }
        if let Some(text) = self.texts.get(path) {
            return Some(text.clone());
        }
        if self.missing.iter().any(|one| one == path) {
            return None;
        }
        let (group, file) = path.rsplit_once('/')?;
        let offered = self.offered(group);
        let groups = self.groups.borrow();
        let state = groups.get(group)?;
        let is_v2 = matches!(self.kind(group)?.1, Kind::V2 { .. });
        match file {
            "cgroup.procs" => Some(state.processes.iter().map(|pid| format!("{pid}\n")).collect()),
            "cgroup.controllers" if is_v2 => Some(offered.join(" ")),
            "cgroup.subtree_control" if is_v2 => Some(state.passed_on.join(" ")),
            "cgroup.type" if is_v2 && !self.is_v2_root(group) => Some("domain\n".to_owned()),
            _ => {
                let (controller, _) = file.split_once('.')?;
                let is_v2_file = matches!(
                    file,
                    "memory.max"
                        | "memory.swap.max"
                        | "memory.oom.group"
                        | "cpu.max"
                        | "cpu.weight"
                );
                let is_there = offered.iter().any(|name| name == controller)
                    && (is_v2_file == is_v2 || file == "pids.max");
                is_there.then(|| "max\n".to_owned())
            }
        }
    }

    fn may_write(&self, path: &str) -> bool {
        self.may_change(path)
            || path.rsplit_once('/').is_some_and(|(group, _)| self.may_change(group))
    }
}

impl Tree for MadeUp {
    fn make(&self, group: &str) -> io::Result<()> {
        let (above, _) = group.rsplit_once('/').unwrap();
        if !self.may_change(above) {
            return Err(io::Error::from_raw_os_error(libc::EACCES));
        }
        let is_new = !self.groups.borrow().contains_key(group);
        if !is_new {
            return Err(io::Error::from_raw_os_error(libc::EEXIST));
        }
        let made = Group { is_ours: true, ..Group::default() };
        self.groups.borrow_mut().insert(group.to_owned(), made);
        Ok(())
    }

    fn remove(&self, group: &str) -> io::Result<()> {
        let mut groups = self.groups.borrow_mut();
        if !groups.contains_key(group) {
            return Err(io::Error::from_raw_os_error(libc::ENOENT));
        }
        let is_empty = groups.get(group).is_some_and(|group| group.processes.is_empty());
        let has_none_below = !groups.keys().any(|path| path.starts_with(&format!("{group}/")));
        if !is_empty || !has_none_below {
            return Err(io::Error::from_raw_os_error(libc::EBUSY));
        }
        groups.remove(group);
        Ok(())
    }

    fn write(&self, file: &str, text: &str) -> io::Result<()> {
        let refused = |errno| Err(io::Error::from_raw_os_error(errno));
        let (group, name) = file.rsplit_once('/').unwrap();
        if !self.may_change(group) {
            return refused(libc::EACCES);
        }
        match name {
            "cgroup.procs" => {
                let pid: u32 = text.parse().unwrap();
                let point = self.kind(group).unwrap().0.to_owned();
                let mut groups = self.groups.borrow_mut();
                let passes_on = !groups[group].passed_on.is_empty();
                if passes_on && !self.is_v2_root(group) {
                    return refused(libc::EBUSY);
                }
                for (path, group) in groups.iter_mut() {
                    if path.starts_with(&point) {
                        group.processes.retain(|one| *one != pid);
                    }
                }
                groups.get_mut(group).unwrap().processes.push(pid);
                Ok(())
            }
            "cgroup.subtree_control" => {
                if let Some(name) = text.strip_prefix('-') {
                    let mut groups = self.groups.borrow_mut();
                    let below = format!("{group}/");
                    let is_used = |(path, its): (&String, &Group)| {
                        path.starts_with(&below) && its.passed_on.iter().any(|one| one == name)
                    };
                    if groups.iter().any(is_used) {
                        return refused(libc::EBUSY);
                    }
                    groups.get_mut(group).unwrap().passed_on.retain(|one| one != name);
                    return Ok(());
                }
                self.tries.set(self.tries.get() + 1);
                if self.dying.get() > 0 {
                    self.dying.set(self.dying.get() - 1);
                    return refused(libc::EBUSY);
                }
                let offered = self.offered(group);
                let names: Vec<String> =
                    text.split(' ').map(|word| word.trim_start_matches('+').to_owned()).collect();
                if names.iter().any(|name| !offered.contains(name)) {
                    return refused(libc::ENOENT);
                }
                let is_root = self.is_v2_root(group);
                let mut groups = self.groups.borrow_mut();
                let state = groups.get_mut(group).unwrap();
                if !is_root && !state.processes.is_empty() {
                    return refused(libc::EBUSY);
                }
                state.passed_on.extend(names);
                Ok(())
            }
            _ => refused(libc::EINVAL),
        }
    }

    fn groups_in(&self, group: &str) -> Vec<String> {
        let groups = self.groups.borrow();
        let below = groups.keys().filter_map(|path| path.strip_prefix(&format!("{group}/")));
        below.filter(|name| !name.contains('/')).map(str::to_owned).collect()
    }

    fn has(&self, file: &str) -> bool {
        self.read(file).is_some()
    }

    fn clear(&self, groups: &[String]) {
        self.cleared.borrow_mut().extend_from_slice(groups);
    }

    fn clear_temporary(&self, _: &Me) {}
}
