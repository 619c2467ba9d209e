//! What the book holds of each run, call and key.

use super::sleep::SleepRecord;
use super::warm::{Comeback, Warm};
use pool::{
    Adopted, Config, Custody, Exit, ExitReason, Failure, History, Owner, Recovered, Release, RunId,
    RunRules, StopStage,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    Ensure,
    Restart,
    Deploy,
    Adopt,
    Kill,
    Dispose,
    Detach,
}

impl Ask {
    pub fn is_for_a_tenant(self) -> bool {
        matches!(self, Ask::Ensure | Ask::Restart | Ask::Deploy | Ask::Adopt)
    }
}

/// How a run came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    Spawned,
    Adopted,
    Restored,
    Recovered,
}

#[derive(Debug)]
pub struct RunRecord {
    pub id: RunId,
    pub key: usize,
    pub start_step: u64,
    pub start_ms: u64,
    pub origin: Origin,
    pub release: Release,
    /// Another release serves in its place: when that began, and for how long it may go on.
    pub retired: Option<(u64, u64)>,
    /// It retired in use, and the end of its last use is waited for.
    pub is_watched: bool,
    /// Since when the end of its last use has been waited for before it is asked to end.
    pub awaits_uses_ms: Option<u64>,
    /// The step in which it was told that no use of it is open.
    pub unused_step: u64,
    /// The step in which a look that began when it was retired has shown no connection.
    pub unconnected_retired_step: u64,
    /// Its uses were waited for, and it has not been asked to end.
    pub is_unasked: bool,
    /// It ended beside the one that serves, or was to.
    pub ended_beside: bool,
    /// When it was last seen that its next release was on its way.
    pub kept_for_deploy_ms: u64,
    /// The step in which it was last asked to make room.
    pub evicted_step: u64,
    /// Whose process it is, and whether it may hold out against being stopped.
    pub custody: Custody,
    /// Started while a restart was waiting.
    pub fresh: bool,
    /// It is not known yet whether it is brought back or started cold.
    pub awaits_image: bool,
    /// It has waited for the snapshot driver for as long as it may, and waits once more.
    pub was_late: bool,
    /// The pool was told of the process.
    pub started: bool,
    pub ready: bool,
    /// When it became ready.
    pub ready_ms: u64,
    /// When, and at which step, the pool last answered a call with it.
    pub handed_out: Option<(u64, u64)>,
    /// The pool was told of the end, or told that there was no beginning.
    pub over: bool,
    /// The pool was told that its main process has ended.
    pub main_ended_ms: Option<u64>,
    /// Ready, and not asked to end.
    pub in_service: bool,
    /// It was in use then, so that this is why it ends.
    pub ends_by_itself: bool,
    /// Readiness failed.
    pub failed: bool,
    /// The first reason to stop it that still holds.
    pub cause: Option<ExitReason>,
    pub idleness: Idleness,
    pub saving: Option<Saving>,
    /// The step in which it was heard that it is saved.
    pub saved_step: u64,
    /// The stop under way: what was asked last, and when the user's `kill` was called for it.
    pub stop: Option<(StopStage, Option<u64>)>,
    /// When it was last asked to end.
    pub asked_ms: u64,
    /// When the user's `kill` was called that has not settled: to ask, and to force.
    pub open_kills_ms: [Option<u64>; 2],
    /// When the last of them settled.
    pub kill_settled_ms: u64,
    /// When, and at which step, a stop of it was last given up.
    pub given_up: Option<(u64, u64)>,
    pub exit_code: Option<i32>,
    pub signal: Option<i32>,
    pub out_of_memory: Option<u64>,
    pub cpu_ms: u64,
    /// It was seen what it uses.
    pub sampled: bool,
    /// The memory that it was last seen to use.
    pub rss_bytes: u64,
    /// The step in which that was last told.
    pub observed_step: u64,
    /// It is being stopped for a restart that takes its room over.
    pub makes_room_for_restart: bool,
    /// It may be stopped for such a restart: it had no process yet, so the simulation could not
    /// see whether an earlier stop of it had been given up.
    pub may_make_room_for_restart: bool,
    pub told: Told,
    /// What holds for it alone, if that was told.
    pub rules: Option<RunRules>,
    /// As it was found.
    pub found: Option<Recovered>,
    /// For how long it was ready before it was found.
    pub ready_before_ms: u64,
    /// It was being ended when it was found.
    pub was_ending: bool,
    /// It had ended when it was found, and that is still to be told.
    pub is_found_dead: bool,
    /// It lives on for the next host.
    pub let_go: bool,
    pub sleep: SleepRecord,
}

