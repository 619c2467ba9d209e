//! Which ports are whose: a value.
//!
//! | a port is | from | until |
//! |---|---|---|
//! | told | a run was given it, or said that it uses it | the run is over, or uses another |
//! | kept | its tenant was saved, which will listen there again | the key is started, or the runtime closed |
//!
//! A told port is given to no other run, whether it is held or not: that of a user's process is not held once it is ready, so
//! the kernel may offer it again.

use linux::net::ports::PortSet;
use pool::Key;
use std::collections::BTreeMap;

/// See the module. `H` is what holds a port; the value itself holds none.
pub struct PortBook<H> {
    told: PortSet,
    kept: BTreeMap<Key, (u16, Option<H>)>,
}

impl<H> Default for PortBook<H> {
    fn default() -> Self {
        PortBook { told: PortSet::default(), kept: BTreeMap::new() }
    }
}

impl<H> PortBook<H> {
    /// Whether no run was told this port.
    pub fn is_free(&self, port: u16) -> bool {
        !self.told.contains(port)
    }

    pub fn tell(&mut self, port: u16) {
        self.told.insert(port);
    }

    /// The run that was told it is over, or uses another.
    pub fn forget(&mut self, port: u16) {
        self.told.remove(port);
    }

    /// Keeps a port for the key's next start.
    pub fn keep(&mut self, key: Key, port: u16, held: Option<H>) {
        self.kept.insert(key, (port, held));
    }

    /// The port that is kept for the key, unless another run has it by now. It is kept no longer.
    pub fn take_kept(&mut self, key: &str) -> Option<(u16, Option<H>)> {
        let kept = self.kept.remove(key)?;
        self.is_free(kept.0).then_some(kept)
    }

    /// Lets go of all that is kept.
    pub fn close(&mut self) {
        self.kept.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;

    #[test]
    fn a_port_that_was_told_is_free_when_it_is_forgotten() {
        let mut book = PortBook::<()>::default();
        book.tell(4_000);
        assert_eq!((book.is_free(4_000), book.is_free(4_001)), (false, true));
        book.forget(4_000);
        assert!(book.is_free(4_000));
    }

    #[test]
    fn what_is_kept_for_a_key_is_given_to_it_once() {
        let mut book = PortBook::default();
        book.keep("a".into(), 4_000, Some("held"));
        assert_eq!(book.take_kept("b"), None);
        assert_eq!(book.take_kept("a"), Some((4_000, Some("held"))));
        assert_eq!(book.take_kept("a"), None);
    }

    #[test]
    fn a_kept_port_that_another_has_by_now_is_let_go() {
        let (mut book, held) = (PortBook::default(), Rc::new(()));
        book.keep("a".into(), 4_000, Some(held.clone()));
        book.tell(4_000);
        assert!(book.take_kept("a").is_none());
        assert_eq!(Rc::strong_count(&held), 1);
    }

    #[test]
    fn closing_lets_go_of_all_that_is_kept() {
        let (mut book, held) = (PortBook::default(), Rc::new(()));
        book.keep("a".into(), 4_000, Some(held.clone()));
        book.close();
        assert_eq!(Rc::strong_count(&held), 1);
    }
}
