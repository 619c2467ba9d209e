//! How a host and a surviving warden meet: one [`Hello`] from the host, and [`Welcome`]s from the
//! warden.
//!
//! Both formats stay as they are in every version, so that two ends of different ones can say so,
//! and a look or an end work between any two. What follows belongs to the version
//! [`PROTOCOL`]. Bytes that a packet does not use are zero when they are sent, and are not looked
//! at, so that a later version may use them.

use crate::protocol::{PROTOCOL, put, take};

/// The size of both packets.
pub const HELLO_BYTES: usize = 64;

/// The version of the package, which people are told.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

const HELLO: [u8; 4] = *b"ABSH";
const WELCOME: [u8; 4] = *b"ABSW";

/// The room for the version as text: of the host, and of the warden.
const HELLO_VERSION_BYTES: usize = 24;
const WELCOME_VERSION_BYTES: usize = 16;

/// What a host says first.
///
/// | offset | holds |
/// |---|---|
/// | 0 | `ABSH` |
/// | 4 | protocol, 2 bytes |
/// | 6 | what it wants, 2 bytes |
/// | 8 | its pid |
/// | 12 | how long the owner may need to detach, in milliseconds |
/// | 16 | how long tenants live without a host, in milliseconds, 8 bytes |
/// | 24 | how long they may need to end after that, in milliseconds, 8 bytes |
/// | 32 | the package's version, 24 bytes |
/// | 56 | zero |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The sender's [`PROTOCOL`].
    pub protocol: u16,
    /// What it wants.
    pub wish: Wish,
    /// Its pid, as it sees it.
    pub pid: u32,
    /// How long the present owner has to detach, before it is fenced, in milliseconds.
    pub fence_after_ms: u32,
    /// How long tenants live without a host, in milliseconds.
    pub for_ms: u64,
    /// How long they have to end in order after that, in milliseconds.
    pub stop_grace_ms: u64,
    /// The version of its package.
    pub version: String,
}

/// What a host wants of a surviving warden.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// To own it, if there is no owner.
    Own,
    /// To own it. An owner is asked to detach.
    TakeOver,
    /// To see who owns it. The connection is closed with the answer.
    Look,
    /// That everything ends, if there is no owner. The connection is closed when all is gone.
    End,
    /// Something that this version does not know.
    Unknown(u16),
}

/// What the warden answers.
///
/// | offset | holds |
/// |---|---|
/// | 0 | `ABSW` |
/// | 4 | protocol, 2 bytes |
/// | 6 | the answer, 2 bytes |
/// | 8 | the warden's pid |
/// | 12 | the owner's pid; 0 without one |
/// | 16 | epoch, 8 bytes |
/// | 24 | since when that is so, in milliseconds of Unix time, 8 bytes |
/// | 32 | the highest number of a run so far, 8 bytes |
/// | 40 | how many runs there are |
/// | 44 | the package's version, 16 bytes |
/// | 60 | zero |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The sender's [`PROTOCOL`].
    pub protocol: u16,
    /// The answer.
    pub answer: Answer,
    /// The warden's pid, as it sees it.
    pub warden_pid: u32,
    /// The pid of the owner, or, with [`Answer::InUse`], of a host that is about to be; 0 without
    /// one.
    pub owner_pid: u32,
    /// Counts the owners.
    pub epoch: u64,
    /// Since when the owner owns it, or nobody does. With [`Answer::Owner`] since when nobody did; 0
    /// where it was handed over at once, and for the first owner.
    pub since_unix_ms: u64,
    /// The highest number of a run so far; the owner goes on behind it.
    pub last_run: u64,
    /// How many runs there are, those included whose end was not told.
    pub runs: u32,
    /// The version of its package; long ones are cut.
    pub version: String,
}

/// The warden's answer to a [`Hello`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// You are the owner. What is kept follows, see
    /// [`Report::RosterEnd`](crate::protocol::Report::RosterEnd).
    Owner,
    /// Another process is. The connection closes.
    InUse,
    /// The two are of different protocols. The connection closes.
    OtherProtocol,
    /// The owner was asked to detach: another answer follows.
    Waiting,
    /// Who owns it. The connection closes.
    Looked,
    /// Everything is being ended, by this wish or before it. The connection closes when all is
    /// gone; a host that wants to own the name then starts another warden.
    Ending,
    /// Something that this version does not know.
    Unknown(u16),
}

impl Hello {
    /// Of this version and process.
    pub fn new(wish: Wish) -> Hello {
        Hello {
            protocol: PROTOCOL,
            wish,
            pid: std::process::id(),
            fence_after_ms: 0,
            for_ms: 0,
            stop_grace_ms: 0,
            version: VERSION.to_owned(),
        }
    }

