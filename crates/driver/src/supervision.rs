//! What a process of ours reports goes to its driver, as facts about its run.
//!
//! Its exit comes after all its lines: the pool is told only when JavaScript is done with them. A stop that was forced
//! waits for that no longer than [`OUTPUT_TURNS`]; what JavaScript has not taken by then is dropped, and one last line
//! says how many lines that were. No other line is ever dropped.

use crate::Driver;
use crate::machine::Machine;
use crate::uplink::{self, LogRoom, Text, charge};
use linux::output::lines::{self, LineSink, Lines, Tail};
use linux::warden_link::client::{Ended, Started};
use linux::warden_link::run::RunSink;
use pool::{Exit, Fact, Failure, Input, RunId};
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use warden::planted::{Bug, planted, planted_once_in};

/// How long JavaScript has for the output of a tree that was ended by force: so many turns of so much time. A turn in which
/// it takes nothing, because the host does something else or is stopped, does not count.
const OUTPUT_TURNS: u32 = 10;
const OUTPUT_TURN: Duration = Duration::from_millis(20);

/// One run's line to its driver.
pub struct Supervision<M: Machine> {
    driver: Arc<Driver<M>>,
    run: RunId,
    tail: Arc<Mutex<Tail>>,
    output: Option<Output>,
}

/// Where a run's lines go, if anywhere.
struct Output {
    room: LogRoom,
    /// Its stop is forced.
    forced: Arc<Notify>,
    /// What is left is dropped.
    given_up: watch::Sender<bool>,
    dropped_lines: AtomicUsize,
}

impl<M: Machine> Supervision<M> {
    /// Without `room` lines are read and dropped, except the last ones. `forced` is notified of a forced stop.
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
        Supervision { driver, run, tail, output }
    }

    fn report(&self, fact: Fact) {
        self.driver.feed(Input::Fact(self.run, fact));
    }

    /// Waits until JavaScript is done with all lines, or they are given up. All have been delivered.
    async fn pass_on(&self, output: &Output) {
        tokio::select! {
            biased;
            () = output.room.emptied() => {}
            () = output.until_given_up() => output.drop_lines(self.driver.uplink.remove_log(self.run)),
        }
        let dropped = output.dropped_lines.load(Ordering::Relaxed);
        if dropped > 0 {
            self.pass_on_notice(output, dropped).await;
        }
        // JavaScript may still have some in hand.
        output.room.emptied().await;
        self.driver.uplink.remove_log(self.run);
    }

    async fn pass_on_notice(&self, output: &Output, dropped: usize) {
        let plural = if dropped == 1 { "" } else { "s" };
        let text = format!("[… {dropped} line{plural} dropped …]");
        if let Some(room) = output.room.reserve(charge(text.len(), 1)).await {
            let at_ms = self.driver.machine.wall_ms();
            let text = Text { stream: uplink::Stream::Stderr, at_ms, text, lines: 1, room };
            self.driver.uplink.push_log(self.run, text);
        }
    }
}

// What is cut at once must fit into one text.
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
    async fn deliver(&self, stream: lines::Stream, Lines { text, count: lines }: Lines) {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner).add(stream, &text);
        if planted_once_in(500, Bug::LineIsLost) {
            return;
        }
        let is_mixed_up = planted_once_in(50, Bug::AnothersOutput) && self.run.0 > 1;
        let run = if is_mixed_up { RunId(self.run.0 - 1) } else { self.run };
        let Some(output) = &self.output else { return };
        if *output.given_up.borrow() {
            return output.drop_lines(lines);
        }
        tokio::select! {
            biased;
            room = output.room.reserve(charge(text.len(), lines)) => if let Some(room) = room {
                let stream = stream_of(stream);
                let text = Text { stream, at_ms: self.driver.machine.wall_ms(), text, lines, room };
                self.driver.uplink.push_log(run, text);
            },
            () = output.until_given_up() => output.drop_lines(lines),
        }
    }
}

impl<M: Machine> RunSink for Supervision<M> {
    fn started(&self, number: u64, started: Started) {
        self.driver.started(self.run, number, started.pid, started.keeper_pid);
    }

    fn not_started(&self, reason: String) {
        self.report(Fact::StartFailed(Failure::NotStarted { reason }));
    }

    fn main_ended(&self) {
        self.report(Fact::MainEnded);
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
            uplink.hurry_log(self.run);
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
            self.pass_on(output).await;
        }
        let Ended { exit_code, signal, cpu_us } = ended;
        let cpu_ms = cpu_us.map(|cpu_us| cpu_us.div_ceil(1000));
        // All that was written has been passed on.
        let output = self.tail.lock().unwrap_or_else(PoisonError::into_inner).text().into();
        self.driver.ended(self.run, Exit { exit_code, signal, output, cpu_ms });
    }
}
