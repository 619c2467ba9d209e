//! Leases: the times of the last touch and the use counts of ready tenants, outside of the pool
//! and its lock.
//!
//! Each writer of touches has cells of its own. JavaScript writes `touched_at` and `sequence` with
//! plain stores; threads in Rust, and the pool for its callers, write `touched_in_rust`. The later
//! of the two touches counts. A use, from its beginning to its end, is counted in [`Lease::state`]
//! by threads in Rust; JavaScript only touches.
//!
//! **JavaScript's side.** `touch`, and `ensure` of a running key, never leave JavaScript: they
//! store the time and then look whether `claimed` is still 0. The pool claims first and reads the
//! time afterwards. Both take the second step after an atomic read-modify-write of `claimed`, so
//! one of them always sees the other: no tenant that is being stopped is handed out.
//!
//! **Rust's side.** Count and claim are one word. (A hold is a second claim, of the driver's: callers wait
//! while the key is passed on to another host, and the pool's own claims come and go beside it.) A caller adds one, and the previous value tells
//! it whether the tenant was claimed; the pool sets the claim, and then reads the count. So the
//! claim sees a caller that was counted first, and a caller that came second sees the claim. What
//! waits for a word that the claim has changed (the end of the last use, a revocation) is woken by
//! [`Lease::changed`], which is touched in no other case.
//!
//! The cells come in chunks that never move and are never freed while either side can reach them.
//! A lease's cells are reused only after JavaScript has processed the end of the run that had them
//! (see `Uplink::take`), and when no thread in Rust has its [`Lease`] any more.

use pool::{Leases, RunId, RunMap, Touch};
use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};
use tokio::sync::Notify;

/// Leases in a chunk: 28 KiB of memory, enough for all tenants of most hosts.
pub const LEASES_PER_CHUNK: usize = 1024;

/// The bit of [`Lease::state`] that says that the tenant may not be handed out.
const CLAIMED: u32 = 1 << 31;
/// The bit that says that the tenant is asked to end, in use or not.
const REVOKED: u32 = 1 << 30;
/// The bit that says that callers wait while its key is passed on, whatever the pool says.
const HELD: u32 = 1 << 29;
/// The other bits are the count of uses.
const USES: u32 = !(CLAIMED | REVOKED | HELD);

/// Why JavaScript may not hand the tenant out: the bits of [`Chunk::claimed`].
const CLAIMED_FOR_JS: i32 = 1;
const HELD_FOR_JS: i32 = 2;

/// A clock that returns milliseconds since the epoch.
pub type WallClock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// A block of leases' cells, in the layout that JavaScript sees: three `Float64Array`s and an
/// `Int32Array`.
pub struct Chunk {
    /// Milliseconds since the epoch, as the bits of an `f64`. Written by JavaScript.
    pub touched_at: [AtomicU64; LEASES_PER_CHUNK],
    /// The count of touches so far, as the bits of an `f64`. Written by JavaScript.
    pub sequence: [AtomicU64; LEASES_PER_CHUNK],
    /// As `touched_at`. Written by Rust; JavaScript reads it.
    pub touched_in_rust: [AtomicU64; LEASES_PER_CHUNK],
    /// 0 while JavaScript may hand the tenant out.
    pub claimed: [AtomicI32; LEASES_PER_CHUNK],
}

/// Which cells are a lease's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LeaseAddress {
    pub chunk: usize,
    pub index: usize,
}

/// Rust's side of one run's lease. While a reference lives, its cells are not reused.
pub struct Lease {
    chunk: Arc<Chunk>,
    address: LeaseAddress,
    clock: WallClock,
    /// The count of uses, and whether the tenant is [`CLAIMED`], [`REVOKED`] and [`HELD`].
    state: AtomicU32,
    /// Notified when the last use of a claimed or held tenant has ended, and when one is revoked.
    changed: Notify,
}

impl Lease {
    /// Counts a use and returns true, unless the tenant is claimed or held. Each use that was counted is
    /// ended by one [`end_use`](Self::end_use).
    pub(crate) fn begin_use(&self) -> bool {
        if self.state.fetch_add(1, Ordering::SeqCst) & (CLAIMED | HELD) != 0 {
            // The claim may have seen this count. Then the pool takes the tenant for one in use:
            // it reopens its lease, or waits for the end of this use.
            self.count_out();
            return false;
        }
        self.touch((self.clock)());
        true
    }

    /// Ends a use, which is a touch. The touch is stored before the count falls, since the idle
    /// time of a tenant that is not in use begins at its last touch.
    pub(crate) fn end_use(&self) {
        self.touch((self.clock)());
        self.count_out();
    }

    fn count_out(&self) {
        let before = self.state.fetch_sub(1, Ordering::SeqCst);
        if before & (CLAIMED | HELD) != 0 && before & USES == 1 {
            self.changed.notify_waiters();
        }
    }

    /// The count of uses.
    pub fn uses(&self) -> u32 {
        self.state.load(Ordering::SeqCst) & USES
    }

    /// The tenant is asked to end, with the uses that are open.
    pub(crate) fn revoke(&self) {
        if self.state.fetch_or(REVOKED, Ordering::SeqCst) & REVOKED == 0 {
            self.changed.notify_waiters();
        }
    }

    /// Waits until no use of a claimed or held tenant is open.
    pub(crate) async fn until_unused(&self) {
        self.until(|state| state & USES == 0).await;
    }

