//! The touch clocks of ready tenants, in memory shared with JavaScript.
//!
//! `touch`, and `ensure` of a running key, never leave JavaScript: they store the time in a lease's `touched_at`,
//! its place in the order of touches in `sequence`, and then look whether `claimed` is still 0. The pool claims
//! first and looks at the time afterwards. Both do the second step after an atomic read-modify-write of `claimed`,
//! so one of them always sees the other: no tenant that is being stopped is handed out.
//!
//! Leases come in chunks that never move and are never freed while either side can reach them. A lease is used
//! again only after JavaScript has processed the end of the run that had it (see `Uplink::take`).

use pool::{Leases, RunId, RunMap, Touch};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

/// Leases in a chunk: 20 KiB of memory, enough for most hosts' whole pool.
pub const LEASES_PER_CHUNK: usize = 1024;

/// A block of leases, in the layout that JavaScript sees: two `Float64Array`s and an `Int32Array`.
pub struct Chunk {
    /// Milliseconds since the epoch, as the bits of an `f64`.
    pub touched_at: [AtomicU64; LEASES_PER_CHUNK],
    /// The count of touches so far, as the bits of an `f64`.
    pub sequence: [AtomicU64; LEASES_PER_CHUNK],
    /// 0 while the tenant may be handed out.
    pub claimed: [AtomicI32; LEASES_PER_CHUNK],
}

/// Where a lease is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseAddress {
    pub chunk: usize,
    pub index: usize,
}

/// Who has which lease.
#[derive(Default)]
pub struct LeaseTable {
    chunks: Vec<Arc<Chunk>>,
    by_run: RunMap<LeaseAddress>,
    free: Vec<LeaseAddress>,
}

impl LeaseTable {
    pub fn chunk(&self, index: usize) -> Option<Arc<Chunk>> {
        self.chunks.get(index).cloned()
    }

    pub fn address(&self, run: RunId) -> Option<LeaseAddress> {
        self.by_run.get(&run).copied()
    }

    /// Takes the lease from a run that is over. It may be [`recycle`](Self::recycle)d once JavaScript knows.
    pub fn retire(&mut self, run: RunId) -> Option<LeaseAddress> {
        self.by_run.remove(&run)
    }

    pub fn recycle(&mut self, address: LeaseAddress) {
        self.free.push(address);
    }

    fn allocate(&mut self) -> LeaseAddress {
        if self.free.is_empty() {
            let chunk = self.chunks.len();
            self.chunks.push(Arc::new(Chunk {
                touched_at: [const { AtomicU64::new(0) }; LEASES_PER_CHUNK],
                sequence: [const { AtomicU64::new(0) }; LEASES_PER_CHUNK],
                claimed: [const { AtomicI32::new(1) }; LEASES_PER_CHUNK],
            }));
            self.free.extend((0..LEASES_PER_CHUNK).rev().map(|index| LeaseAddress { chunk, index }));
        }
        self.free.pop().expect("a chunk was just added")
    }

    fn with<T>(&self, run: RunId, default: T, use_lease: impl FnOnce(&Chunk, usize) -> T) -> T {
        match self.by_run.get(&run) {
            Some(address) => use_lease(&self.chunks[address.chunk], address.index),
            None => default,
        }
    }
}

impl Leases for LeaseTable {
    fn open(&mut self, run: RunId, wall_ms: u64) {
        let address = self.allocate();
        let chunk = &self.chunks[address.chunk];
        store(&chunk.touched_at[address.index], wall_ms);
        store(&chunk.sequence[address.index], 0);
        chunk.claimed[address.index].store(0, Ordering::SeqCst);
        self.by_run.insert(run, address);
    }

    fn touched(&self, run: RunId) -> Touch {
        self.with(run, Touch::default(), |chunk, index| Touch {
            at_ms: load(&chunk.touched_at[index]),
            sequence: load(&chunk.sequence[index]),
        })
    }

    /// JavaScript touches, and has no uses to count.
    fn is_in_use(&self, _run: RunId) -> bool {
        false
    }

    fn touch(&mut self, run: RunId, wall_ms: u64) {
        // JavaScript's thread may store a time at this moment, too, while the engine's takes a step (a stop that is given
        // up). Both are times of this moment, and one of the two stays.
        self.with(run, (), |chunk, index| store(&chunk.touched_at[index], wall_ms));
    }

    fn claim(&mut self, run: RunId) -> Touch {
        self.with(run, (), |chunk, index| {
            chunk.claimed[index].swap(1, Ordering::SeqCst);
        });
        self.touched(run)
    }

    fn reopen(&mut self, run: RunId) {
        self.with(run, (), |chunk, index| {
            chunk.claimed[index].swap(0, Ordering::SeqCst);
        });
    }
}

/// JavaScript writes these with plain stores; on the 64-bit machines we support they are never torn.
fn load(cell: &AtomicU64) -> u64 {
    f64::from_bits(cell.load(Ordering::Acquire)) as u64
}

fn store(cell: &AtomicU64, value: u64) {
    cell.store((value as f64).to_bits(), Ordering::Release);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_open_until_claimed() {
        let mut leases = LeaseTable::default();
        leases.open(RunId(1), 50);
        let address = leases.address(RunId(1)).unwrap();
        let chunk = leases.chunk(address.chunk).unwrap();
        assert_eq!(chunk.claimed[address.index].load(Ordering::SeqCst), 0);
        store(&chunk.touched_at[address.index], 70);
        assert_eq!(leases.claim(RunId(1)), Touch { at_ms: 70, sequence: 0 });
        assert_eq!(chunk.claimed[address.index].load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_lease_is_used_again_only_when_recycled() {
        let mut leases = LeaseTable::default();
        leases.open(RunId(1), 0);
        let first = leases.retire(RunId(1)).unwrap();
        leases.open(RunId(2), 0);
        assert_ne!(leases.address(RunId(2)), Some(first));
        leases.recycle(first);
        leases.open(RunId(3), 0);
        assert_eq!(leases.address(RunId(3)), Some(first));
    }

    #[test]
    fn more_leases_than_a_chunk_holds() {
        let mut leases = LeaseTable::default();
        for run in 0..LEASES_PER_CHUNK as u64 + 1 {
            leases.open(RunId(run), run);
        }
        assert_eq!(leases.address(RunId(LEASES_PER_CHUNK as u64)).unwrap().chunk, 1);
        assert_eq!(leases.touched(RunId(5)).at_ms, 5);
    }
}
