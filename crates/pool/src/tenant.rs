//! One tree of a key: its state, and the calls that wait for it. Most keys have no other
//! (`releases.rs`).

use crate::sleep::Wakefulness;
use crate::slumber::Slumber;
use crate::warm::Warm;
use crate::{
    Adopted, CallId, Custody, Exit, ExitReason, Failure, Key, Owner, Release, RunId, RunRules,
    StopStage, Touch, Usage,
};

/// A key that the pool is doing something about.
#[derive(Debug)]
pub(crate) struct Tenant {
    pub key: Key,
    pub state: State,
    /// Calls that want a ready tenant: the one that is starting or, while stopping, the next one.
    pub waiters: Vec<Waiter>,
    /// A process that is running already waits for room, handed over by this call.
    pub adoption: Option<Box<(CallId, Adopted)>>,
    /// The release of its run or, while it has none, of the run before.
    pub release: Release,
    /// It is started, or stays, without a caller.
    pub warm: Option<Warm>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Waiter {
    pub call: CallId,
    pub wants: Wants,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wants {
    /// Any ready process.
    Any,
    /// One that was started after the call.
    Fresh,
    /// A new release, also started after the call. The one before it goes on for `retire_ms` at
    /// most.
    Release { retire_ms: u64 },
}

/// | state | process | holds room | left by |
/// |---|---|---|---|
/// | `AwaitingRoom` | none of ours; an adopted one | no | room (`Pool::admit`), kill, dispose, the last caller's abort, every tenant having refused to leave |
/// | `AwaitingGate` | none | yes | a gate permit (`Pool::admit`), kill, dispose, the last caller's abort |
/// | `Starting` | perhaps | yes | `Started`, `Restored`, `StartFailed`, `Exited`, a stop |
/// | `Probing` | yes | yes | `Ready`, `NotReady` (a stop), `Exited`, a stop |
/// | `Ready` | yes | yes | `Exited`, `MainEnded` (as a stop), a stop, the next release being ready (`Retired`) |
/// | `Asleep` | yes | until its tree stands, and again when it is to wake (`slumber.rs`) | `Roused`, `RestFailed` and `Stirred` before its tree has stood for good, `Exited`, `MainEnded` (as a stop), a stop |
/// | `Retired` | yes | yes | `Exited`, `MainEnded` (as a stop), a stop |
/// | `Stopping` | yes, or perhaps | yes, unless it slept when its stop began | `Exited`, `StartFailed`, a refusal or no end in time (back to `Ready` or `Retired`, or `Stranded`) |
/// | `Stranded` | yes, or perhaps | yes | `Exited`, `StartFailed`, another stop, which `Started` and `Restored` begin, too |
///
/// While `Stopping` is at [`Stage::Saving`], an `Exited` is put off until it is known whether it
/// was saved. [`Stage::AwaitingUses`] is left by `Unused`, its deadline, `dispose`, `MainEnded` and
/// `Exited`.
///
/// `Run` is boxed: each change of the state moves it, and a key that waits has none.
#[derive(Debug)]
pub(crate) enum State {
    /// Waits until fewer than `max_concurrent` are alive.
    AwaitingRoom { ticket: u64 },
    /// Has room; waits because enough others are being started.
    AwaitingGate { ticket: u64 },
    /// Asked for; the process is not known yet.
    Starting(Box<Run>),
    /// The process exists; readiness is being found out.
    Probing(Box<Run>),
    /// In use.
    Ready(Box<Run>),
    /// Its tree is frozen, or is about to be or to wake.
    Asleep(Box<Run>, Box<Slumber>),
    /// Another release serves; this one is in use for a while yet, until then at most.
    Retired(Box<Run>, u64),
    /// Being ended. `Stop` is boxed, too: few runs are being ended at a time.
    Stopping(Box<Run>, Box<Stop>),
    /// Never became ready, or may not be here, and ending it was refused. Tracked, never handed out.
    Stranded(Box<Run>),
}

/// One process from the decision to start it.
#[derive(Debug)]
pub(crate) struct Run {
    pub id: RunId,
    /// Whose process it is, and whether it may refuse to be stopped.
    pub custody: Custody,
    /// Known from `Started` on, which is also when `spawn` is emitted.
    pub pid: Option<u32>,
    pub started_steady_ms: u64,
    /// How long it took to become ready, if it was started here.
    pub start_took_ms: Option<u64>,
    /// It was being ended when it was found.
    pub was_ending: bool,
    /// For how long it was ready before it was found.
    pub ready_before_ms: u64,
    pub was_ready: bool,
    /// Its process is gone; others of its tree may not be.
    pub main_ended_ms: Option<u64>,
    /// Some caller asked for a process newer than its call; later such calls join this one.
    pub fresh: bool,
    pub holds_gate: bool,
    /// The state's one deadline: `timers.rs` says which.
    pub deadline_ms: Option<u64>,
    /// Until then it is not evicted; set when it becomes ready.
    pub tenure_ends_ms: u64,
    /// When it has been ready for so long that its start was no failure.
    pub proven_at_ms: u64,
    /// Where the run stands in the order of eviction.
    pub indexed_touch: Touch,
    /// The ticket counter when an eviction of this run was last refused.
    pub refused_at_ticket: Option<u64>,
    /// Why it was first stopped, kept when that stop timed out: a later exit still has that cause.
    pub cause: Option<Cause>,
    pub cpu_ms: u64,
    /// What its tree used when it was last looked at.
    pub usage: Option<Usage>,
    /// Until when it is known to have had an open connection, on the wall clock; 0 never.
    pub connected_at_ms: u64,
    /// It was adopted without a port: whether it is connected cannot be seen.
    pub has_no_port: bool,
    /// `shouldIdleKill` is being asked about it.
    pub idle_is_asked: bool,
    /// It has said that the run is not to be stopped; until then it is not asked again.
    pub kept_until_ms: u64,
    pub wakefulness: Wakefulness,
    /// What holds for it alone. Boxed: most runs have none.
    pub rules: Option<Box<RunRules>>,
}

impl Run {
    pub fn new(id: RunId, custody: Custody, now_ms: u64, fresh: bool) -> Self {
        Run {
            id,
            custody,
            pid: None,
            started_steady_ms: now_ms,
            start_took_ms: None,
            was_ending: false,
            ready_before_ms: 0,
            was_ready: false,
            main_ended_ms: None,
            fresh,
            holds_gate: true,
            deadline_ms: None,
            tenure_ends_ms: 0,
            proven_at_ms: u64::MAX,
            indexed_touch: Touch::default(),
            refused_at_ticket: None,
            cause: None,
            cpu_ms: 0,
            usage: None,
            connected_at_ms: 0,
            has_no_port: false,
            idle_is_asked: false,
            kept_until_ms: 0,
            wakefulness: Wakefulness::default(),
            rules: None,
        }
    }
}

/// As Linux numbers them on all our machines.
const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;
/// What the kernel sends to a process for what it has done: SIGILL, SIGTRAP, SIGABRT, SIGBUS,
/// SIGFPE, SIGSEGV, SIGSYS.
const FAULTS: [i32; 7] = [4, 5, 6, 7, 8, 11, 31];

/// A stop under way.
#[derive(Debug)]
pub(crate) struct Stop {
    pub stage: Stage,
    /// The user's `kill` has been called for the present stage.
    pub is_delivered: bool,
    /// From then on, when that is known.
    pub grace_ends_ms: u64,
    /// When the user's `kill` was called that has not settled: to ask, and to force.
    pub open_kills_ms: [Option<u64>; 2],
    /// Why the start failed, when that is the cause; otherwise its callers get the exit itself.
    pub failure: Option<Failure>,
    /// Calls that waited for this run to become ready: refused when it is gone.
    pub failed_waiters: Vec<CallId>,
    /// The next process of this key takes the room over.
    pub keeps_room: bool,
    /// It is forced as soon as there is a process, and not asked.
    pub is_urgent: bool,
    /// How it slept when its stop began. It is woken first, so that it can be asked to end.
    pub slumber: Option<Box<Slumber>>,
    /// Calls that want the process gone.
    pub kills: Vec<CallId>,
    /// For how long it was idle when it began to be saved.
    pub idle_ms: u64,
    /// It ended while it was being saved: the exit is told once the save is answered.
    pub exit: Option<Exit>,
}

/// Whether one of our stops may have sent this signal.
pub(crate) fn by_our_stop(signal: i32) -> bool {
    [SIGTERM, SIGKILL].contains(&signal)
}

impl Stop {
    pub fn new(stage: Stage) -> Self {
        Stop {
            stage,
            is_delivered: false,
            grace_ends_ms: 0,
            open_kills_ms: [None; 2],
            failure: None,
            failed_waiters: Vec::new(),
            keeps_room: false,
            is_urgent: false,
            slumber: None,
            kills: Vec::new(),
            idle_ms: 0,
            exit: None,
        }
    }

    /// It holds none if it slept.
    pub fn holds_room(&self) -> bool {
        self.slumber.as_ref().is_none_or(|slumber| slumber.holds_room())
    }

    pub fn enter(&mut self, stage: Stage) {
        self.stage = stage;
        self.is_delivered = false;
    }

    pub fn open_kill_ms(&mut self, stage: StopStage) -> &mut Option<u64> {
        &mut self.open_kills_ms[usize::from(stage == StopStage::Force)]
    }

    /// Until when calls of the user's `kill` that have not settled hold off giving up.
    pub fn held_until_ms(&self, patience_ms: u64) -> Option<u64> {
        let ends_ms = self
            .open_kills_ms
            .iter()
            .flatten()
            .map(|called_ms| called_ms.saturating_add(patience_ms));
        ends_ms.max()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It is being saved.
    Saving,
    /// There is no process yet that could be asked.
    AwaitingProcess,
    /// It sleeps, and is being woken.
    Rousing,
    /// Uses of it are open that began before its lease was claimed.
    AwaitingUses,
    Asked,
    /// Its main process has ended by itself; the rest of its tree is being ended.
    Clearing,
    Forced,
}

impl Stage {
    pub fn is(self, asked: StopStage) -> bool {
        matches!((self, asked), (Stage::Asked, StopStage::Ask) | (Stage::Forced, StopStage::Force))
    }
}

/// Why we stop a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    Idle,
    Evicted,
    Killed,
    NotReady,
    Disposed,
    Restarted,
    Saved,
    Replaced,
    Moved,
    Fenced,
    /// It sleeps, and did not wake.
    NotWoken,
}

impl Cause {
    /// Of a run that is being ended for this reason; `None` if it ends by itself. What is ended as
    /// crashed has not woken.
    pub fn of(reason: ExitReason) -> Option<Cause> {
        Some(match reason {
            ExitReason::ExitedClean => return None,
            ExitReason::Crashed => Cause::NotWoken,
            ExitReason::IdleKilled => Cause::Idle,
            ExitReason::LruEvicted => Cause::Evicted,
            ExitReason::Killed => Cause::Killed,
            ExitReason::ReadinessTimeout => Cause::NotReady,
            ExitReason::Disposed => Cause::Disposed,
            ExitReason::Restarted => Cause::Restarted,
            ExitReason::Checkpointed => Cause::Saved,
            ExitReason::Replaced => Cause::Replaced,
            ExitReason::Moved => Cause::Moved,
            ExitReason::Fenced => Cause::Fenced,
        })
    }

    pub fn exit_reason(self) -> ExitReason {
        match self {
            Cause::Idle => ExitReason::IdleKilled,
            Cause::Evicted => ExitReason::LruEvicted,
            Cause::Killed => ExitReason::Killed,
            Cause::NotReady => ExitReason::ReadinessTimeout,
            Cause::Disposed => ExitReason::Disposed,
            Cause::Restarted => ExitReason::Restarted,
            Cause::Saved => ExitReason::Checkpointed,
            Cause::Replaced => ExitReason::Replaced,
            Cause::Moved => ExitReason::Moved,
            Cause::Fenced => ExitReason::Fenced,
            Cause::NotWoken => ExitReason::Crashed,
        }
    }
}

impl State {
    /// Exchanges the state for what `change` makes of it: the next one cannot be forgotten.
    pub fn change<T>(&mut self, change: impl FnOnce(State) -> (State, T)) -> T {
        // The stand-in is not seen: `change` returns before the state is looked at again.
        let stand_in = State::AwaitingRoom { ticket: u64::MAX };
        let (next, result) = change(std::mem::replace(self, stand_in));
        *self = next;
        result
    }

    /// Moves from `Starting` to `Probing`. Returns whether it was `Starting`.
    pub fn has_process_now(&mut self) -> bool {
        self.change(|state| match state {
            State::Starting(run) => (State::Probing(run), true),
            other => (other, false),
        })
    }

    pub fn run(&self) -> Option<&Run> {
        match self {
            State::AwaitingRoom { .. } | State::AwaitingGate { .. } => None,
            State::Starting(run)
            | State::Probing(run)
            | State::Ready(run)
            | State::Asleep(run, _)
            | State::Retired(run, _)
            | State::Stopping(run, _)
            | State::Stranded(run) => Some(run),
        }
    }

    pub fn run_mut(&mut self) -> Option<&mut Run> {
        match self {
            State::AwaitingRoom { .. } | State::AwaitingGate { .. } => None,
            State::Starting(run)
            | State::Probing(run)
            | State::Ready(run)
            | State::Asleep(run, _)
            | State::Retired(run, _)
            | State::Stopping(run, _)
            | State::Stranded(run) => Some(run),
        }
    }

    /// Whether the signal that ended the run may have been sent to stop it, by us or by the user's
    /// functions. What those send is not known.
    pub fn may_have_sent(&self, signal: i32) -> bool {
        let Some((run, cause)) = self.run().and_then(|run| Some((run, run.cause?))) else {
            return false;
        };
        match self {
            _ if run.custody.owner == Owner::User || cause == Cause::Saved => {
                !FAULTS.contains(&signal)
            }
            // An earlier stop was given up, and may have worked late.
            _ if run.refused_at_ticket.is_some() => by_our_stop(signal),
            State::Stopping(_, stop) => match stop.stage {
                Stage::Forced => by_our_stop(signal),
                // The warden ends what its host was ending, in its own time.
                Stage::Asked if run.was_ending => by_our_stop(signal),
                // It has not been asked yet, or ended before it was.
                Stage::AwaitingUses | Stage::Rousing | Stage::Clearing => false,
                _ => signal == SIGTERM,
            },
            _ => false,
        }
    }

    /// Whether this is the run's state.
    pub fn is_of(&self, run: RunId) -> bool {
        self.run().is_some_and(|own| own.id == run)
    }

    /// Whether it waits for room or at the gate.
    pub fn is_queued(&self) -> bool {
        matches!(self, State::AwaitingRoom { .. } | State::AwaitingGate { .. })
    }

    /// Starts, is in use, or sleeps until it is.
    pub fn is_up(&self) -> bool {
        matches!(self, State::Starting(_) | State::Probing(_) | State::Ready(_) | State::Asleep(..))
    }

    pub fn holds_room(&self) -> bool {
        match self {
            State::AwaitingRoom { .. } => false,
            State::Asleep(_, slumber) => slumber.holds_room(),
            State::Stopping(_, stop) => stop.holds_room(),
            _ => true,
        }
    }
}
