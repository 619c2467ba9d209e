use stories::Rng;

pub trait Delays {
    /// A delay as the world has them: often none at all, mostly short, now and then long.
    fn delay_ms(&mut self) -> u64;
}

impl Delays for Rng {
    fn delay_ms(&mut self) -> u64 {
        match self.below(10) {
            0..=2 => 0,
            3..=6 => self.between(1, 6),
            7..=8 => self.between(5, 40),
            _ => self.between(40, 150),
        }
    }
}
