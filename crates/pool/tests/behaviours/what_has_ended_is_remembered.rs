//! How a key's last process ended is remembered, with what it wrote last, and how often it was
//! started and crashed; and the signal that ended it is told unless it may have been ours.

use crate::support::*;
use pool::*;

const SIGKILL: i32 = 9;
const SIGSEGV: i32 = 11;
const SIGTERM: i32 = 15;

fn by_signal(signal: i32) -> Fact {
    Fact::Exited(Exit { signal: Some(signal), output: "last words".into(), ..Exit::default() })
}

fn told_signal(actions: &[Action]) -> Option<i32> {
    actions.iter().find_map(|action| match action {
        Action::Emit(Event::Exit { signal, .. }) => *signal,
        _ => None,
    })
}

fn history(bench: &Bench) -> History {
    bench.pool.status("a", bench.now).expect("it is remembered").history
}

#[test]
fn how_and_when_it_ended_and_how_often() {
    let mut bench = Bench::new(config());
    let run = bench.running("a");
    bench.pass(500);
    bench.fact(run, by_signal(SIGSEGV));
    let at_ms = bench.now.wall_ms;
    let last_exit = LastExit {
        run,
        exit_code: None,
        signal: Some(SIGSEGV),
        reason: ExitReason::Crashed,
        at_ms,
        output: "last words".into(),
        out_of_memory: None,
    };
    assert_eq!(
        history(&bench),
        History { starts: 1, crashes: 1, last_exit: Some(last_exit.clone()) }
    );

    let run = bench.running("a");
    assert_eq!(history(&bench), History { starts: 2, crashes: 1, last_exit: Some(last_exit) });
    bench.kill("a");
    bench.exit(run);
    let History { starts, crashes, last_exit } = history(&bench);
    assert_eq!((starts, crashes), (2, 1));
    assert_eq!(last_exit.map(|exit| exit.reason), Some(ExitReason::Killed));
    bench.handle(Input::ClearBackoff { key: "a".into() });
    assert_eq!(history(&bench).starts, 2);
}

#[test]
fn a_failed_start_is_told_with_what_that_very_process_wrote() {
    let mut bench = Bench::new(config());
    let run = started(&bench.ensure("a").1).expect("it starts");
    bench.process(run);
    bench.fact(run, by_signal(SIGKILL));
    let is_of_last_exit = |bench: &Bench| {
        let failures = bench.pool.status("a", bench.now).and_then(|status| status.failures);
        failures.map(|failures| (failures.last, failures.is_of_last_exit))
    };
    let failure =
        Failure::ExitedEarly { exit_code: None, signal: Some(SIGKILL), out_of_memory: None };
    assert_eq!(is_of_last_exit(&bench), Some((failure, true)));
    bench.pass(1_000);
    let run = started(&bench.ensure("a").1).expect("it starts");
    bench.fact(run, Fact::StartFailed(unwilling()));
    assert_eq!(is_of_last_exit(&bench), Some((unwilling(), false)));
}

#[test]
fn a_signal_of_ours_is_not_told() {
    for (forced, signal, expected) in [
        (false, SIGTERM, None),
        (false, SIGKILL, Some(SIGKILL)),
        (true, SIGKILL, None),
        (true, SIGSEGV, Some(SIGSEGV)),
    ] {
        let mut bench = Bench::new(config());
        let run = bench.running("a");
        bench.kill("a");
        if forced {
            bench.tick_when_due();
        }
        assert_eq!(told_signal(&bench.fact(run, by_signal(signal))), expected, "{forced} {signal}");
    }
}

#[test]
fn what_the_users_kill_sends_is_not_known_and_so_only_a_fault_is_told() {
    for (signal, expected) in [(SIGKILL, None), (2, None), (SIGSEGV, Some(SIGSEGV))] {
        let mut bench = Bench::new(external());
        let run = bench.running("a");
        bench.kill("a");
        assert_eq!(told_signal(&bench.fact(run, by_signal(signal))), expected, "{signal}");
    }
    let mut bench = Bench::new(external());
    let run = bench.running("a");
    assert_eq!(told_signal(&bench.fact(run, by_signal(SIGKILL))), Some(SIGKILL));
}
