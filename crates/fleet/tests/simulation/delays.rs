use stories::Rng;

pub trait Delays {
    /// A delay as networks have them: mostly short, now and then long.
    fn delay_ms(&mut self) -> u64;
}

impl Delays for Rng {
    fn delay_ms(&mut self) -> u64 {
        match self.below(20) {
            0..=9 => self.between(0, 2),
            10..=17 => self.between(1, 12),
            18 => self.between(10, 120),
            _ => self.between(50, 600),
        }
    }
}
