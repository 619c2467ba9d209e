//! A host's part in a fleet: carries out what the fleet's value (crates/fleet) decides.
//!
//! ```text
//!   a gateway, a call ──► Member ──► one thread: the value, the store, other hosts ──► Local
//!                           ▲                        │
//!                           └── Routes (any thread) ◄┘
//! ```
//!
//! A [`Member`] decides nothing. Its thread tells the value what was asked and what happened, and
//! does what comes back, in order: with a [`Store`](store::Store), with the tenants of its own host
//! ([`Local`]), and with other hosts ([`Peers`]). What every request has to know is in [`Routes`],
//! which any thread reads without asking.

#![forbid(unsafe_code)]

mod drive;
mod local;
mod member;
mod orders;
mod peers;
mod questions;
mod routes;
mod token;

pub use local::Local;
pub use member::{Member, OnEvent, Wanted};
pub use peers::Peers;
pub use questions::{question_from_text, question_to_text, reply_from_text, reply_to_text};
pub use routes::{Host, Owner, Routes};
pub use token::token_for;
