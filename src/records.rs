//! Records as `lib/bridge/batch.js` reads them: numbers in shared memory, and the texts in the order in which the numbers call
//! for them. The enumerations here and the lists of names there are the same, in the same order; a test compares them.

use driver::uplink::{BATCH_RECORDS, Record, Stream};
use napi::bindgen_prelude::{Env, Float64Array, ToNapiValue};
use napi::sys::{napi_env, napi_value};
use napi::{JsString, Result};
use napi_derive::napi;
use pool::{Callback, ExitReason, Failure, History, LastExit, Outcome, Phase, Refusal, Status};
use std::sync::atomic::{AtomicU64, Ordering};

/// The numbers of a batch, in memory that JavaScript reads: how many follow, then they.
pub struct Numbers([AtomicU64; NUMBERS_PER_BATCH]);

/// More than a batch of records can need.
pub const NUMBERS_PER_BATCH: usize = 16 * BATCH_RECORDS;

impl Default for Numbers {
    fn default() -> Self {
        Numbers([const { AtomicU64::new(0) }; NUMBERS_PER_BATCH])
    }
}

impl Numbers {
    pub fn as_ptr(&self) -> *const AtomicU64 {
        self.0.as_ptr()
    }

    fn set(&self, index: usize, number: f64) {
        self.0[index].store(number.to_bits(), Ordering::Relaxed);
    }

    /// JavaScript has no more use for them, and has said so.
    pub fn are_read(&self) -> bool {
        self.0[0].load(Ordering::Relaxed) == 0
    }
}

/// What a record is: see `RECORDS` in `lib/bridge/batch.js`.
#[derive(Clone, Copy)]
enum Kind {
    Prepare,
    Spawn,
    AskReadiness,
    Ready,
    Tenant,
    Done,
    Refused,
    Log,
    Observation,
    AskIdle,
    IdleKill,
    LruEvict,
    Checkpoint,
    AskKill,
    Exit,
    Release,
    Adopted,
    Adopt,
    Restored,
    Backoff,
    Drain,
    Answer,
    NotStopped,
    Disposed,
    SharedRoot,
}

/// Why a call was refused: `REFUSALS` there.
#[derive(Clone, Copy)]
enum RefusalKind {
    Disposed,
    Draining,
    Exhausted,
    BackingOff,
    StartFailed,
    StopRefused,
    StillTracked,
    Taken,
    Overloaded,
}

/// The texts of a batch: none, the only one, or an array of several, which most batches are spared.
#[derive(Default)]
pub struct Texts(pub Vec<String>);

impl ToNapiValue for Texts {
    unsafe fn to_napi_value(env: napi_env, Texts(texts): Texts) -> Result<napi_value> {
        let scope = Env::from_raw(env);
        match &texts[..] {
            // SAFETY: as for this function.
            [] => unsafe { ToNapiValue::to_napi_value(env, ()) },
            // SAFETY: as for this function.
            [text] => unsafe { ToNapiValue::to_napi_value(env, string(&scope, text)?) },
            several => {
                let mut array = scope.create_array(several.len() as u32)?;
                for (index, text) in (0..).zip(several) {
                    array.set(index, string(&scope, text)?)?;
                }
                // SAFETY: as for this function.
                unsafe { ToNapiValue::to_napi_value(env, array) }
            }
        }
    }
}

fn string<'env>(scope: &'env Env, text: &str) -> Result<JsString<'env>> {
    // What is known to be ASCII need not be decoded.
    if text.is_ascii() { scope.create_string_latin1(text.as_bytes()) } else { scope.create_string(text) }
}

/// A batch being written.
pub struct Encoded<'a> {
    numbers: &'a Numbers,
    count: usize,
    texts: Vec<String>,
}

