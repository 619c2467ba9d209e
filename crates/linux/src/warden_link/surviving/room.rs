//! Room for the descriptors of what was found.
//!
//! With threads, the kernel lets each growth of a process's table of descriptors wait for all
//! processors, some 10 ms, and the table grows by doubling. So it grows once, before it is known what
//! there is: the wait is then over when the warden has answered, or soon after.

use rustix::event::{EventfdFlags, eventfd};
use rustix::process::{Resource, getrlimit};
use std::os::fd::OwnedFd;
use std::thread::Builder;

/// So many runs that were found fit into the table that a process has at first, of 256, beside what
/// else needs a descriptor at that time.
pub const RUNS_THAT_FIT: usize = 32;

/// The descriptors of a thousand tenants, with the connections of their first requests. They take
/// 64 KiB of the kernel's memory.
const DESCRIPTORS: u64 = 8_192;

/// Begins to make room. Where it cannot be made, the table grows as it has to.
pub fn begin() {
    let _ = Builder::new().name("abs-room".into()).spawn(make);
}

/// Makes room, and returns when there is: soon where another thread began before. Who waits here
/// leaves the last descriptors of the small table to others, who would all wait for the kernel:
/// JavaScript reads files meanwhile.
pub fn make() {
    if let Ok(any) = eventfd(0, EventfdFlags::CLOEXEC) {
        let _ = dup_in_the_middle(&any);
    }
}

/// The kernel makes tables of powers of two, so one that reaches beyond its middle is whole. The last
/// number would not do: while one thread has it, another one would get the next, for which the
/// table grows once more.
fn dup_in_the_middle(any: &OwnedFd) -> rustix::io::Result<OwnedFd> {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let middle = limit.min(DESCRIPTORS).next_power_of_two() / 2;
    rustix::io::fcntl_dupfd_cloexec(any, middle as i32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn size() -> u64 {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let size = status.lines().find_map(|line| line.strip_prefix("FDSize:")).unwrap();
        size.trim().parse().unwrap()
    }

    #[test]
    fn there_is_room_for_the_descriptors_of_a_thousand_runs_as_far_as_the_limit_allows_it() {
        make();
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        assert!(size() >= limit.min(DESCRIPTORS), "{}", size());
    }

    #[test]
    fn the_table_grows_once_for_all_who_make_room_at_a_time() {
        make();
        let before = size();
        let any = eventfd(0, EventfdFlags::CLOEXEC).unwrap();
        let _held_by_another = dup_in_the_middle(&any).unwrap();
        make();
        assert_eq!(size(), before);
    }
}
