//! What holds after every step, as prose and as code. The simulation asserts it after each step of
//! each story.

use crate::planted::{Bug, planted};
use crate::room::Room;
use crate::slumber::Doze;
use crate::tenant::{Stage, State, Tenant};
use crate::{Custody, Owner, Pool};

impl Pool {
    /// Checks every invariant of the pool's own books; the error says which is broken and how.
    ///
    /// What concerns the outside is asserted by the simulation's world, which sees what the actions
    /// do: one serving tree and at most two trees per key, one exit per spawn, every call settled,
    /// and the right victim: of the ready tenants the least recently touched, when its tenure is
    /// over, and never in the step that hands it out.
    pub fn check_invariants(&self) -> Result<(), String> {
        self.runs_and_tenants_name_each_other()?;
        self.each_release_plays_its_part()?;
        self.room_is_counted_right_and_never_exceeded()?;
        self.free_room_is_given_away_at_once()?;
        self.queues_hold_exactly_the_waiting_keys()?;
        self.every_ready_tenant_can_be_evicted()?;
        self.sleepers_sleep_and_go_on()?;
        self.starts_are_counted_right()?;
        self.deadlines_belong_to_runs()?;
        self.calls_wait_only_where_they_will_be_answered()?;
        self.images_belong_to_runs()?;
        self.warm_keys_are_kept_in_one_place()?;
        self.what_is_not_admitted_is_on_its_way_out()?;
        self.a_stop_always_goes_on()
    }

    /// What waits for the snapshot driver is a start of the key, or a save, that lives, and the
    /// snapshot driver is at it.
    fn images_belong_to_runs(&self) -> Result<(), String> {
        self.images.check(|key, run| self.runs.get(&run).is_some_and(|of| **of == *key))
    }

    /// A warm key without a serving tree waits for its next start in the book, and only such a key
    /// does. What stands aside has no caller. While draining no key waits without one.
    fn warm_keys_are_kept_in_one_place(&self) -> Result<(), String> {
        let both = self.warm.keys().find(|key| self.tenants.contains_key(*key));
        ensure(both.is_none(), || format!("{both:?} waits for a start, and has a tree"))?;
        let refuses = self.draining || self.disposal.is_some();
        let waiting = self.warm.keys().next();
        ensure(waiting.is_none() || !refuses, || format!("{waiting:?} waits for a start"))?;
        for tenant in self.tenants.values() {
            let State::AwaitingRoom { ticket } = tenant.state else { continue };
            let has_caller = !tenant.waiters.is_empty();
            ensure(!(has_caller && self.room.is_aside(ticket)), || {
                format!("{} stands aside, and a call waits for it", tenant.key)
            })?;
            ensure(has_caller || !refuses, || format!("{} waits without a caller", tenant.key))?;
        }
        Ok(())
    }

    /// A key that is not admitted has no tree that serves or comes up, and none will come of it.
    fn what_is_not_admitted_is_on_its_way_out(&self) -> Result<(), String> {
        let is_leaving = |tree: &Tenant| {
            let is_out =
                matches!(tree.state, State::Retired(..) | State::Stopping(..) | State::Stranded(_));
            is_out && tree.waiters.is_empty()
        };
        let stays = self.trees().find(|tree| !self.is_admitted(&tree.key) && !is_leaving(tree));
        ensure(stays.is_none(), || format!("{stays:?} is not admitted"))?;
        let of_trees = self.tenants.values().filter(|tenant| tenant.warm.is_some());
        let mut warm = self.warm.keys().chain(of_trees.map(|tenant| &tenant.key));
        let waiting = warm.find(|key| !self.is_admitted(key));
        ensure(waiting.is_none(), || format!("{waiting:?} waits for a start, and is not admitted"))
    }

    fn count(&self, wanted: impl Fn(&Tenant) -> bool) -> usize {
        self.trees().filter(|tree| wanted(tree)).count()
    }

    fn runs_and_tenants_name_each_other(&self) -> Result<(), String> {
        let with_run = self.count(|tenant| tenant.state.run().is_some());
        ensure(with_run == self.runs.len(), || {
            format!("{with_run} runs in tenants, {} known", self.runs.len())
        })?;
        for (run, key) in &self.runs {
            let second = self.releases.get(key).is_some_and(|beside| beside.tree.state.is_of(*run));
            let serving = self.tenants.get(key).is_some_and(|tenant| tenant.state.is_of(*run));
            ensure(serving != second, || {
                format!("{run:?} of {key} serves: {serving}, is its second tree: {second}")
            })?;
        }
        Ok(())
    }

