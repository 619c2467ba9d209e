//! Sockets that the process has inherited, and that a number stands for.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

/// A duplicate of the descriptor of this number, which stays open: it may be another program's
/// part to close it.
pub fn duplicate(fd: i32) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: it is borrowed for this one call, which reads or writes nothing through it, and which
    // the kernel refuses with `EBADF` if the number is of no open descriptor. It is not -1.
    unsafe { BorrowedFd::borrow_raw(fd) }.try_clone_to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn a_duplicate_leaves_the_descriptor_open() {
        let file = std::fs::File::open("/dev/null").expect("a file");
        let copy = duplicate(file.as_raw_fd()).expect("a duplicate");
        assert_ne!(copy.as_raw_fd(), file.as_raw_fd());
        drop(copy);
        assert!(file.metadata().is_ok());
        assert!(duplicate(1 << 30).is_err());
        assert!(duplicate(-1).is_err());
    }
}
