//! Finds the warden's program, checks early that it can be executed, and keeps it open.

use rustix::fs::{Access, Mode, OFlags, access, fstat, open};
use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The programs of the addons that this process has loaded (in practice one).
static HELD: Mutex<Option<HashMap<PathBuf, Arc<Program>>>> = Mutex::new(None);

/// The warden's executable. It stays open for as long as the host lives: if the package were
/// deleted or replaced, the path would give no further warden, or one of another version.
pub struct Program {
    path: PathBuf,
    file: OwnedFd,
    written: Written,
}

/// Changes when the file is written to, and not when it is deleted or replaced.
type Written = (i64, i64, i64);

impl Program {
    /// The program that was at this path when it was first asked for. Errors: it cannot be opened.
    pub fn held(path: &Path) -> io::Result<Arc<Program>> {
        let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        let held = held.get_or_insert_default();
        if let Some(program) = held.get(path) {
            return Ok(program.clone());
        }
        let file = open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        let written = written(&file)?;
        let program = Arc::new(Program { path: path.into(), file, written });
        held.insert(path.into(), program.clone());
        Ok(program)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path to execute: the open file through `/proc`, wherever its name is by now.
    pub fn executable(&self) -> io::Result<PathBuf> {
        if written(&self.file)? != self.written {
            let shown = self.path.display();
            return Err(io::Error::other(format!(
                "{shown} was overwritten while this process ran, and may be of another version; start the process anew"
            )));
        }
        Ok(format!("/proc/self/fd/{}", self.file.as_raw_fd()).into())
    }
}

fn written(file: &OwnedFd) -> io::Result<Written> {
    let stat = fstat(file)?;
    Ok((stat.st_size, stat.st_mtime, stat.st_mtime_nsec as i64))
}

const PROGRAM_NAME: &str = "warden";
const PROGRAM_MODE: u32 = 0o755;

/// The path of the warden, which lies in the addon's directory. The error says what to do.
///
/// The path is resolved through symbolic links: a `node_modules` that is exchanged while the host
/// runs would otherwise give a later warden of another version. Some tools lose the executable bit
/// when they unpack (those that use zip, for example), so a missing one is set again where that is
/// allowed.
pub fn beside(addon: &Path) -> Result<PathBuf, String> {
    require_glibc();
    let directory = addon.parent().unwrap_or(Path::new("."));
    let directory =
        fs::canonicalize(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let program = directory.join(PROGRAM_NAME);
    let shown = program.display();
    if !program.is_file() {
        return Err(format!(
            "{shown} is missing: the package was not unpacked completely; install it again"
        ));
    }
    if access(&program, Access::EXEC_OK).is_err() {
        let _ = fs::set_permissions(&program, fs::Permissions::from_mode(PROGRAM_MODE));
        access(&program, Access::EXEC_OK).map_err(|error| {
            format!("{shown} may not be executed ({error}): run `chmod +x {shown}` as the owner of the file")
        })?;
    }
    Program::held(&program).map_err(|error| format!("{shown} cannot be opened: {error}"))?;
    Ok(program)
}

/// Refers to a symbol that only glibc has. Without it, a process on musl may load a build for
/// glibc (the loader of musl accepts `libc.so.6` as itself and ignores the versions of symbols),
/// and the build would fail at the first tenant.
fn require_glibc() {
    #[cfg(target_env = "gnu")]
    std::hint::black_box(libc::gnu_get_libc_release as *const ());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(name: &str) -> PathBuf {
        let directory =
            std::env::temp_dir().join(format!("warden-program-{name}-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        fs::canonicalize(directory).unwrap()
    }

    #[test]
    fn a_lost_executable_bit_is_set_again() {
        let directory = directory("mode");
        fs::write(directory.join(PROGRAM_NAME), "").unwrap();
        fs::set_permissions(directory.join(PROGRAM_NAME), fs::Permissions::from_mode(0o644))
            .unwrap();
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
        assert!(
            found.is_err_and(
                |error| error.starts_with(directory.join(PROGRAM_NAME).to_str().unwrap())
            )
        );
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
