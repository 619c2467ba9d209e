//! However a tenant spreads its processes, when its end is reported there is no process and no
//! zombie of it.

mod support;

use rustix::process::{Pid, Signal, kill_process};
use support::output::Output;
use support::{SIGKILL, SIGTERM, Warden, c_string, exited, process, script};
use warden::protocol::StopStage;

/// Scripts that spread in different ways. Each prints the pid of a helper, then `ready`, and
/// stays.
const SHAPES: [(&str, &str); 6] = [
    ("a child that is waited for", "sleep 1000 & echo $!; echo ready; wait"),
    (
        "a child in a session of its own",
        "setsid sh -c 'echo $$; echo ready; exec sleep 1000' & wait",
    ),
    (
        "a daemon, forked twice",
        "(setsid sh -c 'sleep 1000 & echo $!'); echo ready; sleep 1000 & wait",
    ),
    ("a pipeline", "sleep 1000 | sleep 1000 & echo $!; echo ready; wait"),
    (
        "a helper that ignores signals",
        "(trap '' TERM HUP INT; sleep 1000 & echo $!; echo ready; wait); true",
    ),
    ("a stopped helper", "sleep 1000 & kill -STOP $!; echo $!; echo ready; wait"),
];

struct Spread {
    mark: String,
    helpers: Vec<Pid>,
}

impl Spread {
    fn assert_gone(&self, shape: &str) {
        for &pid in &self.helpers {
            assert!(!process::exists(pid), "{shape}: {pid:?} is left");
        }
        assert_eq!(process::marked(&self.mark), Vec::<i32>::new(), "{shape}");
    }
}

fn marked_script(text: &str) -> (warden::LaunchSpec, String) {
    let mark = process::new_mark();
    let mut spec = script(text);
    spec.env.push(c_string(&mark));
    (spec, mark)
}

fn read_spread(stdout: &mut Output, mark: String, count: usize) -> Spread {
    let helpers: Vec<Pid> = (0..count).map(|_| stdout.pid()).collect();
    assert_eq!(stdout.line(), "ready");
    assert!(helpers.iter().all(|&pid| process::exists(pid)));
    Spread { mark, helpers }
}

/// Starts every shape, ends it with `end`, and looks for processes that are left at the moment
/// when its end is reported.
fn each_shape(end: impl Fn(&Warden, &support::Tenant), expected: (Option<i32>, Option<i32>)) {
    let mut warden = Warden::start();
    for (run, (shape, text)) in (1..).zip(SHAPES) {
        let (spec, mark) = marked_script(text);
        let mut tenant = warden.start_tenant(run, &spec);
        let spread = read_spread(&mut tenant.stdout, mark, 1);
        end(&warden, &tenant);
        assert_eq!(warden.expect_ended(run).how(), expected, "{shape}");
        spread.assert_gone(shape);
        assert!(!process::exists(tenant.pid) && !process::exists(tenant.keeper), "{shape}");
        assert_eq!(tenant.stdout.rest(), "", "{shape}");
    }
}

#[test]
fn after_a_kill() {
    each_shape(|warden, tenant| warden.stop(tenant.run, StopStage::Kill), SIGKILL);
}

#[test]
fn after_another_process_has_killed_the_main_process() {
    each_shape(|_, tenant| kill_process(tenant.pid, Signal::KILL).unwrap(), SIGKILL);
}

#[test]
fn after_a_termination_and_a_kill() {
    let mut warden = Warden::start();
    for (run, (shape, text)) in (1..).zip(SHAPES) {
        let (spec, mark) = marked_script(text);
        let mut tenant = warden.start_tenant(run, &spec);
        let spread = read_spread(&mut tenant.stdout, mark, 1);
        warden.stop(run, StopStage::Terminate);
        assert!(process::wait_for_end(tenant.pid, support::DEADLINE), "{shape}");
        warden.stop(run, StopStage::Kill);
        assert_eq!(warden.expect_ended(run).how(), SIGTERM, "{shape}");
        spread.assert_gone(shape);
    }
}

