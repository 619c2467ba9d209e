//! The contract of the store in memory.

use crate::bed::Bed;
use store::{MemoryStore, Revision};

#[derive(Default)]
struct InMemory(MemoryStore);

impl Bed for InMemory {
    type Store = MemoryStore;

    fn way(&self) -> MemoryStore {
        self.0.another_way()
    }

    /// It has no prefixes, so that all others are other stores.
    fn way_to_neighbour(&self) -> MemoryStore {
        MemoryStore::new()
    }

    fn compact(&self, up_to: Revision) {
        self.0.compact(up_to);
    }
}

crate::cases::run_contract!(Some(InMemory::default()), Some(InMemory::default()));
