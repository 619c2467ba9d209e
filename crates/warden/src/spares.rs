//! Keepers that wait for a launch, each with a process that is inside its groups already. So a
//! start with groups takes less time than one without: it forks nothing.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, getpid, kill_process};

use warden::confinement::Group;
use warden::host::{send_launch, signed_pair};

use crate::group::Groups;
use crate::launch::Outfit;
use crate::launching;
use crate::sys;

/// The most kinds of groups for which a spare is kept. Each is two small processes.
const KINDS_MAX: usize = 4;

/// A keeper that waits. It is a child of the warden, so its pid is not reused.
pub struct Spare {
    /// Its pid.
    pub pid: Pid,
    /// Its link; closed, it ends by itself.
    pub link: Option<OwnedFd>,
    /// Its groups, without settings.
    pub groups: Groups,
}

/// The spares, and the groups for which one is to be made.
#[derive(Default)]
pub struct Spares {
    made: Vec<Spare>,
    /// Groups without settings; the last launch's are the last.
    wanted: Vec<Vec<Group>>,
}

impl Spare {
    /// Forks a keeper, which makes the groups.
    pub fn fork(number: u64, groups: &[Group]) -> Result<Spare, Errno> {
        let bare = groups.iter().map(|group| Group { settings: Vec::new(), ..group.clone() });
        let groups = Groups::new(number, bare.collect());
        let (link, keepers_end) = signed_pair()?;
        let warden = getpid();
        let its = groups.clone();
        let pid = sys::fork_into(|| launching::keep_ahead(warden, keepers_end, its))?;
        Ok(Spare { pid, link: Some(link), groups })
    }

    /// Has the keeper launch. An error means that it is gone, or that the kernel is short of
    /// memory.
    pub fn launch(&self, run: u64, outfit: &Outfit) -> Result<(), Errno> {
        let descriptors: Vec<BorrowedFd> = outfit.descriptors.iter().map(AsFd::as_fd).collect();
        let link = self.link.as_ref().ok_or(Errno::PIPE)?;
        send_launch(link, run, outfit.memory_file.as_fd(), &descriptors)
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
    }
}

impl Spares {
    /// Takes a spare whose groups are below the same parents.
    pub fn take(&mut self, groups: &[Group]) -> Option<Spare> {
        let fits = |spare: &Spare| spare.link.is_some() && spare.groups.are_below(groups);
        let index = self.made.iter().position(fits)?;
        Some(self.made.remove(index))
    }

    /// Notes that launches may need such groups again.
    pub fn want(&mut self, groups: &[Group]) {
        let is_other = |wanted: &Vec<Group>| !Groups::new(0, wanted.clone()).are_below(groups);
        self.wanted.retain(is_other);
        self.wanted.push(groups.to_vec());
    }

    /// Has a spare that was taken end.
    pub fn dismiss(&mut self, mut spare: Spare) {
        dismiss(&mut spare);
        self.made.push(spare);
    }

    /// Whether one is to be made.
    pub fn are_wanted(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// Makes those that are wanted and are not there. `number` names their groups.
    pub fn make_wanted(&mut self, mut number: impl FnMut() -> u64) {
        for groups in std::mem::take(&mut self.wanted) {
            let is_there = |spare: &Spare| spare.link.is_some() && spare.groups.are_below(&groups);
            if !self.made.iter().any(is_there)
                && let Ok(spare) = Spare::fork(number(), &groups)
            {
                self.made.push(spare);
            }
        }
        let surplus = self.open().count().saturating_sub(KINDS_MAX);
        self.made.iter_mut().filter(|spare| spare.link.is_some()).take(surplus).for_each(dismiss);
    }

    fn open(&self) -> impl Iterator<Item = &Spare> {
        self.made.iter().filter(|spare| spare.link.is_some())
    }

    /// Their pids, also of those that are about to end.
    pub fn pids(&self) -> impl Iterator<Item = Pid> {
        self.made.iter().map(|spare| spare.pid)
    }

    /// Forgets a spare that was reaped, and returns its groups.
    pub fn reaped(&mut self, pid: Pid) -> Option<Groups> {
        let index = self.made.iter().position(|spare| spare.pid == pid)?;
        Some(self.made.remove(index).groups)
    }

    /// Has all of them end.
    pub fn end_all(&mut self) {
        self.wanted.clear();
        self.made.iter_mut().for_each(dismiss);
    }
}

/// Has a spare end, also if it was stopped.
fn dismiss(spare: &mut Spare) {
    spare.link = None;
    let _ = kill_process(spare.pid, Signal::CONT);
}
