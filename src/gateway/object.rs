//! The functions of one gateway that `lib/gateway/` calls.

use super::hooks::{Answer, page};
use super::opened::Opened;
use super::settings::{NativeCertificate, pems};
use gateway::stats::{ANSWER_BUCKETS, KeyStats, Stats, WAKE_BUCKETS_MS, answer_bounds_us};
use napi::Result;
use napi::bindgen_prelude::{
    Env, Float64Array, FunctionCallContext, Object, ToNapiValue, Uint8Array,
};
use napi::sys::{napi_env, napi_value};
use napi_derive::napi;
use std::sync::Arc;
use std::time::Duration;

/// What `openGateway` returns: the gateway's functions, or why its options cannot be used.
pub enum NativeOpened {
    Gateway(Arc<Opened>),
    Problem(String),
}

impl ToNapiValue for NativeOpened {
    unsafe fn to_napi_value(raw: napi_env, opened: NativeOpened) -> Result<napi_value> {
        match opened {
            NativeOpened::Gateway(opened) => {
                let env = Env::from_raw(raw);
                let object = functions(&env, &opened)?;
                // SAFETY: as for this function.
                unsafe { ToNapiValue::to_napi_value(raw, object) }
            }
            // SAFETY: as for this function.
            NativeOpened::Problem(text) => unsafe { ToNapiValue::to_napi_value(raw, text) },
        }
    }
}

fn functions<'env>(env: &'env Env, opened: &Arc<Opened>) -> Result<Object<'env>> {
    let mut object = Object::new(env)?;
    let mut add = Adder { env, opened, object: &mut object };
    add.function("close", |opened, call| {
        let (grace_ms,) = call.args::<(f64,)>()?;
        opened.close(Duration::from_secs_f64(grace_ms.max(0.0) / 1_000.0));
        Ok(())
    })?;
    // How long the runtime's tenants may finish what they have in use: the longest time of all its
    // gateways.
    add.function("setDrainMs", |opened, call| {
        let (drain_ms,) = call.args::<(f64,)>()?;
        opened.driver.set_drain_ms(drain_ms as u64);
        Ok(())
    })?;
    // Returns why they cannot be used, if they cannot.
    add.function("setCertificates", |opened, call| {
        let (certificates,) = call.args::<(Vec<NativeCertificate>,)>()?;
        Ok(opened.set_certificates(pems(&certificates)))
    })?;
    add.function("stats", |opened, _| {
        Ok(NativeGatewayStats::of(&opened.stats(), opened.access.dropped()))
    })?;
    add.function("statsOf", |opened, call| {
        let (key,) = call.args::<(String,)>()?;
        Ok(NativeKeyStats::of(&opened.stats_of(&key)))
    })?;
    // For `lib/control/`, which looks at all of them once a second.
    add.function("statsOfAll", |opened, _| Ok(NativeAllStats::of(opened.stats_of_all())))?;
    add.function("takeAccess", |opened, _| Ok(opened.access.take()))?;
    // Without an answer (`is_known`) the request is refused; without a key there is none.
    add.function("answerAsk", |opened, call| {
        let (ticket, is_known, key) = call.args::<(f64, bool, Option<String>)>()?;
        opened.questions.answer(ticket as u64, Answer::Key(is_known.then_some(key)));
        Ok(())
    })?;
    add.function("answerPage", |opened, call| {
        let (ticket, given) = call.args::<(f64, Option<NativePage>)>()?;
        let given = given.map(|given| page(given.headers, given.body.to_vec()));
        opened.questions.answer(ticket as u64, Answer::Page(given));
        Ok(())
    })?;
    add.function("answerCertificate", |opened, call| {
        let (ticket, given) = call.args::<(f64, Option<NativeCertificate>)>()?;
        let given = given.and_then(|given| pems(&[given]).pop());
        opened.questions.answer(ticket as u64, Answer::Certificate(given));
        Ok(())
    })?;
    add.function("answerWoken", |opened, call| {
        let (ticket, traceparent) = call.args::<(f64, Option<String>)>()?;
        opened.questions.answer(ticket as u64, Answer::Woken(traceparent));
        Ok(())
    })?;
    Ok(object)
}

struct Adder<'a, 'env> {
    env: &'env Env,
    opened: &'a Arc<Opened>,
    object: &'a mut Object<'env>,
}

impl Adder<'_, '_> {
    fn function<R: ToNapiValue>(
        &mut self,
        name: &str,
        work: impl Fn(&Arc<Opened>, FunctionCallContext) -> Result<R> + 'static,
    ) -> Result<()> {
        let opened = self.opened.clone();
        let function = self
            .env
            .create_function_from_closure::<(), R, _>(name, move |call| work(&opened, call))?;
        self.object.set(name, function)
    }
}

