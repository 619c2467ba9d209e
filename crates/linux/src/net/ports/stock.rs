//! The stock: ports reserved in advance, and released ports that stay reserved.

use super::HeldPort;
use std::collections::VecDeque;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Ports reserved in advance, so that a start need not wait for the three system calls. Dropping
/// the stock frees all of them.
#[derive(Default)]
pub struct PortStock {
    stock: Mutex<Stock>,
}

#[derive(Default)]
struct Stock {
    /// The ports in stock; taken from the end.
    ports: Vec<HeldPort>,
    /// How many ports were asked for since the last fill, and between the two fills before it.
    taken: usize,
    taken_before: usize,
    /// A caller was told to fill the stock, and has not done so yet.
    filling: bool,
    /// Released ports, oldest in front. A fill closes those beyond [`KEPT_RELEASED`].
    released: VecDeque<HeldPort>,
}

/// The least number of ports in stock: enough for a burst of starts until more are reserved, few
/// enough to keep.
const STOCK: usize = 32;
/// The most ports in stock: twice as many as JavaScript takes at once (`BATCH_STARTS` in
/// `uplink.rs`). While JavaScript handles one batch of starts, the engine's thread reserves the
/// ports of the next.
const MOST_IN_STOCK: usize = 128;

/// The most released ports that stay reserved.
const KEPT_RELEASED: usize = 64;
/// Tries to reserve one port for the stock.
const FILL_TRIES: usize = 64;

impl Stock {
    /// How many ports the stock should have: twice as many as were asked for lately.
    fn wanted(&self) -> usize {
        (2 * self.taken.max(self.taken_before)).clamp(STOCK, MOST_IN_STOCK)
    }

    fn note_filled(&mut self) {
        self.taken_before = mem::take(&mut self.taken);
        self.filling = false;
    }
}

impl PortStock {
    /// A port that fits, if there is one, and whether the caller should have the stock filled.
    pub fn take(&self, fits: impl Fn(u16) -> bool) -> (Option<HeldPort>, bool) {
        let mut stock = self.lock();
        let position = stock.ports.iter().rposition(|held| fits(held.port()));
        let port = position.map(|position| stock.ports.remove(position));
        stock.taken += 1;
        let is_low = stock.ports.len() < stock.wanted() / 2;
        (port, is_low && !mem::replace(&mut stock.filling, true))
    }

    /// Releases a port, which stays reserved for now. Returns whether the caller should have the
    /// stock filled: a fill closes surplus ports, and closing one takes as long as reserving one.
    pub fn release(&self, port: HeldPort) -> bool {
        let mut stock = self.lock();
        stock.released.push_back(port);
        stock.released.len() >= KEPT_RELEASED + STOCK && !mem::replace(&mut stock.filling, true)
    }

    /// The port that was released first among those that fit.
    pub fn take_released(&self, fits: impl Fn(u16) -> bool) -> Option<HeldPort> {
        let count = self.lock().released.len();
        for _ in 0..count {
            let held = self.lock().released.pop_front()?;
            // Called without the lock, since `fits` may take another one.
            if fits(held.port()) {
                return Some(held);
            }
            self.lock().released.push_back(held);
        }
        None
    }

    /// Puts back a port that no tenant has used; closes it if the stock is full.
    pub fn put(&self, port: HeldPort) {
        let mut stock = self.lock();
        if stock.ports.len() < MOST_IN_STOCK {
            stock.ports.push(port);
        }
    }

    /// Reserves ports until the stock is full, and closes surplus released ones. Takes up to some
    /// milliseconds: on the engine's thread, not on JavaScript's.
    pub fn fill(&self) {
        loop {
            let mut stock = self.lock();
            let too_many = stock.released.len().saturating_sub(KEPT_RELEASED);
            let closing: Vec<HeldPort> = stock.released.drain(..too_many).collect();
            if !closing.is_empty() {
                drop(stock);
                drop(closing);
                continue;
            }
            if stock.ports.len() >= stock.wanted() {
                break stock.note_filled();
            }
            // Without the lock: a start that takes a port meanwhile must not wait for the kernel.
            drop(stock);
            let Ok(port) = HeldPort::reserve(FILL_TRIES, |_| true) else {
                break self.lock().note_filled();
            };
            self.lock().ports.insert(0, port);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Stock> {
        self.stock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reserve(count: usize) -> Vec<HeldPort> {
        (0..count).map(|_| HeldPort::reserve(1_000, |_| true).unwrap()).collect()
    }

    #[test]
    fn a_stock_is_filled_for_as_many_starts_again_as_there_were() {
        const BATCH: usize = 64;
        let stock = PortStock::default();
        let take =
            |count: usize| (0..count).filter_map(|_| stock.take(|_| true).0).collect::<Vec<_>>();
        let (none, is_low) = stock.take(|_| true);
        assert!(none.is_none() && is_low, "empty at first");
        assert!(!stock.take(|_| true).1, "it is asked for once");
        stock.fill();
        assert_eq!(take(BATCH).len(), STOCK, "the first batch of a crowd was not to be foreseen");
        stock.fill();
        for _ in 0..3 {
            assert_eq!(take(BATCH).len(), BATCH, "the next ones were");
            stock.fill();
        }
        assert_eq!(stock.lock().ports.len(), MOST_IN_STOCK);
        drop(take(MOST_IN_STOCK / 2));
        for _ in 0..3 {
            stock.lock().ports.clear();
            stock.fill();
        }
        assert_eq!(stock.lock().ports.len(), STOCK, "and when they are few again, few are kept");
    }

    #[test]
    fn a_port_of_the_stock_fits_or_stays() {
        let stock = PortStock::default();
        stock.fill();
        let last = stock.lock().ports.last().unwrap().port();
        let (port, _) = stock.take(|port| port != last);
        assert_ne!(port.unwrap().port(), last);
        assert_eq!(stock.take(|_| true).0.unwrap().port(), last);
    }

    #[test]
    fn the_last_ports_that_were_released_are_held_and_given_out_again() {
        let stock = PortStock::default();
        let ports = reserve(KEPT_RELEASED + STOCK);
        let numbers: Vec<u16> = ports.iter().map(HeldPort::port).collect();
        let asks = ports.into_iter().map(|port| stock.release(port));
        assert_eq!(asks.filter(|should_fill| *should_fill).count(), 1, "it is asked for once");
        stock.fill();
        assert_eq!(stock.lock().released.len(), KEPT_RELEASED);
        let oldest = &numbers[STOCK..];
        assert_eq!(stock.take_released(|port| port != oldest[0]).unwrap().port(), oldest[1]);
        assert_eq!(stock.take_released(|_| true).unwrap().port(), oldest[2]);
        assert!(stock.take_released(|_| false).is_none());
    }
}
