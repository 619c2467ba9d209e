//! What the warden tells the host.

use super::{
    Depth, LaunchStep, Marks, ProtocolError, REPORT_BYTES, exactly, put, require_zero, take,
};

const TAG_STARTED: u8 = 1;
const TAG_LAUNCH_FAILED: u8 = 2;
const TAG_ENDED: u8 = 3;
const TAG_FOUND: u8 = 4;
const TAG_FOUND_LISTENER: u8 = 5;
const TAG_ROSTER_END: u8 = 6;
const TAG_YIELD: u8 = 7;
const TAG_FENCED: u8 = 8;
const TAG_PREDECESSOR_GONE: u8 = 9;
const TAG_SLEPT: u8 = 10;
const TAG_SLEEP_FAILED: u8 = 11;
const TAG_AWAKE: u8 = 12;
const TAG_STIRRED: u8 = 13;

const HAS_EXIT_CODE: u8 = 1;
const HAS_SIGNAL: u8 = 2;
const OUT_OF_MEMORY: u8 = 4;

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
    /// No process of the tree runs any more.
    Slept {
        /// Which start.
        run: u64,
        /// How deep it sleeps. Not as deep as it was to where its memory cannot be handed to swap.
        depth: Depth,
        /// The memory that it has in RAM.
        rss_bytes: u64,
    },
    /// The tree could not be made to stand, was woken before it did (`ECANCELED`), or was continued by
    /// something else while it was paged out (`EINTR`). It runs.
    SleepFailed {
        /// Which start.
        run: u64,
        /// Why, as the operating system's error number.
        errno: i32,
    },
    /// The tree runs.
    Awake {
        /// Which start.
        run: u64,
    },
    /// The tree, which has slept, runs without an order: something else has continued it.
    Stirred {
        /// Which start.
        run: u64,
    },
    /// A run of an earlier host's, with the descriptors of [`FoundFiles`]. Only a surviving warden
    /// tells this, and all that follow. Of a run that has ended or ends, [`Report::Ended`] comes
    /// after [`Report::RosterEnd`], as of any other.
    ///
    /// [`FoundFiles`]: crate::surviving::FoundFiles
    Found {
        /// Which start.
        run: u64,
        /// As in [`Report::Started`]; 0 if that was not told yet, and comes later.
        pid: u32,
        /// The keeper, or 0.
        keeper_pid: u32,
        /// The group, or 0.
        group: u64,
        /// How far it had come.
        marks: Marks,
    },
    /// A listening socket, which travels with this.
    FoundListener {
        /// The number that it was kept by.
        slot: u64,
    },
    /// Everything that was kept was told.
    RosterEnd {
        /// How many runs ended that no host was told of, and were forgotten.
        forgotten: u64,
    },
    /// Another host asks this one to detach.
    Yield {
        /// Its pid.
        pid: u32,
    },
    /// The host did not detach in time, and is no longer obeyed. Its connection closes.
    Fenced {
        /// The pid of the host that takes its place.
        pid: u32,
    },
    /// No earlier host is connected any more: what its gateways had to finish is finished. Comes
    /// once, after [`Report::RosterEnd`].
    PredecessorGone,
}

impl Report {
    /// The run this report is about, or the slot; 0 for neither.
    pub fn run(&self) -> u64 {
        match *self {
            Report::Started { run, .. }
            | Report::LaunchFailed { run, .. }
            | Report::Ended { run, .. }
            | Report::Slept { run, .. }
            | Report::SleepFailed { run, .. }
            | Report::Awake { run }
            | Report::Stirred { run }
            | Report::Found { run, .. } => run,
            Report::FoundListener { slot } => slot,
            Report::RosterEnd { .. }
            | Report::Yield { .. }
            | Report::Fenced { .. }
            | Report::PredecessorGone => 0,
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
            Report::Slept { depth, rss_bytes, .. } => {
                (packet[0], packet[1]) = (TAG_SLEPT, depth.to_byte());
                put(&mut packet, 24, rss_bytes.to_le_bytes());
            }
            Report::SleepFailed { errno, .. } => {
                packet[0] = TAG_SLEEP_FAILED;
                put(&mut packet, 16, errno.to_le_bytes());
            }
            Report::Awake { .. } => packet[0] = TAG_AWAKE,
            Report::Stirred { .. } => packet[0] = TAG_STIRRED,
            Report::Found { pid, keeper_pid, group, marks, .. } => {
                (packet[0], packet[1], packet[2]) = (TAG_FOUND, marks.to_byte(), marks.detail);
                put(&mut packet, 16, pid.to_le_bytes());
                put(&mut packet, 20, keeper_pid.to_le_bytes());
                put(&mut packet, 24, group.to_le_bytes());
            }
            Report::FoundListener { .. } => packet[0] = TAG_FOUND_LISTENER,
            Report::RosterEnd { forgotten } => {
                packet[0] = TAG_ROSTER_END;
                put(&mut packet, 24, forgotten.to_le_bytes());
            }
            Report::Yield { pid } => {
                packet[0] = TAG_YIELD;
                put(&mut packet, 16, pid.to_le_bytes());
            }
            Report::Fenced { pid } => {
                packet[0] = TAG_FENCED;
                put(&mut packet, 16, pid.to_le_bytes());
            }
            Report::PredecessorGone => packet[0] = TAG_PREDECESSOR_GONE,
        }
        packet
    }