    /// The packet that says this.
    pub fn encode(&self) -> [u8; HELLO_BYTES] {
        let mut packet = [0; HELLO_BYTES];
        put(&mut packet, 0, HELLO);
        put(&mut packet, 4, self.protocol.to_le_bytes());
        put(&mut packet, 6, self.wish.to_number().to_le_bytes());
        put(&mut packet, 8, self.pid.to_le_bytes());
        put(&mut packet, 12, self.fence_after_ms.to_le_bytes());
        put(&mut packet, 16, self.for_ms.to_le_bytes());
        put(&mut packet, 24, self.stop_grace_ms.to_le_bytes());
        put(&mut packet, 32, text::<HELLO_VERSION_BYTES>(&self.version));
        packet
    }

    /// What a packet says; `None` if it is no hello.
    pub fn decode(packet: &[u8]) -> Option<Hello> {
        let packet: &[u8; HELLO_BYTES] = packet.try_into().ok()?;
        (take(packet, 0) == HELLO).then(|| Hello {
            protocol: u16::from_le_bytes(take(packet, 4)),
            wish: Wish::from_number(u16::from_le_bytes(take(packet, 6))),
            pid: u32::from_le_bytes(take(packet, 8)),
            fence_after_ms: u32::from_le_bytes(take(packet, 12)),
            for_ms: u64::from_le_bytes(take(packet, 16)),
            stop_grace_ms: u64::from_le_bytes(take(packet, 24)),
            version: text_in(&packet[32..32 + HELLO_VERSION_BYTES]),
        })
    }
}

impl Welcome {
    /// The packet that says this.
    pub fn encode(&self) -> [u8; HELLO_BYTES] {
        let mut packet = [0; HELLO_BYTES];
        put(&mut packet, 0, WELCOME);
        put(&mut packet, 4, self.protocol.to_le_bytes());
        put(&mut packet, 6, self.answer.to_number().to_le_bytes());
        put(&mut packet, 8, self.warden_pid.to_le_bytes());
        put(&mut packet, 12, self.owner_pid.to_le_bytes());
        put(&mut packet, 16, self.epoch.to_le_bytes());
        put(&mut packet, 24, self.since_unix_ms.to_le_bytes());
        put(&mut packet, 32, self.last_run.to_le_bytes());
        put(&mut packet, 40, self.runs.to_le_bytes());
        put(&mut packet, 44, text::<WELCOME_VERSION_BYTES>(&self.version));
        packet
    }

    /// What a packet says; `None` if it is no welcome.
    pub fn decode(packet: &[u8]) -> Option<Welcome> {
        let packet: &[u8; HELLO_BYTES] = packet.try_into().ok()?;
        (take(packet, 0) == WELCOME).then(|| Welcome {
            protocol: u16::from_le_bytes(take(packet, 4)),
            answer: Answer::from_number(u16::from_le_bytes(take(packet, 6))),
            warden_pid: u32::from_le_bytes(take(packet, 8)),
            owner_pid: u32::from_le_bytes(take(packet, 12)),
            epoch: u64::from_le_bytes(take(packet, 16)),
            since_unix_ms: u64::from_le_bytes(take(packet, 24)),
            last_run: u64::from_le_bytes(take(packet, 32)),
            runs: u32::from_le_bytes(take(packet, 40)),
            version: text_in(&packet[44..44 + WELCOME_VERSION_BYTES]),
        })
    }
}

impl Wish {
    fn to_number(self) -> u16 {
        match self {
            Wish::Own => 0,
            Wish::TakeOver => 1,
            Wish::Look => 2,
            Wish::End => 4,
            Wish::Unknown(number) => number,
        }
    }

    fn from_number(number: u16) -> Wish {
        let all = [Wish::Own, Wish::TakeOver, Wish::Look, Wish::End];
        all.into_iter().find(|it| it.to_number() == number).unwrap_or(Wish::Unknown(number))
    }
}

impl Answer {
    fn to_number(self) -> u16 {
        match self {
            Answer::Owner => 1,
            Answer::InUse => 2,
            Answer::OtherProtocol => 3,
            Answer::Waiting => 4,
            Answer::Looked => 5,
            Answer::Ending => 6,
            Answer::Unknown(number) => number,
        }
    }

    fn from_number(number: u16) -> Answer {
        use Answer::*;
        let all = [Owner, InUse, OtherProtocol, Waiting, Looked, Ending];
        all.into_iter().find(|it| it.to_number() == number).unwrap_or(Unknown(number))
    }
}

/// As much of a text as there is room for.
fn text<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [0; N];
    let length = text.len().min(N);
    bytes[..length].copy_from_slice(&text.as_bytes()[..length]);
    bytes
}

fn text_in(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}
