//! The functions for those who look on at a runtime: `lib/control/`.

use super::functions::Functions;
use driver::reports::Sampled;
use napi::Result;
use napi::bindgen_prelude::{Float64Array, Function, Status};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};

/// Weak, so that it does not keep the process alive.
type Answer = ThreadsafeFunction<Float64Array, (), Float64Array, Status, false, true>;

impl Functions<'_> {
    pub fn onlooker_functions(&mut self) -> Result<()> {
        self.add_plain("hearLogs", |driver| driver.hear_logs())?;
        // Calls back in a later turn with three numbers for each run: its number, its CPU time in
        // milliseconds, its resident bytes. Returns whether it will.
        self.define("usages", |driver, call| {
            let (answer,) = call.args::<(Function<Float64Array, ()>,)>()?;
            let answer: Answer = answer
                .build_threadsafe_function::<Float64Array>()
                .weak::<true>()
                .callee_handled::<false>()
                .build()?;
            Ok(driver.look_at_usages(move |sampled| {
                let numbers = Float64Array::new(sampled.iter().flat_map(numbers).collect());
                // An error says that the environment is closing.
                let _ = answer.call(numbers, ThreadsafeFunctionCallMode::NonBlocking);
            }))
        })
    }
}

fn numbers((run, usage): &Sampled) -> [f64; 3] {
    [run.0 as f64, usage.cpu_ms as f64, usage.rss_bytes as f64]
}
