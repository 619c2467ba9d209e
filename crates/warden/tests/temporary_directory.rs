//! A private temporary directory is the tenant's alone, and gone with it.

#![allow(clippy::disallowed_methods, reason = "it measures time")]

mod support;

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::fs::{Mode, OFlags, mkdirat, openat};
use rustix::process::{Signal, geteuid, kill_process};
use support::walls::{directory, skipped};
use support::{SIGKILL, Warden, c_string, eventually, exited, script};
use warden::confinement::User;
use warden::protocol::{LaunchStep, StopStage};
use warden::remove_tree::remove_tree;
use warden::spec::LaunchSpec;

/// Makes directories in each other, so many that it takes long to remove them.
fn fill(tree: &Path) {
    let mut inner = OwnedFd::from(fs::File::open(tree).expect("ours"));
    for _ in 0..50_000 {
        mkdirat(&inner, "d", Mode::RWXU).expect("a directory");
        inner = openat(&inner, "d", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).expect("it");
    }
}

/// The directory for all temporary ones, which the warden makes, in one of this test's.
struct Place {
    own: PathBuf,
    all: PathBuf,
}

impl Place {
    fn new(name: &str) -> Place {
        let own = directory(name);
        Place { all: own.join("all"), own }
    }

    /// In memory, where that is possible: on a busy disk large directories take minutes.
    fn in_memory(name: &str) -> Place {
        let own = Path::new("/dev/shm").join(format!("warden-{name}-{}", std::process::id()));
        match fs::create_dir(&own) {
            Ok(()) => Place { all: own.join("all"), own },
            Err(_) => Place::new(name),
        }
    }

    fn script(&self, text: &str) -> LaunchSpec {
        let mut spec = script(text);
        spec.env.push(c_string("TMPDIR=/nowhere"));
        spec.confinement.temporary = Some(c_string(self.all.to_str().expect("a path")));
        spec
    }

    fn entries(&self) -> usize {
        fs::read_dir(&self.all).map_or(0, Iterator::count)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What a test has left can be nested too deep for the standard library.
        let above = fs::File::open(self.own.parent().expect("a directory")).map(OwnedFd::from);
        let name = self.own.file_name().and_then(|name| name.to_str()).map(c_string);
        let _ = above.map(|above| remove_tree(above, &name.expect("a plain name"), || false));
    }
}

#[test]
fn it_is_the_tenants_tmpdir_and_gone_when_its_end_is_reported() {
    let place = Place::new("tmpdir");
    let mut warden = Warden::start();
    let text = "echo $TMPDIR; mkdir -p $TMPDIR/a/b; echo x > $TMPDIR/a/b/c; read line || true";
    for run in 1..=3 {
        let mut tenant = warden.start_tenant(run, &place.script(text));
        let path = PathBuf::from(tenant.stdout.line());
        assert_eq!(path.parent(), Some(place.all.as_path()));
        assert_eq!(warden.expect_ended(run).how(), exited(0));
        assert!(!path.exists(), "{path:?} is left");
        eventually("nothing is left", || place.entries() == 0);
    }
    assert!(place.all.exists());
    assert_eq!(warden.close_and_wait(), Some(0));
    assert!(!place.all.exists(), "the warden removes what it has made");
}

#[test]
fn it_is_the_users_and_closed_to_all_others() {
    if skipped(geteuid().is_root(), "only root can make a tenant another user") {
        return;
    }
    let place = Place::new("users");
    let mut spec = place.script("echo $TMPDIR; touch $TMPDIR/file && echo made; sleep 1000");
    spec.confinement.user = Some(User { uid: 20_003, gid: 20_004 });
    let mut warden = Warden::start();
    let mut tenant = warden.start_tenant(1, &spec);
    let path = PathBuf::from(tenant.stdout.line());
    assert_eq!(tenant.stdout.line(), "made");
    let its = fs::metadata(&path).expect("it is there");
    assert_eq!((its.uid(), its.gid(), its.permissions().mode() & 0o7777), (20_003, 20_004, 0o700));
    assert_eq!(fs::metadata(&place.all).expect("it is there").permissions().mode() & 0o7777, 0o711);
    warden.stop(1, StopStage::Kill);
    assert_eq!(warden.expect_ended(1).how(), SIGKILL);
    assert!(!path.exists());
}

