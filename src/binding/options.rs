//! The options as `lib/options.js` hands them over: complete and validated. Same names, same order.

use crate::driver::Settings;
use napi_derive::napi;
use pool::{Backoff, Config, GateConfig, Processes};

/// Numbers that mean "never" or "without limit" arrive as `None`.
#[napi(object, object_to_js = false)]
pub struct NativeOptions {
    pub idle_after_ms: Option<f64>,
    pub max_concurrent: Option<f64>,
    pub sweep_interval_ms: f64,
    pub observe_interval_ms: Option<f64>,
    pub stop_timeout_ms: f64,
    pub spawn_concurrency: Option<f64>,
    pub spawn_patience_ms: Option<f64>,
    pub backoff_base_ms: f64,
    pub backoff_max_ms: f64,
    pub backoff_max_failures: Option<f64>,
    pub asks_before_idle: bool,
    pub heeds_connections: bool,
    pub checkpoint_timeout_ms: Option<f64>,
    pub custom_spawn: bool,
    pub custom_readiness: bool,
    pub has_log: bool,
    pub warden_path: String,
}

impl From<NativeOptions> for Settings {
    fn from(options: NativeOptions) -> Settings {
        // `as` saturates, which is what a number of that size means.
        let pool = Config {
            max_concurrent: options.max_concurrent.map_or(usize::MAX, |count| count as usize),
            idle_after_ms: options.idle_after_ms.map(|ms| ms as u64),
            sweep_interval_ms: options.sweep_interval_ms as u64,
            observe_interval_ms: options.observe_interval_ms.map(|ms| ms as u64),
            stop_timeout_ms: options.stop_timeout_ms as u64,
            backoff: Backoff {
                base_ms: options.backoff_base_ms as u64,
                max_ms: options.backoff_max_ms as u64,
                max_failures: options.backoff_max_failures.map_or(u64::MAX, |count| count as u64),
            },
            gate: GateConfig {
                width: options.spawn_concurrency.map(|count| count as usize),
                patience_ms: options.spawn_patience_ms.map(|ms| ms as u64),
            },
            asks_before_idle: options.asks_before_idle,
            heeds_connections: options.heeds_connections,
            checkpoint_timeout_ms: options.checkpoint_timeout_ms.map(|ms| ms as u64),
            processes: if options.custom_spawn { Processes::External } else { Processes::Own },
        };
        Settings {
            pool,
            warden_path: options.warden_path.into(),
            has_log: options.has_log,
            custom_readiness: options.custom_readiness,
        }
    }
}
