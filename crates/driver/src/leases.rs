//! The touch clocks and use counts of ready tenants, outside of the pool and its lock.
//!
//! Each writer of touches has its own place: JavaScript, with plain stores, `touched_at` and
//! `sequence`; threads in Rust, and the pool on behalf of its callers, `touched_in_rust`. The last
//! touch of either counts. A use, from its beginning to its end, is counted in [`Lease::state`] by
//! threads in Rust; JavaScript only touches.
//!
//! **JavaScript's side.** `touch`, and `ensure` of a running key, never leave JavaScript: they store
//! the time and then look whether `claimed` is still 0. The pool claims first and looks at the time
//! afterwards. Both do the second step after an atomic read-modify-write of `claimed`, so one of
//! them always sees the other: no tenant that is being stopped is handed out.
//!
//! **Rust's side.** Count and claim are one word. A caller adds itself and sees in what was there
//! before whether it was claimed; the pool sets the claim and then looks who is counted. So a
//! caller that was counted first is seen by the claim, and a caller that came second sees the claim.
//!
//! Leases' places come in chunks that never move and are never freed while either side can reach
//! them. A place is used again only after JavaScript has processed the end of the run that had it
//! (see `Uplink::take`), and when no thread in Rust has its [`Lease`] any more.

use pool::{Leases, RunId, RunMap, Touch};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};

/// Leases in a chunk: 28 KiB of memory, enough for most hosts' whole pool.
pub const LEASES_PER_CHUNK: usize = 1024;

/// In [`Lease::state`]: the tenant may not be handed out. The other bits are the count of uses.
const CLAIMED: u32 = 1 << 31;

/// Milliseconds since the epoch.
pub type WallClock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// A block of leases' places, in the layout that JavaScript sees: three `Float64Array`s and an
/// `Int32Array`.
pub struct Chunk {
    /// Milliseconds since the epoch, as the bits of an `f64`. JavaScript's own.
    pub touched_at: [AtomicU64; LEASES_PER_CHUNK],
    /// The count of touches so far, as the bits of an `f64`. JavaScript's own.
    pub sequence: [AtomicU64; LEASES_PER_CHUNK],
    /// As `touched_at`. Rust's own; JavaScript only reads it.
    pub touched_in_rust: [AtomicU64; LEASES_PER_CHUNK],
    /// 0 while JavaScript may hand the tenant out.
    pub claimed: [AtomicI32; LEASES_PER_CHUNK],
}

/// Where a lease's place is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LeaseAddress {
    pub chunk: usize,
    pub index: usize,
}

/// Rust's side of one run's lease.
pub struct Lease {
    chunk: Arc<Chunk>,
    address: LeaseAddress,
    clock: WallClock,
    /// How many use the tenant, and whether it is [`CLAIMED`].
    state: AtomicU32,
}

impl Lease {
    /// Counts a use, unless the tenant is claimed. Of each use that was counted
    /// [`end_use`](Self::end_use) tells the end.
    pub(crate) fn begin_use(&self) -> bool {
        if self.state.fetch_add(1, Ordering::SeqCst) & CLAIMED != 0 {
            // The claim may have seen this count. It takes the tenant for one in use then, and
            // keeps it.
            self.state.fetch_sub(1, Ordering::SeqCst);
            return false;
        }
        self.touch((self.clock)());
        true
    }

    /// The end of a use is a touch: stored first, since a tenant that is not in use is idle by its
    /// clock.
    pub(crate) fn end_use(&self) {
        self.touch((self.clock)());
        self.state.fetch_sub(1, Ordering::SeqCst);
    }

    /// How many use the tenant now.
    pub fn uses(&self) -> u32 {
        self.state.load(Ordering::SeqCst) & !CLAIMED
    }

    /// A store costs the other threads their copy of the place: one a millisecond is enough.
    fn touch(&self, wall_ms: u64) {
        let place = &self.chunk.touched_in_rust[self.address.index];
        if load(place) != wall_ms {
            store(place, wall_ms);
        }
    }

    fn touched(&self) -> Touch {
        let (chunk, index) = (&self.chunk, self.address.index);
        let at_ms = load(&chunk.touched_at[index]).max(load(&chunk.touched_in_rust[index]));
        Touch { at_ms, sequence: load(&chunk.sequence[index]) }
    }

    fn claim(&self) {
        self.chunk.claimed[self.address.index].swap(1, Ordering::SeqCst);
        self.state.fetch_or(CLAIMED, Ordering::SeqCst);
    }

    fn reopen(&self) {
        self.state.fetch_and(!CLAIMED, Ordering::SeqCst);
        self.chunk.claimed[self.address.index].swap(0, Ordering::SeqCst);
    }
}

