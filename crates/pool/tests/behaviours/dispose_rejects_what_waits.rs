//! `dispose` rejects every pending `ensure` at once, and resolves when the last process is gone.

use crate::support::*;
use pool::*;

#[test]
fn calls_in_every_state_are_rejected() {
    let mut bench = Bench::new(Config { max_concurrent: 2, ..config() });
    let dying = bench.running("dying");
    bench.kill("dying");
    let (after_the_stop, _) = bench.ensure("dying");
    let (starting, actions) = bench.ensure("starting");
    let run = started(&actions).expect("it starts");
    let (for_room, _) = bench.ensure("for room");

    let (disposed, actions) = bench.dispose();
    assert_eq!(refusal(&actions, after_the_stop), Some(&Refusal::Disposed));
    assert_eq!(refusal(&actions, starting), Some(&Refusal::Disposed));
    assert_eq!(refusal(&actions, for_room), Some(&Refusal::Disposed));

    assert_eq!(answer(&bench.exit(dying), disposed), None);
    assert!(asks_to_stop(&bench.process(run), run), "what comes up now is stopped");
    assert_eq!(answer(&bench.exit(run), disposed), Some(&Outcome::Done));
    assert!(bench.pool.is_empty());
}

#[test]
fn nothing_starts_any_more() {
    let mut bench = Bench::new(config());
    bench.dispose();
    let ((ensure, ensured), (restart, restarted)) = (bench.ensure("a"), bench.restart("a"));
    assert_eq!(refusal(&ensured, ensure), Some(&Refusal::Disposed));
    assert_eq!(refusal(&restarted, restart), Some(&Refusal::Disposed));
}
