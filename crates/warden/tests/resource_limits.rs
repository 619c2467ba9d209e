//! A tenant has the limits that its launch names.

mod support;

use support::{Warden, exited, script};
use warden::confinement::{Resource, ResourceLimit};
use warden::spec::LaunchSpec;

fn limited(text: &str, resource: Resource, value: u64) -> LaunchSpec {
    let mut spec = script(text);
    spec.confinement.limits = vec![ResourceLimit { resource, value }];
    spec
}

#[test]
fn of_open_files() {
    let mut warden = Warden::start();
    let text = "ulimit -Sn; ulimit -Hn; ulimit -n 100 2>/dev/null || echo stays";
    let mut tenant = warden.start_tenant(1, &limited(text, Resource::OpenFiles, 50));
    assert_eq!(tenant.stdout.rest(), "50\n50\nstays\n");
}

#[test]
fn one_that_the_warden_has_is_not_raised() {
    #[allow(clippy::disallowed_methods, reason = "tests start processes")]
    let mut command = std::process::Command::new("/bin/sh");
    command.args(["-c", "ulimit -n 80; exec \"$0\"", env!("CARGO_BIN_EXE_warden")]);
    let mut warden = Warden::start_by(command);
    let text = "ulimit -Sn; ulimit -Hn";
    let mut tenant = warden.start_tenant(1, &limited(text, Resource::OpenFiles, 1_000));
    assert_eq!(tenant.stdout.rest(), "80\n80\n");
}

#[test]
fn a_file_that_becomes_too_large_is_an_error_and_no_signal() {
    let directory = support::walls::directory("too-large");
    let mut warden = Warden::start();
    let text = "head -c 5000 /dev/zero > file; echo $?; exec wc -c < file";
    let mut spec = limited(text, Resource::FileBytes, 4_096);
    spec.cwd = support::c_string(directory.to_str().expect("a path"));
    let mut tenant = warden.start_tenant(1, &spec);
    assert_eq!(tenant.stdout.rest(), "1\n4096\n");
    assert!(tenant.stderr.rest().contains("File too large"));
    assert_eq!(warden.expect_ended(1).how(), exited(0));
    std::fs::remove_dir_all(directory).expect("ours");
}