/// What has been found out about whether a tenant is idle.
#[derive(Debug, Default)]
pub struct Idleness {
    /// `shouldIdleKill` is being asked about it.
    pub is_asked: bool,
    /// When the answer was last that it is not.
    pub kept_ms: Option<u64>,
    /// The step in which the answer was that it is.
    pub condemned_step: u64,
    /// When an open connection was last seen, or was first seen to have closed, on the wall clock.
    pub connected_at_ms: u64,
    /// The step in which a look that began when it was idle showed no connection.
    pub unconnected_step: u64,
    /// The step in which its idle stop began.
    pub stop_step: u64,
    /// For how long it was idle when it began to be saved.
    pub saved_idle_ms: Option<u64>,
    /// The step in which it was last told that it is stopped for being idle.
    pub told_step: u64,
}

/// It is being saved.
#[derive(Debug)]
pub struct Saving {
    pub since_ms: u64,
    /// It has ended meanwhile.
    pub exit: Option<Exit>,
}

/// The events and effects of a run so far.
#[derive(Debug, Default)]
pub struct Told {
    /// Its beginning, as whatever it was.
    pub spawn: bool,
    pub ready: bool,
    pub exit: bool,
    pub released: bool,
}

#[derive(Debug)]
pub struct CallRecord {
    pub ask: Ask,
    pub key: usize,
    pub step: u64,
    /// The key's run when the call came.
    pub run_then: Option<RunId>,
    /// Its second run then.
    pub second_then: Option<RunId>,
    /// The release that served last.
    pub release_then: Release,
    /// What a deploy waits for.
    pub place: Place,
    /// For how long what a deploy replaces may go on.
    pub retire_ms: u64,
    /// That run was itself started for a restart and not ready yet.
    pub may_join: bool,
    pub must: Must,
    /// What it hands over.
    pub process: Option<Adopted>,
    /// A kill of the key came after it.
    pub killed: bool,
    /// The step in which its caller went away, before it was answered.
    pub aborted: Option<u64>,
    /// Answered, or aborted.
    pub settled: bool,
}

/// Which process a call waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The one that serves, or the next one to.
    Serving,
    /// The one that is to come up beside it.
    Beside,
    /// The one after that.
    Later,
    /// One that has failed or was called off, beside another that goes on.
    Lost,
}

/// What the surface says about a call at the moment it comes.
#[derive(Clone, Debug, PartialEq)]
pub enum Must {
    BeRefusedAsDisposed,
    BeRefusedAsDraining,
    BeRefusedAsTaken,
    BeRefusedForWantOfRoom,
    BeRefusedAsExhausted {
        last: Failure,
    },
    BackOff {
        failures: u64,
        retry_after_ms: u64,
        last: Failure,
    },
    GetTheTenant(RunId),
    BeDoneAtOnce,
    /// Accepted: settled later, or at once for a reason that came after it.
    Wait,
}

#[derive(Default)]
pub struct KeyRecord {
    /// Its run that serves, or is the one to.
    pub live: Option<RunId>,
    /// Its run beside that: of the next release, or on its way out.
    pub second: Option<RunId>,
    /// Whose failures and history these are.
    pub release: Release,
    /// Deploys by what they wait for.
    pub deploys: usize,
    pub deploys_beside: usize,
    pub deploys_later: usize,
    /// Calls that are about to hear that their start has failed, beside one that goes on.
    pub lost: usize,
    pub ensures: usize,
    pub restarts: usize,
    pub adoptions: usize,
    /// The step since which calls wait for a start and there is no run.
    pub waiting_since: Option<u64>,
    /// The run before made room for a restart, or may have.
    pub inherits_room: bool,
    pub failures: u64,
    /// Starts in a row whose port another process had.
    pub stolen_ports: u64,
    pub retry_at_ms: u64,
    pub last_failure: Option<Failure>,
    /// The step in which a release failed that came up beside what serves.
    pub failed_release_step: u64,
    /// The step in which a crash of its tenant was a failure.
    pub crashed_soon_step: u64,
    /// The run that failed last.
    pub failed_run: Option<RunId>,
    pub history: History,
    /// It is started, or stays, without a call.
    pub warm: Option<Warm>,
    /// Its next start without a call, if it has no run.
    pub comeback: Comeback,
    /// It has waited for room without a call, so that its place in the queue is not known.
    pub had_no_caller: bool,
    /// It was evicted, and makes nothing leave for it.
    pub stands_aside: bool,
    /// It was asked for anew after too many failures.
    pub is_tried_anew: bool,
}

