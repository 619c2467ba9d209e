//! A directory is removed whatever its maker has put into it, and nothing else is.

#![allow(clippy::disallowed_methods, reason = "a test mounts")]

mod support;

use std::fs::{self, File, Permissions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{Mode, OFlags, mkdirat, openat};
use rustix::io::Errno;
use rustix::process::geteuid;
use support::walls::{directory, skipped};
use warden::remove_tree::remove_tree;

const NAME: &std::ffi::CStr = c"tree";

/// A place with a directory to be removed.
fn place(name: &str) -> (PathBuf, PathBuf) {
    let place = directory(name);
    let tree = place.join("tree");
    fs::create_dir(&tree).expect("a directory");
    (place, tree)
}

/// The same in a directory that there may be.
fn place_in(above: &Path, name: &str) -> (PathBuf, PathBuf) {
    let own = above.join(format!("warden-{name}-{}", std::process::id()));
    if fs::create_dir_all(own.join("tree")).is_err() {
        return place(name);
    }
    (own.clone(), own.join("tree"))
}

fn remove(place: &Path) -> Result<(), Errno> {
    let parent = OwnedFd::from(File::open(place).expect("ours"));
    remove_tree(parent, NAME, || false)
}

fn assert_removed(place: PathBuf) {
    assert_eq!(remove(&place), Ok(()));
    assert_eq!(fs::read_dir(&place).expect("ours").count(), 0);
    fs::remove_dir(place).expect("ours");
}

/// Makes directories in each other, deeper than any path is long.
fn nest(tree: &Path, depth: usize) {
    let mut inner = OwnedFd::from(File::open(tree).expect("ours"));
    for _ in 0..depth {
        mkdirat(&inner, "d", Mode::RWXU).expect("a directory");
        inner = openat(&inner, "d", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).expect("it");
    }
}

#[test]
fn a_hundred_thousand_directories_in_each_other() {
    // In memory, where there is room for it: on a busy disk this takes minutes.
    let (place, tree) = place_in(Path::new("/dev/shm"), "deep");
    nest(&tree, 100_000);
    assert_removed(place);
}

#[test]
fn many_deep_ones_beside_each_other() {
    let (place, tree) = place_in(Path::new("/dev/shm"), "wide-and-deep");
    for branch in 0..50 {
        let branch = tree.join(branch.to_string());
        fs::create_dir(&branch).expect("a directory");
        nest(&branch, 100);
        for file in 0..20 {
            File::create(branch.join("d/d").join(format!("{file}"))).expect("a file");
        }
    }
    assert_removed(place);
}

#[test]
fn many_files() {
    let (place, tree) = place("many");
    for file in 0..5_000 {
        File::create(tree.join(format!("{file:016x}"))).expect("a file");
    }
    assert_removed(place);
}

#[test]
fn links_are_removed_and_not_followed() {
    let (place, tree) = place("linked");
    let outside = directory("linked-outside");
    fs::write(outside.join("file"), "precious").expect("a file");
    fs::set_permissions(&outside, Permissions::from_mode(0o750)).expect("ours");
    symlink(&outside, tree.join("link")).expect("a link");
    fs::create_dir(tree.join("d")).expect("a directory");
    symlink(&outside, tree.join("d/link")).expect("a link");
    symlink("/no/such/file", tree.join("d/broken")).expect("a link");
    assert_removed(place);
    let mode = fs::metadata(&outside).expect("it is there").permissions().mode() & 0o7777;
    assert_eq!(
        (fs::read(outside.join("file")).expect("it too"), mode),
        (b"precious".to_vec(), 0o750)
    );
    // The directory itself is a link.
    let place = directory("linked-itself");
    symlink(&outside, place.join("tree")).expect("a link");
    assert_removed(place);
    assert!(outside.join("file").exists());
    fs::remove_dir_all(outside).expect("ours");
}

#[test]
fn without_permissions() {
    without_permissions_of_a_user();
    if geteuid().is_root() {
        support::as_user(65_534, "without_permissions_of_a_user");
    }
}

#[test]
#[ignore = "run as another user by the test above"]
fn without_permissions_of_a_user() {
    for mode in [0o000, 0o100, 0o400, 0o500, 0o200] {
        let (place, tree) = place(&format!("closed-{mode:o}-{}", geteuid().as_raw()));
        let inner = ["a/b/c/d", "a/e/f", "g"];
        for path in inner {
            fs::create_dir_all(tree.join(path)).expect("a directory");
            File::create(tree.join(path).join("file")).expect("a file");
        }
        let closed = ["a/b/c/d", "a/b/c", "a/b", "a/e/f", "a/e", "a", "g", "."];
        for path in closed {
            fs::set_permissions(tree.join(path), Permissions::from_mode(mode)).expect("ours");
        }
        assert_removed(place);
    }
}

#[test]
fn what_is_not_there_is_removed_already() {
    let place = directory("missing");
    assert_removed(place);
}

fn run_mount(arguments: &[&str]) -> bool {
    Command::new("mount").args(arguments).status().is_ok_and(|status| status.success())
}

#[test]
fn another_file_system_is_not_entered() {
    let (place, tree) = place("mounted");
    if skipped(geteuid().is_root(), "only root can mount") {
        return;
    }
    let outside = directory("mounted-outside");
    fs::write(outside.join("file"), "precious").expect("a file");
    for path in ["a/same", "other"] {
        fs::create_dir_all(tree.join(path)).expect("a directory");
    }
    fs::write(tree.join("a/file"), "").expect("a file");
    let text = |path: &Path| path.to_str().expect("a plain path").to_owned();
    let is_mounted = run_mount(&["--bind", &text(&outside), &text(&tree.join("a/same"))])
        && run_mount(&["-t", "tmpfs", "none", &text(&tree.join("other"))]);
    if skipped(is_mounted, "mounting is not allowed here") {
        return;
    }
    fs::write(tree.join("other/file"), "precious").expect("a file");
    let removed = remove(&place);
    assert!(removed.is_err(), "what is in use stays: {removed:?}");
    assert!(outside.join("file").exists() && tree.join("other/file").exists());
    assert!(!tree.join("a/file").exists());
    for path in ["a/same", "other"] {
        let umount = Command::new("umount").arg(tree.join(path)).status();
        assert!(umount.is_ok_and(|status| status.success()));
    }
    assert_removed(place);
    fs::remove_dir_all(outside).expect("ours");
}

#[test]
fn it_stops_in_time() {
    let (place, tree) = place("late");
    for file in 0..100 {
        File::create(tree.join(file.to_string())).expect("a file");
    }
    let looks = std::cell::Cell::new(0);
    let is_late = || looks.replace(looks.get() + 1) >= 10;
    let parent = OwnedFd::from(File::open(&place).expect("ours"));
    assert_eq!(remove_tree(&parent, NAME, is_late), Err(Errno::TIMEDOUT));
    assert_eq!(fs::read_dir(&tree).expect("ours").count(), 90);
    assert_removed(place);
}
