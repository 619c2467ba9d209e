//! Classifies the errors of sending and receiving a packet: one rule for both ends of a socket.

use std::io;

use rustix::io::Errno;

/// What an error of a packet socket means for the next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketFailure {
    /// There is no room, or nothing to read. A poll of the socket tells when to try again.
    NotReady,
    /// The machine or the user is short of a resource, and no event tells when that is over. To be
    /// tried again after a pause.
    Passing,
    /// The other end is gone.
    Closed,
    /// This packet or call can never work; the next one may.
    Refused,
}

impl From<Errno> for SocketFailure {
    fn from(errno: Errno) -> SocketFailure {
        match errno {
            Errno::AGAIN => SocketFailure::NotReady,
            // ETOOMANYREFS can be caused by other processes: descriptors in flight are counted for
            // each user.
            Errno::INTR
            | Errno::NOBUFS
            | Errno::NOMEM
            | Errno::TOOMANYREFS
            | Errno::MFILE
            | Errno::NFILE => SocketFailure::Passing,
            Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN | Errno::CONNREFUSED => {
                SocketFailure::Closed
            }
            _ => SocketFailure::Refused,
        }
    }
}

impl From<&io::Error> for SocketFailure {
    fn from(error: &io::Error) -> SocketFailure {
        Errno::from_io_error(error).map_or(SocketFailure::Refused, SocketFailure::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_end_that_is_gone_counts_as_gone() {
        for errno in [Errno::PIPE, Errno::CONNRESET, Errno::NOTCONN, Errno::CONNREFUSED] {
            assert_eq!(SocketFailure::from(errno), SocketFailure::Closed, "{errno}");
        }
        let passing = [
            Errno::INTR,
            Errno::NOBUFS,
            Errno::NOMEM,
            Errno::TOOMANYREFS,
            Errno::MFILE,
            Errno::NFILE,
        ];
        for errno in passing {
            assert_eq!(SocketFailure::from(errno), SocketFailure::Passing, "{errno}");
            assert_eq!(
                SocketFailure::from(&io::Error::from(errno)),
                SocketFailure::Passing,
                "{errno}"
            );
        }
        assert_eq!(SocketFailure::from(Errno::AGAIN), SocketFailure::NotReady);
        for error in [io::Error::from(Errno::MSGSIZE), io::ErrorKind::InvalidData.into()] {
            assert_eq!(SocketFailure::from(&error), SocketFailure::Refused, "{error}");
        }
    }
}
