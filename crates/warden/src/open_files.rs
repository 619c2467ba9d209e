//! A surviving warden holds five descriptors for each run, so it may open as many files as it is
//! allowed to. Its tenants begin with what it was started with.

use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the warden was started with; not set in a warden of one host.
static OF_THE_HOST: OnceLock<Rlimit> = OnceLock::new();

/// Raises the limit of this process.
pub fn raise_limit() {
    let limit = OF_THE_HOST.get_or_init(|| getrlimit(Resource::Nofile));
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let _ = setrlimit(Resource::Nofile, raised);
}

/// Gives this process, which is about to become a tenant's, the limit of the host.
pub fn fall_back() {
    if let Some(limit) = OF_THE_HOST.get() {
        let _ = setrlimit(Resource::Nofile, *limit);
    }
}