/// Which run has which lease. Behind the driver's lock.
pub struct LeaseTable {
    clock: WallClock,
    chunks: Vec<Arc<Chunk>>,
    by_run: RunMap<Arc<Lease>>,
    /// Of runs that are over: their places are not free yet.
    retired: HashMap<LeaseAddress, Arc<Lease>>,
    /// JavaScript knows of the end of these; a thread in Rust may still have them.
    lingering: Vec<Arc<Lease>>,
    free: Vec<LeaseAddress>,
}

impl LeaseTable {
    pub fn new(clock: WallClock) -> LeaseTable {
        LeaseTable {
            clock,
            chunks: Vec::new(),
            by_run: RunMap::default(),
            retired: HashMap::new(),
            lingering: Vec::new(),
            free: Vec::new(),
        }
    }

    pub fn chunk(&self, index: usize) -> Option<Arc<Chunk>> {
        self.chunks.get(index).cloned()
    }

    pub fn address(&self, run: RunId) -> Option<LeaseAddress> {
        self.by_run.get(&run).map(|lease| lease.address)
    }

    /// The side of the run's lease that threads in Rust use.
    pub fn lease(&self, run: RunId) -> Option<Arc<Lease>> {
        self.by_run.get(&run).cloned()
    }

    /// Takes the lease from a run that is over. Its place may be [`recycle`](Self::recycle)d once
    /// JavaScript knows.
    pub fn retire(&mut self, run: RunId) -> Option<LeaseAddress> {
        let lease = self.by_run.remove(&run)?;
        let address = lease.address;
        self.retired.insert(address, lease);
        Some(address)
    }

    /// JavaScript knows that the run which had this place is over.
    pub fn recycle(&mut self, address: LeaseAddress) {
        self.lingering.extend(self.retired.remove(&address));
        self.lingering.retain_mut(|lease| {
            // The last reference: nothing can make another one of it, and what other threads stored
            // is seen.
            let is_free = Arc::get_mut(lease).is_some();
            if is_free {
                self.free.push(lease.address);
            }
            !is_free
        });
    }

    fn allocate(&mut self) -> LeaseAddress {
        if self.free.is_empty() {
            let chunk = self.chunks.len();
            self.chunks.push(Arc::new(Chunk {
                touched_at: [const { AtomicU64::new(0) }; LEASES_PER_CHUNK],
                sequence: [const { AtomicU64::new(0) }; LEASES_PER_CHUNK],
                touched_in_rust: [const { AtomicU64::new(0) }; LEASES_PER_CHUNK],
                claimed: [const { AtomicI32::new(1) }; LEASES_PER_CHUNK],
            }));
            self.free.extend((0..LEASES_PER_CHUNK).rev().map(|index| LeaseAddress { chunk, index }));
        }
        self.free.pop().expect("a chunk was just added")
    }
}

impl Leases for LeaseTable {
    fn open(&mut self, run: RunId, wall_ms: u64) {
        let address = self.allocate();
        let chunk = self.chunks[address.chunk].clone();
        store(&chunk.touched_at[address.index], wall_ms);
        store(&chunk.sequence[address.index], 0);
        store(&chunk.touched_in_rust[address.index], 0);
        chunk.claimed[address.index].store(0, Ordering::SeqCst);
        let (clock, state) = (self.clock.clone(), AtomicU32::new(0));
        self.by_run.insert(run, Arc::new(Lease { chunk, address, clock, state }));
    }

    fn touched(&self, run: RunId) -> Touch {
        self.by_run.get(&run).map_or(Touch::default(), |lease| lease.touched())
    }

    fn is_in_use(&self, run: RunId) -> bool {
        self.by_run.get(&run).is_some_and(|lease| lease.uses() > 0)
    }

    fn touch(&mut self, run: RunId, wall_ms: u64) {
        if let Some(lease) = self.by_run.get(&run) {
            lease.touch(wall_ms);
        }
    }

    fn claim(&mut self, run: RunId) -> Touch {
        if let Some(lease) = self.by_run.get(&run) {
            lease.claim();
        }
        self.touched(run)
    }

    fn reopen(&mut self, run: RunId) {
        if let Some(lease) = self.by_run.get(&run) {
            lease.reopen();
        }
    }
}

/// JavaScript writes its own with plain stores; on the 64-bit machines we support they are never
/// torn.
fn load(cell: &AtomicU64) -> u64 {
    f64::from_bits(cell.load(Ordering::Acquire)) as u64
}

fn store(cell: &AtomicU64, value: u64) {
    cell.store((value as f64).to_bits(), Ordering::Release);
}

#[cfg(test)]
mod tests;
