//! What process trees use: one pass over `/proc` for all of them.
//!
//! The CPU time of a tree is that of its live processes plus what they have waited for (`cutime`, `cstime`). An
//! ancestor must be read before its descendants: then a process that ends meanwhile is missed, which the next pass
//! puts right, and never counted twice, which nothing could put right. `/proc` lists by pid, and parents mostly have
//! the lower one; where they have not, the child is read again.

use rustix::fs::{Dir, Mode, OFlags, open, openat};
use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd};

/// The tree to account for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// A process and everything below it.
    Process(u32),
    /// Everything below a process that is not part of the tenant itself, and what that process has waited for.
    Keeper(u32),
}

/// What a tree has used so far, and uses now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub cpu_ms: u64,
    pub rss_bytes: u64,
    pub processes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    pid: u32,
    parent: u32,
    own_ticks: u64,
    waited_ticks: u64,
    started_at_ticks: u64,
    rss_pages: u64,
}

/// The usage of each tree, in the order asked for; `None` for one whose root does not exist.
pub fn sample(roots: &[Root]) -> Vec<Option<Usage>> {
    let Ok(proc) = open("/proc", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) else {
        return vec![None; roots.len()];
    };
    let table = Table::read(proc.as_fd());
    roots.iter().map(|root| table.usage(*root)).collect()
}

struct Table<'a> {
    proc: BorrowedFd<'a>,
    /// In the order in which they were read.
    stats: Vec<Stat>,
    position_of: HashMap<u32, usize>,
    children_of: HashMap<u32, Vec<usize>>,
}

impl<'a> Table<'a> {
    fn read(proc: BorrowedFd<'a>) -> Table<'a> {
        let mut table =
            Table { proc, stats: Vec::new(), position_of: HashMap::new(), children_of: HashMap::new() };
        let entries = Dir::read_from(proc).into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str().ok()?.parse::<u32>().ok());
        for stat in pids.filter_map(|pid| read_stat(proc, pid)) {
            let position = table.stats.len();
            table.position_of.insert(stat.pid, position);
            table.children_of.entry(stat.parent).or_default().push(position);
            table.stats.push(stat);
        }
        table
    }

    fn usage(&self, root: Root) -> Option<Usage> {
        let (Root::Process(pid) | Root::Keeper(pid)) = root;
        let root_position = *self.position_of.get(&pid)?;
        let root_stat = self.stats[root_position];
        let (mut ticks, mut pages, mut processes) = (root_stat.waited_ticks, 0, 0);
        if let Root::Process(_) = root {
            ticks += root_stat.own_ticks;
            pages += root_stat.rss_pages;
            processes += 1;
        }
        // Each with the latest position among its ancestors.
        let mut to_visit: Vec<(u32, usize)> = vec![(pid, root_position)];
        while let Some((parent, ancestors_read_until)) = to_visit.pop() {
            for position in self.children_of.get(&parent).into_iter().flatten().copied() {
                let stat = self.stats[position];
                if position < ancestors_read_until && !self.still_exists(&stat) {
                    continue;
                }
                ticks += stat.own_ticks + stat.waited_ticks;
                pages += stat.rss_pages;
                processes += 1;
                to_visit.push((stat.pid, position.max(ancestors_read_until)));
            }
        }
        Some(Usage {
            cpu_ms: ticks * 1000 / rustix::param::clock_ticks_per_second(),
            rss_bytes: pages * rustix::param::page_size() as u64,
            processes,
        })
    }

    fn still_exists(&self, stat: &Stat) -> bool {
        let now = read_stat(self.proc, stat.pid);
        now.is_some_and(|now| now.started_at_ticks == stat.started_at_ticks && now.parent == stat.parent)
    }
}

fn read_stat(proc: BorrowedFd, pid: u32) -> Option<Stat> {
    let file = openat(proc, format!("{pid}/stat"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let mut buffer = [0u8; 1024];
    let length = rustix::io::read(&file, &mut buffer).ok()?;
    parse_stat(std::str::from_utf8(&buffer[..length]).ok().or_else(|| after_name(&buffer[..length]))?, pid)
}

/// The name in parentheses may hold any bytes; only what follows it is needed.
fn after_name(stat: &[u8]) -> Option<&str> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    std::str::from_utf8(&stat[end..]).ok()
}

fn parse_stat(text: &str, pid: u32) -> Option<Stat> {
    // Fields are numbered from 1 in proc(5); the one after the name is number 3.
    let mut fields = text[text.rfind(')')? + 1..].split_ascii_whitespace().skip(1);
    let parent = fields.next()?.parse().ok()?;
    let mut number = |skip: usize| fields.nth(skip)?.parse::<u64>().ok();
    let own_ticks = number(9)? + number(0)?;
    let waited_ticks = number(0)? + number(0)?;
    let started_at_ticks = number(4)?;
    let rss_pages = number(1)?;
    Some(Stat { pid, parent, own_ticks, waited_ticks, started_at_ticks, rss_pages })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_is_read_whatever_the_name() {
        let line =
            "7 (a) S (b)) R 5 7 7 0 -1 4194304 1 2 3 4 11 22 33 44 20 0 1 0 987 1000 55 18446744073709551615";
        let stat = parse_stat(line, 7).unwrap();
        let expected =
            Stat { pid: 7, parent: 5, own_ticks: 33, waited_ticks: 77, started_at_ticks: 987, rss_pages: 55 };
        assert_eq!(stat, expected);
    }

    #[test]
    fn this_process_uses_memory_and_the_unknown_is_none() {
        let usages = sample(&[Root::Process(std::process::id()), Root::Process(u32::MAX)]);
        let own = usages[0].unwrap();
        assert!(own.rss_bytes > 100_000 && own.processes >= 1);
        assert_eq!(usages[1], None);
    }
}