impl KeyRecord {
    /// Calls that wait for a tenant.
    pub fn calls(&self) -> usize {
        self.ensures + self.restarts + self.deploys + self.adoptions
    }

    pub fn calls_of(&mut self, ask: Ask, place: Place) -> Option<&mut usize> {
        match ask {
            _ if place == Place::Lost => Some(&mut self.lost),
            Ask::Deploy => Some(match place {
                Place::Serving => &mut self.deploys,
                Place::Beside => &mut self.deploys_beside,
                Place::Later => &mut self.deploys_later,
                Place::Lost => &mut self.lost,
            }),
            Ask::Ensure => Some(&mut self.ensures),
            Ask::Restart => Some(&mut self.restarts),
            Ask::Adopt => Some(&mut self.adoptions),
            Ask::Kill | Ask::Dispose | Ask::Detach => None,
        }
    }

    pub fn is_waiting(&self) -> bool {
        (self.live.is_none() && self.calls() > 0) || self.release_is_waiting()
    }

    /// Its start waits, for a call or without one.
    pub fn is_queued(&self) -> bool {
        self.is_waiting() || self.waits_without_caller()
    }

    pub fn waits_without_caller(&self) -> bool {
        self.live.is_none() && self.calls() == 0 && self.comeback == Comeback::Now
    }

    /// The next release waits for its start.
    pub fn release_is_waiting(&self) -> bool {
        self.second.is_none() && self.deploys_beside > 0
    }
}

impl CallRecord {
    pub fn wants_a_tenant(&self) -> bool {
        self.ask.is_for_a_tenant() && !self.settled && !self.killed
    }
}

impl RunRecord {
    pub fn new(id: RunId, key: usize, step: u64, now_ms: u64, custody: Custody) -> Self {
        RunRecord {
            id,
            key,
            start_step: step,
            start_ms: now_ms,
            origin: Origin::Spawned,
            release: Release::default(),
            retired: None,
            is_watched: false,
            awaits_uses_ms: None,
            unused_step: 0,
            unconnected_retired_step: 0,
            is_unasked: false,
            ended_beside: false,
            kept_for_deploy_ms: 0,
            evicted_step: 0,
            custody,
            fresh: false,
            awaits_image: false,
            was_late: false,
            started: false,
            ready: false,
            ready_ms: 0,
            handed_out: None,
            over: false,
            main_ended_ms: None,
            in_service: false,
            ends_by_itself: false,
            failed: false,
            cause: None,
            idleness: Idleness::default(),
            saving: None,
            saved_step: 0,
            stop: None,
            asked_ms: 0,
            open_kills_ms: [None; 2],
            kill_settled_ms: 0,
            given_up: None,
            exit_code: None,
            signal: None,
            out_of_memory: None,
            cpu_ms: 0,
            sampled: false,
            rss_bytes: 0,
            observed_step: 0,
            makes_room_for_restart: false,
            may_make_room_for_restart: false,
            told: Told::default(),
            rules: None,
            found: None,
            ready_before_ms: 0,
            was_ending: false,
            is_found_dead: false,
            let_go: false,
            sleep: SleepRecord::default(),
        }
    }

    /// How long after its last use it is idle.
    pub fn idle_after_ms(&self, config: &Config) -> Option<u64> {
        self.rules.and_then(|rules| rules.idle_after_ms).unwrap_or(config.idle_after_ms)
    }

    /// It is the user's process.
    pub fn is_users(&self) -> bool {
        self.custody.owner == Owner::User
    }

