//! Supervision: what the warden reports of a process goes to the driver, as facts about its run.
//!
//! The exit comes after all lines: the pool is told of it only when JavaScript is done with them.
//! After a forced stop this waits no longer than [`OUTPUT_TURNS`]; lines that JavaScript has not
//! taken by then are dropped, and one last line says how many they were. No other line is ever
//! dropped.

use crate::Driver;
use crate::machine::Machine;
use crate::survival::Surviving;
use crate::uplink::{self, LogRoom, Text, charge};
use linux::output::lines::{self, LineSink, Lines, Tail};
use linux::warden_link::client::{Ended, Rest, Started};
use linux::warden_link::run::RunSink;
use pool::{Exit, Fact, Failure, Input, RunId};
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use warden::planted::{Bug, planted, planted_once_in};

/// How long JavaScript has for the output of a tree that was stopped by force: so many turns of
/// [`OUTPUT_TURN`]. A turn in which it takes nothing, because the host is busy or stopped, does
/// not count.
const OUTPUT_TURNS: u32 = 10;
const OUTPUT_TURN: Duration = Duration::from_millis(20);

/// The sink of one run's reports and output lines.
///
/// It holds the driver while the process is supervised. Dropping it reports nothing: a run whose
/// task ends without [`ended`](RunSink::ended) stays in the pool.
pub struct Supervision<M: Machine> {
    driver: Arc<Driver<M>>,
    run: RunId,
    tail: Arc<Mutex<Tail>>,
    output: Option<Output>,
    surviving: Option<Surviving>,
}

/// The way of a run's lines to JavaScript.
struct Output {
    room: LogRoom,
    /// Notified when the run's stop is forced.
    forced: Arc<Notify>,
    /// True once the lines that are left are dropped.
    given_up: watch::Sender<bool>,
    dropped_lines: AtomicUsize,
}

impl<M: Machine> Supervision<M> {
    /// Without `room` lines are read and dropped, except for the last ones, which `tail` keeps.
    /// `forced` is notified of a forced stop.
    pub fn new(
        driver: Arc<Driver<M>>,
        run: RunId,
        tail: Arc<Mutex<Tail>>,
        room: Option<LogRoom>,
        forced: Arc<Notify>,
    ) -> Self {
        let output = room.map(|room| Output {
            room,
            forced,
            given_up: watch::Sender::new(false),
            dropped_lines: AtomicUsize::new(0),
        });
        Supervision { driver, run, tail, output, surviving: None }
    }

    /// The run outlives its host: what is read of its output and told is counted in its record.
    pub fn survives(&mut self, surviving: &Surviving) {
        self.surviving = Some(surviving.share());
    }

    fn report(&self, fact: Fact) {
        self.driver.feed(Input::Fact(self.run, fact));
    }

    /// Waits until JavaScript is done with all lines, or until they are given up. To be called
    /// when the last line has been delivered.
    async fn flush(&self, output: &Output) {
        tokio::select! {
            biased;
            () = output.room.until_empty() => {}
            () = output.until_given_up() => output.drop_lines(self.driver.uplink.remove_log(self.run)),
        }
        let dropped = output.dropped_lines.load(Ordering::Relaxed);
        if dropped > 0 {
            self.push_drop_notice(output, dropped).await;
        }
        // JavaScript may still be handling lines that it took before.
        output.room.until_empty().await;
        self.driver.uplink.remove_log(self.run);
    }

    /// Queues the line that says how many lines were dropped.
    async fn push_drop_notice(&self, output: &Output, dropped: usize) {
        let plural = if dropped == 1 { "" } else { "s" };
        let text = format!("[… {dropped} line{plural} dropped …]");
        if let Some(room) = output.room.reserve(charge(text.len(), 1)).await {
            let at_ms = self.driver.machine.wall_ms();
            let text = Text { stream: uplink::Stream::Stderr, at_ms, text, lines: 1, room };
            self.driver.uplink.push_log(self.run, text);
        }
    }
}

// The lines that are cut at once must fit into one text.
const _: () = assert!(lines::MOST_LINES <= uplink::MOST_LINES);

fn stream_of(stream: lines::Stream) -> uplink::Stream {
    match stream {
        lines::Stream::Stdout => uplink::Stream::Stdout,
        lines::Stream::Stderr => uplink::Stream::Stderr,
    }
}

impl Output {
    fn drop_lines(&self, lines: usize) {
        self.dropped_lines.fetch_add(lines, Ordering::Relaxed);
    }

