//! Finds the warden's program, and sees that it can be run before anything depends on it.

use rustix::fs::{Access, access};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const PROGRAM_NAME: &str = "warden";
const PROGRAM_MODE: u32 = 0o755;

/// The warden in the directory of the addon.
///
/// The path leads through no link of the directory's: a `node_modules` that is exchanged while the host runs would
/// otherwise give a later warden of another version. Some tools lose the executable bit when they unpack (those that go
/// through zip, for example), so a missing one is set again where that is allowed.
pub fn beside(addon: &Path) -> Result<PathBuf, String> {
    require_glibc();
    let directory = addon.parent().unwrap_or(Path::new("."));
    let directory =
        fs::canonicalize(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let program = directory.join(PROGRAM_NAME);
    let shown = program.display();
    if !program.is_file() {
        return Err(format!("{shown} is missing: the package was not unpacked completely; install it again"));
    }
    if access(&program, Access::EXEC_OK).is_err() {
        let _ = fs::set_permissions(&program, fs::Permissions::from_mode(PROGRAM_MODE));
        access(&program, Access::EXEC_OK).map_err(|error| {
            format!("{shown} may not be executed ({error}): run `chmod +x {shown}` as the owner of the file")
        })?;
    }
    Ok(program)
}

/// A reference that only glibc satisfies. Without one, a process on musl may load a build that was made for glibc (its
/// loader takes `libc.so.6` for itself and ignores the versions of symbols), and have it fail at the first tenant.
fn require_glibc() {
    #[cfg(target_env = "gnu")]
    std::hint::black_box(libc::gnu_get_libc_release as *const ());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(name: &str) -> PathBuf {
        let directory = std::env::temp_dir().join(format!("warden-program-{name}-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        fs::canonicalize(directory).unwrap()
    }

    #[test]
    fn a_lost_executable_bit_is_set_again() {
        let directory = directory("mode");
        fs::write(directory.join(PROGRAM_NAME), "").unwrap();
        fs::set_permissions(directory.join(PROGRAM_NAME), fs::Permissions::from_mode(0o644)).unwrap();
        let found = beside(&directory.join("runtime.node"));
        let mode = fs::metadata(directory.join(PROGRAM_NAME)).unwrap().permissions().mode();
        fs::remove_dir_all(&directory).unwrap();
        assert_eq!((found, mode & 0o777), (Ok(directory.join(PROGRAM_NAME)), PROGRAM_MODE));
    }

    #[test]
    fn a_missing_program_is_named() {
        let directory = directory("missing");
        let found = beside(&directory.join("runtime.node"));
        fs::remove_dir_all(&directory).unwrap();
        assert!(found.is_err_and(|error| error.starts_with(directory.join(PROGRAM_NAME).to_str().unwrap())));
    }

    #[test]
    fn a_linked_directory_is_seen_through() {
        let directory = directory("link");
        let (real, link) = (directory.join("real"), directory.join("link"));
        fs::create_dir(&real).unwrap();
        fs::copy("/proc/self/exe", real.join(PROGRAM_NAME)).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let found = beside(&link.join("runtime.node"));
        fs::remove_dir_all(&directory).unwrap();
        assert_eq!(found, Ok(real.join(PROGRAM_NAME)));
    }
}