impl Encoded<'_> {
    /// Writes the records' numbers and returns their texts. Each begins with how many numbers and texts there are up to its
    /// end, so that one that is not read to its end spoils none of those that follow.
    pub fn write(records: Vec<Record>, numbers: &Numbers) -> Vec<String> {
        let mut encoded = Encoded { numbers, count: 0, texts: Vec::new() };
        for record in records {
            let begin = encoded.count;
            encoded.count += 2;
            encoded.record(record);
            numbers.set(begin + 1, encoded.count as f64);
            numbers.set(begin + 2, encoded.texts.len() as f64);
        }
        numbers.set(0, encoded.count as f64);
        encoded.texts
    }

    fn begin<const N: usize>(&mut self, kind: Kind, numbers: [f64; N]) {
        self.numbers([f64::from(kind as u8)]);
        self.numbers(numbers);
    }

    fn refused<const N: usize>(&mut self, kind: RefusalKind, numbers: [f64; N]) {
        self.numbers([f64::from(kind as u8)]);
        self.numbers(numbers);
    }

    fn numbers<const N: usize>(&mut self, numbers: [f64; N]) {
        for number in numbers {
            self.count += 1;
            self.numbers.set(self.count, number);
        }
    }

    fn record(&mut self, record: Record) {
        match record {
            Record::Prepare { run, key, port, started_at_ms, fresh } => {
                self.begin(Kind::Prepare, [run.0 as f64, port.into(), started_at_ms as f64, fresh.into()]);
                self.texts.push(key.to_string());
            }
            Record::AskReadiness { run } => self.begin(Kind::AskReadiness, [run.0 as f64]),
            Record::AskKill { run, force } => self.begin(Kind::AskKill, [run.0 as f64, force.into()]),
            Record::Spawn { run, pid, port } => {
                self.begin(Kind::Spawn, [run.0 as f64, pid.into(), port.into()])
            }
            Record::Ready { run, duration_ms, lease, at_ipv6 } => {
                self.begin(Kind::Ready, [run.0 as f64, duration_ms as f64, at_ipv6.into()]);
                self.numbers([lease.chunk as f64, lease.index as f64]);
            }
            Record::IdleKill { run, idle_ms } => self.begin(Kind::IdleKill, [run.0 as f64, idle_ms as f64]),
            Record::LruEvict { run } => self.begin(Kind::LruEvict, [run.0 as f64]),
            Record::Observation { run, cpu_ms, rss_bytes, at_ms } => {
                self.begin(Kind::Observation, [run.0 as f64, cpu_ms as f64, rss_bytes as f64, at_ms as f64]);
            }
            Record::Exit { run, exit_code, signal, reason } => {
                let signal = signal_number(signal);
                self.begin(Kind::Exit, [run.0 as f64, or_nan(exit_code), signal, exit_reason(reason)]);
            }
            Record::Backoff { key, attempt, retry_after_ms } => {
                self.begin(Kind::Backoff, [attempt as f64, retry_after_ms as f64]);
                self.texts.push(key.to_string());
            }
            Record::Drain => self.begin(Kind::Drain, []),
            Record::Log { run, stream, at_ms, text } => {
                let stream = if stream == Stream::Stdout { 0.0 } else { 1.0 };
                self.begin(Kind::Log, [run.0 as f64, stream, at_ms as f64]);
                self.texts.push(text);
            }
            Record::Settle { call, outcome: Outcome::Tenant(run), .. } => {
                self.begin(Kind::Tenant, [call as f64, run.0 as f64]);
            }
            Record::Settle { call, outcome: Outcome::Done, .. } => self.begin(Kind::Done, [call as f64]),
            Record::Settle { call, outcome: Outcome::Refused(refusal), output } => {
                self.begin(Kind::Refused, [call as f64]);
                self.refusal(refusal, output);
            }
            Record::Release { run, .. } => self.begin(Kind::Release, [run.0 as f64]),
            Record::Disposed { call } => self.begin(Kind::Disposed, [call as f64]),
            Record::SharedRoot { pid } => self.begin(Kind::SharedRoot, [pid.unwrap_or(0).into()]),
            Record::Adopted { run, call, key } => {
                self.begin(Kind::Adopted, [run.0 as f64, call as f64]);
                self.texts.push(key.to_string());
            }
            Record::Adopt { run, lease } => {
                self.begin(Kind::Adopt, [run.0 as f64, lease.chunk as f64, lease.index as f64]);
            }
            Record::Restored { run, pid, port, duration_ms, lease } => {
                self.begin(Kind::Restored, [run.0 as f64, pid.into(), port.into(), duration_ms as f64]);
                self.numbers([lease.chunk as f64, lease.index as f64]);
            }
            Record::AskIdle { run, idle_ms } => self.begin(Kind::AskIdle, [run.0 as f64, idle_ms as f64]),
            Record::Checkpoint { run } => self.begin(Kind::Checkpoint, [run.0 as f64]),
            Record::Answer { ticket, answer } => self.begin(Kind::Answer, [ticket as f64, or_nan(answer)]),
            Record::NotStopped { run, failure } => {
                self.begin(Kind::NotStopped, [run.0 as f64]);
                self.failure(failure);
            }
        }
    }

    fn refusal(&mut self, refusal: Refusal, output: String) {
        match refusal {
            Refusal::Disposed => self.refused(RefusalKind::Disposed, []),
            Refusal::Draining => self.refused(RefusalKind::Draining, []),
            Refusal::Exhausted { max_failures, last } => {
                self.refused(RefusalKind::Exhausted, [max_failures as f64]);
                self.failure(last);
            }
            Refusal::BackingOff { failures, retry_after_ms, last } => {
                self.refused(RefusalKind::BackingOff, [failures as f64, retry_after_ms as f64]);
                self.failure(last);
            }
            Refusal::StartFailed { run, failure } => {
                self.refused(RefusalKind::StartFailed, [run.map_or(0.0, |run| run.0 as f64)]);
                self.failure(failure);
                self.texts.push(output);
            }
            Refusal::StopRefused { run, failure } => {
                self.refused(RefusalKind::StopRefused, [run.0 as f64]);
                self.failure(failure);
            }
            Refusal::StillTracked { .. } => self.refused(RefusalKind::StillTracked, []),
            // No input of the driver's deploys yet.
            Refusal::NoRoomBeside => self.refused(RefusalKind::Overloaded, [0.0]),
            Refusal::Taken => self.refused(RefusalKind::Taken, []),
            Refusal::Overloaded { waiting } => self.refused(RefusalKind::Overloaded, [waiting as f64]),
        }
    }

    fn failure(&mut self, failure: Failure) {
        let (numbers, text) = failure_parts(failure);
        self.numbers(numbers);
        self.texts.push(text);
    }
}

