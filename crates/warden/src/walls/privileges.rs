//! Privileges: the program has none, and gets none by executing another one.

use std::fs::OpenOptions;
use std::io::{self, Read, Seek, Write};

use rustix::io::Errno;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set, set_capabilities, set_no_new_privs,
};

use super::sys;

/// How much sooner than the host, the warden and its keepers a tenant is killed when the machine is
/// out of memory: as if it used a tenth of all memory more.
const SOONER: i32 = 100;

/// The kernel's largest value.
const SOONEST: i32 = 1_000;

/// Lets the kernel end this process before the host, when the machine is out of memory.
pub fn end_before_the_host() -> io::Result<()> {
    match raise_score() {
        // The file of a process that others may not look into belongs to root.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            set_dumpable_behavior(DumpableBehavior::Dumpable)?;
            let raised = raise_score();
            set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
            raised
        }
        raised => raised,
    }
}

fn raise_score() -> io::Result<()> {
    let path = "/proc/self/oom_score_adj";
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    let inherited = text.trim().parse::<i32>().map_err(io::Error::other)?;
    file.rewind()?;
    file.write_all((inherited + SOONER).min(SOONEST).to_string().as_bytes())
}

/// Takes all capabilities from what executing a program, as root too, can give. Does nothing
/// without the privilege for it: then [`give_up`] alone keeps new ones away.
pub fn bound() -> Result<(), Errno> {
    for capability in 0.. {
        match sys::drop_from_bounding_set(capability) {
            Ok(()) => {}
            // The kernel knows no further ones.
            Err(Errno::INVAL) => break,
            Err(Errno::PERM) => break,
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Gives up all capabilities, and the chance of getting any.
pub fn give_up() -> Result<(), Errno> {
    match clear_ambient_capability_set() {
        // Kernels before 4.3 have none.
        Ok(()) | Err(Errno::INVAL) => {}
        Err(errno) => return Err(errno),
    }
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    set_no_new_privs(true)
}
