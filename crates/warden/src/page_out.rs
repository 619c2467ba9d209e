//! Hands the memory of a tree that stands to swap, a little at a time: between two steps the keeper
//! hears what it is ordered.
//!
//! A control group of the second version with the controller `memory` can be asked to (Linux 5.19).
//! Elsewhere the kernel is advised for each process (Linux 5.10), which takes root or
//! `CAP_SYS_NICE`. Only what is the process's own goes: programs and libraries are shared with
//! others.

use std::collections::VecDeque;
use std::fs;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::clock;
use crate::group_files::put;
use crate::priority;
use crate::sys;

/// What the group is asked for in one step, which takes a few milliseconds where swap is in RAM.
const RECLAIM_BYTES: u64 = 1 << 20;

/// A group that could not give as much is at its end, or its pages were in use a moment ago.
const FAILURES_MAX: u32 = 3;

/// How much address space the kernel is advised about in one step, at first. Most of it is empty in
/// some runtimes, so a step that took no time is followed by a larger one.
const ADVICE_BYTES: u64 = 4 << 20;
const ADVICE_MIN_BYTES: u64 = 1 << 20;
/// More than a process has.
const ADVICE_MAX_BYTES: u64 = 1 << 48;

/// How long a step may take before the next one is smaller.
const STEP_MS: u64 = 4;

/// The paging out of one tree. Dropping it leaves the rest where it is.
pub struct PageOut {
    way: Way,
    /// Some memory went, or was to.
    has_worked: bool,
}

enum Way {
    Group { file: PathBuf, left_bytes: u64, failures: u32 },
    Advice(Advice),
}

struct Advice {
    processes: VecDeque<Pid>,
    ranges: VecDeque<Range<u64>>,
    step_bytes: u64,
}

impl PageOut {
    /// Begins; `None` if the machine has no swap. `group` is the directory that can be asked, and
    /// how much is in it.
    pub fn begin(group: Option<(PathBuf, u64)>, processes: Vec<Pid>) -> Option<PageOut> {
        if !has_swap() {
            return None;
        }
        let way = match group {
            Some((file, left_bytes)) => Way::Group { file, left_bytes, failures: 0 },
            None => {
                let (processes, ranges) = (processes.into(), VecDeque::new());
                Way::Advice(Advice { processes, ranges, step_bytes: ADVICE_BYTES })
            }
        };
        Some(PageOut { way, has_worked: false })
    }

    /// Does one step, which keeps tenants that run waiting no more than another of them would. Returns
    /// whether there are others.
    pub fn go_on(&mut self) -> bool {
        priority::as_the_host(|| self.step())
    }

    fn step(&mut self) -> bool {
        let has_worked = &mut self.has_worked;
        match &mut self.way {
            Way::Group { file, left_bytes, failures } => {
                let bytes = RECLAIM_BYTES.min(*left_bytes);
                match put(file, bytes.to_string().as_bytes()) {
                    Ok(()) => (*has_worked, *failures) = (true, 0),
                    // It has given what it could.
                    Err(failure) if failure.errno == Errno::AGAIN => {
                        (*has_worked, *failures) = (true, *failures + 1);
                    }
                    Err(_) => return false,
                }
                *left_bytes -= bytes;
                *left_bytes > 0 && *failures < FAILURES_MAX
            }
            Way::Advice(advice) => advice.go_on(has_worked),
        }
    }

    /// Whether it could be done at all.
    pub fn has_worked(&self) -> bool {
        self.has_worked
    }
}

