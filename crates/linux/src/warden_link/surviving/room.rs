//! Room for the descriptors of what was found.
//!
//! With threads, the kernel lets each growth of a process's table of descriptors wait for all
//! processors, some 10 ms, and the table grows by doubling. So it grows once, before it is known what
//! there is: the wait is then over when the warden has answered, or soon after.

use rustix::event::{EventfdFlags, eventfd};
use rustix::process::{Resource, getrlimit};
use std::thread::Builder;

/// The descriptors of a thousand tenants, with the connections of their first requests. They take
/// 64 KiB of the kernel's memory.
const DESCRIPTORS: u64 = 8_192;

/// Begins to make room. Until there is, what needs it waits in the kernel. Where it cannot be made,
/// the table grows as it has to.
pub fn begin() {
    let _ = Builder::new().name("abs-room".into()).spawn(make);
}

fn make() {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let highest = limit.min(DESCRIPTORS).saturating_sub(1);
    if let Ok(any) = eventfd(0, EventfdFlags::CLOEXEC) {
        let _ = rustix::io::fcntl_dupfd_cloexec(&any, highest as i32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn there_is_room_for_the_descriptors_of_a_thousand_runs_as_far_as_the_limit_allows_it() {
        make();
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let size = status.lines().find_map(|line| line.strip_prefix("FDSize:")).unwrap();
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        assert!(size.trim().parse::<u64>().unwrap() >= limit.min(DESCRIPTORS), "{status}");
    }
}
