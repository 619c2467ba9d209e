//! The options as `lib/options.js` has read them: validated and complete, with the same names.

use super::confinement::{NativeIsolation, NativeLimits, asked};
use driver::Settings;
use driver::recipe::Recipe;
use linux::warden_link::surviving::Survive;
use napi::bindgen_prelude::{FromNapiValue, Result};
use napi::sys;
use napi_derive::napi;
use pool::{Backoff, Config, Custody, GateConfig, Outgoing, Sleep};
use std::path::PathBuf;
use std::time::Duration;

/// The width of the gate for each core. With 3 the last of 60 cold tenants on 2 cores is ready no
/// sooner, and the host's event loop waits twice as long for a core. With 1 a core is idle while a
/// start waits for anything but a core.
const STARTS_PER_CORE: usize = 2;

/// How long a call of the user's `kill` may be pending before its stop is given up: longer than a
/// container engine waits for a container to end, which is ten seconds by default and rarely more
/// than thirty.
const KILL_PATIENCE_MS: u64 = 60_000;

#[napi(object, object_to_js = false)]
pub struct NativeOptions {
    pub root: String,
    pub command: Vec<String>,
    pub runs_start_script: bool,
    pub has_default_env: bool,
    pub limits: Option<NativeLimits>,
    pub limits_of: Option<GivenFunction>,
    pub isolation: Option<NativeIsolation>,
    pub isolation_of: Option<GivenFunction>,
    pub idle_after_ms: f64,
    pub max_concurrent: f64,
    pub sweep_interval_ms: f64,
    pub observe_interval_ms: f64,
    pub stop_timeout_ms: f64,
    pub readiness_timeout_ms: f64,
    /// `None`: a width by the number of cores.
    pub spawn_concurrency: Option<f64>,
    pub spawn_patience_ms: Option<f64>,
    pub tenant: Option<GivenFunction>,
    pub survive: Option<NativeSurvive>,
    pub sleep: Option<NativeSleep>,
    /// `"cost"`, or the least recently active.
    pub evict: Option<String>,
    pub memory: Option<NativeMemory>,
    pub backoff: NativeBackoff,
    pub idle: Option<String>,
    pub checkpoint: Option<NativeCheckpoint>,
    pub should_idle_kill: Option<GivenFunction>,
    pub spawn: Option<GivenFunction>,
    pub readiness: Option<GivenFunction>,
    pub on_log: Option<GivenFunction>,
    pub on_metrics: Option<GivenFunction>,
}

#[napi(object, object_to_js = false)]
pub struct NativeSurvive {
    pub name: String,
    pub directory: String,
    pub for_ms: f64,
    pub take_over: bool,
}

#[napi(object, object_to_js = false)]
pub struct NativeSleep {
    pub after_ms: f64,
    pub page_out_after_ms: f64,
    pub max_asleep: f64,
    pub min_awake_ms: f64,
    /// `"stay"`, `"breathe"` or `"sleep"`.
    pub outgoing: String,
    pub should_sleep: Option<GivenFunction>,
}

impl NativeSleep {
    fn rules(self) -> Sleep {
        Sleep {
            after_ms: self.after_ms as u64,
            page_out_after_ms: limit(self.page_out_after_ms),
            max_asleep: self.max_asleep as usize,
            min_awake_ms: self.min_awake_ms as u64,
            outgoing: match self.outgoing.as_str() {
                "breathe" => Outgoing::Breathe,
                "sleep" => Outgoing::Sleep,
                _ => Outgoing::Stay,
            },
            asks: self.should_sleep.is_some(),
        }
    }
}

#[napi(object, object_to_js = false)]
pub struct NativeMemory {
    pub keep_free_bytes: f64,
}

#[napi(object, object_to_js = false)]
pub struct NativeBackoff {
    pub base_ms: f64,
    pub max_ms: f64,
    pub max_failures: f64,
    pub min_uptime_ms: f64,
}

#[napi(object, object_to_js = false)]
pub struct NativeCheckpoint {
    pub restore_timeout_ms: f64,
}

/// A function that the user has given. It stays in JavaScript; Rust only knows that there is one.
pub struct GivenFunction;

impl FromNapiValue for GivenFunction {
    unsafe fn from_napi_value(_: sys::napi_env, _: sys::napi_value) -> Result<GivenFunction> {
        Ok(GivenFunction)
    }
}

