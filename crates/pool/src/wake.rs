//! Waking: sleepers that are wanted, or to be stopped.
//!
//! A sleeper is woken by `ensure`, by a touch, by a visitor in its listener's backlog, and by a
//! connection that is seen once its tree stands. It needs room for that, like a start, and comes
//! before all starts: it is awake in milliseconds. It is awake when it answers. One that does not
//! is forced to end, and has crashed; its calls wait for the next process.
//!
//! A stop wakes a sleeper, too, so that it can end in order: it takes no room for that, as it is to
//! give up all it has. What the stop is for is told when it is awake.

use crate::messages::{Action, Event, Outcome, Refusal};
use crate::planted::{Bug, planted};
use crate::pool::{Pool, Step};
use crate::slumber::{Doze, Slumber};
use crate::tenant::{Cause, Stage, State};
use crate::{Key, RunId};

impl Pool {
    /// A caller does not ask for the key's tenant, and uses it.
    pub(crate) fn touch(&mut self, step: &mut Step, key: &Key) {
        let Some(tenant) = self.tenants.get(key) else { return };
        let (State::Ready(run) | State::Asleep(run, _)) = &tenant.state else { return };
        let run = run.id;
        self.wake_for_use(step, run);
    }

    /// The sleeper has a visitor.
    pub(crate) fn knocked(&mut self, step: &mut Step, id: RunId) {
        if self.doze_of(id).is_some() {
            self.wake_for_use(step, id);
        }
    }

    /// The run is used now, and woken if it sleeps.
    pub(crate) fn wake_for_use(&mut self, step: &mut Step, id: RunId) {
        step.leases.touch(id, step.now.wall_ms);
        self.wake(id);
    }

    /// The sleeper is wanted: it is woken as soon as it has room.
    pub(crate) fn wake(&mut self, id: RunId) {
        let leaves = self.disposal.is_some();
        self.sleepers.is_not_checked(id);
        let Some((_, slumber)) = self.slumber_of(id) else { return };
        match slumber.doze {
            // It is being woken to leave, for which it needs no room.
            _ if leaves && !slumber.is_leaving() => {}
            Doze::AwaitingRoom { .. } | Doze::Rousing => {}
            _ if slumber.is_leaving() => {
                slumber.doze = Doze::Rousing;
                self.room.leaving -= 1;
                self.stays_up(id);
            }
            _ => {
                self.clear_deadline(id);
                self.looks.ask_no_more(id);
                let ticket = self.next_ticket();
                self.set_doze(id, Doze::AwaitingRoom { ticket });
                let key = self.runs[&id].clone();
                self.room.enqueue_wake(ticket, key);
            }
        }
    }

    /// The sleeper of the key has been given room.
    pub(crate) fn wake_admitted(&mut self, key: &Key) {
        let Pool { tenants, sleepers, room, .. } = self;
        let Some(State::Asleep(run, slumber)) =
            tenants.get_mut(key).map(|tenant| &mut tenant.state)
        else {
            unreachable!("what waits to wake sleeps");
        };
        slumber.doze = Doze::Rousing;
        sleepers.remove(run);
        room.asleep -= 1;
        let id = run.id;
        self.stays_up(id);
    }

    fn stays_up(&mut self, id: RunId) {
        self.looks.ask_no_more(id);
        self.rouse(id, true);
    }

    pub(crate) fn rouse(&mut self, id: RunId, is_to_answer: bool) {
        let slumber = match &mut self.tenant_of(id).state {
            State::Asleep(_, slumber) => Some(slumber),
            State::Stopping(_, stop) => stop.slumber.as_mut(),
            _ => None,
        };
        let Some(slumber) = slumber else { return };
        slumber.rouses += 1;
        self.actions.push(Action::Rouse { run: id, is_to_answer });
    }

    /// The run's tree runs, and answers if that was asked for.
    pub(crate) fn roused(&mut self, step: &mut Step, id: RunId) {
        let (slumber, is_stopped) = match &mut self.tenant_of(id).state {
            State::Asleep(_, slumber) => (slumber, false),
            State::Stopping(_, stop) if stop.stage == Stage::Rousing => match &mut stop.slumber {
                Some(slumber) => (slumber, true),
                None => return,
            },
            _ => return,
        };
        slumber.rouses = slumber.rouses.saturating_sub(1);
        if slumber.rouses > 0 {
            return;
        }
        match slumber.doze {
            _ if is_stopped => self.is_awake_to_stop(step, id),
            Doze::Rousing => {
                self.is_awake(step, id);
                self.schedule_step_down(step, id);
            }
            Doze::Inhaling => self.inhaled(step, id),
            _ => {}
        }
    }

    /// The run does not answer, or does not even run.
    pub(crate) fn rouse_failed(&mut self, step: &mut Step, id: RunId) {
        match &self.tenant_of(id).state {
            State::Asleep(..) => {
                self.take_out_of_service(step, id, Some(Cause::NotWoken), None);
                self.force(id);
            }
            State::Stopping(_, stop) if stop.stage == Stage::Rousing => {
                self.announce_stop(step, id);
                self.force(id);
            }
            _ => {}
        }
    }

