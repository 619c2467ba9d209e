//! The CPU clocks of other processes.

use std::mem::MaybeUninit;

const NS_PER_S: u64 = 1_000_000_000;
/// The layout of the clock id of a process, as `clock_getcpuclockid(3)` makes it (that function
/// needs a system call): the complement of the pid above the kind of clock.
const KIND_BITS: u32 = 3;
const SCHEDULER_TIME: i32 = 2;

/// The CPU time of all threads of a process, in nanoseconds; `None` if the process is gone, or the
/// kernel refuses.
pub fn of_process(pid: u32) -> Option<u64> {
    let clock = i32::try_from(!i64::from(pid) << KIND_BITS).ok()? | SCHEDULER_TIME;
    let mut time = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: the kernel checks the clock, and `time` is valid for a write of a `timespec`.
    if unsafe { libc::clock_gettime(clock, time.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: the call succeeded, so it wrote the time.
    let time = unsafe { time.assume_init() };
    Some(time.tv_sec as u64 * NS_PER_S + time.tv_nsec as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_of_a_process_goes_on_while_it_runs_and_the_unknown_has_none() {
        let before = of_process(std::process::id()).unwrap();
        assert!(of_process(std::process::id()).unwrap() > before);
        assert_eq!(of_process(i32::MAX as u32), None);
    }
}
