//! A tenant with a user of its own is that user in every respect.

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;

use rustix::process::{Signal, geteuid, kill_process};
use support::walls::{directory, skipped, walls};
use support::{Warden, c_string, process, script};
use warden::confinement::User;
use warden::protocol::LaunchStep;
use warden::spec::LaunchSpec;

const USER: User = User { uid: 20_003, gid: 20_004 };

const NOT_ROOT: &str = "only root can make a tenant another user";

fn as_user(text: &str, directory: &std::path::Path) -> LaunchSpec {
    let mut spec = script(text);
    spec.cwd = c_string(directory.to_str().expect("a path"));
    spec.confinement.user = Some(USER);
    spec
}

fn owned_directory(name: &str, owner: u32) -> PathBuf {
    let path = directory(name);
    chown(&path, Some(owner), Some(owner)).expect("root may");
    path
}

#[test]
fn in_all_its_ids_and_groups() {
    if skipped(geteuid().is_root(), NOT_ROOT) {
        return;
    }
    let own = owned_directory("ids", USER.uid);
    for is_within_walls in [false, true] {
        let mut spec = as_user("touch made; echo ready; exec sleep 1000", &own);
        spec.confinement.walls = is_within_walls.then(|| walls(Vec::new()));
        let mut warden = Warden::start();
        let mut tenant = warden.start_tenant(1, &spec);
        assert_eq!(tenant.stdout.line(), "ready");
        let field = |name| process::status_field(tenant.pid, name).expect("it runs");
        let four = |id: u32| [id; 4].map(|id| id.to_string()).join("\t");
        assert_eq!(field("Uid"), four(USER.uid));
        assert_eq!(field("Gid"), four(USER.gid));
        assert_eq!(field("Groups"), USER.gid.to_string());
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert_eq!(u64::from_str_radix(&field(set), 16), Ok(0), "{set}");
        }
        // The keeper still is what it was, and the tenant ends with it, though it is another user.
        assert!(
            process::status_field(tenant.keeper, "Uid").is_some_and(|ids| ids.starts_with('0'))
        );
        kill_process(warden.pid(), Signal::STOP).expect("ours");
        kill_process(tenant.keeper, Signal::KILL).expect("ours");
        let has_ended = process::wait_for_end(tenant.pid, support::DEADLINE);
        kill_process(warden.pid(), Signal::CONT).expect("ours");
        assert!(has_ended, "the tenant has outlived its keeper");
    }
    fs::remove_dir_all(own).expect("ours");
}

#[test]
fn the_output_can_be_opened_by_its_path() {
    if skipped(geteuid().is_root(), NOT_ROOT) {
        return;
    }
    let own = owned_directory("output", USER.uid);
    let text = "echo one > /dev/stdout && echo two > /proc/self/fd/1 && echo three > /dev/stderr";
    let mut spec = as_user(text, &own);
    for run in [1, 2] {
        let mut warden = Warden::start();
        let mut tenant = warden.start_tenant(run, &spec);
        assert_eq!(tenant.stdout.rest(), "one\ntwo\n", "{}", tenant.stderr.rest());
        assert_eq!(tenant.stderr.rest(), "three\n");
        spec.confinement.walls = Some(walls(Vec::new()));
    }
    fs::remove_dir_all(own).expect("ours");
}

fn refusal(spec: &LaunchSpec) -> (LaunchStep, i32, String) {
    let mut warden = Warden::start();
    let (_, mut stderr) = warden.launch(1, spec);
    let (step, errno) = warden.expect_failure(1);
    (step, errno, stderr.rest())
}

#[test]
fn a_directory_of_another_user_is_refused_and_one_of_root_is_not() {
    if skipped(geteuid().is_root(), NOT_ROOT) {
        return;
    }
    let others = owned_directory("of-another", 1_001);
    let (step, errno, text) = refusal(&as_user("true", &others));
    assert_eq!((step, errno), (LaunchStep::BecomeUser, libc::EPERM));
    assert_eq!(
        text,
        "its directory belongs to user 1001; as user 20003 it may belong to root or to user 20003 \
         only"
    );
    let roots = owned_directory("of-root", 0);
    let mut warden = Warden::start();
    let mut tenant =
        warden.start_tenant(1, &as_user("id -u; touch x 2>/dev/null || id -g", &roots));
    assert_eq!(tenant.stdout.rest(), "20003\n20004\n");
    fs::remove_dir_all(others).expect("ours");
    fs::remove_dir_all(roots).expect("ours");
}

#[test]
fn a_directory_that_the_user_cannot_reach_is_refused() {
    if skipped(geteuid().is_root(), NOT_ROOT) {
        return;
    }
    let above = directory("closed");
    let own = above.join("own");
    fs::create_dir(&own).expect("a directory");
    chown(&own, Some(USER.uid), Some(USER.gid)).expect("root may");
    fs::set_permissions(&above, Permissions::from_mode(0o700)).expect("ours");
    let (step, errno, text) = refusal(&as_user("true", &own));
    assert_eq!((step, errno), (LaunchStep::BecomeUser, libc::EACCES));
    assert!(text.contains("may not enter its directory"), "{text}");
    fs::remove_dir_all(above).expect("ours");
}

#[test]
fn without_the_privilege_the_start_fails() {
    if geteuid().is_root() {
        return support::as_user(65_534, "becoming_another_without_privilege");
    }
    becoming_another_without_privilege();
}

#[test]
#[ignore = "run as another user by the test above"]
fn becoming_another_without_privilege() {
    let own = directory("without-privilege");
    let mut spec = script("true");
    spec.confinement.user = Some(USER);
    let (step, errno, _) = refusal(&spec);
    assert_eq!((step, errno), (LaunchStep::BecomeUser, libc::EPERM));
    fs::remove_dir_all(own).expect("ours");
}
