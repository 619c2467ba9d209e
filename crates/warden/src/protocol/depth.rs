//! How deep a tree sleeps.

use super::ProtocolError;

/// How deep a tree sleeps; the later one is the deeper one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// No process of it runs.
    Frozen,
    /// Its memory was handed to swap as well.
    PagedOut,
}

impl Depth {
    pub(super) fn to_byte(self) -> u8 {
        match self {
            Depth::Frozen => 1,
            Depth::PagedOut => 2,
        }
    }

    pub(super) fn from_byte(value: u8) -> Result<Depth, ProtocolError> {
        match value {
            1 => Ok(Depth::Frozen),
            2 => Ok(Depth::PagedOut),
            _ => Err(ProtocolError::Unknown { field: "the depth of a sleep", value }),
        }
    }
}
