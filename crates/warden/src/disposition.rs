//! Reads from `/proc/<pid>/status` what a process does about `SIGTERM`.
//!
//! Parsed by hand, as the warden is to stay small. A test compares the result with the crate
//! `procfs`.

use std::fs;
use std::path::Path;

use rustix::process::{Pid, Signal};

/// What a process does about `SIGTERM`, and its state, as of one look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Disposition {
    /// The state of the first thread, as one letter; `proc(5)` lists them.
    pub state: u8,
    /// A `SIGTERM` was sent to it and is not delivered yet.
    pub is_pending: bool,
    /// Its own code may handle one: by a handler, or by waiting for the signal while it is
    /// blocked.
    pub listens: bool,
    /// It has a handler for it.
    pub catches: bool,
    /// It ignores the signal.
    pub ignores: bool,
    /// Context switches of its first thread.
    pub switches: u64,
}

impl Disposition {
    /// Reads a process; `None` if there is none, or it cannot be read.
    pub fn read(proc: &Path, pid: Pid) -> Option<Disposition> {
        parse(&fs::read(proc.join(format!("{}/status", pid.as_raw_pid()))).ok()?)
    }

    /// It is stopped, and runs no code until it is continued.
    pub fn is_frozen(&self) -> bool {
        !matches!(self.state, b'R' | b'S')
    }

    /// It has ended, and at most waits to be reaped.
    pub fn has_ended(&self) -> bool {
        matches!(self.state, b'Z' | b'X')
    }
}

/// The kernel escapes the name in the first line, so a name cannot imitate another line.
fn parse(text: &[u8]) -> Option<Disposition> {
    let (mut found, mut is_blocked) = (Disposition::default(), false);
    for line in text.split(|&byte| byte == b'\n') {
        let Some((name, value)) = split(line) else { continue };
        match name {
            b"State" => found.state = *value.first()?,
            b"SigPnd" | b"ShdPnd" => found.is_pending |= has_term(value)?,
            b"SigBlk" => is_blocked = has_term(value)?,
            b"SigIgn" => found.ignores = has_term(value)?,
            b"SigCgt" => found.catches = has_term(value)?,
            b"voluntary_ctxt_switches" | b"nonvoluntary_ctxt_switches" => {
                found.switches += std::str::from_utf8(value).ok()?.parse::<u64>().ok()?;
            }
            _ => {}
        }
    }
    found.listens = (found.catches || is_blocked) && !found.ignores;
    (found.state != 0).then_some(found)
}

fn split(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    Some((&line[..colon], line[colon + 1..].trim_ascii()))
}

fn has_term(mask: &[u8]) -> Option<bool> {
    let mask = u64::from_str_radix(std::str::from_utf8(mask).ok()?, 16).ok()?;
    Some(mask >> (Signal::TERM.as_raw() - 1) & 1 == 1)
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests start processes")]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};

    use rustix::process::kill_process_group;

    use super::*;

    fn status(pending: u64, blocked: u64, ignored: u64, caught: u64) -> String {
        format!(
            "Name:\ta\\nState: Z\nState:\tS (sleeping)\nPid:\t7\nSigQ:\t0/7\nSigPnd:\t{:016x}\n\
             ShdPnd:\t{pending:016x}\nSigBlk:\t{blocked:016x}\nSigIgn:\t{ignored:016x}\n\
             SigCgt:\t{caught:016x}\nvoluntary_ctxt_switches:\t40\nnonvoluntary_ctxt_switches:\t2\n",
            0
        )
    }

    #[test]
    fn what_a_process_does_about_the_signal_is_read() {
        const TERM: u64 = 0x4000;
        let of = |text: String| parse(text.as_bytes()).expect("complete");
        let plain = of(status(0, 0, 0, !TERM));
        assert_eq!(plain, Disposition { state: b'S', switches: 42, ..Disposition::default() });
        assert!(of(status(TERM, 0, 0, 0)).is_pending && !plain.is_pending);
        let (waits, catches) = (of(status(0, TERM, 0, 0)), of(status(0, 0, 0, TERM)));
        assert!(waits.listens && !waits.catches && catches.listens && catches.catches);
        let deaf = of(status(0, TERM, TERM, 0));
        assert!(deaf.ignores && !deaf.listens);
        for broken in ["", "Name:\tsh\n", "State:\n", "State:\tS\nSigCgt:\tx\n"] {
            assert_eq!(parse(broken.as_bytes()), None, "{broken:?}");
        }
    }

    #[test]
    fn a_process_can_be_looked_at() {
        let own = Disposition::read(Path::new("/proc"), rustix::process::getpid());
        assert!(own.is_some_and(|own| !own.has_ended()));
    }

    #[test]
    fn procfs_reads_the_same() {
        const TERM_BIT: u64 = 1 << (Signal::TERM.as_raw() - 1);
        std::env::set_current_dir("/proc").expect("as the warden does");
        for script in [
            "echo; sleep 600",
            "trap : TERM; echo; sleep 600 & wait",
            "trap '' TERM; echo; sleep 600 & wait",
        ] {
            let mut command = Command::new("sh");
            command.args(["-c", script]).stdout(Stdio::piped()).process_group(0);
            let mut shell = command.spawn().expect("sh starts");
            let pid = Pid::from_child(&shell);
            std::io::Read::read_exact(shell.stdout.as_mut().expect("piped"), &mut [0])
                .expect("a line");
            let process = procfs::process::Process::new(pid.as_raw_pid()).expect("it runs");
            // The process may not have reached its sleep yet.
            let agree = || {
                let own = Disposition::read(Path::new("/proc"), pid).expect("it runs");
                let status = process.status().expect("it runs");
                let has = |mask: u64| mask & TERM_BIT != 0;
                let switches =
                    status.voluntary_ctxt_switches.zip(status.nonvoluntary_ctxt_switches);
                let ignores = has(status.sigign);
                let of_procfs = Disposition {
                    state: status.state.as_bytes()[0],
                    is_pending: has(status.sigpnd | status.shdpnd),
                    listens: has(status.sigcgt | status.sigblk) && !ignores,
                    catches: has(status.sigcgt),
                    ignores,
                    switches: switches.map_or(0, |(voluntary, not)| voluntary + not),
                };
                own == of_procfs
                    && own.listens == script.starts_with("trap :")
                    && own.ignores == script.starts_with("trap ''")
            };
            let have_agreed = (0..100_000).any(|_| {
                std::thread::yield_now();
                agree()
            });
            kill_process_group(pid, Signal::KILL).expect("its own group");
            shell.wait().expect("our child");
            assert!(have_agreed, "{script}");
        }
    }
}
