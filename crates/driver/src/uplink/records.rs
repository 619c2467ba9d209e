//! The table of records: everything that is sent to JavaScript, with its fields in the order in
//! which they are written.
//!
//! A row declares a record completely: the macros in `wire.rs` derive the writer from it, and `npm
//! run records` prints the functions of `lib/bridge/records.js` that read it. A field's name in
//! JavaScript follows a rule: `retry_after_ms` becomes `retryAfterMs`, and a time since the epoch
//! such as `retry_at_ms` becomes `retryAt`.

use super::wire::*;
use crate::leases::LeaseAddress;
use crate::survival::DetachReason;
use pool::{
    BesideStatus, CallId, Callback, Depth, ExitReason, Failure, FailureStatus, History, Key,
    LastExit, Outcome, Phase, Refusal, Release, RunId, Status, Usage,
};
use std::sync::Arc;

/// An output of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

records! {
    /// One thing for JavaScript to do or to pass on.
    #[derive(Debug)]
    pub enum Record {
        /// Start the run: call the user's `spawn`, or work out its variables and call `launch`.
        /// Port and time are filled in when JavaScript takes the record.
        Prepare {
            run: RunId,
            key: Key,
            port: u16,
            started_at_ms: u64,
        },
        /// Call `restore` of the user's snapshot driver. Port and time are filled in when
        /// JavaScript takes the record.
        RestoreImage {
            run: RunId,
            key: Key,
            port: u16,
            started_at_ms: u64,
            /// The snapshot is of a process of this runtime, which listened on that port.
            is_ours: bool,
        },
        /// Call `has` of the user's snapshot driver.
        FindImage { run: RunId, key: Key },
        /// The run waits for the user's snapshot driver.
        AwaitImage { run: RunId, key: Key },
        /// Call `drop` of the user's snapshot driver.
        DropImage { key: Key },
        /// A process is being started for the run.
        Starting { run: RunId, key: Key, port: u16, started_at_ms: u64 },
        /// The process that this call of `adopt` handed over has become this run.
        Adopted { run: RunId, call: CallId, key: Key },
        /// Call the user's `readiness`.
        AskReadiness { run: RunId },
        /// Call `kill` of the user's process.
        AskKill { run: RunId, force: bool },
        /// Call the user's `shouldIdleKill`.
        AskIdle { run: RunId, idle_ms: u64 },
        /// Call the user's `shouldSleep`.
        AskSleep { run: RunId, idle_ms: u64 },
        /// Call `checkpoint` of the user's snapshot driver.
        Checkpoint { run: RunId },
        /// The run's process exists.
        Spawn { run: RunId, pid: u32, port: u16 },
        /// The process that `adopt` handed over is a ready tenant.
        Adopt { run: RunId, lease: LeaseAddress },
        /// The run was found: its process has outlived the host that started it.
        Recover {
            run: RunId,
            key: Key,
            pid: u32,
            port: u16,
            started_at_ms: u64,
            cpu_ms: u64,
            lines_lost: u64,
            /// As in `Ready`.
            at_ipv6: bool,
            /// `None`: it is no tenant, since it ends, or another release serves.
            lease: Option<LeaseAddress>,
        },
        /// The run was restored from a snapshot, and answers.
        Restored { run: RunId, pid: u32, port: u16, duration_ms: u64, lease: LeaseAddress },
        /// The run is a ready tenant.
        Ready {
            run: RunId,
            duration_ms: u64,
            lease: LeaseAddress,
            /// The tenant listens at `::1`, and not at 127.0.0.1.
            at_ipv6: bool,
        },
        /// The run is being stopped because it was idle for that time.
        IdleKill { run: RunId, idle_ms: u64 },
        /// The run is being stopped to make room for another tenant.
        LruEvict { run: RunId },
        /// The run sleeps, or sleeps deeper, and uses so much memory now.
        Sleep { run: RunId, depth: Depth, rss_bytes: u64 },
        /// The run is awake, so long after it was told to; so deep it has slept.
        Wake {
            run: RunId,
            duration_us: u64,
            depth: Depth,
            /// It could not be kept asleep.
            by_itself: bool,
        },
        /// The usage of the run's process tree so far.
        Observation { run: RunId, cpu_ms: u64, rss_bytes: u64, at_ms: u64 },
        /// The run's processes have ended.
        Exit {
            run: RunId,
            exit_code: Option<i32>,
            signal: Option<i32> as Option<Signal>,
            reason: ExitReason,
            /// The bytes of memory that it ran out of.
            out_of_memory: Option<u64>,
        },
        /// A call was refused because the key is backing off.
        Backoff { key: Key, attempt: u64, retry_after_ms: u64 },
        /// The runtime drains: no new spawns from now on.
        Drain,
        /// This host leaves, and its tenants stay.
        Detach { reason: DetachReason },
        /// One or more whole lines, without the last line's end.
        Log { run: RunId, stream: Stream, at_ms: u64, text: String },
        /// A process that `dispose` could not stop. The answer to the call follows.
        NotStopped { run: RunId, failure: Failure },
        /// The answer to a call.
        Settle {
            call: CallId,
            outcome: Outcome,
            /// The last lines of a process that ended before it was ready.
            output: Option<String>,
        },
        /// The answer to the question with this ticket.
        Answer { ticket: u64, answer: Option<i32> },
        /// The last record of the run.
        Release {
            run: RunId,
            /// Recycled when JavaScript has read this record.
            lease: Option<LeaseAddress> as Unsent,
        },
        /// The runtime has ended: answer this call of `dispose`.
        Disposed { call: CallId },
        /// Another runtime starts the tenants of the same root. `pid` is its process, if that is
        /// known.
        SharedRoot { pid: Option<u32> },
    }
}

