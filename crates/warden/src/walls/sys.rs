//! The system calls of walls that have no safe wrapper.

use std::ffi::{c_int, c_ulong};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::OnceLock;

use rustix::io::Errno;

use warden::filter;
use warden::refused_calls::REFUSED_CALLS;

/// A set of Landlock's rules.
pub struct Ruleset(OwnedFd);

/// `struct landlock_ruleset_attr`, which has grown by a field in versions 4 and 6.
#[repr(C)]
struct Handled {
    files: u64,
    ports: u64,
    scopes: u64,
}

const PATH_RULE: c_int = 1;
const PORT_RULE: c_int = 2;

#[repr(C, packed)]
struct PathRule {
    rights: u64,
    below: RawFd,
}

#[repr(C)]
struct PortRule {
    rights: u64,
    port: u64,
}

impl Ruleset {
    /// Makes a set that refuses these rights where no rule allows them, and these scopes.
    pub fn make(abi: u32, files: u64, ports: u64, scopes: u64) -> Result<Ruleset, Errno> {
        let handled = Handled { files, ports, scopes };
        let known_bytes: usize = match abi {
            ..4 => 8,
            4 | 5 => 16,
            6.. => 24,
        };
        // SAFETY: the kernel reads as many bytes of the structure, which has no fewer.
        let result = unsafe {
            libc::syscall(libc::SYS_landlock_create_ruleset, &raw const handled, known_bytes, 0)
        };
        match RawFd::try_from(result) {
            // SAFETY: the descriptor was just made, closed on exec, and has no other owner.
            Ok(fd) if fd >= 0 => Ok(Ruleset(unsafe { OwnedFd::from_raw_fd(fd) })),
            _ => Err(last_errno()),
        }
    }

    /// Allows these rights to what is at and below an open path.
    pub fn allow_path(&self, below: &OwnedFd, rights: u64) -> Result<(), Errno> {
        self.add(PATH_RULE, &PathRule { rights, below: below.as_raw_fd() })
    }

    /// Allows these rights to a TCP port.
    pub fn allow_port(&self, port: u16, rights: u64) -> Result<(), Errno> {
        self.add(PORT_RULE, &PortRule { rights, port: port.into() })
    }

    fn add<Rule>(&self, kind: c_int, rule: &Rule) -> Result<(), Errno> {
        // SAFETY: the kernel reads a structure of this kind.
        let result = unsafe {
            let (fd, rule) = (self.0.as_raw_fd(), ptr::from_ref(rule));
            libc::syscall(libc::SYS_landlock_add_rule, fd, kind, rule, 0)
        };
        result_of(result)
    }

    /// Restricts this process, and what it forks and executes, for good.
    pub fn restrict_self(&self) -> Result<(), Errno> {
        // SAFETY: the call takes two integers.
        let result =
            unsafe { libc::syscall(libc::SYS_landlock_restrict_self, self.0.as_raw_fd(), 0) };
        result_of(result)
    }
}

/// The filter of system calls. It is made in the warden, and forked processes inherit it.
pub fn filter() -> &'static [libc::sock_filter] {
    static FILTER: OnceLock<Vec<libc::sock_filter>> = OnceLock::new();
    FILTER.get_or_init(|| {
        let instruction = |made: filter::Instruction| libc::sock_filter {
            code: made.code,
            jt: made.if_true,
            jf: made.if_false,
            k: made.operand,
        };
        filter::program(REFUSED_CALLS).into_iter().map(instruction).collect()
    })
}

/// Has the kernel put each further system call of this process, and of what it forks and executes,
/// before the filter.
pub fn install_filter() -> Result<(), Errno> {
    let filter = filter();
    let program = libc::sock_fprog {
        len: u16::try_from(filter.len()).map_err(|_| Errno::TOOBIG)?,
        filter: filter.as_ptr().cast_mut(),
    };
    let flags = 0;
    // SAFETY: the kernel reads the program, whose length is right, and writes nothing.
    let result = unsafe {
        let mode = libc::SECCOMP_SET_MODE_FILTER;
        libc::syscall(libc::SYS_seccomp, mode, flags, &raw const program)
    };
    result_of(result)
}

/// Takes a capability from those that executing a program can give; `EINVAL` if there is none of
/// this number.
pub fn drop_from_bounding_set(capability: c_ulong) -> Result<(), Errno> {
    const UNUSED: c_ulong = 0;
    // SAFETY: the call takes integers.
    let result = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, UNUSED, UNUSED, UNUSED) };
    result_of(result.into())
}

/// Ignores the signal that a write beyond the largest size of a file sends: the write fails
/// instead.
pub fn ignore_file_size_signal() {
    // SAFETY: no handler is set.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

fn result_of(result: i64) -> Result<(), Errno> {
    if result < 0 { Err(last_errno()) } else { Ok(()) }
}

fn last_errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}