#[napi(object, object_to_js = false)]
pub struct NativePage {
    /// Name, value, name, …
    pub headers: Vec<String>,
    pub body: Uint8Array,
}

#[napi(object, object_from_js = false)]
pub struct NativeClasses {
    #[napi(js_name = "1xx")]
    pub informational: f64,
    #[napi(js_name = "2xx")]
    pub successful: f64,
    #[napi(js_name = "3xx")]
    pub redirected: f64,
    #[napi(js_name = "4xx")]
    pub refused: f64,
    #[napi(js_name = "5xx")]
    pub failed: f64,
}

impl NativeClasses {
    fn of(requests: [u64; 5]) -> NativeClasses {
        let [informational, successful, redirected, refused, failed] =
            requests.map(|count| count as f64);
        NativeClasses { informational, successful, redirected, refused, failed }
    }
}

#[napi(object, object_from_js = false)]
pub struct NativeKeyStats {
    pub in_flight: f64,
    pub waiting: f64,
    pub requests: NativeClasses,
    pub refused: f64,
    pub answer_histogram: Vec<NativeBucket>,
}

impl NativeKeyStats {
    fn of(stats: &KeyStats) -> NativeKeyStats {
        NativeKeyStats {
            in_flight: stats.in_flight as f64,
            waiting: stats.waiting as f64,
            requests: NativeClasses::of(stats.requests),
            refused: stats.refused as f64,
            answer_histogram: bounds_ms()
                .into_iter()
                .zip(&stats.answers)
                .map(|(up_to_ms, count)| NativeBucket { up_to_ms, count: *count as f64 })
                .collect(),
        }
    }
}

/// The upper bounds of the buckets of the times until an answer, in milliseconds.
fn bounds_ms() -> Vec<f64> {
    let bounds = answer_bounds_us();
    bounds.iter().map(|us| *us as f64 / 1_000.0).chain([f64::INFINITY]).collect()
}

/// The figures of all keys. For each key there are `per_key` numbers: in flight, waiting, the five
/// classes, refused, and what each bucket has.
#[napi(object, object_from_js = false)]
pub struct NativeAllStats {
    pub keys: Vec<String>,
    pub numbers: Float64Array,
    pub per_key: u32,
    pub bounds_ms: Vec<f64>,
}

impl NativeAllStats {
    fn of(all: Vec<(String, KeyStats)>) -> NativeAllStats {
        let numbers = |(_, stats): &(String, KeyStats)| {
            let KeyStats { in_flight, waiting, requests, refused, answers } = stats.clone();
            [in_flight, waiting].into_iter().chain(requests).chain([refused]).chain(answers)
        };
        let numbers: Vec<f64> = all.iter().flat_map(numbers).map(|count| count as f64).collect();
        NativeAllStats {
            per_key: (8 + ANSWER_BUCKETS) as u32,
            bounds_ms: bounds_ms(),
            numbers: Float64Array::new(numbers),
            keys: all.into_iter().map(|(key, _)| key).collect(),
        }
    }
}

#[napi(object, object_from_js = false)]
pub struct NativeGatewayStats {
    pub connections: f64,
    pub in_flight: f64,
    pub waiting: f64,
    pub requests: NativeClasses,
    pub wakes: f64,
    pub wake_ms: f64,
    pub wake_histogram: Vec<NativeBucket>,
    pub bytes_in: f64,
    pub bytes_out: f64,
    pub access_dropped: Option<f64>,
}

/// How many waits took no longer than this, and longer than the bucket before. Without a bound:
/// those that took longer than all bounds.
#[napi(object, object_from_js = false)]
pub struct NativeBucket {
    pub up_to_ms: f64,
    pub count: f64,
}

impl NativeGatewayStats {
    fn of(stats: &Stats, dropped: u64) -> NativeGatewayStats {
        let bounds = WAKE_BUCKETS_MS.iter().map(|bound| *bound as f64).chain([f64::INFINITY]);
        let bucket =
            |(up_to_ms, count): (f64, &u64)| NativeBucket { up_to_ms, count: *count as f64 };
        NativeGatewayStats {
            connections: stats.connections as f64,
            in_flight: stats.in_flight as f64,
            waiting: stats.waiting as f64,
            requests: NativeClasses::of(stats.requests),
            wakes: stats.wakes as f64,
            wake_ms: stats.wake_us as f64 / 1_000.0,
            wake_histogram: bounds.zip(&stats.wake_buckets).map(bucket).collect(),
            bytes_in: stats.bytes_in as f64,
            bytes_out: stats.bytes_out as f64,
            access_dropped: (dropped > 0).then_some(dropped as f64),
        }
    }
}