    /// What a packet says.
    pub fn decode(packet: &[u8]) -> Result<Report, ProtocolError> {
        let packet: &[u8; REPORT_BYTES] = exactly(packet)?;
        require_zero(packet, 3..8)?;
        if packet[0] != TAG_FOUND {
            require_zero(packet, 2..3)?;
        }
        let run = u64::from_le_bytes(take(packet, 8));
        let pid = u32::from_le_bytes(take(packet, 16));
        let keeper_pid = u32::from_le_bytes(take(packet, 20));
        let number = u64::from_le_bytes(take(packet, 24));
        match packet[0] {
            TAG_STARTED => {
                require_zero(packet, 1..2)?;
                Ok(Report::Started { run, pid, keeper_pid, group: number })
            }
            TAG_LAUNCH_FAILED => {
                require_zero(packet, 20..REPORT_BYTES)?;
                let step = LaunchStep::from_byte(packet[1])?;
                Ok(Report::LaunchFailed { run, step, errno: pid.cast_signed() })
            }
            TAG_ENDED => decode_ended(run, packet),
            TAG_SLEPT => {
                require_zero(packet, 16..24)?;
                Ok(Report::Slept { run, depth: Depth::from_byte(packet[1])?, rss_bytes: number })
            }
            TAG_SLEEP_FAILED => {
                require_zero(packet, 1..2)?;
                require_zero(packet, 20..REPORT_BYTES)?;
                Ok(Report::SleepFailed { run, errno: pid.cast_signed() })
            }
            tag @ (TAG_AWAKE | TAG_STIRRED) => {
                require_zero(packet, 1..2)?;
                require_zero(packet, 16..REPORT_BYTES)?;
                let is_ordered = tag == TAG_AWAKE;
                Ok(if is_ordered { Report::Awake { run } } else { Report::Stirred { run } })
            }
            TAG_FOUND => {
                let marks = Marks::from_bytes(packet[1], packet[2])?;
                Ok(Report::Found { run, pid, keeper_pid, group: number, marks })
            }
            _ => decode_of_surviving(packet, run, pid, number),
        }
    }
}

/// What only a surviving warden tells, about no run.
fn decode_of_surviving(
    packet: &[u8; REPORT_BYTES],
    slot: u64,
    pid: u32,
    number: u64,
) -> Result<Report, ProtocolError> {
    let (report, used) = match packet[0] {
        TAG_FOUND_LISTENER => (Report::FoundListener { slot }, 8..16),
        TAG_ROSTER_END => (Report::RosterEnd { forgotten: number }, 24..32),
        TAG_YIELD => (Report::Yield { pid }, 16..20),
        TAG_FENCED => (Report::Fenced { pid }, 16..20),
        TAG_PREDECESSOR_GONE => (Report::PredecessorGone, 8..8),
        value => return Err(ProtocolError::Unknown { field: "the report's tag", value }),
    };
    require_zero(packet, 1..2)?;
    require_zero(packet, 8..used.start)?;
    require_zero(packet, used.end..REPORT_BYTES)?;
    Ok(report)
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

fn flag(is_set: bool, flag: u8) -> u8 {
    if is_set { flag } else { 0 }
}

fn optional(packet: &[u8], is_set: bool, offset: usize) -> Result<Option<i32>, ProtocolError> {
    if is_set {
        return Ok(Some(i32::from_le_bytes(take(packet, offset))));
    }
    require_zero(packet, offset..offset + 4).map(|()| None)
}