object! { LeaseAddress { chunk: usize, index: usize } }

one_of! { Outcome { Tenant(run: RunId), Done, Refused(refusal: Refusal) } }

one_of! {
    Refusal {
        Disposed,
        InUse { pid: u32, version: Option<String> },
        NotRecovered { reason: String },
        NotAdmitted,
        Draining,
        Taken,
        Exhausted { max_failures: u64, last: Failure },
        BackingOff { failures: u64, retry_after_ms: u64, last: Failure },
        Overloaded { waiting: usize },
        NoRoomBeside,
        StartFailed { run: Option<RunId>, failure: Failure },
        StopRefused { run: RunId, failure: Failure },
        // Each process has had a `NotStopped` record before.
        StillTracked { refused: Vec<(RunId, Failure)> as Unsent },
    }
}

one_of! {
    Failure {
        NotStarted { reason: String },
        Unsupported { reason: String },
        ExitedEarly {
            exit_code: Option<i32>,
            signal: Option<i32> as Option<Signal>,
            out_of_memory: Option<u64>,
        },
        CrashedSoon {
            exit_code: Option<i32>,
            signal: Option<i32> as Option<Signal>,
            uptime_ms: u64,
            out_of_memory: Option<u64>,
        },
        CalledOff,
        ReadinessTimedOut { found: String },
        PortTaken { by: String },
        NoPort,
        NoBun { path: Option<String> },
        ReadinessDenied,
        Thrown { by: Callback, text: String },
        StopTimedOut,
    }
}

words! { DetachReason { TakeOver = "take-over", Asked = "asked", Fenced = "fenced" } }

words! { Depth { Frozen = "frozen", PagedOut = "paged-out" } }

words! { Callback { Spawn = "spawn", Readiness = "readiness", Kill = "kill" } }

words! {
    ExitReason {
        Crashed = "crashed",
        ExitedClean = "exited-clean",
        IdleKilled = "idle-killed",
        LruEvicted = "lru-evicted",
        Killed = "killed",
        ReadinessTimeout = "readiness-timeout",
        Disposed = "disposed",
        Restarted = "restarted",
        Checkpointed = "checkpointed",
        Replaced = "replaced",
        Moved = "moved",
        Fenced = "fenced",
    }
}

words! { Stream { Stdout = "stdout", Stderr = "stderr" } }

// The types that `inspect` and `list` return.

object! {
    Status {
        key: Key,
        phase: Phase,
        depth: Option<Depth>,
        run: Option<RunId>,
        failures: Option<FailureStatus>,
        comes_back_at_ms: Option<u64>,
        usage: Option<Usage>,
        history: History,
        release: Release as Unsent,
        beside: Option<BesideStatus> as Unsent,
    }
}

words! {
    Phase {
        Queued = "queued",
        Spawning = "spawning",
        Ready = "ready",
        Asleep = "asleep",
        Stopping = "stopping",
        Stuck = "stuck",
        BackingOff = "backing-off",
        Failed = "failed",
        Stopped = "stopped",
        Checkpointed = "checkpointed",
    }
}

object! { FailureStatus { count: u64, retry_at_ms: Option<u64>, last: Failure, is_of_last_exit: bool } }

object! { Usage { cpu_ms: u64, rss_bytes: u64 } }

object! { History { starts: u64, crashes: u64, last_exit: Option<LastExit> } }

object! {
    LastExit {
        run: RunId as Unsent,
        exit_code: Option<i32>,
        signal: Option<i32> as Option<Signal>,
        reason: ExitReason,
        at_ms: u64,
        output: Arc<str>,
        out_of_memory: Option<u64>,
    }
}

numbers! {
    i32: |number| number;
    u16: |number| number;
    u32: |number| number;
    u64: |number| number as f64;
    usize: |number| number as f64;
    RunId: |run| run.0 as f64;
}

/// The most numbers that a record takes up in a batch: where its numbers end, where its texts end,
/// and the record itself.
pub const RECORD_NUMBERS: usize = 2 + Record::SHAPE.most_numbers();

/// Writes a batch of records. Before each stand the counts of numbers and texts up to its end, so
/// that a reader that leaves a record early still finds the next one.
pub fn write_records(records: Vec<Record>) -> Written {
    let mut written = Written { numbers: Vec::with_capacity(8 * records.len()), texts: Vec::new() };
    for record in records {
        let begin = written.numbers.len();
        written.numbers.extend([0.0; 2]);
        Record::write(record, &mut written);
        written.numbers[begin] = written.numbers.len() as f64;
        written.numbers[begin + 1] = written.texts.len() as f64;
    }
    written
}

/// Writes statuses, one after the other.
pub fn write_statuses(statuses: Vec<Status>) -> Written {
    let mut written = Written::default();
    statuses.into_iter().for_each(|status| Status::write(status, &mut written));
    written
}

#[cfg(test)]
mod tests;
