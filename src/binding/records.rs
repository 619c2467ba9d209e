//! Records as `lib/inbox.js` reads them: numbers in shared memory, and the texts in the order in which the numbers call
//! for them. The tables here and there are the same.

use crate::uplink::{BATCH_RECORDS, Record, Stream};
use napi::Result;
use napi::bindgen_prelude::{Env, Float64Array, ToNapiValue};
use napi::sys::{napi_env, napi_value};
use napi_derive::napi;
use pool::{Callback, ExitReason, Failure, Outcome, Phase, Refusal, Status};
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
}

/// The texts of a batch.
pub struct Texts(pub Vec<String>);

impl ToNapiValue for Texts {
    unsafe fn to_napi_value(env: napi_env, Texts(texts): Texts) -> Result<napi_value> {
        if texts.is_empty() {
            // SAFETY: as for this function.
            return unsafe { ToNapiValue::to_napi_value(env, ()) };
        }
        let scope = Env::from_raw(env);
        let mut array = scope.create_array(texts.len() as u32)?;
        for (index, text) in (0..).zip(&texts) {
            // What is known to be ASCII need not be decoded.
            if text.is_ascii() {
                array.set(index, scope.create_string_latin1(text.as_bytes())?)?;
            } else {
                array.set(index, scope.create_string(text)?)?;
            }
        }
        // SAFETY: as for this function.
        unsafe { ToNapiValue::to_napi_value(env, array) }
    }
}

/// A batch being written.
pub struct Encoded<'a> {
    numbers: &'a Numbers,
    count: usize,
    texts: Vec<String>,
}

impl Encoded<'_> {
    /// Writes the records' numbers and returns their texts.
    pub fn write(records: Vec<Record>, numbers: &Numbers) -> Vec<String> {
        let mut encoded = Encoded { numbers, count: 0, texts: Vec::new() };
        records.into_iter().for_each(|record| encoded.record(record));
        numbers.set(0, encoded.count as f64);
        encoded.texts
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
                self.numbers([1.0, run.0 as f64, port.into(), started_at_ms as f64, fresh.into()]);
                self.texts.push(key.to_string());
            }
            Record::AskReadiness { run } => self.numbers([2.0, run.0 as f64]),
            Record::AskKill { run, force } => self.numbers([3.0, run.0 as f64, force.into()]),
            Record::Spawn { run, pid, port } => self.numbers([4.0, run.0 as f64, pid.into(), port.into()]),
            Record::Ready { run, duration_ms, lease } => {
                self.numbers([5.0, run.0 as f64, duration_ms as f64, lease.chunk as f64, lease.index as f64])
            }
            Record::IdleKill { run, idle_ms } => self.numbers([6.0, run.0 as f64, idle_ms as f64]),
            Record::LruEvict { run } => self.numbers([7.0, run.0 as f64]),
            Record::Observation { run, cpu_ms, rss_bytes, at_ms } => {
                self.numbers([8.0, run.0 as f64, cpu_ms as f64, rss_bytes as f64, at_ms as f64]);
            }
            Record::Exit { run, exit_code, reason } => {
                self.numbers([9.0, run.0 as f64, or_nan(exit_code), exit_reason(reason)]);
            }
            Record::Backoff { key, attempt, retry_after_ms } => {
                self.numbers([10.0, attempt as f64, retry_after_ms as f64]);
                self.texts.push(key.to_string());
            }
            Record::Drain => self.numbers([11.0]),
            Record::Log { run, stream, at_ms, text } => {
                let stream = if stream == Stream::Stdout { 0.0 } else { 1.0 };
                self.numbers([12.0, run.0 as f64, stream, at_ms as f64]);
                self.texts.push(text);
            }
            Record::Settle { call, outcome: Outcome::Tenant(run), .. } => {
                self.numbers([13.0, call as f64, run.0 as f64]);
            }
            Record::Settle { call, outcome: Outcome::Done, .. } => self.numbers([14.0, call as f64]),
            Record::Settle { call, outcome: Outcome::Refused(refusal), output } => {
                self.numbers([15.0, call as f64]);
                self.refusal(refusal, output);
            }
            Record::Release { run, .. } => self.numbers([16.0, run.0 as f64]),
            Record::Disposed { call } => self.numbers([17.0, call as f64]),
            Record::Adopted { run, call, key } => {
                self.numbers([19.0, run.0 as f64, call as f64]);
                self.texts.push(key.to_string());
            }
            Record::Adopt { run, lease } => {
                self.numbers([20.0, run.0 as f64, lease.chunk as f64, lease.index as f64]);
            }
            Record::Restored { run, pid, port, duration_ms, lease } => {
                self.numbers([21.0, run.0 as f64, pid.into(), port.into(), duration_ms as f64]);
                self.numbers([lease.chunk as f64, lease.index as f64]);
            }
            Record::AskIdle { run, idle_ms } => self.numbers([22.0, run.0 as f64, idle_ms as f64]),
            Record::Checkpoint { run } => self.numbers([23.0, run.0 as f64]),
            Record::Answer { ticket, answer } => self.numbers([24.0, ticket as f64, or_nan(answer)]),
            Record::NotStopped { run, failure } => {
                self.numbers([18.0, run.0 as f64]);
                self.failure(failure);
            }
        }
    }

    fn refusal(&mut self, refusal: Refusal, output: String) {
        match refusal {
            Refusal::Disposed => self.numbers([0.0]),
            Refusal::Draining => self.numbers([1.0]),
            Refusal::Exhausted { max_failures, last } => {
                self.numbers([2.0, max_failures as f64]);
                self.failure(last);
            }
            Refusal::BackingOff { failures, retry_after_ms, last } => {
                self.numbers([3.0, failures as f64, retry_after_ms as f64]);
                self.failure(last);
            }
            Refusal::StartFailed { run, failure } => {
                self.numbers([4.0, run.map_or(0.0, |run| run.0 as f64)]);
                self.failure(failure);
                self.texts.push(output);
            }
            Refusal::StopRefused { run, failure } => {
                self.numbers([5.0, run.0 as f64]);
                self.failure(failure);
            }
            Refusal::StillTracked { .. } => self.numbers([6.0]),
            Refusal::Taken => self.numbers([7.0]),
            Refusal::Overloaded { waiting } => self.numbers([8.0, waiting as f64]),
        }
    }

    fn failure(&mut self, failure: Failure) {
        let (kind, exit_code, text) = failure_parts(failure);
        self.numbers([kind, exit_code]);
        self.texts.push(text);
    }
}