/// A tenant that has filled its directory, and where that is.
fn start(warden: &mut Warden, place: &Place, run: u64) -> (support::Tenant, PathBuf) {
    let text = "mkdir -p $TMPDIR/a/b; chmod 0 $TMPDIR/a; echo $TMPDIR; exec sleep 1000";
    let mut tenant = warden.start_tenant(run, &place.script(text));
    let path = PathBuf::from(tenant.stdout.line());
    assert!(path.exists());
    (tenant, path)
}

#[test]
fn it_is_gone_when_the_end_is_reported_after_the_keeper_was_killed() {
    let place = Place::new("keeper");
    let mut warden = Warden::start();
    let (tenant, path) = start(&mut warden, &place, 1);
    let (_, others) = start(&mut warden, &place, 2);
    kill_process(tenant.keeper, Signal::KILL).expect("ours");
    assert_eq!(warden.expect_ended(1).how(), SIGKILL);
    assert!(!path.exists() && others.exists());
    warden.close_and_wait();
    assert!(!place.all.exists());
}

#[test]
fn a_huge_one_is_gone_when_the_end_is_reported_and_removed_after_that() {
    let place = Place::in_memory("huge");
    let mut warden = Warden::start();
    for kills_keeper in [false, true] {
        let run = u64::from(kills_keeper) + 1;
        let (tenant, path) = start(&mut warden, &place, run);
        fill(&path);
        let begin = Instant::now();
        if kills_keeper {
            kill_process(tenant.keeper, Signal::KILL).expect("ours");
        } else {
            warden.stop(run, StopStage::Kill);
        }
        assert_eq!(warden.expect_ended(run).how(), SIGKILL);
        println!("gone after {:?}", begin.elapsed());
        assert!(!path.exists(), "it is left");
        assert!(place.entries() == 1, "its end has waited for its removal");
        // However long that takes on a busy machine.
        support::within(6 * support::DEADLINE, "it is removed", || place.entries() == 0);
        println!("removed after {:?}", begin.elapsed());
    }
    warden.close_and_wait();
    assert!(!place.all.exists());
}

#[test]
fn a_warden_that_leaves_does_not_wait_for_a_huge_one() {
    let place = Place::in_memory("leaves");
    let mut warden = Warden::start();
    let (_tenant, path) = start(&mut warden, &place, 1);
    fill(&path);
    let begin = Instant::now();
    assert_eq!(warden.close_and_wait(), Some(0));
    println!("left after {:?}", begin.elapsed());
    assert!(!path.exists(), "it is left where it was");
    assert!(place.entries() == 1, "the warden has waited for its removal");
    // However long that takes on a busy machine.
    support::within(6 * support::DEADLINE, "all is removed", || !place.all.exists());
    println!("removed after {:?}", begin.elapsed());
}

#[test]
fn a_huge_one_is_removed_after_the_warden_was_killed() {
    let place = Place::in_memory("orphans");
    let mut warden = Warden::start();
    let (_tenant, path) = start(&mut warden, &place, 1);
    fill(&path);
    let begin = Instant::now();
    warden.kill();
    support::within(6 * support::DEADLINE, "it is gone", || !path.exists());
    println!("gone after {:?}", begin.elapsed());
    support::within(6 * support::DEADLINE, "all is removed", || !place.all.exists());
    println!("removed after {:?}", begin.elapsed());
}

