//! The builder of a runtime's object of functions. `runtime.rs` has the list of them.

use super::records::{Numbers, Texts};
use driver::Driver;
use driver::uplink::write_records;
use napi::bindgen_prelude::*;
use pool::{Fact, Input, RunId};
use std::sync::Arc;

/// The object under construction, and what its functions share. Dropping it leaves the object as
/// it is.
pub struct Functions<'env> {
    env: &'env Env,
    pub driver: Arc<Driver>,
    pub numbers: Arc<Numbers>,
    pub object: Object<'env>,
}

impl<'env> Functions<'env> {
    /// An object without functions.
    pub fn new(env: &'env Env, driver: Arc<Driver>) -> Result<Self> {
        Ok(Functions { env, driver, numbers: Arc::default(), object: Object::new(env)? })
    }
}

impl Functions<'_> {
    /// Adds a function that takes arguments.
    pub fn add<A, R>(
        &mut self,
        name: &str,
        work: impl Fn(&Arc<Driver>, A) -> R + 'static,
    ) -> Result<()>
    where
        A: TupleFromSliceValues,
        R: ToNapiValue,
    {
        self.define(name, move |driver, call| Ok(work(driver, call.args::<A>()?)))
    }

    /// Adds a function without arguments.
    pub fn add_plain<R>(
        &mut self,
        name: &str,
        work: impl Fn(&Arc<Driver>) -> R + 'static,
    ) -> Result<()>
    where
        R: ToNapiValue,
    {
        self.define(name, move |driver, _| Ok(work(driver)))
    }

    /// Adds a function that gets the call itself.
    pub fn define<R>(
        &mut self,
        name: &str,
        work: impl Fn(&Arc<Driver>, FunctionCallContext) -> Result<R> + 'static,
    ) -> Result<()>
    where
        R: ToNapiValue,
    {
        let driver = self.driver.clone();
        let function = self
            .env
            .create_function_from_closure::<(), R, _>(name, move |call| work(&driver, call))?;
        self.object.set(name, function)
    }

    /// Adds a function that feeds the pool an input.
    pub fn input<A>(&mut self, name: &str, input: impl Fn(A) -> Input + 'static) -> Result<()>
    where
        A: TupleFromSliceValues,
    {
        self.add(name, move |driver, arguments: A| driver.feed_quietly(input(arguments)))
    }

    /// Adds a function that reports something of a process. Most reports lead to records at once,
    /// so it returns what `take` would, unless JavaScript has not read all of the batch before.
    pub fn report<A>(
        &mut self,
        name: &str,
        report: impl Fn(&Arc<Driver>, A) + 'static,
    ) -> Result<()>
    where
        A: TupleFromSliceValues,
    {
        let numbers = self.numbers.clone();
        self.add(name, move |driver, arguments: A| {
            report(driver, arguments);
            if numbers.are_read() { next_batch(driver, &numbers, false) } else { Texts::default() }
        })
    }

    /// Adds a function that reports a fact about a run, which is its first argument.
    pub fn fact<A>(&mut self, name: &str, fact: impl Fn(A) -> (f64, Fact) + 'static) -> Result<()>
    where
        A: TupleFromSliceValues,
    {
        self.report(name, move |driver, arguments: A| {
            let (run, fact) = fact(arguments);
            driver.feed_quietly(Input::Fact(run_id(run), fact));
        })
    }
}

/// Takes the next batch: stores its numbers, and returns its texts.
pub fn next_batch(driver: &Arc<Driver>, numbers: &Numbers, has_lines: bool) -> Texts {
    let batch = write_records(driver.take_records(has_lines));
    numbers.store(&batch.numbers);
    Texts(batch.texts)
}

pub fn run_id(run: f64) -> RunId {
    RunId(run as u64)
}
