//! How far a run has come, as its host has told a surviving warden.

use super::{Depth, ProtocolError};

const READY: u8 = 1;
const RETIRED: u8 = 2;
const STOPPING: u8 = 4;
const FROZEN: u8 = 8;
const PAGED_OUT: u8 = 16;

/// One step of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It serves. Takes [`Stopping`](Mark::Stopping) back.
    Ready,
    /// Another release of its key serves. Takes [`Stopping`](Mark::Stopping) back.
    Retired,
    /// It is to end.
    Stopping,
}

impl Mark {
    pub(super) fn to_byte(self) -> u8 {
        match self {
            Mark::Ready => READY,
            Mark::Retired => RETIRED,
            Mark::Stopping => STOPPING,
        }
    }

    pub(super) fn from_byte(value: u8) -> Result<Mark, ProtocolError> {
        match value {
            READY => Ok(Mark::Ready),
            RETIRED => Ok(Mark::Retired),
            STOPPING => Ok(Mark::Stopping),
            _ => Err(ProtocolError::Unknown { field: "the mark", value }),
        }
    }
}

/// All marks of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// It has been ready.
    pub ready: bool,
    /// It is retired.
    pub retired: bool,
    /// It is to end.
    pub stopping: bool,
    /// How deep it sleeps, which the warden knows by itself.
    pub asleep: Option<Depth>,
    /// What came with the last mark.
    pub detail: u8,
}

impl Marks {
    /// Adds a mark.
    pub fn add(&mut self, mark: Mark, detail: u8) {
        self.detail = detail;
        match mark {
            Mark::Ready => (self.ready, self.stopping) = (true, false),
            Mark::Retired => (self.retired, self.stopping) = (true, false),
            Mark::Stopping => self.stopping = true,
        }
    }

    pub(super) fn to_byte(self) -> u8 {
        let bit = |is_set, bit| if is_set { bit } else { 0 };
        let asleep = match self.asleep {
            None => 0,
            Some(Depth::Frozen) => FROZEN,
            Some(Depth::PagedOut) => PAGED_OUT,
        };
        bit(self.ready, READY) | bit(self.retired, RETIRED) | bit(self.stopping, STOPPING) | asleep
    }

    pub(super) fn from_bytes(set: u8, detail: u8) -> Result<Marks, ProtocolError> {
        let unknown = ProtocolError::Unknown { field: "the set of marks", value: set };
        let asleep = match set & !(READY | RETIRED | STOPPING) {
            0 => None,
            FROZEN => Some(Depth::Frozen),
            PAGED_OUT => Some(Depth::PagedOut),
            _ => return Err(unknown),
        };
        let has = |bit| set & bit != 0;
        let (ready, retired, stopping) = (has(READY), has(RETIRED), has(STOPPING));
        Ok(Marks { ready, retired, stopping, asleep, detail })
    }
}