    /// What serves is not retired; and the second tree is on its way beside one that starts or is
    /// ready, with calls that wait for it, or on its way out. Only where it cannot be joined any
    /// more do deploys wait for its end.
    fn each_release_plays_its_part(&self) -> Result<(), String> {
        let retired =
            self.tenants.values().find(|tenant| matches!(tenant.state, State::Retired(..)));
        ensure(retired.is_none(), || format!("{retired:?} serves"))?;
        for (key, beside) in self.releases.iter() {
            let state = &beside.tree.state;
            ensure(!matches!(state, State::Ready(_)), || {
                format!("{key} is ready and does not serve")
            })?;
            let keeps = self.tenants.get(key).is_some_and(|tenant| tenant.state.is_up());
            ensure(keeps || !beside.is_coming(), || {
                format!("a release of {key} comes beside nothing")
            })?;
            ensure(beside.is_coming() != beside.tree.waiters.is_empty(), || {
                format!("{} calls wait for the second tree of {key}", beside.tree.waiters.len())
            })?;
            ensure(beside.later.is_empty() || !state.is_queued(), || {
                format!("a later deploy of {key} could join")
            })?;
        }
        Ok(())
    }

    fn room_is_counted_right_and_never_exceeded(&self) -> Result<(), String> {
        let occupied = self.count(|tenant| tenant.state.holds_room());
        let for_gate = self.count(|tenant| matches!(tenant.state, State::AwaitingGate { .. }));
        let leaving = self.count(|tenant| match &tenant.state {
            State::Stopping(_, stop) => !stop.keeps_room && stop.holds_room(),
            State::Asleep(_, slumber) => slumber.is_leaving(),
            _ => false,
        });
        let asleep = self.count(|tenant| tenant.state.run().is_some()) + for_gate - occupied;
        let ready = self.count(|tenant| tenant.state.run().is_some_and(|run| run.was_ready));
        let max = self.config.max_concurrent;
        let Room { occupied: counted, leaving: counted_leaving, asleep: counted_asleep, .. } =
            self.room;
        let counted = (counted, counted_leaving, counted_asleep, self.became_ready);
        ensure(counted == (occupied, leaving, asleep, ready), || {
            format!(
                "(occupied, leaving, asleep, became ready): {counted:?} counted, {:?} true",
                (occupied, leaving, asleep, ready)
            )
        })?;
        let surplus = self.room.surplus();
        let leaves = surplus <= self.room.leaving || self.may_still_make_room();
        ensure(occupied <= max || self.room.has_expected_surplus(), || {
            format!("{occupied} alive of at most {max}")
        })?;
        ensure(leaves, || format!("{surplus} found too many, and none leaves"))
    }

    /// Free room is given away at once, and so is a permit. While a key waits for room, some
    /// tenant is being stopped, or will be ready to be evicted: it starts, or is in its tenure.
    fn free_room_is_given_away_at_once(&self) -> Result<(), String> {
        let (waiting, occupied) = (self.room.waiting(), self.room.occupied);
        let in_all = waiting + self.room.standing_aside();
        ensure(in_all == 0 || occupied >= self.config.max_concurrent, || {
            format!("{in_all} wait for room, but only {occupied} are alive")
        })?;
        ensure(waiting == 0 || self.may_still_make_room(), || {
            format!("{waiting} wait for room for ever")
        })?;
        let full = self.config.gate.width.is_some_and(|width| self.gate.starting() >= width);
        ensure(self.gate.waiting() == 0 || full, || "a start waits at an open gate".into())
    }

    fn queues_hold_exactly_the_waiting_keys(&self) -> Result<(), String> {
        let for_room = self.count(|tenant| matches!(tenant.state, State::AwaitingRoom { .. }));
        let for_gate = self.count(|tenant| matches!(tenant.state, State::AwaitingGate { .. }));
        let to_wake = self.count(|tenant| {
            matches!(&tenant.state, State::Asleep(_, slumber)
                if matches!(slumber.doze, Doze::AwaitingRoom { .. }))
        });
        let for_room = for_room + to_wake;
        let queued = (self.room.waiting() + self.room.standing_aside(), self.gate.waiting());
        ensure(queued == (for_room, for_gate), || {
            format!("{queued:?} queued, {:?} wait", (for_room, for_gate))
        })
    }

    fn every_ready_tenant_can_be_evicted(&self) -> Result<(), String> {
        let ready =
            self.count(|tenant| matches!(tenant.state, State::Ready(_) | State::Retired(..)));
        let stranded = self.count(|tenant| matches!(tenant.state, State::Stranded(_)));
        let indexed = (self.candidates.len(), self.stranded.len());
        ensure(indexed == (ready, stranded), || {
            format!("(ready, stranded): {indexed:?} indexed, {:?} true", (ready, stranded))
        })?;
        let warm = self.count(|tenant| {
            tenant.warm.is_some() && matches!(tenant.state, State::Ready(_) | State::Retired(..))
        });
        let indexed = self.candidates.warm_len();
        ensure(indexed == warm || planted(Bug::WarmMakesRoom), || {
            format!("{indexed} ready tenants indexed as warm, {warm} are")
        })
    }