impl Advice {
    fn go_on(&mut self, has_worked: &mut bool) -> bool {
        let Some(pid) = self.processes.front().copied() else { return false };
        if self.ranges.is_empty() {
            let maps = fs::read_to_string(format!("{}/maps", pid.as_raw_pid()));
            self.ranges = maps.unwrap_or_default().lines().filter_map(own_range).collect();
        }
        let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { return self.next() };
        let begin_ms = clock::now_ms();
        let (mut ranges, mut left_bytes) = (Vec::new(), self.step_bytes);
        while left_bytes > 0
            && ranges.len() < sys::ADVICE_RANGES_MAX
            && let Some(range) = self.ranges.pop_front()
        {
            let end = range.end.min(range.start + left_bytes);
            left_bytes -= end - range.start;
            if end < range.end {
                self.ranges.push_front(end..range.end);
            }
            ranges.push(range.start..end);
        }
        match advise(&process, &ranges) {
            Ok(()) => *has_worked = true,
            // Neither will it for another process.
            Err(Errno::PERM | Errno::NOSYS) => return false,
            Err(_) => {}
        }
        match clock::now_ms() - begin_ms {
            0 => self.step_bytes = (self.step_bytes * 2).min(ADVICE_MAX_BYTES),
            took_ms if took_ms > STEP_MS => {
                self.step_bytes = (self.step_bytes / 2).max(ADVICE_MIN_BYTES);
            }
            _ => {}
        }
        if self.ranges.is_empty() { self.next() } else { true }
    }

    fn next(&mut self) -> bool {
        self.ranges.clear();
        self.processes.pop_front();
        !self.processes.is_empty()
    }
}

/// Advises about all ranges, those behind one that there is no advice for included.
fn advise(process: &OwnedFd, ranges: &[Range<u64>]) -> Result<(), Errno> {
    let bytes: u64 = ranges.iter().map(|range| range.end - range.start).sum();
    if sys::advise_page_out(process, ranges)? == bytes || ranges.len() == 1 {
        return Ok(());
    }
    for range in ranges {
        let _ = sys::advise_page_out(process, std::slice::from_ref(range));
    }
    Ok(())
}

/// Whether the machine has swap. The list has a line of names, and one of each place.
fn has_swap() -> bool {
    fs::read_to_string("swaps").is_ok_and(|list| list.lines().count() > 1)
}

/// The addresses of a line of `maps`, if the process alone has what is there:
/// `7f4e00000000-7f4f00000000 rw-p 00000000 00:00 0`. A mapping of a file that may not be written
/// holds what is in the file.
fn own_range(line: &str) -> Option<Range<u64>> {
    let mut fields = line.split_ascii_whitespace();
    let (begin, end) = fields.next()?.split_once('-')?;
    let (rights, path) = (fields.next()?.as_bytes(), fields.nth(3));
    let is_own = rights.get(3) == Some(&b'p')
        && (rights.get(1) == Some(&b'w') || path.is_none() && rights.starts_with(b"r"));
    let is_kernels = path.is_some_and(|path| path.starts_with("[v"));
    let address = |text| u64::from_str_radix(text, 16).ok();
    (is_own && !is_kernels).then_some(address(begin)?..address(end)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_steps_that_take_no_time_come_to_an_end() {
        let processes = vec![rustix::process::getpid(); 3];
        let ranges = (0..20_000).map(|page| page * 4_096..(page + 1) * 4_096).collect();
        let mut advice = Advice { processes: processes.into(), ranges, step_bytes: ADVICE_BYTES };
        for _ in 0..20_000 {
            if !advice.go_on(&mut false) {
                return;
            }
        }
        panic!("{} ranges are left", advice.ranges.len());
    }

    #[test]
    fn what_a_process_has_for_itself_is_found_in_its_maps() {
        let ranges = |line| own_range(line).map(|range| (range.start, range.end));
        for own in [
            "1000-3000 rw-p 00000000 00:00 0 ",
            "1000-3000 rwxp 00000000 00:00 0",
            "1000-3000 r--p 00000000 00:00 0",
            "1000-3000 rw-p 06641000 fe:00 12873225                  /usr/bin/bun",
            "1000-3000 rw-p 00000000 00:00 0                         [heap]",
        ] {
            assert_eq!(ranges(own), Some((0x1000, 0x3000)), "{own}");
        }
        for other in [
            "1000-3000 ---p 00000000 00:00 0",
            "1000-3000 rw-s 00000000 00:05 99                        /dev/shm/shared",
            "1000-3000 r-xp 01838000 fe:00 12873225                  /usr/bin/bun",
            "1000-3000 r--p 00000000 00:00 0                         [vvar]",
            "no addresses",
            "",
        ] {
            assert_eq!(ranges(other), None, "{other}");
        }
    }
}
