//! What a warden has made for its tenants, for when it is lost: their control groups, with all
//! that runs in them, and their private temporary directories. All bear its pid in their names.
//!
//! The keepers of a lost warden remove these; what is here is for keepers that were lost, too.

use super::predecessors::{directories_in, end};
use crate::threads::clock;
use crate::threads::off_thread::OffThread;
use rustix::fs::{FlockOperation, Mode, OFlags, flock, open, rmdir};
use rustix::process::Pid;
use std::collections::BTreeSet;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;
use warden::Confinement;
use warden::confinement::Group;
use warden::names;
use warden::remove_tree::remove_tree;

/// For how long what is left is killed and removed, before the rest is left to the next host.
const GIVE_UP_AFTER: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(5);

/// The directories in which wardens have made something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traces {
    /// The parents of the control groups.
    groups: BTreeSet<String>,
    /// Those of the temporary directories.
    temporary: BTreeSet<CString>,
}

impl Traces {
    /// Notes where a launch leaves something.
    pub fn add(&mut self, confinement: &Confinement) {
        self.add_made(&confinement.groups, confinement.temporary.as_ref());
    }

    /// Notes where an earlier launch has left something.
    pub fn add_made(&mut self, groups: &[Group], temporary: Option<&CString>) {
        for group in groups {
            let parent = group.parent.to_string_lossy();
            if !self.groups.contains(&*parent) {
                self.groups.insert(parent.into_owned());
            }
        }
        if let Some(parent) = temporary
            && !self.temporary.contains(parent)
        {
            self.temporary.insert(parent.clone());
        }
    }

    /// Notes what is noted there.
    pub fn extend(&mut self, other: Traces) {
        self.groups.extend(other.groups);
        self.temporary.extend(other.temporary);
    }

    /// Ends and removes what this warden, which is gone, has left. Its pid is not reused before it
    /// is reaped, so that must come later.
    pub async fn clear(&self, warden: Pid, off_thread: &OffThread) {
        let warden = warden.as_raw_pid().cast_unsigned();
        let since = clock::start();
        // Off the engine's thread, since a tenant may have made many groups and files.
        loop {
            let traces = self.clone();
            match off_thread.run(move || traces.end_groups(warden)).await {
                Ok(true) => break,
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "a lost warden's groups cannot be ended"),
            }
            if since.elapsed() >= GIVE_UP_AFTER {
                tracing::error!("control groups of a lost warden could not be removed");
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        let traces = self.clone();
        let is_late = move || since.elapsed() >= GIVE_UP_AFTER;
        let removed = off_thread.run(move || traces.remove_temporary(warden, is_late)).await;
        if let Err(error) = removed.and_then(|removed| removed) {
            tracing::warn!(%error, "temporary directories of a lost warden are left");
        }
    }

    /// Kills what is in the warden's groups, and removes those in which nothing is. Returns whether
    /// none is left.
    fn end_groups(&self, warden: u32) -> bool {
        let left = || {
            self.groups.iter().flat_map(|parent| {
                let names = directories_in(parent).into_iter();
                let its = names.filter(|name| names::warden_of_group(name) == Some(warden));
                its.map(move |name| format!("{parent}/{name}"))
            })
        };
        left().for_each(|group| end(&group));
        left().next().is_none()
    }

    fn remove_temporary(&self, warden: u32, is_late: impl Fn() -> bool) -> io::Result<()> {
        let prefix = names::temporary_prefix(warden);
        for parent in &self.temporary {
            let Ok(directory) = opened(parent) else { continue };
            for name in directories_in(&parent.to_string_lossy()) {
                if name.starts_with(&prefix) {
                    remove_tree(directory.as_fd(), &CString::new(name)?, &is_late)?;
                }
            }
        }
        Ok(())
    }

    /// Removes the directories themselves, where nothing is in them, and no other warden of this
    /// host has use for them. Returns whether one of groups was there: no warden has cleared up.
    pub fn remove_parents(&self) -> bool {
        let is_removed = |parent: &&String| rmdir(parent.as_str()).is_ok();
        let removed = self.groups.iter().filter(is_removed).count();
        for parent in &self.temporary {
            let is_unused = |directory: &OwnedFd| {
                flock(directory, FlockOperation::NonBlockingLockExclusive).is_ok()
            };
            if opened(parent).as_ref().is_ok_and(is_unused) {
                let _ = rmdir(parent);
            }
        }
        removed > 0
    }
}

fn opened(directory: &CString) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    open(directory, flags, Mode::empty())
}
