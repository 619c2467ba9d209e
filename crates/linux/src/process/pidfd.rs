//! Operations on pidfds for which there is no safe wrapper.

use rustix::io::Errno;
use rustix::process::Signal;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// `PIDFD_SIGNAL_PROCESS_GROUP`, of Linux 6.9.
const TO_GROUP: libc::c_uint = 4;
/// Sends no signal, and only checks whether one could be sent.
const NO_SIGNAL: libc::c_int = 0;

/// Signals the process group of a process. Errors: `EINVAL` before Linux 6.9.
pub fn send_to_group(pidfd: &OwnedFd, signal: Signal) -> io::Result<()> {
    send(pidfd, signal.as_raw(), TO_GROUP)
}

/// Whether the process group of a process has members, zombies included. `None` before Linux 6.9.
pub fn group_is_there(pidfd: &OwnedFd) -> Option<bool> {
    match send(pidfd, NO_SIGNAL, TO_GROUP).map_err(|error| error.raw_os_error()) {
        Err(Some(libc::EINVAL)) => None,
        sent => Some(sent != Err(Some(libc::ESRCH))),
    }
}

/// Fails with the error that a signal to the process would fail with.
pub fn may_signal(pidfd: &OwnedFd) -> io::Result<()> {
    send(pidfd, NO_SIGNAL, 0)
}

fn send(pidfd: &OwnedFd, signal: libc::c_int, flags: libc::c_uint) -> io::Result<()> {
    // SAFETY: the descriptor is open, there is no `siginfo` to read, and the kernel checks the
    // rest.
    let sent = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            flags,
        )
    };
    if sent == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The wait status of a child that was reaped; `None` if it has not been. Fails before Linux 6.15.
pub fn status_of_reaped(pidfd: &OwnedFd) -> Result<Option<libc::c_int>, Errno> {
    // SAFETY: all zeroes are a value of this struct of numbers.
    let mut info: libc::pidfd_info = unsafe { std::mem::zeroed() };
    info.mask = libc::PIDFD_INFO_EXIT.into();
    // SAFETY: the descriptor is open, and the kernel writes no more than the size that is part of
    // the request's number.
    let asked = unsafe { libc::ioctl(pidfd.as_raw_fd(), libc::PIDFD_GET_INFO as _, &mut info) };
    if asked != 0 {
        return Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO));
    }
    Ok((info.mask & u64::from(libc::PIDFD_INFO_EXIT) != 0).then_some(info.exit_code))
}