/// Statuses as they are read by `Batch`: how many numbers follow, then for each its phase, run, usage, starts and crashes;
/// failures in a row, and if there are any, when they are forgiven, the last of them, and whether that was the last exit; and
/// whether there is one, and how that was.
#[napi(object, object_from_js = false)]
pub struct NativeStatuses {
    pub numbers: Float64Array,
    pub texts: Vec<String>,
}

impl NativeStatuses {
    pub fn of(statuses: Vec<Status>) -> Self {
        let (mut numbers, mut texts) = (vec![0.0], Vec::with_capacity(statuses.len()));
        for Status { key, phase, run, failures, usage, history, .. } in statuses {
            texts.push(key.to_string());
            let History { starts, crashes, last_exit } = history;
            numbers.extend([phase_number(phase), run.map_or(0.0, |run| run.0 as f64)]);
            let usage = usage.map(|usage| [usage.cpu_ms as f64, usage.rss_bytes as f64]);
            numbers.extend(usage.unwrap_or([f64::NAN; 2]));
            numbers.extend([starts as f64, crashes as f64]);
            numbers.push(failures.as_ref().map_or(0.0, |failures| failures.count as f64));
            if let Some(failures) = failures {
                numbers.push(failures.retry_at_ms.map_or(f64::NAN, |at_ms| at_ms as f64));
                let (last, text) = failure_parts(failures.last);
                numbers.extend(last);
                numbers.push(failures.is_of_last_exit.into());
                texts.push(text);
            }
            numbers.push(last_exit.is_some().into());
            if let Some(LastExit { exit_code, signal, reason, at_ms, output, .. }) = last_exit {
                let (code, signal) = (or_nan(exit_code), signal_number(signal));
                numbers.extend([code, signal, exit_reason(reason), at_ms as f64]);
                texts.push(output.to_string());
            }
        }
        numbers[0] = (numbers.len() - 1) as f64;
        NativeStatuses { numbers: numbers.into(), texts }
    }
}

fn phase_number(phase: Phase) -> f64 {
    match phase {
        Phase::Queued => 0.0,
        Phase::Spawning => 1.0,
        Phase::Ready => 2.0,
        Phase::Stopping => 3.0,
        Phase::Stuck => 4.0,
        Phase::BackingOff => 5.0,
        Phase::Failed => 6.0,
        Phase::Stopped => 7.0,
    }
}

/// Its kind, the exit code or NaN, the signal or 0, how long it had been ready; and what was thrown or why nothing was started.
fn failure_parts(failure: Failure) -> ([f64; 4], String) {
    let (exit_code, signal, uptime_ms) = match failure {
        Failure::ExitedEarly { exit_code, signal } => (exit_code, signal, 0),
        Failure::CrashedSoon { exit_code, signal, uptime_ms } => (exit_code, signal, uptime_ms),
        _ => (None, None, 0),
    };
    let (kind, text) = match failure {
        Failure::NotStarted { reason } => (0.0, reason),
        Failure::ExitedEarly { .. } => (1.0, String::new()),
        Failure::ReadinessTimedOut { found } => (2.0, found),
        Failure::ReadinessDenied => (3.0, String::new()),
        Failure::Thrown { by: Callback::Spawn, text } => (4.0, text),
        Failure::Thrown { by: Callback::Readiness, text } => (5.0, text),
        Failure::Thrown { by: Callback::Kill, text } => (6.0, text),
        Failure::StopTimedOut => (7.0, String::new()),
        Failure::CalledOff => (8.0, String::new()),
        Failure::Unsupported { reason } => (9.0, reason),
        Failure::PortTaken { by } => (10.0, by),
        Failure::NoPort => (11.0, String::new()),
        Failure::CrashedSoon { .. } => (12.0, String::new()),
    };
    ([kind, or_nan(exit_code), signal_number(signal), uptime_ms as f64], text)
}

/// As Linux counts them, from 1 on.
fn signal_number(signal: Option<i32>) -> f64 {
    signal.map_or(0.0, f64::from)
}

fn or_nan(exit_code: Option<i32>) -> f64 {
    exit_code.map_or(f64::NAN, f64::from)
}

fn exit_reason(reason: ExitReason) -> f64 {
    match reason {
        ExitReason::Crashed => 0.0,
        ExitReason::ExitedClean => 1.0,
        ExitReason::IdleKilled => 2.0,
        ExitReason::LruEvicted => 3.0,
        ExitReason::Killed => 4.0,
        ExitReason::ReadinessTimeout => 5.0,
        ExitReason::Disposed => 6.0,
        // No input of the driver's deploys yet.
        ExitReason::Restarted | ExitReason::Replaced => 7.0,
        ExitReason::Checkpointed => 8.0,
    }
}
