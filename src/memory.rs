//! Memory that is shared with JavaScript, as typed arrays.

use super::records::{NUMBERS_PER_BATCH, Numbers};
use driver::board::{Board, PLACES};
use driver::leases::{Chunk, LEASES_PER_CHUNK};
use napi::bindgen_prelude::{Float64Array, Int32Array};
use napi_derive::napi;
use std::sync::Arc;

/// The four arrays of a chunk of leases: see [`Chunk`].
#[napi(object, object_from_js = false)]
pub struct NativeLeases {
    pub touched_at: Float64Array,
    pub sequence: Float64Array,
    pub touched_in_rust: Float64Array,
    pub claimed: Int32Array,
}

impl From<Arc<Chunk>> for NativeLeases {
    fn from(chunk: Arc<Chunk>) -> Self {
        let [touched_at, sequence, touched_in_rust] = [(); 3].map(|()| chunk.clone());
        let claimed = chunk;
        // SAFETY: each array lies within a chunk that never moves, and the reference that is moved
        // into the finalizer keeps the chunk alive until the array is collected. An `AtomicU64` or
        // `AtomicI32` has the size and alignment of an `f64` or `i32`, may be written through a
        // shared reference, and is read in Rust only atomically.
        unsafe {
            NativeLeases {
                touched_at: Float64Array::with_external_data(
                    touched_at.touched_at.as_ptr() as *mut f64,
                    LEASES_PER_CHUNK,
                    move |_, _| drop(touched_at),
                ),
                sequence: Float64Array::with_external_data(
                    sequence.sequence.as_ptr() as *mut f64,
                    LEASES_PER_CHUNK,
                    move |_, _| drop(sequence),
                ),
                touched_in_rust: Float64Array::with_external_data(
                    touched_in_rust.touched_in_rust.as_ptr() as *mut f64,
                    LEASES_PER_CHUNK,
                    move |_, _| drop(touched_in_rust),
                ),
                claimed: Int32Array::with_external_data(
                    claimed.claimed.as_ptr() as *mut i32,
                    LEASES_PER_CHUNK,
                    move |_, _| drop(claimed),
                ),
            }
        }
    }
}

/// The array of a batch's numbers, which each batch overwrites.
pub fn numbers_array(numbers: Arc<Numbers>) -> Float64Array {
    let first = numbers.as_ptr() as *mut f64;
    // SAFETY: as for a chunk of leases; the numbers never move, and live until the array is
    // collected.
    unsafe { Float64Array::with_external_data(first, NUMBERS_PER_BATCH, move |_, _| drop(numbers)) }
}

/// The array of the current figures.
pub fn board_array(board: Arc<Board>) -> Float64Array {
    let numbers = board.numbers.as_ptr() as *mut f64;
    // SAFETY: as for a chunk of leases; the board never moves, and lives until the array is
    // collected.
    unsafe { Float64Array::with_external_data(numbers, PLACES.len(), move |_, _| drop(board)) }
}
