//! The user that a program runs as.

use std::ffi::CStr;

use rustix::fs::{Access, AtFlags, CWD, FileType, Gid, Uid, accessat, fchown, fstat, stat};
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::stdio;
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use warden::confinement::User;
use warden::protocol::LaunchStep;

use super::Failure;

/// Stands for "as it is" in the system calls, so no user and no group can have this number.
const NO_ID: u32 = u32::MAX;

/// Becomes the user, for good. `directory` is the working directory.
pub fn become_user(user: User, directory: &CStr) -> Result<(), Failure> {
    let failed = |errno, text| Failure { step: LaunchStep::BecomeUser, errno, text };
    let at = |errno| failed(errno, None);
    if user.uid == NO_ID || user.gid == NO_ID {
        return Err(at(Errno::INVAL));
    }
    let owner = stat(c".").map_err(at)?.st_uid;
    if owner != 0 && owner != user.uid {
        let text = format!(
            "its directory belongs to user {owner}; as user {0} it may belong to root or to user \
             {0} only",
            user.uid
        );
        return Err(failed(Errno::PERM, Some(text)));
    }
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    hand_over_output(uid, gid).map_err(at)?;
    set_thread_groups(&[gid]).map_err(at)?;
    set_thread_res_gid(gid, gid, gid).map_err(at)?;
    set_thread_res_uid(uid, uid, uid).map_err(at)?;
    // The kernel resets this with the user, to what the machine is set to.
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(at)?;
    // The working directory is entered already, but programs look for their files by whole paths.
    match accessat(CWD, directory, Access::EXEC_OK, AtFlags::empty()) {
        Err(Errno::ACCESS) => {
            let text = format!(
                "user {} may not enter its directory {directory:?}: that directory and those above \
                 it have to let it in (chmod o+x)",
                user.uid
            );
            Err(failed(Errno::ACCESS, Some(text)))
        }
        _ => Ok(()),
    }
}

/// Gives the pipes of the output to the user: programs open them once more by their paths
/// (`/dev/stdout`).
fn hand_over_output(uid: Uid, gid: Gid) -> Result<(), Errno> {
    for output in [stdio::stdout(), stdio::stderr()] {
        if FileType::from_raw_mode(fstat(output)?.st_mode) == FileType::Fifo {
            fchown(output, Some(uid), Some(gid))?;
        }
    }
    Ok(())
}
