//! CPU time and memory of process trees, from one pass over `/proc` for all of them.
//!
//! The CPU time of a tree is that of its live processes plus that of the children they have reaped
//! (`cutime`, `cstime`). An ancestor must be read before its descendants: then a process that ends
//! during the pass is missed, which the next pass corrects, and never counted twice, which no
//! later pass could correct. `/proc` lists by pid, and a parent mostly has the lower pid; where it
//! has not, the child is read again.
//!
//! Reading a process by hand costs 7 µs, and 11 µs through `procfs`, which also opens the
//! directory and parses the whole line. So `procfs` is used for single looks, and here the line is
//! read by hand. Reading the CPU clock of a process costs a twentieth of that. A process whose
//! clock has not moved has not run, so it has used no CPU time and reaped no child, and its last
//! reading is still current. Others can change its parent, which shows in the parent, and its
//! memory, for which it is read again after `CURRENT_FOR_MS`. If a clock is too coarse to show
//! that a process ran, the sum is too low until then.
//!
//! Of a tree that has control groups, CPU time and memory come from these (`group_usage.rs`), as
//! far as they say.

use crate::process::children::children_of;
use crate::process::cpu_clock;
use crate::process::group_usage::{GroupUse, InGroup};
use crate::process::proc_stat;
use crate::threads::clock;
use rustix::fs::{Dir, Mode, OFlags, open};
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use warden::Stat;
use warden::confinement::Group;

/// For how long the reading of a sleeping process counts as current: the kernel can take memory
/// from it meanwhile.
const CURRENT_FOR_MS: u64 = 5_000;

/// The tree to account for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// A process and everything below it.
    Process(u32),
    /// The descendants of a keeper, which is no part of the tenant itself, and the children that
    /// it has reaped.
    Keeper(u32),
    /// The same, with the control groups that these processes are in.
    Grouped { keeper: u32, groups: GroupUse },
}

impl Root {
    /// The root of a tenant that the warden has started, with the groups of its launch and the
    /// number that the warden told of them (0: it has none).
    pub fn of_tenant(keeper: u32, groups: &[Group], number: u64) -> Root {
        match GroupUse::of(groups, number) {
            Some(groups) => Root::Grouped { keeper, groups },
            None => Root::Keeper(keeper),
        }
    }

    /// The process, or the keeper.
    pub fn pid(self) -> u32 {
        let (Root::Process(pid) | Root::Keeper(pid) | Root::Grouped { keeper: pid, .. }) = self;
        pid
    }

    /// The control groups of the tree.
    pub fn groups(self) -> Option<GroupUse> {
        match self {
            Root::Grouped { groups, .. } => Some(groups),
            Root::Process(_) | Root::Keeper(_) => None,
        }
    }
}

/// The CPU time that a tree has used so far, and what it uses now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub cpu_ms: u64,
    pub rss_bytes: u64,
    pub processes: usize,
}

/// A process as it was last read.
#[derive(Clone, Copy)]
struct Seen {
    stat: Stat,
    /// Its CPU clock just before the reading.
    ran_ns: Option<u64>,
    read_at_ms: u64,
}

/// Takes samples; the last one is kept, so that the next need not read sleeping processes again.
#[derive(Default)]
pub struct Sampler {
    table: Table,
}

impl Sampler {
    /// The usage of each tree, in the order of `roots`; `None` for a root that does not exist.
    pub fn sample(&mut self, roots: &[Root]) -> Vec<Option<Usage>> {
        let Ok(proc) = open_proc() else { return vec![None; roots.len()] };
        self.table = Table::read(proc.as_fd(), &self.table, clock::steady_ms());
        let look = |pid| Stat::read(proc.as_fd(), pid).ok().flatten();
        roots.iter().map(|root| self.table.usage(*root, look)).collect()
    }
}

/// A look at all processes, for trees that become known after it.
pub struct Look {
    proc: OwnedFd,
    table: Table,
}

impl Look {
    /// Looks now. An error: `/proc` cannot be read.
    pub fn at_all() -> io::Result<Look> {
        let proc = open_proc()?;
        let table = Table::read(proc.as_fd(), &Table::default(), clock::steady_ms());
        Ok(Look { proc, table })
    }

    /// What the tree had used at the time; `None` for a root that did not exist.
    pub fn usage(&self, root: Root) -> Option<Usage> {
        self.table.usage(root, |pid| Stat::read(self.proc.as_fd(), pid).ok().flatten())
    }
}

fn open_proc() -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(open("/proc", flags, Mode::empty())?)
}