    /// The run is a tenant like any other. The caller sets its deadline.
    pub(crate) fn is_awake(&mut self, step: &mut Step, id: RunId) {
        let now_ms = step.now.steady_ms;
        let Pool { tenants, runs, releases, candidates, actions, .. } = self;
        let tenant = releases.tree_mut(tenants, &runs[&id], id);
        let is_warm = tenant.warm.is_some();
        let is_wanted = !tenant.waiters.is_empty();
        tenant.state.change(|state| match state {
            State::Asleep(mut run, slumber) => {
                if let Some(wake) = slumber.wake(id) {
                    actions.push(wake);
                    run.wakefulness.since_ms = now_ms;
                    if !slumber.is_restless {
                        run.begin_tenure(now_ms);
                    }
                }
                step.leases.reopen(id);
                if is_wanted {
                    step.leases.touch(id, step.now.wall_ms);
                    run.stay_for_a_moment(now_ms);
                }
                candidates.add(&mut run, step.leases.touched(id), is_warm);
                (State::Ready(run), ())
            }
            other => unreachable!("{other:?} did not sleep"),
        });
        for waiter in std::mem::take(&mut tenant.waiters) {
            actions.push(Action::Settle { call: waiter.call, outcome: Outcome::Tenant(id) });
        }
    }

    /// Wakes a sleeper that this host leaves to the next one. It needs no room for that.
    pub(crate) fn wake_to_leave(&mut self, id: RunId) {
        self.clear_deadline(id);
        self.looks.ask_no_more(id);
        self.sleepers.is_not_checked(id);
        let Some((_, slumber)) = self.slumber_of(id) else { return };
        let before = std::mem::replace(&mut slumber.doze, Doze::Inhaling);
        let is_under_way = slumber.rouses > 0;
        if let Doze::AwaitingRoom { ticket } = before {
            self.room.cancel_wake(ticket);
        }
        if !is_under_way {
            self.rouse(id, false);
        }
    }

    /// It is awake, and let go of.
    pub(crate) fn wakes_to_leave(&mut self, step: &mut Step, id: RunId, slumber: &Slumber) {
        step.leases.reopen(id);
        self.actions.extend(slumber.wake(id));
    }

    /// No tenant leaves its room for the sleeper of the key.
    pub(crate) fn turn_away_sleeper(&mut self, step: &Step, key: &Key, refusal: Refusal) {
        let tenant = self.tenant_at(key);
        let waiters = std::mem::take(&mut tenant.waiters);
        if let State::Asleep(run, slumber) = &mut tenant.state
            && let Doze::AwaitingRoom { ticket } = slumber.doze
        {
            let run = run.id;
            slumber.doze = Doze::Resting;
            self.room.cancel_wake(ticket);
            self.schedule_slumber(step, run);
        }
        waiters.into_iter().for_each(|waiter| self.refuse(waiter.call, refusal.clone()));
    }

    /// Wakes a sleeper that is to be stopped.
    pub(crate) fn rouse_to_stop(&mut self, step: &mut Step, id: RunId) {
        self.set_stage(id, Stage::Rousing);
        if planted(Bug::StopsAsleep) {
            return self.is_awake_to_stop(step, id);
        }
        let State::Stopping(_, stop) = &self.tree_of(id).state else { return };
        if stop.slumber.as_ref().is_some_and(|slumber| slumber.rouses == 0) {
            self.rouse(id, false);
        }
        let patience_ms = self.grace_ms(id);
        self.set_deadline(step, id, patience_ms);
    }

    /// A sleeper that is to be stopped runs, so it can be asked.
    fn is_awake_to_stop(&mut self, step: &mut Step, id: RunId) {
        let State::Stopping(_, stop) = &self.tree_of(id).state else { return };
        let wake = stop.slumber.as_ref().and_then(|slumber| slumber.wake(id));
        self.actions.extend(wake);
        self.announce_stop(step, id);
        self.ask(step, id);
    }

    /// Tells what a sleeper is being stopped for, once.
    pub(crate) fn announce_stop(&mut self, step: &Step, id: RunId) {
        let State::Stopping(run, stop) = &mut self.tenant_of(id).state else { return };
        let Some(slumber) = &mut stop.slumber else { return };
        if !std::mem::take(&mut slumber.stop_is_untold) {
            return;
        }
        let cause = run.cause;
        let idle_ms = self.idle_for_ms(step, id, crate::idle::Claim::After);
        match cause {
            Some(Cause::Idle) => {
                self.actions.push(Action::Emit(Event::IdleKill { run: id, idle_ms }))
            }
            Some(Cause::Evicted) => self.actions.push(Action::Emit(Event::LruEvict { run: id })),
            _ => {}
        }
    }
}
