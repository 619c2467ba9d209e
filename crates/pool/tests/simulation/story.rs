//! One story: random calls at random moments, then the world comes to itself, and in the end all
//! must be well.

use super::answers;
use super::book::Ask;
use super::delays::Delays;
use super::properties::{self, Verdict};
use super::rules::Rules;
use super::world::{Happening, START, World, after_ms};
use stories::Log;
use stories::Rng;

/// Longer than any chain of stops that have to be given up.
const LONG_ENOUGH_MS: u64 = 200_000;

/// Tells the story of `seed`; the error says what was wrong in it. The host may be lost when so many
/// steps have been taken.
pub fn tell(seed: u64, lost_at_step: Option<u64>, log: &mut Log) -> Verdict {
    let mut rng = Rng::new(seed);
    // Drawn apart, so that a story without losses is told as if there were none.
    let mut of_losses = Rng::new(!seed);
    let has_losses = lost_at_step.is_some() || of_losses.chance(35);
    let losses = if has_losses { of_losses.between(1, 3) } else { 0 };
    // Drawn apart for the same reason.
    let mut of_sleep = Rng::new(seed.wrapping_add(1 << 40));
    let rules = Rules::draw(&mut rng).with_sleep(&mut of_sleep).with_losses(losses, lost_at_step);
    log.note(after_ms(START), || format!("{rules:#?}"));
    let mut world = World::new(rng, &rules, log);
    plan_calls(&mut world, &rules);
    run_until(&mut world, |world| world.now_ms() >= START.steady_ms + rules.horizon_ms)?;
    world.lives.no_more_losses();
    wind_up(&mut world)?;
    if world.rng.chance(50) || rules.losses > 0 {
        dispose(&mut world)?;
        world.lives.every_process_has_one_exit()?;
    }
    properties::only_those_that_may_refuse_do(&world.book)
}

fn plan_calls(world: &mut World, rules: &Rules) {
    let keys = rules.keys as u64;
    if rules.drain_ms > 0 {
        let at_ms = world.rng.pick(&[0, 0, 20]);
        world.plan(at_ms, Happening::DrainTime(rules.drain_ms));
    }
    let mut left = rules.calls;
    while left > 0 {
        let at_ms = world.rng.below(rules.horizon_ms);
        let burst = if world.rng.chance(25) { world.rng.between(1, left.min(6)) } else { 1 };
        left -= burst;
        // Deploys meet what else is asked of the same key.
        let of_one_key = world.rng.chance(rules.deploys).then(|| world.rng.below(keys) as usize);
        for _ in 0..burst {
            let key = of_one_key.unwrap_or_else(|| world.rng.below(keys) as usize);
            let happening = if world.rng.chance(rules.deploys) {
                Happening::Call(Ask::Deploy, key)
            } else if world.rng.chance(rules.adoptions) {
                Happening::Call(Ask::Adopt, key)
            } else if world.rng.chance(rules.warmings) {
                Happening::Warm(key)
            } else if rules.knocks > 0 && world.rng.chance(rules.knocks) {
                Happening::Knock(key)
            } else {
                random_happening(&mut world.rng, key)
            };
            world.plan(at_ms, happening);
        }
    }
    if rules.has_pressure {
        for is_short in [true, false] {
            let at_ms = world.rng.below(rules.horizon_ms);
            world.plan(at_ms, Happening::Pressure(is_short));
        }
    }
    for (percent, last_act) in
        [(10, Happening::Drain), (8, Happening::Call(Ask::Dispose, 0)), (3, Happening::Abandon)]
    {
        if world.rng.chance(percent) {
            let at_ms = world.rng.below(rules.horizon_ms);
            world.plan(at_ms, last_act);
        }
    }
}

fn random_happening(rng: &mut Rng, key: usize) -> Happening {
    match rng.below(100) {
        0..=44 => Happening::Call(Ask::Ensure, key),
        45..=58 => Happening::QuickEnsure(key),
        59 => Happening::Absence(rng.between(1, 500)),
        60..=63 => Happening::Touch(key),
        64..=69 => Happening::Use(key, rng.delay_ms()),
        70..=81 => Happening::Call(Ask::Restart, key),
        82..=95 => Happening::Call(Ask::Kill, key),
        96..=97 => Happening::ClearBackoff(key),
        98 => Happening::Drain,
        _ => Happening::Call(Ask::Dispose, key),
    }
}

fn run_until(world: &mut World, enough: impl Fn(&World) -> bool) -> Verdict {
    world.hosts_come_and_go()?;
    while !enough(world) && world.advance()? {
        world.hosts_come_and_go()?;
    }
    Ok(())
}

/// No more calls come, and what hung is answered: then every accepted call must be answered.
fn wind_up(world: &mut World) -> Verdict {
    world.mend();
    let from_ms = world.now_ms();
    run_until(world, |world| {
        let passed_ms = world.now_ms() - from_ms;
        // A start whose callers all went away is still to be answered.
        let nothing_is_open =
            world.book.unsettled == 0 && world.book.alive().all(|run| run.started);
        (nothing_is_open && passed_ms >= 300) || passed_ms > LONG_ENOUGH_MS
    })?;
    answers::every_call_is_settled(&world.book)
}

/// At first processes may hold out; in the end they do not, and nothing may be left.
fn dispose(world: &mut World) -> Verdict {
    if world.rng.chance(50) {
        dispose_and_wait(world)?;
    }
    world.docile = true;
    dispose_and_wait(world)?;
    // What was being stopped when the processes were still holding out may have been given up
    // meanwhile.
    dispose_and_wait(world)?;
    answers::nothing_is_left(&world.book, &world.pool)
}

fn dispose_and_wait(world: &mut World) -> Verdict {
    world.call(Ask::Dispose, 0)?;
    let from_ms = world.now_ms();
    run_until(world, |world| {
        world.book.unsettled == 0 || world.now_ms() - from_ms > LONG_ENOUGH_MS
    })?;
    answers::every_call_is_settled(&world.book)
}
