//! The members of a process group, each identified by its pid and start time.

use crate::process::proc_stat;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::path::Path;
use warden::{Disposition, Stat};

/// Identifies a process, also against a later one with the same pid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Member {
    pub pid: Pid,
    pub started_at_ticks: u64,
}

/// A member as one look found it.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    pub member: Member,
    pub stack_start: u64,
    pub disposition: Disposition,
    /// Its parent is not in the group.
    pub is_orphan: bool,
}

/// Stopped members, in the order in which they are continued. Dropping it continues all of them.
#[derive(Default)]
pub struct Stopped(pub VecDeque<Member>);

impl Stopped {
    pub fn add(&mut self, member: Member) {
        member.signal(Signal::STOP);
        self.0.push_back(member);
    }

    pub fn first(&self) -> Option<Member> {
        self.0.front().copied()
    }

    pub fn continue_first(&mut self) {
        if let Some(member) = self.0.pop_front() {
            member.signal(Signal::CONT);
        }
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        while !self.0.is_empty() {
            self.continue_first();
        }
    }
}

impl Member {
    pub fn of(stat: &Stat) -> Option<Member> {
        let pid = Pid::from_raw(stat.pid.cast_signed())?;
        Some(Member { pid, started_at_ticks: stat.started_at_ticks })
    }

    pub fn stat(&self) -> Option<Stat> {
        let stat = proc_stat::of(self.pid.as_raw_pid().cast_unsigned());
        stat.filter(|stat| stat.started_at_ticks == self.started_at_ticks)
    }

    pub fn disposition(&self) -> Option<Disposition> {
        Disposition::read(Path::new("/proc"), self.pid)
    }

    /// Signals the member if it is still the process of its pid after the pidfd was opened. A
    /// member that may not be signalled is left alone.
    pub fn signal(&self, signal: Signal) {
        if let Ok(pidfd) = pidfd_open(self.pid, PidfdFlags::empty())
            && self.stat().is_some()
        {
            let _ = pidfd_send_signal(pidfd, signal);
        }
    }
}

/// The living members of a process group, parents before their children.
pub fn members_of(group: u32) -> io::Result<Vec<Seen>> {
    let stats = proc_stat::of_all()?.filter(|stat| stat.group == group && !stat.has_ended);
    let stats: Vec<Stat> = stats.collect();
    let pids: HashSet<u32> = stats.iter().map(|stat| stat.pid).collect();
    let mut below: HashMap<u32, Vec<Stat>> = HashMap::new();
    let (mut ordered, children): (Vec<Stat>, Vec<Stat>) =
        stats.into_iter().partition(|stat| !pids.contains(&stat.parent));
    children.into_iter().for_each(|stat| below.entry(stat.parent).or_default().push(stat));
    let mut next = 0;
    while let Some(parent) = ordered.get(next) {
        let children = below.remove(&parent.pid);
        ordered.extend(children.into_iter().flatten());
        next += 1;
    }
    let seen = |stat: Stat| {
        let member = Member::of(&stat)?;
        // Read after the `stat` line, so that the disposition of a former program is never taken
        // for that of the next one.
        let disposition = member.disposition()?;
        let is_orphan = !pids.contains(&stat.parent);
        Some(Seen { member, stack_start: stat.stack_start, disposition, is_orphan })
    };
    Ok(ordered.into_iter().filter_map(seen).collect())
}
