//! Batches of records, and statuses, as `lib/bridge/batch.js` reads them: numbers in shared
//! memory, and texts. Their contents are declared in `crates/driver/src/uplink/records.rs`.

use driver::uplink::wire::Written;
use driver::uplink::{BATCH_RECORDS, RECORD_NUMBERS, write_statuses};
use napi::bindgen_prelude::{Env, Float64Array, ToNapiValue};
use napi::sys::{napi_env, napi_value};
use napi::{JsString, Result};
use napi_derive::napi;
use pool::Status;
use std::sync::atomic::{AtomicU64, Ordering};

/// The numbers of a batch, in memory that JavaScript reads: their count, then the numbers.
pub struct Numbers([AtomicU64; NUMBERS_PER_BATCH]);

pub const NUMBERS_PER_BATCH: usize = 1 + BATCH_RECORDS * RECORD_NUMBERS;

impl Default for Numbers {
    fn default() -> Self {
        Numbers([const { AtomicU64::new(0) }; NUMBERS_PER_BATCH])
    }
}

impl Numbers {
    pub fn as_ptr(&self) -> *const AtomicU64 {
        self.0.as_ptr()
    }

    /// Overwrites the batch before.
    pub fn store(&self, numbers: &[f64]) {
        for (place, number) in self.0[1..].iter().zip(numbers) {
            place.store(number.to_bits(), Ordering::Relaxed);
        }
        self.0[0].store((numbers.len() as f64).to_bits(), Ordering::Relaxed);
    }

    /// Whether JavaScript has read the batch, and has set its count to 0.
    pub fn are_read(&self) -> bool {
        self.0[0].load(Ordering::Relaxed) == 0
    }
}

/// The texts of a batch: `undefined` for none, a string for one, an array for several. Most
/// batches need no array.
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
    // ASCII is Latin-1, which V8 and JavaScriptCore copy without decoding.
    if text.is_ascii() {
        scope.create_string_latin1(text.as_bytes())
    } else {
        scope.create_string(text)
    }
}

/// Statuses: the count of numbers, then the numbers of one status after the other.
#[napi(object, object_from_js = false)]
pub struct NativeStatuses {
    pub numbers: Float64Array,
    pub texts: Vec<String>,
}

impl NativeStatuses {
    pub fn of(statuses: Vec<Status>) -> Self {
        let Written { mut numbers, texts } = write_statuses(statuses);
        numbers.insert(0, numbers.len() as f64);
        NativeStatuses { numbers: numbers.into(), texts }
    }
}
