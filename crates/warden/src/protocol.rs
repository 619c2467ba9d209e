//! The packets between the host and the warden: fixed-size, little-endian, one per
//! `SOCK_SEQPACKET` message.
//!
//! Every byte that a packet does not use is zero and is checked, so that two ends that disagree
//! about the layout find out at the first packet.
//!
//! | offset | command      | report                                                        |
//! |--------|--------------|---------------------------------------------------------------|
//! | 0      | tag          | tag                                                           |
//! | 1      | stop stage   | launch step, or which of exit code (1) and signal (2) are set and |
//! |        |              | whether the tree ran out of its memory (4)                    |
//! | 2–7    | zero         | zero                                                          |
//! | 8–15   | run          | run                                                           |
//! | 16–19  |              | pid, errno or exit code                                       |
//! | 20–23  |              | keeper's pid or signal                                        |
//! | 24–31  |              | CPU time in microseconds, or the number of the control group  |

use thiserror::Error;

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
const TAG_STARTED: u8 = 1;
const TAG_LAUNCH_FAILED: u8 = 2;
const TAG_ENDED: u8 = 3;

const HAS_EXIT_CODE: u8 = 1;
const HAS_SIGNAL: u8 = 2;
const OUT_OF_MEMORY: u8 = 4;

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

/// What the warden tells the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// The tenant's program runs: its `execve` has succeeded.
    Started {
        /// Which start.
        run: u64,
        /// The tenant's main process, which also leads its process group.
        pid: u32,
        /// The keeper, which adopts every orphan of the tenant: the tree is exactly its
        /// descendants.
        keeper_pid: u32,
        /// The name of the tenant's control group below each parent; 0 if it has none.
        group: u64,
    },
    /// The tenant's program never ran, and no process of it exists.
    LaunchFailed {
        /// Which start.
        run: u64,
        /// What failed.
        step: LaunchStep,
        /// Why, as the operating system's error number.
        errno: i32,
    },
    /// The whole tree is gone and reaped.
    Ended {
        /// Which start.
        run: u64,
        /// The main process's exit code, if it exited.
        exit_code: Option<i32>,
        /// The signal that ended the main process, if one did.
        signal: Option<i32>,
        /// User and system time of all processes of the tree.
        cpu_us: u64,
        /// The tree was killed because it needed more memory than its control group may have.
        out_of_memory: bool,
    },
}

/// The step at which a launch failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaunchStep {
    /// The [`LaunchSpec`](crate::spec::LaunchSpec) could not be read, or its descriptors did not
    /// arrive.
    ReadSpec,
    /// No process could be made for the tenant, or it was lost before the program ran.
    Fork,
    /// The working directory could not be entered.
    ChangeDirectory,
    /// The program could not be executed.
    Execute,
    /// The host has become another user since it started the warden.
    CheckUser,
    /// The directory needs a start script and has none. The reason is written to the tenant's
    /// standard error, as text.
    CheckStartScript,
    /// The tenant's control group could not be made or entered.
    EnterGroup,
    /// A limit could not be set.
    SetLimit,
    /// The private temporary directory could not be made.
    MakeTemporary,
    /// The program could not become its user, or the directory belongs to another one. The reason
    /// may be on the tenant's standard error, as text.
    BecomeUser,
    /// The walls could not be put up. The reason may be on the tenant's standard error, as text.
    PutUpWalls,
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
    /// The run this command is about; 0 for all.
    pub fn run(&self) -> u64 {
        match *self {
            Command::Launch { run } | Command::Stop { run, .. } => run,
            Command::Continue => 0,
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
        }
        put(&mut packet, 8, self.run().to_le_bytes());
        packet
    }

    /// What a packet says.
    pub fn decode(packet: &[u8]) -> Result<Command, ProtocolError> {
        let packet: &[u8; COMMAND_BYTES] = exactly(packet)?;
        require_zero(packet, 2..8)?;
        let run = u64::from_le_bytes(take(packet, 8));
        match packet[0] {
            TAG_LAUNCH => require_zero(packet, 1..2).map(|()| Command::Launch { run }),
            TAG_CONTINUE => {
                require_zero(packet, 1..2)?;
                require_zero(packet, 8..COMMAND_BYTES).map(|()| Command::Continue)
            }
            TAG_STOP => Ok(Command::Stop { run, stage: StopStage::from_byte(packet[1])? }),
            value => Err(ProtocolError::Unknown { field: "the command's tag", value }),
        }
    }
}

impl Report {
    /// The run this report is about.
    pub fn run(&self) -> u64 {
        match *self {
            Report::Started { run, .. }
            | Report::LaunchFailed { run, .. }
            | Report::Ended { run, .. } => run,
        }
    }

