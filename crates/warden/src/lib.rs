//! The protocol between the host and the warden, and what both read from `/proc`.
//!
//! The warden is a small process between the host and its tenants: the host asks it to [launch]
//! and to [stop] runs, and it [reports] how they start and end. The two are connected by a
//! `SOCK_SEQPACKET` socket pair whose one end is the warden's descriptor [`HOST_SOCKET_FD`]. When
//! the host's end closes, every tenant's tree is asked to end and killed 0.6 s later, and the
//! warden exits. A surviving warden has a socket that is bound to a path there, and goes on without
//! a host for a while, see [`surviving`].
//!
//! - [`protocol`] is the packets, pure encoding and decoding;
//! - [`spec`] describes a tenant's start, in tagged parts, and travels in a memory file;
//! - [`confinement`] is the parts of it that hold a program within bounds;
//! - [`excerpt`] reads that part alone;
//! - [`refused_calls`] is the system calls that walls refuse, and [`filter`] makes the kernel's
//!   program of them;
//! - [`remove_tree`] removes a directory, whatever its maker has put into it;
//! - [`names`] is how control groups and temporary directories are named, [`host_id`] how those of
//!   a host are;
//! - [`host`] sends and receives packets for the host's side;
//! - [`hello`] is how a host and a warden meet that were not started together, [`surviving`] the
//!   host's side of that, [`place`] where they do, and [`ring`] what a tenant has written without a
//!   host;
//! - [`socket_failure`] says what an error of the socket means, for both sides;
//! - [`stat`] reads what the kernel tells of a process, [`disposition`] what the process does
//!   about `SIGTERM`, and [`reaction`] whether it has reacted to it, for both sides.
//!
//! [launch]: protocol::Command::Launch
//! [stop]: protocol::Command::Stop
//! [reports]: protocol::Report

#![forbid(unsafe_code)]

pub mod confinement;
pub mod disposition;
pub mod excerpt;
pub mod filter;
pub mod group_tree;
pub mod hello;
pub mod host;
pub mod host_id;
pub mod names;
pub mod place;
pub mod planted;
pub mod protocol;
pub mod reaction;
pub mod refused_calls;
pub mod remove_tree;
pub mod ring;
pub mod socket_failure;
pub mod spec;
pub mod stat;
pub mod surviving;

pub use confinement::Confinement;
pub use disposition::Disposition;
pub use host_id::HostId;
pub use protocol::{
    COMMAND_BYTES, Command, Depth, LaunchStep, Mark, Marks, PROTOCOL, ProtocolError, REPORT_BYTES,
    Report, StopStage,
};
pub use reaction::Reaction;
pub use socket_failure::SocketFailure;
pub use spec::{Descriptor, LaunchSpec, SpecError};
pub use stat::Stat;

/// The descriptor on which the warden expects its end of the socket pair.
pub const HOST_SOCKET_FD: i32 = 0;

/// The file name of the helper's executable.
pub const BINARY_NAME: &str = "warden";
