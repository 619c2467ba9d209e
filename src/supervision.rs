//! What a process of ours reports goes to its driver, as facts about its run.

use crate::driver::Driver;
use crate::os::clock;
use crate::os::logs::{LineSink, Stream, Tail};
use crate::os::run::RunSink;
use crate::os::warden::{Ended, Started};
use crate::uplink::{LogRoom, Record};
use pool::{Exit, Fact, Failure, Input, RunId};
use std::sync::{Arc, Mutex, PoisonError};
use warden::planted::{Bug, planted_once_in};

/// One run's line to its driver.
pub struct Supervision {
    driver: Arc<Driver>,
    run: RunId,
    tail: Arc<Mutex<Tail>>,
    log_room: Option<LogRoom>,
}

impl Supervision {
    /// Without `log_room` lines are read and dropped, except the last ones of a start.
    pub fn new(driver: Arc<Driver>, run: RunId, tail: Arc<Mutex<Tail>>, log_room: Option<LogRoom>) -> Self {
        Supervision { driver, run, tail, log_room }
    }

    fn report(&self, fact: Fact) {
        self.driver.feed(Input::Fact(self.run, fact));
    }
}

impl LineSink for Supervision {
    async fn deliver(&self, stream: Stream, text: String) {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner).add(stream, &text);
        if planted_once_in(500, Bug::LineIsLost) {
            return;
        }
        let room = match &self.log_room {
            Some(log_room) => log_room.reserve(&text).await,
            None => None,
        };
        if let Some(room) = room {
            let is_mixed_up = planted_once_in(50, Bug::AnothersOutput) && self.run.0 > 1;
            let run = if is_mixed_up { RunId(self.run.0 - 1) } else { self.run };
            let record = Record::Log { run, stream, at_ms: clock::wall_ms(), text };
            self.driver.uplink.push_log(self.run, record, room);
        }
    }
}

impl RunSink for Supervision {
    fn started(&self, number: u64, started: Started) {
        self.driver.started(self.run, number, started.pid, started.keeper_pid);
    }

    fn not_started(&self, reason: String) {
        self.report(Fact::StartFailed(Failure::NotStarted { reason }));
    }

    fn ended(&self, ended: Ended) {
        let cpu_ms = ended.cpu_us.map(|cpu_us| cpu_us.div_ceil(1000));
        self.report(Fact::Exited(Exit { exit_code: ended.exit_code, cpu_ms }));
    }
}