    /// Each sleeper without room is indexed as one, and no more sleep than may, but for those that
    /// are wanted or kept. What is going on with a sleeper is about to be answered, or has a
    /// deadline, unless it rests for ever.
    fn sleepers_sleep_and_go_on(&self) -> Result<(), String> {
        let asleep = self.count(
            |tenant| matches!(&tenant.state, State::Asleep(_, slumber) if !slumber.holds_room()),
        );
        ensure(asleep == self.sleepers.len(), || {
            format!("{} sleepers indexed, {asleep} sleep", self.sleepers.len())
        })?;
        let max_asleep = self.config.sleep.map_or(0, |sleep| sleep.max_asleep);
        let too_many = asleep > max_asleep && self.sleeper_to_stop().is_some();
        ensure(!too_many || planted(Bug::OneSleepsTooMany), || {
            format!("{asleep} sleep of at most {max_asleep}")
        })?;
        for tenant in self.trees() {
            let State::Asleep(run, slumber) = &tenant.state else { continue };
            let (timed, rouses) = (run.deadline_ms.is_some(), slumber.rouses);
            let goes_on = match slumber.doze {
                Doze::Falling | Doze::Sinking => !timed && rouses == 0,
                Doze::Checking => !timed && self.looks.is_asked_about(run.id),
                Doze::AwaitingRoom { .. } => !timed,
                Doze::Rousing | Doze::Inhaling => !timed && rouses > 0,
                Doze::Breathing => timed,
                Doze::Resting => rouses == 0,
            };
            ensure(goes_on, || format!("{} sleeps, and nothing follows: {slumber:?}", tenant.key))?;
            let is_wanted = matches!(slumber.doze, Doze::AwaitingRoom { .. } | Doze::Rousing);
            ensure(is_wanted || tenant.waiters.is_empty(), || {
                format!("calls wait for {}, which is not woken", tenant.key)
            })?;
        }
        Ok(())
    }

    fn starts_are_counted_right(&self) -> Result<(), String> {
        let starting = self.count(|tenant| tenant.state.run().is_some_and(|run| run.holds_gate));
        ensure(starting == self.gate.starting(), || {
            format!("{starting} hold a permit, {} counted", self.gate.starting())
        })?;
        let width = self.config.gate.width.unwrap_or(usize::MAX);
        ensure(starting <= width, || format!("{starting} starts at once, {width} allowed"))
    }

    fn deadlines_belong_to_runs(&self) -> Result<(), String> {
        let set =
            self.count(|tenant| tenant.state.run().is_some_and(|run| run.deadline_ms.is_some()));
        ensure(set == self.timers.len(), || {
            format!("{set} deadlines of runs, {} timers", self.timers.len())
        })
    }

    fn calls_wait_only_where_they_will_be_answered(&self) -> Result<(), String> {
        let ends_all = self.disposal.as_ref().is_some_and(|disposal| !disposal.detaches());
        for tenant in self.tenants.values() {
            let (key, waiters) = (&tenant.key, tenant.waiters.len());
            let settled = matches!(tenant.state, State::Ready(_) | State::Stranded(_));
            ensure(!settled || waiters == 0, || {
                format!("{waiters} calls wait for {key}, which is settled")
            })?;
            let is_wanted = waiters > 0 || tenant.warm.is_some();
            ensure(tenant.state.run().is_some() || is_wanted, || {
                format!("{key} is queued, and no call waits for it")
            })?;
            ensure(!ends_all || waiters == 0, || {
                format!("{waiters} calls wait for {key}, disposed")
            })?;
        }
        ensure(
            self.disposal.is_none()
                || self.releases.iter().all(|(_, beside)| beside.later.is_empty()),
            || "deploys wait, disposed".into(),
        )
    }

    /// A stop that may be refused has a deadline once the process was asked to end. One that
    /// cannot be refused has either been passed on to the kernel or waits for a process of ours,
    /// which appears or fails (`Pool::await_process` says when).
    fn a_stop_always_goes_on(&self) -> Result<(), String> {
        for tenant in self.trees() {
            let State::Stopping(run, stop) = &tenant.state else { continue };
            let Custody { owner, may_refuse_stop } = run.custody;
            let timed = run.deadline_ms.is_some();
            let needed = match (stop.stage, may_refuse_stop) {
                (Stage::Saving | Stage::AwaitingUses | Stage::Rousing, _) => true,
                (Stage::AwaitingProcess, _) => owner == Owner::User,
                (Stage::Asked, false) => true,
                // Only of a process of ours, and its exit is on the way.
                (Stage::Clearing, _) | (Stage::Forced, false) => false,
                (Stage::Asked | Stage::Forced, true) => stop.is_delivered,
            };
            ensure(timed || !needed, || format!("the stop of {} has no deadline", tenant.key))?;
        }
        Ok(())
    }
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}