/// Like [`Sampler::sample`], for a single sample.
pub fn sample_once(roots: &[Root]) -> Vec<Option<Usage>> {
    let Ok(stats) = proc_stat::of_all() else { return vec![None; roots.len()] };
    let mut table = Table::default();
    stats.for_each(|stat| table.add(Seen { stat, ran_ns: None, read_at_ms: 0 }));
    roots.iter().map(|root| table.usage(*root, proc_stat::of)).collect()
}

/// The usage of one tree, at a cost that does not depend on the other processes of the machine;
/// `None` if its root does not exist. Each process is read after its ancestors.
pub fn of_tree(root: Root) -> Option<Usage> {
    let proc = open_proc().ok()?;
    let pid = root.pid();
    let (mut ticks, mut pages, mut processes) = (0, 0, 0);
    let mut to_visit = vec![pid];
    while let Some(next) = to_visit.pop() {
        let stat = match Stat::read(proc.as_fd(), next) {
            Ok(Some(stat)) => stat,
            _ if next == pid => return None,
            _ => continue,
        };
        ticks += stat.waited_ticks;
        if next != pid || matches!(root, Root::Process(_)) {
            ticks += stat.own_ticks;
            pages += stat.rss_pages;
            processes += 1;
        }
        to_visit.extend(children_of(next, usize::MAX));
    }
    Some(Usage::of(root, ticks, pages, processes))
}

impl Usage {
    /// Of what the processes of a tree have used, with what its groups know better.
    fn of(root: Root, ticks: u64, pages: u64, processes: usize) -> Usage {
        let cpu_ms = ticks * 1000 / rustix::param::clock_ticks_per_second();
        let rss_bytes = pages * rustix::param::page_size() as u64;
        let InGroup { cpu_ms: in_group_ms, rss_bytes: in_group_bytes } =
            root.groups().map(|groups| groups.usage()).unwrap_or_default();
        Usage {
            // A process that was put into the tree from elsewhere brings what it used before.
            cpu_ms: cpu_ms.max(in_group_ms.unwrap_or(0)),
            rss_bytes: in_group_bytes.unwrap_or(rss_bytes),
            processes,
        }
    }
}

#[derive(Default)]
struct Table {
    /// The processes in the order in which they were read.
    seen: Vec<Seen>,
    position_of: HashMap<u32, usize>,
    children_of: HashMap<u32, Vec<usize>>,
}

impl Table {
    fn read(proc: BorrowedFd, last: &Table, now_ms: u64) -> Table {
        let mut table = Table::default();
        let entries = Dir::read_from(proc).into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str().ok()?.parse::<u32>().ok());
        for pid in pids {
            let ran_ns = cpu_clock::of_process(pid);
            let known =
                last.seen(pid).filter(|known| table.is_current(known, ran_ns, now_ms)).copied();
            let read =
                || Some(Seen { stat: Stat::read(proc, pid).ok()??, ran_ns, read_at_ms: now_ms });
            if let Some(seen) = known.or_else(read) {
                table.add(seen);
            }
        }
        table
    }

    fn add(&mut self, seen: Seen) {
        let position = self.seen.len();
        self.position_of.insert(seen.stat.pid, position);
        self.children_of.entry(seen.stat.parent).or_default().push(position);
        self.seen.push(seen);
    }

    fn seen(&self, pid: u32) -> Option<&Seen> {
        self.position_of.get(&pid).map(|position| &self.seen[*position])
    }

    /// Whether an earlier reading of a process is still current. The process must have the same
    /// parent: a parent that has ended leaves its children to another process, and a parent that
    /// is younger than the child has got the old parent's pid.
    fn is_current(&self, known: &Seen, ran_ns: Option<u64>, now_ms: u64) -> bool {
        let has_not_run = ran_ns.is_some() && ran_ns == known.ran_ns;
        let keeps_parent = || {
            self.seen(known.stat.parent).is_some_and(|parent| {
                !parent.stat.has_ended
                    && parent.stat.started_at_ticks <= known.stat.started_at_ticks
            })
        };
        has_not_run && now_ms < known.read_at_ms + CURRENT_FOR_MS && keeps_parent()
    }

    /// The usage of a tree; `look` reads a process again.
    fn usage(&self, root: Root, look: impl Fn(u32) -> Option<Stat>) -> Option<Usage> {
        let pid = root.pid();
        let root_position = *self.position_of.get(&pid)?;
        let root_stat = self.seen[root_position].stat;
        let (mut ticks, mut pages, mut processes) = (root_stat.waited_ticks, 0, 0);
        if let Root::Process(_) = root {
            ticks += root_stat.own_ticks;
            pages += root_stat.rss_pages;
            processes += 1;
        }
        // Each process with the latest position among its ancestors.
        let mut to_visit: Vec<(u32, usize)> = vec![(pid, root_position)];
        while let Some((parent, ancestors_read_until)) = to_visit.pop() {
            for position in self.children_of.get(&parent).into_iter().flatten().copied() {
                let stat = self.seen[position].stat;
                if position < ancestors_read_until && !is_still(&stat, look(stat.pid)) {
                    continue;
                }
                ticks += stat.own_ticks + stat.waited_ticks;
                pages += stat.rss_pages;
                processes += 1;
                to_visit.push((stat.pid, position.max(ancestors_read_until)));
            }
        }
        Some(Usage::of(root, ticks, pages, processes))
    }
}

