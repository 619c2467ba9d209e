//! Holds this process, which is about to become a tenant's, within limits and walls.
//!
//! Everything here is for good: neither the program nor what it starts can take any of it back.
//! Signals are still blocked, and the keeper can kill the process, whatever hangs here.

mod landlock;
mod privileges;
#[allow(unsafe_code, reason = "a place for system calls without a safe wrapper")]
mod sys;
mod user;

use rustix::io::Errno;
use rustix::process::{Resource as Limited, Rlimit, getrlimit, setrlimit};

use warden::confinement::{Resource, ResourceLimit};
use warden::planted::{Bug, planted};
use warden::protocol::LaunchStep;
use warden::spec::LaunchSpec;

use crate::temporary::Temporary;

/// What failed, and what its error number does not say.
pub struct Failure {
    pub step: LaunchStep,
    pub errno: Errno,
    pub text: Option<String>,
}

impl Failure {
    fn at(step: LaunchStep) -> impl Fn(Errno) -> Failure {
        move |errno| Failure { step, errno, text: None }
    }
}

/// Makes ready in the warden what all tenants need, so that no start waits for it.
pub fn prepare() {
    sys::filter();
}

/// Puts up everything but what [`refuse_system_calls`] does. The working directory is the tenant's.
pub fn put_up(spec: &LaunchSpec, temporary: Option<&Temporary>) -> Result<(), Failure> {
    let confinement = &spec.confinement;
    let at = Failure::at;
    if confinement.walls.is_some() {
        // Fails where a sandbox of the host's own hides the file. No promise depends on it.
        let _ = privileges::end_before_the_host();
    }
    limit(&confinement.limits).map_err(at(LaunchStep::SetLimit))?;
    if confinement.walls.is_some() {
        // Before it is another user, who may not do this any more.
        privileges::bound().map_err(at(LaunchStep::PutUpWalls))?;
    }
    if let Some(user) = confinement.user {
        user::become_user(user, &spec.cwd)?;
    }
    let walls = confinement.walls.as_ref().filter(|_| !planted(Bug::WallsAreNotPutUp));
    let Some(walls) = walls else { return Ok(()) };
    privileges::give_up().map_err(at(LaunchStep::PutUpWalls))?;
    if let Some(landlock) = &walls.landlock {
        landlock::restrict(landlock, temporary.map(Temporary::path).as_deref())?;
    }
    Ok(())
}

/// Done last, as it also refuses calls of our own.
pub fn refuse_system_calls(spec: &LaunchSpec) -> Result<(), Failure> {
    match &spec.confinement.walls {
        Some(walls) if walls.refuses_system_calls => {
            sys::install_filter().map_err(Failure::at(LaunchStep::PutUpWalls))
        }
        _ => Ok(()),
    }
}

fn limit(limits: &[ResourceLimit]) -> Result<(), Errno> {
    for ResourceLimit { resource, value } in limits {
        let limited = match resource {
            Resource::OpenFiles => Limited::Nofile,
            Resource::FileBytes => {
                // Otherwise a write beyond the limit ends the process, and no program expects
                // that. A program inherits what is ignored.
                sys::ignore_file_size_signal();
                Limited::Fsize
            }
        };
        let value = getrlimit(limited).maximum.map_or(*value, |maximum| maximum.min(*value));
        setrlimit(limited, Rlimit { current: Some(value), maximum: Some(value) })?;
    }
    Ok(())
}