    pub fn become_ready(&mut self, now_ms: u64) {
        self.in_service = true;
        (self.ready, self.ready_ms) = (true, now_ms);
    }

    pub fn kill_settled(&mut self, asked: StopStage, patience_ms: u64, now_ms: u64) {
        self.open_kills_ms[usize::from(asked == StopStage::Force)] = None;
        if !self.has_open_kill(patience_ms, now_ms) {
            self.kill_settled_ms = now_ms;
        }
    }

    /// One that was called a short while ago.
    pub fn has_open_kill(&self, patience_ms: u64, now_ms: u64) -> bool {
        self.open_kills_ms.iter().flatten().any(|called_ms| called_ms + patience_ms > now_ms)
    }

    pub fn makes_no_room_for_restart(&mut self) {
        (self.makes_room_for_restart, self.may_make_room_for_restart) = (false, false);
    }

    /// Until then it is not evicted: it stays for as long as its start took.
    pub fn tenure_ends_ms(&self) -> u64 {
        let woken_ms = self.sleep.woken_ms;
        match self.origin {
            _ if woken_ms > 0 && self.origin != Origin::Spawned => {
                woken_ms + (woken_ms - self.start_ms).clamp(1, 1_000)
            }
            Origin::Recovered => 0,
            _ => self.ready_ms.max(woken_ms) + (self.ready_ms - self.start_ms).clamp(1, 1_000),
        }
    }

    /// When it has been ready for so long that its start was no failure.
    pub fn proven_at_ms(&self, min_uptime_ms: u64) -> u64 {
        match self.ready {
            true if self.origin == Origin::Adopted => self.ready_ms,
            true => self.ready_ms + min_uptime_ms.saturating_sub(self.ready_before_ms),
            false => u64::MAX,
        }
    }

    /// With this signal; neither we nor the user's `kill` can have sent it. SIGSEGV is what the
    /// kernel sends here.
    pub fn signal_of_others(&self, signal: Option<i32>) -> Option<i32> {
        let is_forced = self.given_up.is_some() || matches!(self.stop, Some((StopStage::Force, _)));
        signal.filter(|signal| match self.cause {
            None => true,
            Some(cause) if self.is_users() || cause == ExitReason::Checkpointed => *signal == 11,
            Some(_) if self.is_unasked => true,
            // It has not been woken, so it was not asked either.
            Some(_) if self.sleep.sleeps && self.stop.is_none() => true,
            Some(_) if self.was_ending => *signal == 11,
            Some(_) => *signal == 11 || (*signal == 9 && !is_forced),
        })
    }

    /// Ready, and not being ended.
    pub fn is_in_use(&self) -> bool {
        let is_ending =
            self.over || self.ends_by_itself || self.stop.is_some() || self.saving.is_some();
        let is_awake = self.retired.is_none() && !self.sleep.sleeps;
        self.ready && is_awake && !is_ending && self.awaits_uses_ms.is_none()
    }

    /// Its lease is claimed, since it sleeps or is about to, and it is not to be stopped.
    pub fn is_asleep(&self) -> bool {
        let is_ending = self.over || self.ends_by_itself || self.stop.is_some();
        self.sleep.sleeps && !is_ending && self.cause.is_none()
    }

    /// It starts, is in use, or sleeps until it is.
    pub fn is_up(&self) -> bool {
        self.is_coming_up() || self.is_in_use() || self.is_asleep()
    }

    /// Why it ends, when it ends with this code.
    pub fn reason(&self, exit_code: Option<i32>) -> ExitReason {
        let by_itself =
            if exit_code == Some(0) { ExitReason::ExitedClean } else { ExitReason::Crashed };
        self.cause.unwrap_or(by_itself)
    }

    /// Another release serves, and it goes on for a while.
    pub fn is_retired(&self) -> bool {
        let is_ending = self.over || self.ends_by_itself || self.stop.is_some();
        self.retired.is_some() && !is_ending && self.awaits_uses_ms.is_none()
    }

    /// Neither ready, nor over, nor called off.
    pub fn is_coming_up(&self) -> bool {
        !self.ready && !self.over && self.cause.is_none()
    }
}
