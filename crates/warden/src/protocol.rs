//! The packets between the host and the warden: fixed-size, little-endian, one per
//! `SOCK_SEQPACKET` message.
//!
//! Every byte that a packet does not use is zero and is checked, so that two ends that disagree
//! about the layout find out at the first packet.
//!
//! | offset | command      | report                                                        |
//! |--------|--------------|---------------------------------------------------------------|
//! | 0      | tag          | tag                                                           |
//! | 1      | stop stage, mark or depth | launch step, marks, depth, or which of exit code (1) and |
//! |        |              | signal (2) are set and whether the tree ran out of its memory (4) |
//! | 2      | detail of a mark | detail of the last mark                                   |
//! | 3–7    | zero         | zero                                                          |
//! | 8–15   | run or slot  | run or slot                                                   |
//! | 16–19  |              | pid, errno or exit code                                       |
//! | 20–23  |              | keeper's pid or signal                                        |
//! | 24–31  |              | CPU time in microseconds, the number of the control group, or a count |
//! |        |              | of things or bytes |
//!
//! A warden of one host and a surviving one speak the same protocol; what only the latter is told,
//! and tells, says so. Two processes that were not started together, as a surviving warden and its
//! next host, compare [`PROTOCOL`] first (see [`hello`](crate::hello)).

use thiserror::Error;

mod depth;
mod launch_step;
mod marks;
mod report;

pub use depth::Depth;
pub use launch_step::LaunchStep;
pub use marks::{Mark, Marks};
pub use report::Report;

/// The version of all that two ends say to each other after the
/// [`Hello`](crate::hello::Hello), and of what they pass in memory files. Within a minor version of
/// the package it stays the same.
pub const PROTOCOL: u16 = 2;

/// The size of every [`Command`] on the wire.
pub const COMMAND_BYTES: usize = 16;

/// The size of every [`Report`] on the wire.
pub const REPORT_BYTES: usize = 32;

/// The most descriptors that travel with [`Command::Launch`]: first the memory file that holds the
/// [`LaunchSpec`], then those that its part `descriptors` lists.
///
/// [`LaunchSpec`]: crate::spec::LaunchSpec
pub const LAUNCH_FDS_MAX: usize = 8;

const TAG_LAUNCH: u8 = 1;
const TAG_STOP: u8 = 2;
const TAG_CONTINUE: u8 = 3;
const TAG_KEEP: u8 = 4;
const TAG_MARK: u8 = 5;
const TAG_KEEP_LISTENER: u8 = 6;
const TAG_DROP_LISTENER: u8 = 7;
const TAG_DETACH: u8 = 8;
const TAG_TAKEN: u8 = 9;
const TAG_LEAVE: u8 = 10;
const TAG_SLEEP: u8 = 11;
const TAG_WAKE: u8 = 12;

/// What the host asks of the warden.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Start a tenant; travels with at most [`LAUNCH_FDS_MAX`] descriptors. Answered by exactly
    /// one [`Report::LaunchFailed`], or by one [`Report::Started`] and, later, exactly one
    /// [`Report::Ended`].
    Launch {
        /// The host's number for this start, never used twice.
        run: u64,
    },
    /// End a tenant. Ignored for a run that is unknown or has ended.
    Stop {
        /// Which start.
        run: u64,
        /// How.
        stage: StopStage,
    },
    /// Continue the keepers, in case they were stopped.
    Continue,
    /// Let the tree fall asleep, or sleep deeper. Answered by one [`Report::Slept`] or
    /// [`Report::SleepFailed`], unless the tree ends or is asked to. Ignored for a run that is
    /// unknown or has ended.
    Sleep {
        /// Which start.
        run: u64,
        /// How deep.
        depth: Depth,
    },
    /// Wake the tree. Answered by one [`Report::Awake`], also if it is awake, unless it ends or is
    /// asked to. A [`Command::Sleep`] that is not answered yet has failed, which is told first. A
    /// [`Command::Stop`] needs no wake before it.
    Wake {
        /// Which start.
        run: u64,
    },
    /// Keep these descriptors for the run that the next [`Command::Launch`] starts: its record (a
    /// memory file of the host's, which the warden does not read), the read ends of its standard
    /// output and error, and the socket that holds its port. To a surviving warden only, as all
    /// that follow; it starts nothing without this.
    Keep {
        /// Which start.
        run: u64,
    },
    /// Note how far a run has come, for the next host and for what becomes of the run without one.
    Mark {
        /// Which start.
        run: u64,
        /// How far.
        mark: Mark,
        /// A number of the host's, given back with [`Report::Found`].
        detail: u8,
    },
    /// Keep a listening socket, which travels with this. One that was kept in the slot is dropped.
    KeepListener {
        /// A number of the host's, given back with [`Report::FoundListener`].
        slot: u64,
    },
    /// Drop it.
    DropListener {
        /// Which one.
        slot: u64,
    },
    /// The host leaves, and its tenants stay. From now on it is a guest: nothing that it sends
    /// counts, but the next host is told when its connection closes.
    Detach,
    /// The end of a run was told to the host's user, so the warden forgets the run.
    Taken {
        /// Which start.
        run: u64,
    },
    /// The host is done: end what is left, as when the host of an ordinary warden goes, and leave.
    Leave,
}

/// How a tenant is stopped; the later stage is the stronger one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopStage {
    /// `SIGTERM` to the main process and, when it is gone, to the processes that it leaves, once
    /// to each; the tree has unlimited time.
    Terminate,
    /// `SIGKILL` until no process of the tree is left.
    Kill,
}

