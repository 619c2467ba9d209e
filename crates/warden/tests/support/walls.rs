//! Tenants within walls, and tests that are such a tenant themselves.

use std::fs;
use std::path::{Path, PathBuf};

use warden::confinement::{Access, Landlock, PathRule, Walls};
use warden::spec::LaunchSpec;

use super::{Warden, c_string, exited, spec};

/// The kernel's version of Landlock; 0 without it.
pub fn landlock_abi() -> u32 {
    let no_attributes = std::ptr::null::<u8>();
    // SAFETY: with these arguments the call only returns a number.
    let version = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, no_attributes, 0, 1) };
    u32::try_from(version).unwrap_or(0)
}

pub fn rule(access: Access, path: impl AsRef<Path>) -> PathRule {
    let path = c_string(path.as_ref().to_str().expect("a plain path"));
    PathRule { access, is_required: false, path }
}

/// What programs need of the system, and their own directory.
pub fn usual_paths() -> Vec<PathRule> {
    let system = ["/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache"];
    let mut paths: Vec<PathRule> =
        system.into_iter().map(|path| rule(Access::Execute, path)).collect();
    paths.push(rule(Access::Read, "/proc"));
    paths.push(rule(Access::Device, "/dev/null"));
    paths.push(rule(Access::Write, "."));
    paths
}

pub fn landlock(paths: Vec<PathRule>) -> Landlock {
    Landlock { abi: landlock_abi(), paths, ..Landlock::default() }
}

/// All walls that the kernel has, with the usual paths and the given ones.
pub fn walls(further: Vec<PathRule>) -> Walls {
    let paths = [usual_paths(), further].concat();
    let landlock = (landlock_abi() > 0).then(|| landlock(paths));
    Walls { refuses_system_calls: true, landlock }
}

/// A directory of its own for each test, in one that everybody may enter.
pub fn directory(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("warden-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).expect("a directory");
    path
}

/// A test of this file, which is ignored otherwise, as a tenant. `data` are its variables.
pub fn inner_test(name: &str, data: &[(&str, String)]) -> LaunchSpec {
    let program = std::env::current_exe().expect("this program");
    let argv = [program.to_str().expect("a plain path"), "--exact", name, "--ignored"];
    let mut spec = spec(&[&argv[..], &["--nocapture", "--test-threads=1"]].concat());
    spec.env.extend(data.iter().map(|(key, value)| c_string(&format!("{key}={value}"))));
    spec
}

/// The same within walls that let it execute this program.
pub fn inner_test_within(
    name: &str,
    data: &[(&str, String)],
    further: Vec<PathRule>,
) -> LaunchSpec {
    let mut spec = inner_test(name, data);
    let program = rule(Access::Execute, std::env::current_exe().expect("this program"));
    spec.confinement.walls = Some(walls([further, vec![program]].concat()));
    spec
}

/// Runs a test as a tenant, and returns its output when it has passed.
pub fn assert_passes(spec: &LaunchSpec) -> String {
    let mut warden = Warden::start();
    let (mut stdout, mut stderr) = warden.launch(1, spec);
    let report = warden.report_about(1);
    assert!(matches!(report, warden::Report::Started { .. }), "{report:?}: {}", stderr.rest());
    let (output, errors) = (stdout.rest(), stderr.rest());
    let how = warden.expect_ended(1).how();
    assert!(how == exited(0) && output.contains("1 passed"), "{how:?}\n{output}\n{errors}");
    output
}

pub fn data(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is set"))
}

/// Whether this test has to be left out, and says so.
pub fn skipped(is_there: bool, what: &str) -> bool {
    if !is_there {
        eprintln!("skipped: {what}");
    }
    !is_there
}
