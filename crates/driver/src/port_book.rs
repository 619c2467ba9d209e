//! Which ports are assigned to runs or kept for keys: a value, without I/O.
//!
//! | a port is | from | until |
//! |---|---|---|
//! | assigned | a run was given it, or was restored on it | the run is over, or uses another |
//! | kept | its tenant was saved and will listen there again | the key is started, or `close` |
//!
//! An assigned port is given to no other run, whether it is held or not: the port of a user's
//! process is not held once the process is ready, so the kernel may offer it again.

use linux::net::ports::PortSet;
use pool::Key;
use std::collections::BTreeMap;

/// The ports that are assigned or kept: see the module. `H` holds a port; dropping the book drops
/// those that are kept.
pub struct PortBook<H> {
    assigned: PortSet,
    kept: BTreeMap<Key, (u16, Option<H>)>,
}

impl<H> Default for PortBook<H> {
    fn default() -> Self {
        PortBook { assigned: PortSet::default(), kept: BTreeMap::new() }
    }
}

impl<H> PortBook<H> {
    /// Whether the port is assigned to no run.
    pub fn is_free(&self, port: u16) -> bool {
        !self.assigned.contains(port)
    }

    /// Assigns the port to a run.
    pub fn assign(&mut self, port: u16) {
        self.assigned.insert(port);
    }

    /// Ends the assignment: the run is over, or uses another port.
    pub fn unassign(&mut self, port: u16) {
        self.assigned.remove(port);
    }

    /// Keeps a port for the key's next start.
    pub fn keep(&mut self, key: Key, port: u16, held: Option<H>) {
        self.kept.insert(key, (port, held));
    }

    /// Takes the port that is kept for the key. `None` if there is none, or if it has been
    /// assigned to another run since.
    pub fn take_kept(&mut self, key: &str) -> Option<(u16, Option<H>)> {
        let kept = self.kept.remove(key)?;
        self.is_free(kept.0).then_some(kept)
    }

    /// Releases all ports that are kept.
    pub fn close(&mut self) {
        self.kept.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;

    #[test]
    fn an_assigned_port_is_free_again_after_its_assignment_ends() {
        let mut book = PortBook::<()>::default();
        book.assign(4_000);
        assert_eq!((book.is_free(4_000), book.is_free(4_001)), (false, true));
        book.unassign(4_000);
        assert!(book.is_free(4_000));
    }

    #[test]
    fn a_kept_port_is_given_to_its_key_once() {
        let mut book = PortBook::default();
        book.keep("a".into(), 4_000, Some("held"));
        assert_eq!(book.take_kept("b"), None);
        assert_eq!(book.take_kept("a"), Some((4_000, Some("held"))));
        assert_eq!(book.take_kept("a"), None);
    }

    #[test]
    fn a_kept_port_that_was_assigned_to_another_run_is_released() {
        let (mut book, held) = (PortBook::default(), Rc::new(()));
        book.keep("a".into(), 4_000, Some(held.clone()));
        book.assign(4_000);
        assert!(book.take_kept("a").is_none());
        assert_eq!(Rc::strong_count(&held), 1);
    }

    #[test]
    fn closing_releases_all_kept_ports() {
        let (mut book, held) = (PortBook::default(), Rc::new(()));
        book.keep("a".into(), 4_000, Some(held.clone()));
        book.close();
        assert_eq!(Rc::strong_count(&held), 1);
    }
}