/// A packet that neither side would send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ProtocolError {
    /// The packet is too short or too long.
    #[error(
        "packet of {actual} bytes where {expected} are expected: the two ends differ in version"
    )]
    Length {
        /// The size of this kind of packet.
        expected: usize,
        /// The size received.
        actual: usize,
    },
    /// A field holds a value without a meaning.
    #[error("{field} has the unknown value {value}: the two ends differ in version")]
    Unknown {
        /// The field.
        field: &'static str,
        /// What it holds.
        value: u8,
    },
    /// A byte that the packet does not use is set.
    #[error(
        "byte {offset} of the packet is in use where it should be zero: the two ends differ in version"
    )]
    Reserved {
        /// Where the byte is.
        offset: usize,
    },
}

impl Command {
    /// The run this command is about, or the slot; 0 for all.
    pub fn run(&self) -> u64 {
        match *self {
            Command::Launch { run }
            | Command::Stop { run, .. }
            | Command::Keep { run }
            | Command::Mark { run, .. }
            | Command::Sleep { run, .. }
            | Command::Wake { run }
            | Command::Taken { run } => run,
            Command::KeepListener { slot } | Command::DropListener { slot } => slot,
            Command::Continue | Command::Detach | Command::Leave => 0,
        }
    }

    /// The packet that says this.
    pub fn encode(&self) -> [u8; COMMAND_BYTES] {
        let mut packet = [0; COMMAND_BYTES];
        match *self {
            Command::Launch { .. } => packet[0] = TAG_LAUNCH,
            Command::Stop { stage, .. } => {
                packet[0] = TAG_STOP;
                packet[1] = stage.to_byte();
            }
            Command::Continue => packet[0] = TAG_CONTINUE,
            Command::Sleep { depth, .. } => (packet[0], packet[1]) = (TAG_SLEEP, depth.to_byte()),
            Command::Wake { .. } => packet[0] = TAG_WAKE,
            Command::Keep { .. } => packet[0] = TAG_KEEP,
            Command::Mark { mark, detail, .. } => {
                (packet[0], packet[1], packet[2]) = (TAG_MARK, mark.to_byte(), detail);
            }
            Command::KeepListener { .. } => packet[0] = TAG_KEEP_LISTENER,
            Command::DropListener { .. } => packet[0] = TAG_DROP_LISTENER,
            Command::Detach => packet[0] = TAG_DETACH,
            Command::Taken { .. } => packet[0] = TAG_TAKEN,
            Command::Leave => packet[0] = TAG_LEAVE,
        }
        put(&mut packet, 8, self.run().to_le_bytes());
        packet
    }

    /// What a packet says.
    pub fn decode(packet: &[u8]) -> Result<Command, ProtocolError> {
        let packet: &[u8; COMMAND_BYTES] = exactly(packet)?;
        require_zero(packet, 3..8)?;
        let number = u64::from_le_bytes(take(packet, 8));
        let detail = packet[2];
        if packet[0] == TAG_MARK {
            let mark = Mark::from_byte(packet[1])?;
            return Ok(Command::Mark { run: number, mark, detail });
        }
        require_zero(packet, 2..3)?;
        if packet[0] == TAG_STOP {
            return Ok(Command::Stop { run: number, stage: StopStage::from_byte(packet[1])? });
        }
        if packet[0] == TAG_SLEEP {
            return Ok(Command::Sleep { run: number, depth: Depth::from_byte(packet[1])? });
        }
        require_zero(packet, 1..2)?;
        let of_all = |command| require_zero(packet, 8..COMMAND_BYTES).map(|()| command);
        match packet[0] {
            TAG_LAUNCH => Ok(Command::Launch { run: number }),
            TAG_CONTINUE => of_all(Command::Continue),
            TAG_WAKE => Ok(Command::Wake { run: number }),
            TAG_KEEP => Ok(Command::Keep { run: number }),
            TAG_KEEP_LISTENER => Ok(Command::KeepListener { slot: number }),
            TAG_DROP_LISTENER => Ok(Command::DropListener { slot: number }),
            TAG_DETACH => of_all(Command::Detach),
            TAG_TAKEN => Ok(Command::Taken { run: number }),
            TAG_LEAVE => of_all(Command::Leave),
            value => Err(ProtocolError::Unknown { field: "the command's tag", value }),
        }
    }
}

impl StopStage {
    fn to_byte(self) -> u8 {
        match self {
            StopStage::Terminate => 1,
            StopStage::Kill => 2,
        }
    }

    fn from_byte(value: u8) -> Result<Self, ProtocolError> {
        match value {
            1 => Ok(StopStage::Terminate),
            2 => Ok(StopStage::Kill),
            _ => Err(ProtocolError::Unknown { field: "the stop's stage", value }),
        }
    }
}

fn exactly<const N: usize>(packet: &[u8]) -> Result<&[u8; N], ProtocolError> {
    packet.try_into().map_err(|_| ProtocolError::Length { expected: N, actual: packet.len() })
}

fn require_zero(packet: &[u8], range: std::ops::Range<usize>) -> Result<(), ProtocolError> {
    match range.clone().find(|&offset| packet[offset] != 0) {
        Some(offset) => Err(ProtocolError::Reserved { offset }),
        None => Ok(()),
    }
}

pub(crate) fn put<const N: usize>(packet: &mut [u8], offset: usize, bytes: [u8; N]) {
    packet[offset..offset + N].copy_from_slice(&bytes);
}

pub(crate) fn take<const N: usize>(packet: &[u8], offset: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&packet[offset..offset + N]);
    bytes
}