impl NativeOptions {
    /// The driver's settings.
    pub fn settings(self, warden_path: PathBuf) -> Settings {
        // `as` saturates: a larger number, or `Infinity`, becomes the largest.
        let pool = Config {
            max_concurrent: self.max_concurrent as usize,
            idle_after_ms: limit(self.idle_after_ms),
            sweep_interval_ms: self.sweep_interval_ms as u64,
            observe_interval_ms: limit(self.observe_interval_ms),
            tells_observations: self.on_metrics.is_some(),
            stop_timeout_ms: self.stop_timeout_ms as u64,
            kill_patience_ms: KILL_PATIENCE_MS,
            backoff: Backoff {
                base_ms: self.backoff.base_ms as u64,
                max_ms: self.backoff.max_ms as u64,
                max_failures: self.backoff.max_failures as u64,
                min_uptime_ms: self.backoff.min_uptime_ms as u64,
            },
            gate: GateConfig {
                width: gate_width(self.spawn_concurrency),
                patience_ms: self.spawn_patience_ms.map(|ms| ms as u64),
            },
            asks_before_idle: self.should_idle_kill.is_some(),
            heeds_connections: self.idle.as_deref() == Some("connections"),
            checkpoint_timeout_ms: self
                .checkpoint
                .map(|checkpoint| checkpoint.restore_timeout_ms as u64),
            custody: if self.spawn.is_some() { Custody::USERS } else { Custody::OURS },
            sleep: self.sleep.map(NativeSleep::rules),
            evicts_by_cost: self.evict.as_deref() == Some("cost"),
        };
        let survive = self.survive.map(|survive| Survive {
            directory: survive.directory.into(),
            name: survive.name,
            for_ms: survive.for_ms as u64,
            stop_grace_ms: self.stop_timeout_ms as u64,
            take_over: survive.take_over,
        });
        Settings {
            pool,
            survive,
            recipe: Recipe {
                root: self.root,
                command: self.command,
                runs_start_script: self.runs_start_script,
                has_default_env: self.has_default_env,
                asked: asked(self.limits, self.isolation),
            },
            warden_path,
            has_log: self.on_log.is_some(),
            asks_for_settings: [&self.tenant, &self.limits_of, &self.isolation_of]
                .into_iter()
                .any(Option::is_some),
            custom_readiness: self.readiness.is_some(),
            readiness_timeout: Duration::from_millis(self.readiness_timeout_ms as u64),
            keep_free_bytes: self.memory.map(|memory| memory.keep_free_bytes as u64),
        }
    }
}

/// The limit, rounded up. `None` if the value is 0, negative or infinite.
pub fn limit(value: f64) -> Option<u64> {
    (value > 0.0 && value.is_finite()).then_some(value.ceil() as u64)
}

fn gate_width(spawn_concurrency: Option<f64>) -> Option<usize> {
    match spawn_concurrency {
        Some(starts) => limit(starts).map(|starts| starts as usize),
        // This number respects the CPU limits of the container.
        None => Some(std::thread::available_parallelism().map_or(1, usize::from) * STARTS_PER_CORE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(number: f64) -> NativeOptions {
        NativeOptions {
            root: "/".into(),
            command: vec!["true".into()],
            runs_start_script: false,
            has_default_env: true,
            limits: None,
            limits_of: None,
            isolation: None,
            isolation_of: None,
            idle_after_ms: number,
            max_concurrent: number,
            sweep_interval_ms: number,
            observe_interval_ms: number,
            stop_timeout_ms: number,
            readiness_timeout_ms: number,
            spawn_concurrency: Some(number),
            spawn_patience_ms: None,
            tenant: None,
            survive: None,
            sleep: None,
            evict: None,
            memory: None,
            backoff: NativeBackoff {
                base_ms: number,
                max_ms: number,
                max_failures: number,
                min_uptime_ms: number,
            },
            idle: None,
            checkpoint: None,
            should_idle_kill: None,
            spawn: None,
            readiness: None,
            on_log: None,
            on_metrics: None,
        }
    }

    #[test]
    fn zero_and_infinity_turn_options_off_or_remove_their_limit() {
        let off = options(0.0).settings("warden".into()).pool;
        assert_eq!(
            (off.idle_after_ms, off.observe_interval_ms, off.gate.width),
            (None, None, None)
        );
        let endless = options(f64::INFINITY).settings("warden".into()).pool;
        assert_eq!(
            (endless.idle_after_ms, endless.observe_interval_ms, endless.gate.width),
            (None, None, None)
        );
        assert_eq!((endless.max_concurrent, endless.backoff.max_failures), (usize::MAX, u64::MAX));
        let seven = options(7.0).settings("warden".into()).pool;
        assert_eq!(
            (seven.idle_after_ms, seven.observe_interval_ms, seven.gate.width),
            (Some(7), Some(7), Some(7))
        );
    }

    #[test]
    fn zero_negative_and_infinite_values_are_no_limit() {
        for value in [0.0, -1.0, f64::NEG_INFINITY, f64::INFINITY] {
            assert_eq!(limit(value), None, "{value}");
        }
        assert_eq!(limit(7.0), Some(7));
        assert_eq!(limit(0.5), Some(1));
    }

    #[test]
    fn memory_is_paged_out_never_or_after_a_time() {
        let rules = |page_out_after_ms, outgoing: &str| {
            let sleep = NativeSleep {
                after_ms: 30_000.0,
                page_out_after_ms,
                max_asleep: f64::INFINITY,
                min_awake_ms: 0.0,
                outgoing: outgoing.into(),
                should_sleep: None,
            };
            sleep.rules()
        };
        let never = rules(f64::INFINITY, "breathe");
        assert_eq!((never.page_out_after_ms, never.max_asleep), (None, usize::MAX));
        assert_eq!((never.outgoing, never.min_awake_ms), (Outgoing::Breathe, 0));
        assert_eq!(rules(60_000.0, "stay").page_out_after_ms, Some(60_000));
    }

    #[test]
    fn the_gates_width_is_by_cores_unless_it_is_given() {
        assert!(gate_width(None).is_some_and(|width| width >= STARTS_PER_CORE));
        assert_eq!(gate_width(Some(7.0)), Some(7));
        assert_eq!(gate_width(Some(0.0)), None);
        assert_eq!(gate_width(Some(f64::INFINITY)), None);
    }
}