    /// Waits until the tenant is asked to end.
    pub(crate) async fn until_revoked(&self) {
        self.until(|state| state & REVOKED != 0).await;
    }

    async fn until(&self, is_so: impl Fn(u32) -> bool) {
        loop {
            let mut changed = pin!(self.changed.notified());
            // Before the look, so that no change after it is missed.
            changed.as_mut().enable();
            if is_so(self.state.load(Ordering::SeqCst)) {
                return;
            }
            changed.await;
        }
    }

    /// Stores the time of a touch. Each store invalidates the cache line of the other threads, so
    /// the same millisecond is stored once.
    fn touch(&self, wall_ms: u64) {
        let cell = &self.chunk.touched_in_rust[self.address.index];
        if load(cell) != wall_ms {
            store(cell, wall_ms);
        }
    }

    fn touched(&self) -> Touch {
        let (chunk, index) = (&self.chunk, self.address.index);
        let at_ms = load(&chunk.touched_at[index]).max(load(&chunk.touched_in_rust[index]));
        Touch { at_ms, sequence: load(&chunk.sequence[index]) }
    }

    /// When the tenant was last touched, in milliseconds since the epoch.
    pub(crate) fn touched_at_ms(&self) -> u64 {
        self.touched().at_ms
    }

    fn claim(&self) {
        self.for_js().fetch_or(CLAIMED_FOR_JS, Ordering::SeqCst);
        self.state.fetch_or(CLAIMED, Ordering::SeqCst);
    }

    fn reopen(&self) {
        self.state.fetch_and(!(CLAIMED | REVOKED), Ordering::SeqCst);
        self.for_js().fetch_and(!CLAIMED_FOR_JS, Ordering::SeqCst);
    }

    /// From now on the tenant is not handed out, until [`unhold`](Self::unhold).
    pub(crate) fn hold(&self) {
        self.for_js().fetch_or(HELD_FOR_JS, Ordering::SeqCst);
        self.state.fetch_or(HELD, Ordering::SeqCst);
    }

    /// The tenant is handed out again, unless it is claimed. Not beside a claim: behind the driver's
    /// lock, as that.
    pub(crate) fn unhold(&self) {
        let is_claimed = self.state.load(Ordering::SeqCst) & CLAIMED != 0;
        let ends = if is_claimed { HELD } else { HELD | REVOKED };
        self.state.fetch_and(!ends, Ordering::SeqCst);
        self.for_js().fetch_and(!HELD_FOR_JS, Ordering::SeqCst);
    }

    fn for_js(&self) -> &AtomicI32 {
        &self.chunk.claimed[self.address.index]
    }
}

/// The leases by run, and the free cells. Behind the driver's lock.
pub struct LeaseTable {
    clock: WallClock,
    chunks: Vec<Arc<Chunk>>,
    by_run: RunMap<Arc<Lease>>,
    /// Leases of runs that are over, until JavaScript has processed their end.
    retired: HashMap<LeaseAddress, Arc<Lease>>,
    /// Leases that JavaScript has no use for, until no thread in Rust has them.
    lingering: Vec<Arc<Lease>>,
    free: Vec<LeaseAddress>,
    /// Leases that were opened while tenants may be in use by the host before; `None`: none is.
    others: Option<Vec<Arc<Lease>>>,
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
            others: None,
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

    /// From now on what is opened is in use by the host before, too, until
    /// [`end_others_uses`](Self::end_others_uses).
    pub fn begin_others_uses(&mut self) {
        self.others = Some(Vec::new());
    }

    /// The host before is gone. What it did is no touch of this host's.
    pub fn end_others_uses(&mut self) {
        self.others.take().into_iter().flatten().for_each(|lease| lease.count_out());
    }

    /// Takes the lease from a run that is over. Its cells are [`recycle`](Self::recycle)d once
    /// JavaScript has processed the end of the run.
    pub fn retire(&mut self, run: RunId) -> Option<LeaseAddress> {
        let lease = self.by_run.remove(&run)?;
        let address = lease.address;
        self.retired.insert(address, lease);
        Some(address)
    }

    /// JavaScript has processed the end of the run that had this lease. Frees the cells of this
    /// one, and of those before it, as soon as no thread in Rust has them.
    pub fn recycle(&mut self, address: LeaseAddress) {
        self.lingering.extend(self.retired.remove(&address));
        self.lingering.retain_mut(|lease| {
            // The table has the last reference: no other can be made, and the stores of other
            // threads are visible.
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
                claimed: [const { AtomicI32::new(CLAIMED_FOR_JS) }; LEASES_PER_CHUNK],
            }));
            self.free
                .extend((0..LEASES_PER_CHUNK).rev().map(|index| LeaseAddress { chunk, index }));
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
        let (clock, state, changed) = (self.clock.clone(), AtomicU32::new(0), Notify::new());
        let lease = Arc::new(Lease { chunk, address, clock, state, changed });
        if let Some(others) = &mut self.others {
            lease.state.fetch_add(1, Ordering::SeqCst);
            others.push(lease.clone());
        }
        self.by_run.insert(run, lease);
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

/// Reads a cell. JavaScript writes its cells with plain stores, which are never torn on the 64-bit
/// machines that are supported.
fn load(cell: &AtomicU64) -> u64 {
    f64::from_bits(cell.load(Ordering::Acquire)) as u64
}

fn store(cell: &AtomicU64, value: u64) {
    cell.store((value as f64).to_bits(), Ordering::Release);
}

#[cfg(test)]
mod tests;
