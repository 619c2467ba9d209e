//! How a keeper comes to its tenant: it forks a process for a launch, or waits for the launch with a
//! process that is inside the tenant's groups already (parked.rs).

use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{
    Pid, Signal, getpid, set_child_subreaper, set_parent_process_death_signal, setpgid, setsid,
};

use warden::confinement::Confinement;
use warden::excerpt::confinement_in;
use warden::protocol::{LaunchStep, Report};

use crate::group::Groups;
use crate::group_files::Failure;
use crate::keeper::{Keeper, Tenancy, send_all};
use crate::launch::{Outfit, become_tenant, explain};
use crate::outbox::Outbox;
use crate::parked::{self, Awaited, Parked};
use crate::priority;
use crate::sys;
use crate::temporary::Temporary;

type LaunchFailure = (LaunchStep, Failure);

/// Runs a tenant without groups from its launch until its whole tree is gone. Returns the keeper's
/// exit status, which says whether the warden has something left to remove.
pub fn keep(run: u64, warden: Pid, link: OwnedFd, outfit: Outfit) -> i32 {
    let kept =
        [&link, &outfit.memory_file].into_iter().chain(&outfit.descriptors).map(AsRawFd::as_raw_fd);
    let kept: Vec<RawFd> = [0, 1, 2].into_iter().chain(kept).collect();
    // A copy of the host's socket, or of another keeper's link, would hide from its reader that it
    // was closed.
    sys::close_all_except(&kept);
    let groups = Groups::default();
    let launched = become_keeper().and_then(|child_signals| {
        let (main, status) = fork_tenant(run, &outfit, &groups)?;
        let (temporary, groups) = (Temporary::of(&confinement_of(&outfit), run), groups.clone());
        Ok(Tenancy { run, warden, child_signals, main, status, groups, temporary })
    });
    serve(run, launched.map_err(at_fork), &groups, outfit, link)
}

/// Makes the groups and a process inside them, and waits for the launch to come. From then on it is
/// as [`keep`], until the groups are gone, too.
pub fn keep_ahead(warden: Pid, link: OwnedFd, groups: Groups) -> i32 {
    sys::close_all_except(&[0, 1, 2, link.as_raw_fd()]);
    let Ok(child_signals) = become_keeper() else { return 0 };
    // If that fails, the launch is told.
    let mut parked = Some(groups.make().and_then(|()| Parked::make(&groups)));
    match parked::wait_for_launch(warden, &link, &child_signals, &mut parked) {
        Awaited::Launch { run, outfit } => {
            let parked = parked.unwrap_or_else(|| Parked::make(&groups));
            let confinement = confinement_of(&outfit);
            let temporary = Temporary::of(&confinement, run);
            let (parked, groups) = match parked {
                // Groups without settings keep no promise, so the tenant does without them.
                Err(_) if confinement.groups.iter().all(|group| group.settings.is_empty()) => {
                    groups.remove_soon();
                    (Parked::make(&Groups::default()), Groups::default())
                }
                parked => (parked, groups.with_settings(confinement.groups)),
            };
            let started = parked.and_then(|parked| start_parked(run, &outfit, &groups, parked));
            let launched = started.map(|(main, status)| {
                let groups = groups.clone();
                Tenancy { run, warden, child_signals, main, status, groups, temporary }
            });
            serve(run, launched.map_err(at_group), &groups, outfit, link)
        }
        Awaited::Dismissed => {
            if let Some(Ok(parked)) = parked {
                parked.end();
            }
            groups.remove_soon();
            groups.remove_parents();
            0
        }
    }
}

/// Keeps the tenant, or reports that its launch has failed when nothing of it is left.
fn serve(
    run: u64,
    launched: Result<Tenancy, LaunchFailure>,
    groups: &Groups,
    outfit: Outfit,
    link: OwnedFd,
) -> i32 {
    let (step, Failure { errno, text }) = match launched {
        Ok(tenancy) => {
            // The reader of the tenant's output sees its end only without these copies.
            drop(outfit);
            return Keeper::of(tenancy).serve(Some(link));
        }
        Err(failure) => failure,
    };
    if step == LaunchStep::EnterGroup {
        explain(&outfit, &text);
    }
    groups.remove_soon();
    let mut outbox = Outbox::default();
    outbox.push(Report::LaunchFailed { run, step, errno: errno.raw_os_error() });
    send_all(outbox, &link);
    0
}

fn at_fork(errno: Errno) -> LaunchFailure {
    (LaunchStep::Fork, Failure { errno, text: String::new() })
}

fn at_group(failure: Failure) -> LaunchFailure {
    (LaunchStep::EnterGroup, failure)
}

/// What the program is held within; nothing if that cannot be read, which the tenant's process
/// reports.
fn confinement_of(outfit: &Outfit) -> Confinement {
    confinement_in(&outfit.memory_file).unwrap_or_default()
}

/// Forks the tenant's process. Returns it, and the pipe on which it reports a failure.
fn fork_tenant(run: u64, outfit: &Outfit, groups: &Groups) -> Result<(Pid, OwnedFd), Errno> {
    let (status, status_writer) = pipe_with(PipeFlags::CLOEXEC)?;
    let keeper = getpid();
    let main = sys::fork_into(|| {
        priority::fall_back();
        become_tenant(run, keeper, outfit, groups, &status_writer)
    })?;
    // Fails if the tenant has executed its program already; then it has done this itself.
    let _ = setpgid(Some(main), Some(main));
    Ok((main, status))
}

/// The same with a process that waits in its groups.
fn start_parked(
    run: u64,
    outfit: &Outfit,
    groups: &Groups,
    parked: Parked,
) -> Result<(Pid, OwnedFd), Failure> {
    if let Err(failure) = groups.set() {
        parked.end();
        return Err(failure);
    }
    let (main, status) = parked.start(run, outfit);
    let _ = setpgid(Some(main), Some(main));
    Ok((main, status))
}

/// Turns this process into a keeper. Returns the descriptor of its child signals.
fn become_keeper() -> Result<OwnedFd, Errno> {
    rustix::thread::set_name(c"abs-keeper")?;
    priority::raise_priority();
    // Each keeper makes a session, so that no process of one tenant can enter a process group of
    // another.
    setsid()?;
    set_child_subreaper(Some(getpid()))?;
    // The keeper may be stopped when the warden is lost; this continues it.
    set_parent_process_death_signal(Some(Signal::CONT))?;
    sys::child_signals()
}