#[test]
fn it_is_gone_after_the_warden_was_killed() {
    let place = Place::new("warden");
    let mut warden = Warden::start();
    let tenants = [1, 2, 3].map(|run| start(&mut warden, &place, run));
    warden.kill();
    eventually("everything is gone", || !place.all.exists());
    assert!(tenants.iter().all(|(_, path)| !path.exists()));
}

#[test]
fn what_keepers_have_left_is_gone_when_the_warden_is() {
    let place = Place::new("left");
    let mut warden = Warden::start();
    let (tenant, _) = start(&mut warden, &place, 1);
    // The keeper cannot do anything, and is killed by the warden at last.
    kill_process(tenant.keeper, Signal::STOP).expect("ours");
    kill_process(tenant.keeper, Signal::KILL).expect("ours");
    assert_eq!(warden.close_and_wait(), Some(0));
    assert!(!place.all.exists());
}

#[test]
fn what_else_is_in_the_directory_for_all_stays() {
    let place = Place::new("precious");
    for path in [&place.all, &place.all.join("1-1")] {
        fs::create_dir(path).expect("a directory");
        fs::write(path.join("file"), "precious").expect("a file");
    }
    let mut warden = Warden::start();
    let (tenant, path) = start(&mut warden, &place, 1);
    kill_process(tenant.keeper, Signal::STOP).expect("ours");
    assert_eq!(warden.close_and_wait(), Some(0));
    assert!(!path.exists());
    assert!(place.all.join("file").exists() && place.all.join("1-1/file").exists());
}

#[test]
fn a_start_that_fails_leaves_none() {
    let place = Place::new("failed");
    let mut spec = place.script("true");
    spec.argv = vec![c_string("/no/such/program")];
    let mut warden = Warden::start();
    warden.launch(1, &spec);
    assert_eq!(warden.expect_failure(1), (LaunchStep::Execute, libc::ENOENT));
    eventually("nothing is left", || place.entries() == 0);
}

#[test]
fn a_directory_of_another_user_is_not_used() {
    if skipped(geteuid().is_root(), "only root can give a directory away") {
        return;
    }
    let place = Place::new("strangers");
    fs::create_dir(&place.all).expect("a directory");
    std::os::unix::fs::chown(&place.all, Some(1_001), None).expect("root may");
    let mut warden = Warden::start();
    warden.launch(1, &place.script("true"));
    assert_eq!(warden.expect_failure(1), (LaunchStep::MakeTemporary, libc::EEXIST));
    fs::remove_dir(&place.all).expect("ours");
    std::os::unix::fs::symlink("/var", &place.all).expect("a link");
    warden.launch(2, &place.script("true"));
    assert_eq!(warden.expect_failure(2).0, LaunchStep::MakeTemporary);
}

#[test]
fn links_out_of_it_are_not_followed() {
    let place = Place::new("links");
    let outside = place.own.join("outside");
    fs::create_dir(&outside).expect("a directory");
    fs::write(outside.join("file"), "precious").expect("a file");
    let outside_text = outside.display();
    let text = format!(
        "ln -s {outside_text} $TMPDIR/link; mkdir $TMPDIR/d; ln -s {outside_text} $TMPDIR/d/link"
    );
    let mut warden = Warden::start();
    let mut tenant = warden.start_tenant(1, &place.script(&text));
    assert_eq!(tenant.stderr.rest(), "");
    assert_eq!(warden.expect_ended(1).how(), exited(0));
    eventually("nothing is left", || place.entries() == 0);
    assert!(Path::new(&outside).join("file").exists());
}

#[test]
fn why_the_directory_for_all_cannot_be_made_is_told() {
    let mut spec = script("true");
    // No directory can be made there, and none is there, which is not the reason.
    spec.confinement.temporary = Some(c_string("/sys/absolute"));
    let mut warden = Warden::start();
    warden.launch(1, &spec);
    let (step, errno) = warden.expect_failure(1);
    assert_eq!(step, LaunchStep::MakeTemporary);
    assert!([libc::EPERM, libc::EACCES, libc::EROFS].contains(&errno), "{errno}");
}