    async fn until_given_up(&self) {
        let _ = self.given_up.subscribe().wait_for(|given_up| *given_up).await;
    }
}

impl<M: Machine> LineSink for Supervision<M> {
    async fn deliver(&self, stream: lines::Stream, written: Lines) {
        let Lines { text, count: lines, ends, written_at_ms } = written;
        self.tail.lock().unwrap_or_else(PoisonError::into_inner).add(stream, &text);
        if planted_once_in(500, Bug::LineIsLost) {
            return;
        }
        let is_mixed_up = planted_once_in(50, Bug::AnothersOutput) && self.run.0 > 1;
        let run = if is_mixed_up { RunId(self.run.0 - 1) } else { self.run };
        let Some(output) = &self.output else {
            // JavaScript does not hear lines, so none is lost to it.
            if let Some(surviving) = &self.surviving {
                (surviving.told)(ends);
            }
            return;
        };
        if *output.given_up.borrow() {
            return output.drop_lines(lines);
        }
        tokio::select! {
            biased;
            room = output.room.reserve(charge(text.len(), lines)) => if let Some(mut room) = room {
                if let Some(surviving) = &self.surviving {
                    room.tell(surviving.told.clone(), ends);
                }
                let stream = stream_of(stream);
                let at_ms = written_at_ms.unwrap_or_else(|| self.driver.machine.wall_ms());
                let text = Text { stream, at_ms, text, lines, room };
                self.driver.uplink.push_log(run, text);
            },
            () = output.until_given_up() => output.drop_lines(lines),
        }
    }

    fn has_read(&self, stream: lines::Stream, bytes: &[u8]) {
        if let Some(surviving) = &self.surviving {
            surviving.record.has_read(stream, bytes);
        }
    }
}

impl<M: Machine> RunSink for Supervision<M> {
    fn started(&self, number: u64, started: Started) {
        self.driver.started(self.run, number, started);
    }

    fn not_started(&self, reason: String) {
        self.report(Fact::StartFailed(Failure::NotStarted { reason }));
    }

    fn main_ended(&self) {
        self.report(Fact::MainEnded);
    }

    fn rested(&self, rest: Rest) {
        self.driver.rested(self.run, rest);
    }

    fn unsupported(&self, reason: String) {
        self.report(Fact::StartFailed(Failure::Unsupported { reason }));
    }

    fn is_wanted(&self) -> bool {
        self.driver.is_starting(self.run)
    }

    async fn tree_ended(&self) -> Infallible {
        if let Some(output) = &self.output {
            let uplink = &self.driver.uplink;
            uplink.prioritize_log(self.run);
            output.forced.notified().await;
            let mut seen = uplink.turns();
            let mut left = OUTPUT_TURNS;
            while left > 0 {
                tokio::time::sleep(OUTPUT_TURN).await;
                let turns = uplink.turns();
                if turns != seen {
                    (seen, left) = (turns, left - 1);
                }
            }
            output.given_up.send_replace(true);
        }
        std::future::pending().await
    }

    async fn ended(&self, ended: Ended) {
        if let Some(output) = self.output.as_ref().filter(|_| !planted(Bug::LinesAfterExit)) {
            self.flush(output).await;
        }
        let Ended { exit_code, signal, cpu_us, out_of_memory } = ended;
        let cpu_ms = cpu_us.map(|cpu_us| cpu_us.div_ceil(1000));
        // The tail is complete: all lines have been delivered.
        let output = self.tail.lock().unwrap_or_else(PoisonError::into_inner).text().into();
        let out_of_memory = self.driver.memory_limit(self.run).filter(|_| out_of_memory);
        let exit = Exit { exit_code, signal, output, cpu_ms, out_of_memory };
        self.driver.ended(self.run, exit);
    }

    async fn until_let_go(&self) {
        match &self.surviving {
            Some(surviving) => surviving.let_go.notified().await,
            None => std::future::pending().await,
        }
    }

    async fn let_go(&self, begun: Vec<(lines::Stream, Vec<u8>)>) {
        // What was read is told before this host has left: its user may end it then.
        if let Some(output) = self.output.as_ref() {
            output.room.until_empty().await;
        }
        if let Some(surviving) = &self.surviving
            && let Err(error) = surviving.record.leave(&begun)
        {
            tracing::error!(%error, "the beginnings of lines could not be left to the next host");
        }
        self.driver.has_left(self.run);
    }
}
