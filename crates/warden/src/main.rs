//! The warden: starts tenants for the host, reaps them, and leaves nothing behind when the host
//! goes.
//!
//! ```text
//! host ── warden                 one poll loop (service.rs) over its keepers (roster.rs)
//!            └─ keeper of a run  forked, not executed; owns a tenant's tree (keeper.rs)
//!                  └─ tenant     its main process (launch.rs), in its own process group
//!                        └─ …    processes that it starts, in any shape
//! ```
//!
//! Every keeper is a subreaper: a process that is orphaned below it becomes its child. So a
//! tenant's tree is exactly the keeper's descendants, whatever they do to their sessions and
//! groups (tree.rs finds them, asking.rs asks them to end, tree_kill.rs kills them, slumber.rs lets
//! them sleep). Where a tenant
//! has control groups (group.rs), its keeper and its first process may have waited for its launch,
//! the process inside already (spares.rs, parked.rs). A keeper whose socket to the warden closes
//! asks its tree to end and kills it 0.6 s later. A warden whose socket to the host closes has all
//! keepers do that, and exits after them.
//!
//! A surviving warden differs in whom it serves (owners/ in place of hosted.rs): one host of a name
//! after the other, for whom it keeps what they need to go on (kept.rs).

#![deny(unsafe_code)]

mod asking;
mod bun_json;
mod clock;
mod freezer;
mod group;
mod group_files;
mod halt;
mod hosted;
mod keeper;
mod kept;
mod kept_run;
mod launch;
mod launching;
mod leaf;
mod link;
mod listener;
mod memory_watch;
mod open_files;
mod outbox;
mod owner;
mod owners;
mod page_out;
mod parents;
mod parked;
mod priority;
mod roster;
mod roster_entries;
mod service;
mod setup;
mod slumber;
mod spares;
mod start_script;
#[allow(unsafe_code, reason = "the one place for system calls without a safe wrapper")]
mod sys;
mod temporary;
mod tree;
mod tree_kill;
mod vigil;
mod visitors;
mod walls;

use std::process::ExitCode;

/// The exit status of a warden that was not started by a host, or by a host of another version.
const MISUSE_STATUS: u8 = 2;

fn main() -> ExitCode {
    let served = setup::become_warden().and_then(service::serve);
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("warden: {error}");
            ExitCode::from(MISUSE_STATUS)
        }
    }
}
