//! What the link to a warden is told to do, and which launches wait for what comes of it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use tokio::sync::oneshot;
use warden::{StopStage, host};

use super::{Ended, Launch, LaunchError, Started};

/// What the warden's link is told.
pub enum Errand {
    Order(Order),
    /// Further launches go to another warden, so this one is to exit when idle. A launch that
    /// comes all the same cancels this.
    LeaveWhenIdle,
}

pub struct Order {
    pub number: u64,
    pub packet: Packet,
    /// The receivers of a launch's results.
    pub pending: Option<Pending>,
}

pub enum Packet {
    Launch { launch: Box<Launch>, memory_file: OwnedFd },
    Stop(StopStage),
    Continue,
}

impl Packet {
    pub fn send(&self, socket: &OwnedFd, number: u64) -> io::Result<()> {
        match self {
            Packet::Launch { launch, memory_file } => {
                let descriptors: Vec<_> = launch.descriptors.iter().map(AsFd::as_fd).collect();
                host::send_launch(socket, number, memory_file.as_fd(), &descriptors)
            }
            Packet::Stop(stage) => host::send_stop(socket, number, *stage),
            Packet::Continue => host::send_continue(socket),
        }
    }
}

pub struct Pending {
    pub started: Option<oneshot::Sender<Result<Started, LaunchError>>>,
    pub ended: oneshot::Sender<Ended>,
    /// 0 until the warden has reported it.
    pub keeper_pid: u32,
}

impl Pending {
    /// The warden is gone, and the tenant with it.
    pub fn tell_lost(mut self) {
        match self.started.take() {
            Some(started) => {
                let _ = started.send(Err(LaunchError::WardenLost));
            }
            None => {
                let _ = self.ended.send(Ended {
                    exit_code: None,
                    signal: None,
                    cpu_us: None,
                    out_of_memory: false,
                });
            }
        }
    }
}
