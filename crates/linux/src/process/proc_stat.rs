//! `/proc/<pid>/stat` as `procfs` reads it, for occasional looks. The sampler, which reads
//! thousands of processes again and again, and the warden, which is to stay small, read the line
//! with [`Stat`], whose page says what that saves.

use procfs::ProcResult;
use procfs::process::{Process, all_processes};
use std::io;
use warden::Stat;

/// Reads a process; `None` if there is none, or it cannot be read.
pub fn of(pid: u32) -> Option<Stat> {
    read(Process::new(pid.try_into().ok()?)).ok()
}

/// The flags of a process (the kernel's `PF_…`); `None` if there is none, or it cannot be read.
pub fn flags(pid: u32) -> Option<u32> {
    Process::new(pid.try_into().ok()?).ok()?.stat().ok().map(|stat| stat.flags)
}

/// All processes that can be read, in the order of `/proc`.
pub fn of_all() -> io::Result<impl Iterator<Item = Stat>> {
    let processes = all_processes().map_err(io::Error::other)?;
    Ok(processes.filter_map(|process| read(process).ok()))
}

fn read(process: ProcResult<Process>) -> ProcResult<Stat> {
    process?.stat().map(from)
}

/// A negative number, as the kernel prints it for "none", becomes 0.
fn from(stat: procfs::process::Stat) -> Stat {
    let id = |number: i32| number.try_into().unwrap_or(0);
    let ticks = |number: i64| u64::try_from(number).unwrap_or(0);
    Stat {
        pid: id(stat.pid),
        parent: id(stat.ppid),
        group: id(stat.pgrp),
        session: id(stat.session),
        own_ticks: stat.utime + stat.stime,
        waited_ticks: ticks(stat.cutime) + ticks(stat.cstime),
        started_at_ticks: stat.starttime,
        rss_pages: stat.rss,
        stack_start: stat.startstack,
        has_ended: matches!(stat.state, 'Z' | 'X' | 'x') && stat.num_threads <= 1,
        is_stopped: matches!(stat.state, 'T' | 't'),
    }
}

#[cfg(test)]
#[allow(
    clippy::disallowed_methods,
    reason = "the processes that are looked at must come from somewhere"
)]
mod tests {
    use super::*;
    use rustix::fs::{Mode, OFlags, open};
    use rustix::process::{Pid, Signal, kill_process};
    use std::os::fd::AsFd;
    use std::process::{Child, Command};

    fn read_by_hand(pid: u32) -> Option<Stat> {
        let proc = open("/proc", OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
        Stat::read(proc.as_fd(), pid).unwrap()
    }

    /// For a process that does nothing between the two reads.
    fn assert_agreed(pid: u32) -> Stat {
        let stat = of(pid).unwrap();
        assert_eq!(Some(stat), read_by_hand(pid));
        assert_eq!(of_all().unwrap().find(|stat| stat.pid == pid), Some(stat));
        stat
    }

    /// Kills and reaps the child when dropped, also where the test fails: a stopped process would
    /// stay.
    struct Ended(Child);

    impl Drop for Ended {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn wait_until(child: &Child, holds: impl Fn(&Stat) -> bool) {
        while !of(child.id()).is_some_and(|stat| holds(&stat)) {
            std::thread::yield_now();
        }
    }

    #[test]
    fn both_readers_say_the_same_of_a_stopped_process_a_busy_one_and_a_zombie() {
        let directory = std::env::temp_dir().join(format!("abs-stat-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let program = directory.join("a) S (1 2");
        std::os::unix::fs::symlink("/bin/sh", &program).unwrap();
        let script = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; kill -STOP $$";
        let mut ended = Ended(Command::new(&program).args(["-c", script]).spawn().unwrap());
        let Ended(child) = &mut ended;
        let pid = Pid::from_child(child);
        // The shell uses some CPU time, and then stops itself.
        let is_stopped = || {
            procfs::process::Process::new(pid.as_raw_pid()).unwrap().stat().unwrap().state == 'T'
        };
        while !is_stopped() {
            std::thread::yield_now();
        }
        let stat = assert_agreed(child.id());
        assert!(stat.own_ticks > 0 && stat.rss_pages > 0 && stat.parent == std::process::id());
        kill_process(pid, Signal::KILL).unwrap();
        wait_until(child, |stat| stat.has_ended);
        assert!(assert_agreed(child.id()).has_ended);
        child.wait().unwrap();
        assert_eq!((of(child.id()), read_by_hand(child.id())), (None, None));
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    #[ignore = "a measurement"]
    fn what_a_read_costs() {
        let proc = open("/proc", OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
        let by_hand = || Stat::read(proc.as_fd(), 1).unwrap().unwrap();
        crate::reader_costs::print("stat", by_hand, || of(1).unwrap());
    }
}
