//! However the processes of a tree pass signals on, none is sent `SIGTERM` twice, and a process
//! that is left when those above it are gone is sent one.

mod support;

use support::{Warden, exited};
use warden::protocol::StopStage;

/// Prints `T` for each `SIGTERM`, goes on for a while after the first, prints `done` and ends.
const RECORDER: &str = "trap 'echo T; n=20' TERM; n=-1; echo up; \
    while [ $n -ne 0 ]; do sleep 0.01; n=$((n-1)); done; echo done; exit 0";

/// All that the recorders printed after they were up, once the tree has ended by itself.
fn said(leader: &str, recorders: usize) -> String {
    let mut warden = Warden::start();
    let mut spec = support::script(leader);
    spec.env.push(support::c_string(&format!("R={RECORDER}")));
    let mut tenant = warden.start_tenant(1, &spec);
    for _ in 0..recorders {
        assert_eq!(tenant.stdout.line(), "up", "{leader}");
    }
    warden.stop(1, StopStage::Terminate);
    warden.expect_ended(1);
    tenant.stdout.rest()
}

const ONE: &str = "T\ndone\n";

#[test]
fn a_leader_that_does_not_listen() {
    assert_eq!(said("sh -c \"$R\" & wait", 1), ONE);
    assert_eq!(said("setsid sh -c \"$R\" & wait", 1), ONE);
}

#[test]
fn a_leader_that_leaves_and_passes_nothing_on() {
    assert_eq!(said("trap 'exit 0' TERM; sh -c \"$R\" & wait", 1), ONE);
    assert_eq!(said("trap 'sleep 0.2; exit 0' TERM; setsid sh -c \"$R\" & wait", 1), ONE);
}

#[test]
fn a_leader_that_passes_it_on_and_waits() {
    assert_eq!(said("trap 'kill $c; wait $c; exit' TERM; sh -c \"$R\" & c=$!; wait", 1), ONE);
}

#[test]
fn a_leader_that_passes_it_on_and_leaves() {
    for _ in 0..10 {
        assert_eq!(said("trap 'kill $c; exit' TERM; sh -c \"$R\" & c=$!; wait", 1), ONE);
    }
}

#[test]
fn leaders_that_each_pass_it_on_and_leave() {
    let leader = "trap 'kill $c; exit' TERM; sh -c \"$W\" & c=$!; wait";
    for _ in 0..10 {
        assert_eq!(
            said(
                &format!(
                    "export W='trap \"kill \\$c; exit\" TERM; sh -c \"$R\" & c=$!; wait'; {leader}"
                ),
                1
            ),
            ONE
        );
    }
}

#[test]
fn a_leader_that_passes_it_on_to_one_of_two() {
    let two = said("trap 'kill $c; exit' TERM; sh -c \"$R\" & sh -c \"$R\" & c=$!; wait", 2);
    assert_eq!((two.matches('T').count(), two.matches("done").count()), (2, 2), "{two}");
}

#[test]
fn a_leader_that_passes_it_on_to_the_whole_group_and_leaves() {
    assert_eq!(
        said("trap 'trap \"\" TERM; kill 0; exit' TERM; sh -c 'sh -c \"$R\"; :' & wait", 1),
        ONE
    );
}

#[test]
fn wrappers_below_a_leader_that_is_gone() {
    let wrapper = "trap 'kill $c; wait $c; exit' TERM; sh -c \"$R\" & c=$!; wait";
    assert_eq!(
        said(&format!("export W='{}'; sh -c \"$W\" & wait", wrapper.replace('\'', "'\\''")), 1),
        ONE
    );
}

#[test]
fn a_chain_in_which_each_leaves_its_child_behind() {
    assert_eq!(said("sh -c 'sh -c \"sh -c \\\"\\$R\\\"; :\"; :'; :", 1), ONE);
}

/// It has no handler any more, but was not sent a signal.
#[test]
fn a_process_that_executes_another_program_meanwhile_is_asked() {
    let child = "trap : TERM; trap 'exec sleep 1000' USR1; echo up; while :; do sleep 0.01; done";
    let leader = format!(
        "trap 'kill -USR1 $c; while [ \"$(cat /proc/$c/comm)\" != sleep ]; do sleep 0.01; done; exit 3' TERM; \
         sh -c \"{child}\" & c=$!; wait"
    );
    let mut warden = Warden::start();
    let mut tenant = warden.start_script(1, &leader);
    assert_eq!(tenant.stdout.line(), "up");
    warden.stop(1, StopStage::Terminate);
    assert_eq!(warden.expect_ended(1).how(), exited(3));
}

/// A shell blocks all signals until its child has executed the command; so does this one until it
/// is told. It has dropped no handler then.
#[test]
fn a_process_that_only_unblocks_the_signal_is_asked() {
    let child = "$t = POSIX::SigSet->new(SIGTERM); sigprocmask(SIG_BLOCK, $t); $| = 1; \
                 $SIG{USR1} = sub { sigprocmask(SIG_UNBLOCK, $t) }; print qq(up\\n); sleep 9 while 1";
    let leader = format!(
        "trap 'kill -USR1 $c; while grep -q SigBlk:.*4...$ /proc/$c/status; do sleep 0.01; done; exit 3' \
         TERM; perl -MPOSIX -e '{child}' & c=$!; wait"
    );
    let mut warden = Warden::start();
    let mut tenant = warden.start_script(1, &leader);
    assert_eq!(tenant.stdout.line(), "up");
    warden.stop(1, StopStage::Terminate);
    assert_eq!(warden.expect_ended(1).how(), exited(3));
}

/// The main process may still need the processes below it.
#[test]
fn no_process_is_asked_before_the_main_process_is_gone() {
    let mut warden = Warden::start();
    let helper = "trap 'echo helper; exit' TERM; echo up; while :; do sleep 0.01; done";
    let leader = format!(
        "setsid sh -c \"{helper}\" & trap 'echo leader; sleep 0.2; echo end; exit 3' TERM; echo up; \
         while :; do sleep 0.01; done"
    );
    let mut tenant = warden.start_script(1, &leader);
    assert_eq!((tenant.stdout.line(), tenant.stdout.line()), ("up".to_owned(), "up".to_owned()));
    warden.stop(1, StopStage::Terminate);
    assert_eq!(warden.expect_ended(1).how(), exited(3));
    assert_eq!(tenant.stdout.rest(), "leader\nend\nhelper\n");
}
