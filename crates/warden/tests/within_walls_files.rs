//! Within walls a tenant reaches the files that its rules allow, in the way that they allow it.

#![allow(clippy::disallowed_methods, reason = "a tenant starts programs")]

mod support;

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use support::walls::{
    assert_passes, data, directory, inner_test_within, landlock, landlock_abi, rule, skipped,
    usual_paths, walls,
};
use support::{Warden, c_string, exited, script};
use warden::confinement::{Access, PathRule};
use warden::protocol::LaunchStep;

const LANDLOCK: &str = "this kernel has no Landlock";

fn kind<T>(result: io::Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

const DENIED: Option<ErrorKind> = Some(ErrorKind::PermissionDenied);

/// Its own directory beside a neighbour's, and one for each access.
fn town(name: &str) -> PathBuf {
    let town = directory(name);
    for place in ["own", "neighbour", "read", "execute", "write"] {
        fs::create_dir(town.join(place)).expect("a directory");
        fs::write(town.join(place).join("file"), place).expect("a file");
        fs::copy("/bin/true", town.join(place).join("program")).expect("a program");
    }
    town
}

#[test]
#[ignore = "run as a tenant by the test below"]
fn every_access() {
    let town = PathBuf::from(data("TOWN"));
    let all = |place: &str| {
        let at = town.join(place);
        let read = kind(fs::read(at.join("file")));
        let listed = kind(fs::read_dir(&at));
        let executed = kind(std::process::Command::new(at.join("program")).status());
        let written = kind(OpenOptions::new().append(true).open(at.join("file")));
        let made = kind(File::create(at.join("new")));
        let removed = kind(fs::remove_file(at.join("new"))).filter(|_| made.is_none());
        let renamed = kind(fs::rename(at.join("program"), at.join("other")));
        let linked = kind(symlink("file", at.join("link")));
        (read, listed, executed, [written, made, removed, renamed, linked])
    };
    let (no, none) = (None, [None; 5]);
    let refused = [DENIED, DENIED, None, DENIED, DENIED];
    assert_eq!(all("own"), (no, no, no, none));
    assert_eq!(all("write"), (no, no, no, none));
    assert_eq!(all("read"), (no, no, DENIED, refused));
    assert_eq!(all("execute"), (no, no, no, refused));
    assert_eq!(all("neighbour"), (DENIED, DENIED, DENIED, refused));
    assert_eq!(kind(fs::read("/etc/shadow")), DENIED);
    assert_eq!(kind(fs::read_dir("/root")), DENIED);
    assert_eq!(kind(fs::read_dir(&town)), DENIED);
    assert_eq!(kind(fs::read_dir("/")), DENIED);
    assert_eq!(kind(File::open("/dev/kmsg")), DENIED);
    let null = OpenOptions::new().write(true).truncate(true).open("/dev/null");
    null.expect("a device that is allowed").write_all(b"text").expect("it takes everything");
}

#[test]
fn each_access_allows_what_it_says_and_no_more() {
    if skipped(landlock_abi() > 0, LANDLOCK) {
        return;
    }
    let town = town("access");
    let rules = vec![
        rule(Access::Read, town.join("read")),
        rule(Access::Execute, town.join("execute")),
        rule(Access::Write, town.join("write")),
    ];
    let data = [("TOWN", town.to_str().expect("a path").to_owned())];
    let mut spec = inner_test_within("every_access", &data, rules);
    spec.cwd = c_string(town.join("own").to_str().expect("a path"));
    assert_passes(&spec);
    fs::remove_dir_all(town).expect("ours");
}

#[test]
#[ignore = "run as a tenant by the test below"]
fn ways_around() {
    let town = PathBuf::from(data("TOWN"));
    let neighbours = town.join("neighbour/file");
    // What is not below a rule stays out of reach, whatever its name here.
    symlink(&neighbours, "symlink").expect("a name of our own");
    assert_eq!(kind(fs::read("symlink")), DENIED);
    assert!(fs::hard_link(&neighbours, "hard").is_err());
    assert_eq!(kind(fs::read("../neighbour/file")), DENIED);
    assert_eq!(kind(fs::read(format!("/proc/self/root{}", neighbours.display()))), DENIED);
    assert_eq!(kind(fs::read("/proc/self/cwd/../neighbour/file")), DENIED);
    assert_ne!(kind(fs::rename(town.join("own"), town.join("neighbour/own"))), None);
    assert_ne!(kind(fs::rename(&neighbours, "taken")), None);
    std::env::set_current_dir(town.join("neighbour")).expect("entering is not refused");
    assert_eq!(kind(fs::read("file")), DENIED);
    if landlock_abi() >= 3 {
        let path = c_string(neighbours.to_str().expect("a path"));
        // SAFETY: the path ends in zero.
        let result = unsafe { libc::truncate(path.as_ptr(), 0) };
        assert_eq!((result, io::Error::last_os_error().raw_os_error()), (-1, Some(libc::EACCES)));
    }
}

#[test]
fn no_other_name_leads_to_what_is_not_allowed() {
    if skipped(landlock_abi() > 0, LANDLOCK) {
        return;
    }
    let town = town("around");
    let data = [("TOWN", town.to_str().expect("a path").to_owned())];
    let mut spec = inner_test_within("ways_around", &data, Vec::new());
    spec.cwd = c_string(town.join("own").to_str().expect("a path"));
    assert_passes(&spec);
    let read = fs::read(town.join("neighbour/file")).expect("still there");
    assert_eq!(read, b"neighbour");
    fs::remove_dir_all(town).expect("ours");
}

#[test]
#[ignore = "run as a tenant by the test below"]
fn renames() {
    let temporary = PathBuf::from(data("TMPDIR"));
    for place in ["one", "two"] {
        fs::create_dir(place).expect("a directory of our own");
    }
    fs::write("one/file", "text").expect("a file of our own");
    fs::rename("one/file", "two/file").expect("between our own directories");
    fs::rename("two/file", temporary.join("file")).expect("into the temporary directory");
    fs::rename(temporary.join("file"), "file").expect("and back");
    fs::hard_link("file", "one/file").expect("a second name");
}

#[test]
fn files_move_between_directories_of_the_tenants_own() {
    if skipped(landlock_abi() >= 2, "this kernel's Landlock refuses such moves") {
        return;
    }
    let (own, above) = (directory("renames"), directory("renames-temporary"));
    let mut spec = inner_test_within("renames", &[], Vec::new());
    spec.cwd = c_string(own.to_str().expect("a path"));
    spec.confinement.temporary = Some(c_string(above.join("all").to_str().expect("a path")));
    assert_passes(&spec);
    fs::remove_dir_all(own).expect("ours");
    fs::remove_dir_all(above).expect("ours");
}

fn failure(rules: Vec<PathRule>) -> (LaunchStep, i32, String) {
    let mut warden = Warden::start();
    let mut spec = script("true");
    spec.confinement.walls = Some(walls(rules));
    let (_, mut stderr) = warden.launch(1, &spec);
    let (step, errno) = warden.expect_failure(1);
    (step, errno, stderr.rest())
}

#[test]
fn a_required_path_that_is_missing_fails_the_start_and_an_optional_one_does_not() {
    if skipped(landlock_abi() > 0, LANDLOCK) {
        return;
    }
    let missing = rule(Access::Write, "/no/such/directory");
    let (step, errno, text) = failure(vec![PathRule { is_required: true, ..missing.clone() }]);
    assert_eq!((step, errno), (LaunchStep::PutUpWalls, libc::ENOENT));
    assert!(text.contains("\"/no/such/directory\""), "{text}");
    let mut warden = Warden::start();
    let mut spec = script("exit 3");
    spec.confinement.walls = Some(walls(vec![missing]));
    warden.start_tenant(1, &spec);
    assert_eq!(warden.expect_ended(1).how(), exited(3));
}

#[test]
fn every_version_of_landlock_restricts_files() {
    let own = directory("versions");
    fs::write(own.join("file"), "own").expect("a file");
    for abi in 1..=landlock_abi() {
        let mut warden = Warden::start();
        let mut spec = script("cat file; cat /etc/passwd || exit 7");
        spec.cwd = c_string(own.to_str().expect("a path"));
        let mut walls = walls(Vec::new());
        let paths = usual_paths();
        walls.landlock = Some(warden::confinement::Landlock { abi, ..landlock(paths) });
        spec.confinement.walls = Some(walls);
        let mut tenant = warden.start_tenant(1, &spec);
        assert_eq!(warden.expect_ended(1).how(), exited(7), "version {abi}");
        assert_eq!(tenant.stdout.rest(), "own", "version {abi}");
    }
    fs::remove_dir_all(own).expect("ours");
}

#[test]
fn the_start_script_is_looked_for_with_the_eyes_of_the_program() {
    if skipped(landlock_abi() > 0, LANDLOCK) {
        return;
    }
    let town = town("script");
    let manifest = r#"{ "scripts": { "start": "true" } }"#;
    fs::write(town.join("neighbour/package.json"), manifest).expect("a file");
    symlink(town.join("neighbour/package.json"), town.join("own/package.json")).expect("a link");
    let mut spec = script("exit 3");
    spec.needs_start_script = true;
    spec.cwd = c_string(town.join("own").to_str().expect("a path"));
    let mut warden = Warden::start();
    warden.start_tenant(1, &spec);
    assert_eq!(warden.expect_ended(1).how(), exited(3), "without walls it is found");
    spec.confinement.walls = Some(walls(Vec::new()));
    let (_, mut stderr) = warden.launch(2, &spec);
    assert_eq!(warden.expect_failure(2), (LaunchStep::CheckStartScript, libc::ENOENT));
    assert!(stderr.rest().contains("cannot be read"));
    fs::remove_dir_all(town).expect("ours");
}
