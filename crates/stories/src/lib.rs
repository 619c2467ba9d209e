//! Random stories that simulations tell of a value that decides, such as the pool. A story follows
//! from its seed, so that one that fails can be told again, and read.
//!
//! ```
//! use stories::{Log, Rng, Teller};
//!
//! fn tell(seed: u64, log: &mut Log) -> Result<(), String> {
//!     let drawn = Rng::new(seed).below(6);
//!     log.note(0, || format!("{drawn} is drawn"));
//!     if drawn < 6 { Ok(()) } else { Err(format!("{drawn} is more than 5")) }
//! }
//!
//! let dice = Teller { of: "DICE", stories: 1_000, tell };
//! dice.every_story_ends_well();
//! dice.a_seed_is_a_story(10);
//! ```

mod log;
mod planted;
mod rng;
mod teller;

pub use log::Log;
pub use rng::Rng;
pub use teller::{Teller, caught};