    /// The packet that says this.
    pub fn encode(&self) -> [u8; REPORT_BYTES] {
        let mut packet = [0; REPORT_BYTES];
        put(&mut packet, 8, self.run().to_le_bytes());
        match *self {
            Report::Started { pid, keeper_pid, group, .. } => {
                packet[0] = TAG_STARTED;
                put(&mut packet, 16, pid.to_le_bytes());
                put(&mut packet, 20, keeper_pid.to_le_bytes());
                put(&mut packet, 24, group.to_le_bytes());
            }
            Report::LaunchFailed { step, errno, .. } => {
                packet[0] = TAG_LAUNCH_FAILED;
                packet[1] = step.to_byte();
                put(&mut packet, 16, errno.to_le_bytes());
            }
            Report::Ended { exit_code, signal, cpu_us, out_of_memory, .. } => {
                packet[0] = TAG_ENDED;
                packet[1] = flag(exit_code.is_some(), HAS_EXIT_CODE)
                    | flag(signal.is_some(), HAS_SIGNAL)
                    | flag(out_of_memory, OUT_OF_MEMORY);
                put(&mut packet, 16, exit_code.unwrap_or(0).to_le_bytes());
                put(&mut packet, 20, signal.unwrap_or(0).to_le_bytes());
                put(&mut packet, 24, cpu_us.to_le_bytes());
            }
        }
        packet
    }

    /// What a packet says.
    pub fn decode(packet: &[u8]) -> Result<Report, ProtocolError> {
        let packet: &[u8; REPORT_BYTES] = exactly(packet)?;
        require_zero(packet, 2..8)?;
        let run = u64::from_le_bytes(take(packet, 8));
        match packet[0] {
            TAG_STARTED => {
                require_zero(packet, 1..2)?;
                let pid = u32::from_le_bytes(take(packet, 16));
                let keeper_pid = u32::from_le_bytes(take(packet, 20));
                let group = u64::from_le_bytes(take(packet, 24));
                Ok(Report::Started { run, pid, keeper_pid, group })
            }
            TAG_LAUNCH_FAILED => {
                require_zero(packet, 20..REPORT_BYTES)?;
                let step = LaunchStep::from_byte(packet[1])?;
                Ok(Report::LaunchFailed { run, step, errno: i32::from_le_bytes(take(packet, 16)) })
            }
            TAG_ENDED => decode_ended(run, packet),
            value => Err(ProtocolError::Unknown { field: "the report's tag", value }),
        }
    }
}

fn decode_ended(run: u64, packet: &[u8; REPORT_BYTES]) -> Result<Report, ProtocolError> {
    let set = packet[1];
    if set & !(HAS_EXIT_CODE | HAS_SIGNAL | OUT_OF_MEMORY) != 0 {
        return Err(ProtocolError::Unknown { field: "the set of results", value: set });
    }
    Ok(Report::Ended {
        run,
        exit_code: optional(packet, set & HAS_EXIT_CODE != 0, 16)?,
        signal: optional(packet, set & HAS_SIGNAL != 0, 20)?,
        cpu_us: u64::from_le_bytes(take(packet, 24)),
        out_of_memory: set & OUT_OF_MEMORY != 0,
    })
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

impl LaunchStep {
    /// Every step.
    pub const ALL: [LaunchStep; 11] = {
        use LaunchStep::*;
        [
            ReadSpec,
            Fork,
            ChangeDirectory,
            Execute,
            CheckUser,
            CheckStartScript,
            EnterGroup,
            SetLimit,
            MakeTemporary,
            BecomeUser,
            PutUpWalls,
        ]
    };

    fn to_byte(self) -> u8 {
        match self {
            LaunchStep::ReadSpec => 1,
            LaunchStep::Fork => 2,
            LaunchStep::ChangeDirectory => 3,
            LaunchStep::Execute => 4,
            LaunchStep::CheckUser => 5,
            LaunchStep::CheckStartScript => 6,
            LaunchStep::EnterGroup => 7,
            LaunchStep::SetLimit => 8,
            LaunchStep::MakeTemporary => 9,
            LaunchStep::BecomeUser => 10,
            LaunchStep::PutUpWalls => 11,
        }
    }

    fn from_byte(value: u8) -> Result<Self, ProtocolError> {
        let step = LaunchStep::ALL.into_iter().find(|step| step.to_byte() == value);
        step.ok_or(ProtocolError::Unknown { field: "the launch's step", value })
    }
}

fn flag(is_set: bool, flag: u8) -> u8 {
    if is_set { flag } else { 0 }
}

fn optional(packet: &[u8], is_set: bool, offset: usize) -> Result<Option<i32>, ProtocolError> {
    if is_set {
        return Ok(Some(i32::from_le_bytes(take(packet, offset))));
    }
    require_zero(packet, offset..offset + 4).map(|()| None)
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

fn put<const N: usize>(packet: &mut [u8], offset: usize, bytes: [u8; N]) {
    packet[offset..offset + N].copy_from_slice(&bytes);
}

fn take<const N: usize>(packet: &[u8], offset: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&packet[offset..offset + N]);
    bytes
}
