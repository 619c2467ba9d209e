//! A tenant's output reaches its pipes, which end when it has ended, and its result is reported.

mod support;

use support::{Warden, exited};

#[test]
fn output_reaches_the_pipes_and_ends_with_the_tenant() {
    let mut warden = Warden::start();
    let mut tenant = warden.start_script(1, "echo out; echo err >&2; echo more");
    assert_eq!(tenant.stdout.rest(), "out\nmore\n");
    assert_eq!(tenant.stderr.rest(), "err\n");
    assert_eq!(warden.expect_ended(1).how(), exited(0));
}

#[test]
fn the_end_of_one_tenants_output_does_not_wait_for_others() {
    let mut warden = Warden::start();
    let mut first = warden.start_script(1, "read never; echo first; sleep 1000");
    let mut second = warden.start_script(2, "sleep 1000");
    let mut third = warden.start_script(3, "echo third");
    assert_eq!(third.stdout.rest(), "third\n");
    assert_eq!(first.stdout.line(), "first");
    warden.stop(2, warden::StopStage::Kill);
    assert_eq!(second.stdout.rest(), "");
}

#[test]
fn exit_codes_and_signals_are_reported() {
    let mut warden = Warden::start();
    for code in [0, 1, 42, 255] {
        let run = code as u64;
        warden.start_script(run, &format!("exit {code}"));
        assert_eq!(warden.expect_ended(run).how(), exited(code));
    }
    for signal in [2, 6, 9, 13, 15] {
        let run = 1_000 + signal as u64;
        warden.start_script(run, &format!("kill -{signal} $$; sleep 1000"));
        assert_eq!(warden.expect_ended(run).how(), (None, Some(signal)));
    }
    assert_eq!(warden.surplus_reports(), []);
}

#[test]
fn a_run_number_can_be_used_again_once_its_run_has_ended() {
    let mut warden = Warden::start();
    for code in [3, 4] {
        warden.start_script(1, &format!("exit {code}"));
        assert_eq!(warden.expect_ended(1).how(), exited(code));
    }
}

#[test]
fn the_program_sees_its_arguments_directory_and_environment() {
    let mut warden = Warden::start();
    let mut spec =
        support::spec(&["sh", "-c", "pwd; echo $0 $1; echo $COLOUR", "name", "with space"]);
    spec.cwd = c"/usr".to_owned();
    spec.env.push(c"COLOUR=dark blue".to_owned());
    let mut tenant = warden.start_tenant(1, &spec);
    assert_eq!(tenant.stdout.rest(), "/usr\nname with space\ndark blue\n");
}