/// Whether the process is the one that was seen, and has the same parent.
fn is_still(seen: &Stat, now: Option<Stat>) -> bool {
    now.is_some_and(|now| {
        now.started_at_ticks == seen.started_at_ticks && now.parent == seen.parent
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory_and_the_unknown_is_none() {
        let roots = [Root::Process(std::process::id()), Root::Process(u32::MAX)];
        let look = Look::at_all().unwrap();
        let looked = roots.map(|root| look.usage(root)).to_vec();
        for usages in [Sampler::default().sample(&roots), sample_once(&roots), looked] {
            let own = usages[0].unwrap();
            assert!(own.rss_bytes > 100_000 && own.processes >= 1);
            assert_eq!(usages[1], None);
        }
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "the tree must come from somewhere")]
    fn a_single_look_sees_what_a_sampler_sees() {
        use std::io::{BufRead, BufReader};
        use std::process::{Command, Stdio};
        let script = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; sleep 600 & sleep 600 & echo up; wait";
        let mut tree = Command::new("sh");
        let tree = std::os::unix::process::CommandExt::process_group(tree.args(["-c", script]), 0);
        let mut tree = tree.stdout(Stdio::piped()).spawn().unwrap();
        BufReader::new(tree.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
        for root in [Root::Process(tree.id()), Root::Keeper(tree.id())] {
            let look = || {
                (Sampler::default().sample(&[root])[0].unwrap(), sample_once(&[root])[0].unwrap())
            };
            // The last child processes may still be starting.
            let mut seen = look();
            while seen.0.processes < 2 || seen.0 != seen.1 {
                std::thread::yield_now();
                seen = look();
            }
        }
        let group = rustix::process::Pid::from_child(&tree);
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL).unwrap();
        tree.wait().unwrap();
    }

    #[test]
    fn a_tree_alone_is_what_it_is_among_all_others() {
        let mut child = sleeper();
        let root = Root::Process(std::process::id());
        let (alone, among) =
            (of_tree(root).unwrap(), Sampler::default().sample(&[root])[0].unwrap());
        child.kill().and_then(|()| child.wait()).unwrap();
        assert!(alone.processes >= 2 && among.cpu_ms.abs_diff(alone.cpu_ms) < 1_000);
        assert!(alone.rss_bytes > 100_000);
        assert_eq!(of_tree(Root::Process(u32::MAX)), None);
    }

    #[allow(clippy::disallowed_methods, reason = "a test needs a child")]
    fn sleeper() -> std::process::Child {
        std::process::Command::new("sleep").arg("100").spawn().unwrap()
    }

    #[test]
    fn what_was_read_counts_again_only_for_a_process_that_slept_under_the_same_parent() {
        let seen = |pid, parent, started_at_ticks, has_ended| Seen {
            stat: Stat {
                pid,
                parent,
                group: 1,
                session: 1,
                own_ticks: 0,
                waited_ticks: 0,
                started_at_ticks,
                rss_pages: 0,
                stack_start: 0,
                has_ended,
                is_stopped: false,
            },
            ran_ns: Some(1_000),
            read_at_ms: 0,
        };
        let child = seen(8, 7, 50, false);
        let mut table = Table::default();
        assert!(!table.is_current(&child, Some(1_000), 1), "the parent is gone");
        table.add(seen(7, 1, 49, false));
        assert!(table.is_current(&child, Some(1_000), 1));
        assert!(!table.is_current(&child, Some(1_001), 1), "it ran");
        assert!(!table.is_current(&child, None, 1), "it has no clock");
        assert!(
            !table.is_current(&child, Some(1_000), CURRENT_FOR_MS),
            "its memory may have changed"
        );
        for parent in [seen(7, 1, 49, true), seen(7, 1, 51, false)] {
            let mut table = Table::default();
            table.add(parent);
            assert!(!table.is_current(&child, Some(1_000), 1), "it has another parent by now");
        }
    }
}