#[test]
fn after_the_main_process_has_exited() {
    let mut warden = Warden::start();
    let daemon = "setsid sh -c 'trap \"\" TERM HUP; sleep 1000 & echo $!; echo ready; wait' & sleep 0.2; exit 3";
    let (spec, mark) = marked_script(daemon);
    let mut tenant = warden.start_tenant(1, &spec);
    let spread = read_spread(&mut tenant.stdout, mark, 1);
    assert_eq!(warden.expect_ended(1).how(), exited(3));
    spread.assert_gone("a daemon that survives its tenant");
}

#[test]
fn after_a_fork_bomb() {
    let mut warden = Warden::start();
    // Doubles to 127 shells, half of them in sessions of their own; each replaces its child when
    // that dies.
    let bomb = r#"trap '' TERM HUP; if [ $1 -gt 0 ]; then
            sh -c "$BOMB" sh $(($1 - 1)) &
            setsid sh -c "$BOMB" sh $(($1 - 1)) &
        fi; while :; do sleep 1000; done"#;
    let (mut spec, mark) = marked_script("echo ready; exec sh -c \"$BOMB\" sh 6");
    spec.env.push(c_string(&format!("BOMB={bomb}")));
    let mut tenant = warden.start_tenant(1, &spec);
    let spread = read_spread(&mut tenant.stdout, mark, 0);
    support::eventually("it spreads", || process::marked(&spread.mark).len() > 40);
    warden.stop(1, StopStage::Kill);
    assert_eq!(warden.expect_ended(1).how(), SIGKILL);
    spread.assert_gone("a fork bomb");
}

#[test]
fn nothing_of_other_tenants_is_touched() {
    let mut warden = Warden::start();
    let mut other = warden
        .start_script(1, "trap 'echo hit' TERM CONT; echo ready; while :; do sleep 0.01; done");
    other.stdout.line();
    let mut helper = warden.start_script(2, "setsid sleep 1000 & echo $!; wait");
    helper.stdout.pid();
    for stage in [StopStage::Terminate, StopStage::Kill] {
        warden.stop(2, stage);
    }
    warden.expect_ended(2);
    warden.stop(1, StopStage::Kill);
    warden.expect_ended(1);
    assert_eq!(other.stdout.rest(), "");
}

#[test]
fn after_a_fork_bomb_has_burnt_out() {
    let mut warden = Warden::start();
    let text = "i=0; while [ $i -lt 200 ]; do sh -c 'sleep 1000 & wait' & i=$((i+1)); done; echo ready; wait";
    let (spec, mark) = marked_script(text);
    let mut tenant = warden.start_tenant(1, &spec);
    let spread = read_spread(&mut tenant.stdout, mark, 0);
    support::eventually("it is complete", || process::marked(&spread.mark).len() > 400);
    warden.stop(1, StopStage::Kill);
    assert_eq!(warden.expect_ended(1).how(), SIGKILL);
    spread.assert_gone("four hundred processes");
}

/// Needs the right to mount, so it is skipped for ordinary users.
#[test]
#[allow(clippy::disallowed_methods, reason = "tests start processes")]
fn without_the_proc_file_system_the_group_goes() {
    let hide = [
        "-m",
        "sh",
        "-c",
        "mount -t tmpfs none /proc && exec \"$0\"",
        env!("CARGO_BIN_EXE_warden"),
    ];
    let mut trial = std::process::Command::new("unshare");
    if !trial
        .args(["-m", "mount", "-t", "tmpfs", "none", "/proc"])
        .output()
        .is_ok_and(|output| output.status.success())
    {
        return;
    }
    let mut command = std::process::Command::new("unshare");
    command.args(hide);
    let mut warden = Warden::start_by(command);
    let (spec, mark) = marked_script("sleep 1000 & echo $!; echo ready; wait");
    let mut tenant = warden.start_tenant(1, &spec);
    let spread = read_spread(&mut tenant.stdout, mark, 1);
    warden.stop(1, StopStage::Kill);
    assert_eq!(warden.expect_ended(1).how(), SIGKILL);
    spread.assert_gone("a tenant without /proc");
}
