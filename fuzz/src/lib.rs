//! The parts of the warden's program that the fuzz targets use. The program is no library, so its
//! files are compiled here, under the module paths by which they refer to each other.

#![allow(dead_code, reason = "of each file a target uses a part")]

#[path = "../../crates/warden/src/asking.rs"]
mod asking;
#[path = "../../crates/warden/src/bun_json.rs"]
pub mod bun_json;
#[path = "../../crates/warden/src/clock.rs"]
mod clock;
#[path = "../../crates/warden/src/freezer.rs"]
mod freezer;
#[path = "../../crates/warden/src/group.rs"]
mod group;
#[path = "../../crates/warden/src/group_files.rs"]
mod group_files;
#[path = "../../crates/warden/src/halt.rs"]
mod halt;
#[path = "../../crates/warden/src/hosted.rs"]
pub mod hosted;
#[path = "../../crates/warden/src/kept.rs"]
mod kept;
#[path = "../../crates/warden/src/kept_run.rs"]
mod kept_run;
#[path = "../../crates/warden/src/keeper.rs"]
mod keeper;
#[path = "../../crates/warden/src/launch.rs"]
mod launch;
#[path = "../../crates/warden/src/launching.rs"]
mod launching;
#[path = "../../crates/warden/src/leaf.rs"]
mod leaf;
#[path = "../../crates/warden/src/link.rs"]
mod link;
#[path = "../../crates/warden/src/listener.rs"]
pub mod listener;
#[path = "../../crates/warden/src/memory_watch.rs"]
mod memory_watch;
#[path = "../../crates/warden/src/open_files.rs"]
mod open_files;
#[path = "../../crates/warden/src/outbox.rs"]
mod outbox;
#[path = "../../crates/warden/src/owner.rs"]
mod owner;
#[path = "../../crates/warden/src/owners/mod.rs"]
mod owners;
#[path = "../../crates/warden/src/page_out.rs"]
mod page_out;
#[path = "../../crates/warden/src/parents.rs"]
mod parents;
#[path = "../../crates/warden/src/parked.rs"]
mod parked;
#[path = "../../crates/warden/src/priority.rs"]
mod priority;
#[path = "../../crates/warden/src/roster.rs"]
mod roster;
#[path = "../../crates/warden/src/roster_entries.rs"]
mod roster_entries;
#[path = "../../crates/warden/src/service.rs"]
pub mod service;
#[path = "../../crates/warden/src/slumber.rs"]
mod slumber;
#[path = "../../crates/warden/src/spares.rs"]
mod spares;
#[path = "../../crates/warden/src/start_script.rs"]
mod start_script;
#[path = "../../crates/warden/src/sys.rs"]
pub mod sys;
#[path = "../../crates/warden/src/temporary.rs"]
mod temporary;
#[path = "../../crates/warden/src/tree.rs"]
pub mod tree;
#[path = "../../crates/warden/src/tree_kill.rs"]
mod tree_kill;
#[path = "../../crates/warden/src/vigil.rs"]
mod vigil;
#[path = "../../crates/warden/src/visitors.rs"]
mod visitors;
#[path = "../../crates/warden/src/walls/mod.rs"]
mod walls;