/// Statuses as they are read by `Batch`: how many numbers follow, then for each its phase, run, failures in a row, and if
/// there are any, when they are forgiven and the last of them.
#[napi(object, object_from_js = false)]
pub struct NativeStatuses {
    pub numbers: Float64Array,
    pub texts: Vec<String>,
}

impl NativeStatuses {
    pub fn of(statuses: Vec<Status>) -> Self {
        let (mut numbers, mut texts) = (vec![0.0], Vec::with_capacity(statuses.len()));
        for Status { key, phase, run, failures } in statuses {
            texts.push(key.to_string());
            numbers.extend([phase_number(phase), run.map_or(0.0, |run| run.0 as f64)]);
            let Some(failures) = failures else {
                numbers.push(0.0);
                continue;
            };
            let retry_at = failures.retry_at_ms.map_or(f64::NAN, |at_ms| at_ms as f64);
            let (kind, exit_code, text) = failure_parts(failures.last);
            numbers.extend([failures.count as f64, retry_at, kind, exit_code]);
            texts.push(text);
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

/// Its kind, the exit code or NaN, and what was thrown or why nothing was started.
fn failure_parts(failure: Failure) -> (f64, f64, String) {
    let (kind, exit_code, text) = match failure {
        Failure::NotStarted { reason } => (0.0, None, reason),
        Failure::ExitedEarly { exit_code } => (1.0, exit_code, String::new()),
        Failure::ReadinessTimedOut => (2.0, None, String::new()),
        Failure::ReadinessDenied => (3.0, None, String::new()),
        Failure::Thrown { by: Callback::Spawn, text } => (4.0, None, text),
        Failure::Thrown { by: Callback::Readiness, text } => (5.0, None, text),
        Failure::Thrown { by: Callback::Kill, text } => (6.0, None, text),
        Failure::StopTimedOut => (7.0, None, String::new()),
        Failure::CalledOff => (8.0, None, String::new()),
    };
    (kind, or_nan(exit_code), text)
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
        ExitReason::Restarted => 7.0,
        ExitReason::Checkpointed => 8.0,
    }
}
