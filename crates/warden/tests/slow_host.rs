//! A host that does not read for a while loses no report, and the warden keeps working meanwhile.

mod support;

use support::{Warden, exited, process, script, spec};
use warden::protocol::{LaunchStep, StopStage};

/// More reports than the socket has room for.
const RUNS: u64 = 400;

#[test]
fn no_report_is_lost() {
    let mut warden = Warden::start();
    let mut last = None;
    // A few at a time: the test is about reports, not about a machine full of shells.
    for run in 1..=RUNS {
        let code = run % 200;
        let (mut stdout, _stderr) =
            warden.launch(run, &spec(&["/bin/sh", "-c", &format!("exit {code}")]));
        stdout.rest();
        last = Some(warden.launch(RUNS + run, &spec(&["/no/such/program"])));
    }
    last.expect("launched").0.rest();
    for run in 1..=RUNS {
        warden.expect_started(run);
        assert_eq!(warden.expect_ended(run).how(), exited((run % 200) as i32));
        assert_eq!(warden.expect_failure(RUNS + run), (LaunchStep::Execute, 2));
    }
    assert_eq!(warden.surplus_reports(), []);
}

#[test]
fn a_full_socket_does_not_keep_the_warden_from_stopping_tenants() {
    let mut warden = Warden::start();
    let tenant = warden.start_script(1, "sleep 1000");
    for run in 2..=RUNS {
        let (mut stdout, _stderr) = warden.launch(run, &script("exit 0"));
        stdout.rest();
    }
    warden.stop(1, StopStage::Kill);
    assert!(process::wait_for_end(tenant.pid, support::DEADLINE));
    for run in 2..=RUNS {
        warden.expect_started(run);
        warden.expect_ended(run);
    }
    assert_eq!(warden.expect_ended(1).how(), support::SIGKILL);
}
