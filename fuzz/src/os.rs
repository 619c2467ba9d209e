//! What is fuzzed of the addon's `src/os`, and what that uses.

#[path = "../../src/os/clock.rs"]
pub mod clock;
#[path = "../../src/os/logs.rs"]
pub mod logs;
#[path = "../../src/os/sock_diag.rs"]
pub mod sock_diag;
#[path = "../../src/os/watched.rs"]
pub mod watched;
