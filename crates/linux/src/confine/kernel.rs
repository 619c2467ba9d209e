//! Asks the kernel which version of Landlock it has.

use std::io;
use std::ptr;

/// `LANDLOCK_CREATE_RULESET_VERSION` of `linux/landlock.h`.
const VERSION: libc::c_uint = 1;

/// The version of Landlock's interface. Errors: `ENOSYS`, there is none, `EOPNOTSUPP`, it is
/// switched off, or a sandbox refuses the call.
pub fn landlock_abi() -> io::Result<u32> {
    // SAFETY: with this flag the call takes no attributes, makes nothing, and returns a number.
    let version = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, ptr::null::<u8>(), 0usize, VERSION)
    };
    u32::try_from(version).map_err(|_| io::Error::last_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_says_its_version_or_why_it_has_none() {
        match landlock_abi() {
            Ok(version) => assert!(version >= 1),
            Err(error) => assert!(matches!(
                error.raw_os_error(),
                Some(libc::ENOSYS | libc::EOPNOTSUPP | libc::EPERM)
            )),
        }
    }
}
