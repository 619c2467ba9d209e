//! What it means that a packet could not be sent or received: one rule for both ends of a socket.

use std::io;

use rustix::io::Errno;

/// How to go on after an error of a packet socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setback {
    /// There is no room, or nothing to read. The socket tells when there is.
    NotReady,
    /// The machine, or the user, is short of something at this moment; nobody tells when that is over. What failed can be
    /// tried again after a pause.
    Passing,
    /// The other end is gone.
    Closed,
    /// This packet, or this call, cannot work. That says nothing about the next one.
    Refused,
}

impl From<Errno> for Setback {
    fn from(errno: Errno) -> Setback {
        match errno {
            Errno::AGAIN => Setback::NotReady,
            // Descriptors on their way are counted for each user: ETOOMANYREFS can be somebody else's doing.
            Errno::INTR | Errno::NOBUFS | Errno::NOMEM | Errno::TOOMANYREFS | Errno::MFILE | Errno::NFILE => {
                Setback::Passing
            }
            Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN | Errno::CONNREFUSED => Setback::Closed,
            _ => Setback::Refused,
        }
    }
}

impl From<&io::Error> for Setback {
    fn from(error: &io::Error) -> Setback {
        Errno::from_io_error(error).map_or(Setback::Refused, Setback::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_end_that_is_gone_counts_as_gone() {
        for errno in [Errno::PIPE, Errno::CONNRESET, Errno::NOTCONN, Errno::CONNREFUSED] {
            assert_eq!(Setback::from(errno), Setback::Closed, "{errno}");
        }
        let passing =
            [Errno::INTR, Errno::NOBUFS, Errno::NOMEM, Errno::TOOMANYREFS, Errno::MFILE, Errno::NFILE];
        for errno in passing {
            assert_eq!(Setback::from(errno), Setback::Passing, "{errno}");
            assert_eq!(Setback::from(&io::Error::from(errno)), Setback::Passing, "{errno}");
        }
        assert_eq!(Setback::from(Errno::AGAIN), Setback::NotReady);
        for error in [io::Error::from(Errno::MSGSIZE), io::ErrorKind::InvalidData.into()] {
            assert_eq!(Setback::from(&error), Setback::Refused, "{error}");
        }
    }
}
