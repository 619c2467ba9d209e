//! Queues reports for a socket, so that none is lost when the socket has no room.

use std::collections::VecDeque;
use std::os::fd::AsFd;

use rustix::event::PollFlags;

use warden::protocol::Report;

use crate::link::{self, Sent};

/// Reports that are not sent yet, in order. Dropping it drops them.
#[derive(Default)]
pub struct Outbox {
    reports: VecDeque<Report>,
}

impl Outbox {
    /// Adds a report, to be sent with the next [`flush`](Self::flush).
    pub fn push(&mut self, report: Report) {
        self.reports.push_back(report);
    }

    /// Sends the reports that the socket has room for. False if the other end is closed.
    pub fn flush(&mut self, socket: impl AsFd) -> bool {
        while let Some(report) = self.reports.front() {
            match link::transmit(&socket, &report.encode()) {
                Sent::Yes => drop(self.reports.pop_front()),
                Sent::Later => return true,
                Sent::Closed => return false,
            }
        }
        true
    }

    /// Drops all reports, since the other end is gone.
    pub fn clear(&mut self) {
        self.reports.clear();
    }

    /// Whether all reports were sent.
    pub fn is_empty(&self) -> bool {
        self.reports.is_empty()
    }

    /// The events to wait for on the socket: packets, and room if reports are queued.
    pub fn interest(&self) -> PollFlags {
        if self.is_empty() { PollFlags::empty() } else { PollFlags::OUT }
    }
}

impl Extend<Report> for Outbox {
    fn extend<T: IntoIterator<Item = Report>>(&mut self, reports: T) {
        self.reports.extend(reports);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::testing::{fill, pair, read_all};

    #[test]
    fn reports_wait_for_room_and_keep_their_order() {
        let (ours, theirs) = pair();
        fill(&ours);
        let reports = [1, 2].map(|run| Report::Started { run, pid: 7, keeper_pid: 6, group: 0 });
        let mut outbox = Outbox::default();
        outbox.extend(reports);
        assert!(outbox.flush(&ours) && !outbox.is_empty());
        assert_eq!(outbox.interest(), PollFlags::OUT);
        read_all(&theirs);
        assert!(outbox.flush(&ours) && outbox.is_empty());
        assert_eq!(read_all(&theirs), reports.map(|report| report.encode().to_vec()));
        drop(theirs);
        // A child that another test forks has the other end, too, until it executes its program.
        while outbox.flush(&ours) {
            outbox.extend(reports);
        }
    }
}
