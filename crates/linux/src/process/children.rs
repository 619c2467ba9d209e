//! The children of a process, as the kernel lists them for each thread. A kernel without these
//! lists (CONFIG_PROC_CHILDREN) yields no children.
//!
//! Read by hand, since a look at a tree reads the list of every process, and starts wait for such
//! looks: 10 µs for a process with one thread, against 16 µs through `procfs`, which opens the
//! directories of the process and of each thread.

use std::fs;

/// The children of a process, oldest first; those of its first `most_threads` threads.
pub fn children_of(pid: u32, most_threads: usize) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten()
        .take(most_threads);
    let lists =
        threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| {
            list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()
        })
        .collect()
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "the children must come from somewhere")]
mod tests {
    use super::*;
    use procfs::process::Process;
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    #[test]
    fn procfs_sees_the_same_children() {
        let script = "sleep 600 & sleep 600 & echo up; wait";
        let mut shell = Command::new("sh");
        let shell =
            std::os::unix::process::CommandExt::process_group(shell.args(["-c", script]), 0);
        let mut shell = shell.stdout(Stdio::piped()).spawn().unwrap();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
        let of_procfs = |pid: u32| -> Vec<u32> {
            let tasks = Process::new(pid.cast_signed()).unwrap().tasks().unwrap();
            tasks.flatten().flat_map(|task| task.children().unwrap()).collect()
        };
        let found = children_of(shell.id(), usize::MAX);
        assert_eq!((found.len(), of_procfs(shell.id())), (2, found));
        // The child belongs to a thread other than the first.
        assert!(children_of(std::process::id(), usize::MAX).contains(&shell.id()));
        assert!(of_procfs(std::process::id()).contains(&shell.id()));
        assert!(children_of(u32::MAX, usize::MAX).is_empty());
        let group = rustix::process::Pid::from_child(&shell);
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL).unwrap();
        shell.wait().unwrap();
    }

    #[test]
    #[ignore = "a measurement"]
    fn what_a_read_costs() {
        let mut sleeper = Command::new("sleep").arg("600").spawn().unwrap();
        let pid = sleeper.id();
        let of_procfs = || -> Vec<u32> {
            let tasks = Process::new(pid.cast_signed()).unwrap().tasks().unwrap();
            tasks.flatten().flat_map(|task| task.children().unwrap()).collect()
        };
        crate::reader_costs::print("children", || children_of(pid, usize::MAX), of_procfs);
        sleeper.kill().and_then(|()| sleeper.wait()).unwrap();
    }
}
