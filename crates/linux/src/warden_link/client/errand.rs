//! What the link to a warden is told to do, and which launches wait for what comes of it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use tokio::sync::{mpsc, oneshot};
use warden::surviving::{self, KeptFiles};
use warden::{Depth, Mark, StopStage, host};

use super::{Ended, Launch, LaunchError, Rest, Started};

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
    Launch {
        launch: Box<Launch>,
        memory_file: OwnedFd,
    },
    Stop(StopStage),
    Sleep(Depth),
    Wake,
    Continue,
    Mark(Mark, u8),
    /// The end of the run was told.
    Taken,
    /// The number is that of the slot.
    KeepListener(OwnedFd),
    DropListener,
    Detach,
    Leave,
}

impl Packet {
    pub fn send(&self, socket: &OwnedFd, number: u64) -> io::Result<()> {
        match self {
            Packet::Launch { launch, memory_file } => {
                if let Some((kept, [stdout, stderr])) = &launch.kept {
                    let files = KeptFiles {
                        record: kept.record.as_fd(),
                        stdout: stdout.as_fd(),
                        stderr: stderr.as_fd(),
                        port: Some(kept.port.as_fd()),
                    };
                    // Sent again with each try of the launch: what was kept is replaced.
                    surviving::send_keep(socket, number, &files)?;
                }
                let descriptors: Vec<_> = launch.descriptors.iter().map(AsFd::as_fd).collect();
                host::send_launch(socket, number, memory_file.as_fd(), &descriptors)
            }
            Packet::Stop(stage) => host::send_stop(socket, number, *stage),
            Packet::Sleep(depth) => host::send_sleep(socket, number, *depth),
            Packet::Wake => host::send_wake(socket, number),
            Packet::Continue => host::send_continue(socket),
            Packet::Mark(mark, detail) => surviving::send_mark(socket, number, *mark, *detail),
            Packet::Taken => surviving::send_taken(socket, number),
            Packet::KeepListener(listener) => {
                surviving::send_keep_listener(socket, number, listener.as_fd())
            }
            Packet::DropListener => surviving::send_drop_listener(socket, number),
            Packet::Detach => surviving::send_detach(socket),
            Packet::Leave => surviving::send_leave(socket),
        }
    }
}

pub struct Pending {
    pub started: Option<oneshot::Sender<Result<Started, LaunchError>>>,
    pub ended: oneshot::Sender<Ended>,
    pub rest: mpsc::UnboundedSender<Rest>,
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
