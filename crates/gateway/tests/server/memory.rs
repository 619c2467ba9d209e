//! What a connection takes while nothing is asked of it, counted as it is allocated: what is
//! resident depends on what the allocator had left.

use crate::support::until;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

const CONNECTIONS: usize = 100;

/// The allocator of the system, which counts the bytes that are in use.
pub struct Counting {
    in_use: AtomicUsize,
    most: AtomicUsize,
}

// SAFETY: the allocator of the system is asked, with what this one was asked with.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let in_use = self.in_use.fetch_add(layout.size(), Relaxed) + layout.size();
        self.most.fetch_max(in_use, Relaxed);
        // SAFETY: the layout is the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, allocated: *mut u8, layout: Layout) {
        self.in_use.fetch_sub(layout.size(), Relaxed);
        // SAFETY: it was allocated by `alloc` above, with this layout.
        unsafe { System.dealloc(allocated, layout) }
    }
}

impl Counting {
    pub const fn new() -> Counting {
        Counting { in_use: AtomicUsize::new(0), most: AtomicUsize::new(0) }
    }

    /// The most that was in use at once since `forget_most`.
    #[allow(dead_code, reason = "one of the tests asks for it")]
    pub fn most(&self) -> usize {
        self.most.load(Relaxed)
    }

    #[allow(dead_code, reason = "one of the tests asks for it")]
    pub fn forget_most(&self) {
        self.most.store(0, Relaxed);
    }

    /// Waits until each of many connections that were used takes no more than this. `connect` makes
    /// one, uses it, and returns what holds it open.
    pub fn until_each_takes<C>(&self, bytes: usize, connect: impl Fn() -> C) {
        // What is allocated once is.
        let _first = connect();
        let before = self.in_use.load(Relaxed);
        let _many: Vec<C> = (0..CONNECTIONS).map(|_| connect()).collect();
        let each = || self.in_use.load(Relaxed).saturating_sub(before) / CONNECTIONS;
        until(&format!("{bytes} bytes for an idle connection"), || each() <= bytes);
    }
}
