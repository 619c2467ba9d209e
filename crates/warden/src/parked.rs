//! A tenant's process that is inside its groups before there is a launch for it: it waits for its
//! outfit. To move a process into a group of the first version takes too long for a start, and to
//! fork one into a group of the second version some time, too.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{
    Pid, Signal, getpid, getppid, kill_process, set_parent_process_death_signal,
};

use warden::host::{send_launch, signed_pair};
use warden::protocol::Command;

use crate::group::Groups;
use crate::group_files::Failure;
use crate::launch::{Outfit, become_tenant};
use crate::link::{self, Received};
use crate::priority;
use crate::sys::{self, Reaped};

/// The exit status of a process that gets no outfit. It is not evaluated.
const UNUSED_STATUS: i32 = 0;

/// The parked process, a child of the keeper that made it.
pub struct Parked {
    main: Pid,
    /// Carries the outfit to the process.
    socket: OwnedFd,
    /// The process writes to this pipe why it fails to execute its program.
    status: OwnedFd,
}

/// What became of the wait for a launch.
pub enum Awaited {
    /// The launch.
    Launch {
        /// Which start.
        run: u64,
        /// Its descriptors.
        outfit: Outfit,
    },
    /// The warden needs no spare, or is gone.
    Dismissed,
}

impl Parked {
    /// Makes the process, and moves it into the groups, which have been made.
    pub fn make(groups: &Groups) -> Result<Parked, Failure> {
        let for_process =
            |errno: Errno| Failure { errno, text: format!("could not park: {errno}") };
        let (status, status_writer) = pipe_with(PipeFlags::CLOEXEC).map_err(for_process)?;
        let (socket, childs_end) = signed_pair().map_err(for_process)?;
        let keeper = getpid();
        let main =
            groups.fork_into(|| wait_for_outfit(keeper, &childs_end, groups, &status_writer))?;
        let parked = Parked { main, socket, status };
        match groups.enter(main) {
            Ok(()) => Ok(parked),
            Err(failure) => {
                parked.end();
                Err(failure)
            }
        }
    }

    /// Gives the process its outfit. Returns its pid and the pipe on which it reports a failure.
    /// One that was killed meanwhile shows as a tenant that was killed.
    pub fn start(self, run: u64, outfit: &Outfit) -> (Pid, OwnedFd) {
        let descriptors: Vec<BorrowedFd> = outfit.descriptors.iter().map(AsFd::as_fd).collect();
        let _ = send_launch(&self.socket, run, outfit.memory_file.as_fd(), &descriptors);
        (self.main, self.status)
    }

    /// Ends the process, and waits until it is gone.
    pub fn end(self) {
        let _ = kill_process(self.main, Signal::KILL);
        sys::wait_for(self.main);
    }
}

/// Waits for the warden's order to launch. `parked` is what came of the process that waits with this
/// one; it becomes `None` if that is killed.
pub fn wait_for_launch(
    warden: Pid,
    link: &OwnedFd,
    child_signals: &OwnedFd,
    parked: &mut Option<Result<Parked, Failure>>,
) -> Awaited {
    let mut forget_if_ended = || {
        let ended = if let Reaped::Child { pid, .. } = sys::reap() { Some(pid) } else { None };
        parked.take_if(|parked| parked.as_ref().is_ok_and(|it| Some(it.main) == ended));
    };
    loop {
        match link::receive(link, warden) {
            Received::Packet { bytes, mut fds, .. } => {
                if let Ok(Command::Launch { run }) = Command::decode(&bytes)
                    && !fds.is_empty()
                {
                    priority::give_way();
                    let outfit = Outfit { memory_file: fds.remove(0), descriptors: fds };
                    forget_if_ended();
                    return Awaited::Launch { run, outfit };
                }
                continue;
            }
            Received::Forged => continue,
            Received::Closed => return Awaited::Dismissed,
            Received::Nothing => {}
        }
        let interest = [child_signals, link].map(|fd| PollFd::new(fd, PollFlags::IN));
        link::wait(&mut { interest }, None);
        link::drain(child_signals);
        priority::give_way();
        forget_if_ended();
    }
}

/// What the parked process does. It ends with its keeper.
fn wait_for_outfit(keeper: Pid, socket: &OwnedFd, groups: &Groups, status: &OwnedFd) -> i32 {
    sys::close_all_except(&[0, 1, 2, socket.as_raw_fd(), status.as_raw_fd()]);
    priority::fall_back();
    let _ = rustix::thread::set_name(c"abs-parked");
    if set_parent_process_death_signal(Some(Signal::KILL)).is_err() || getppid() != Some(keeper) {
        return UNUSED_STATUS;
    }
    loop {
        match link::receive(socket, keeper) {
            Received::Packet { bytes, mut fds, .. } => {
                let Ok(Command::Launch { run }) = Command::decode(&bytes) else { continue };
                if fds.is_empty() {
                    return UNUSED_STATUS;
                }
                let outfit = Outfit { memory_file: fds.remove(0), descriptors: fds };
                return become_tenant(run, keeper, &outfit, groups, status);
            }
            Received::Forged => {}
            Received::Closed => return UNUSED_STATUS,
            Received::Nothing => {
                let _ = poll(&mut [PollFd::new(socket, PollFlags::IN)], None);
            }
        }
    }
}
