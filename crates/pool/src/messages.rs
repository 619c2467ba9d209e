//! What goes into the pool and what comes out of it.
#![allow(missing_docs, reason = "each variant says what its fields mean")]

use crate::{Adopted, CallId, Depth, Epoch, Key, Recovered, Release, RunId, RunRules};
use std::sync::Arc;

/// Everything the pool can be told.
#[derive(Clone, Debug)]
pub enum Input {
    /// A tenant is wanted; settles with it or with why not.
    Ensure { key: Key, call: CallId },
    /// A fresh process is wanted for the key, whatever runs now.
    Restart { key: Key, call: CallId },
    /// A new release of the key is wanted, without a gap: it is started beside the one that serves,
    /// settles when it serves in its place, or with why it does not, and the one before goes on
    /// until nothing uses it, for `retire_ms` at most. Where nothing runs or starts, it is a start.
    Deploy { key: Key, call: CallId, retire_ms: u64 },
    /// A process that is running already is to be the key's tenant; settles with it or with why
    /// not.
    Adopt { key: Key, call: CallId, process: Adopted },
    /// A process of the key has outlived the host that started it. (Boxed, as in the action: most
    /// hosts find none.) To be told of each that was
    /// found before any call is passed on; those that end come before those that live.
    Recover { key: Key, process: Box<Recovered> },
    /// What earlier hosts have left cannot be had: every call is refused with this from now on,
    /// those that wait, too.
    Refuse { refusal: Refusal },
    /// The caller of `ensure`, `restart`, `deploy` or `adopt` no longer waits, and needs no answer.
    Abort { key: Key, call: CallId },
    /// The key's process is to end; settles when it has.
    Kill { key: Key, call: CallId },
    /// The key is to be up without a call that waits for it, now and from now on: it is started
    /// unless it runs, starts, or is being started again.
    Warm { key: Key },
    /// Only admitted keys may have processes from now on (`admission.rs`), and none is yet: what there
    /// is of others ends.
    AdmitOnly,
    /// The key is admitted; its processes are started with this epoch.
    Admit { key: Key, epoch: Epoch },
    /// The key is not admitted any more; settles when nothing of it is left. `at_once`: what there is of
    /// it is forced to end.
    Withdraw { key: Key, call: CallId, at_once: bool },
    /// No key is admitted any more; settles when nothing is being stopped any more. `at_once`: a fence.
    WithdrawAll { call: CallId, at_once: bool },
    /// The key's tenant is to count as used now, and to be awake. (A tenant that is awake is touched
    /// by its lease.)
    Touch { key: Key },
    /// Whether the host is short of memory, from now on.
    Pressure { is_short: bool },
    /// The key's failures are to be forgotten.
    ClearBackoff { key: Key },
    /// No new spawns from now on.
    Drain,
    /// From now on a tenant that is in use when it is to end has so long for its uses to end before
    /// it is asked; 0 none.
    DrainTime { ms: u64 },
    /// Everything is to end; settles when it has.
    Dispose { call: CallId },
    /// This host leaves, and its tenants stay for the next one: those that were ready are let go.
    /// What is being started or stopped has a few seconds to become ready or end. Settles when
    /// nothing is left; with `None` no call waits for that. Nothing is started any more, as after
    /// `Dispose`; after that it is one more call of it.
    Detach { call: Option<CallId> },
    /// The host is going away: end everything soon. No call waits any more.
    Abandon,
    /// Something happened to a run. Facts about runs that are over are dropped.
    Fact(RunId, Fact),
    /// The snapshot driver has answered what it was last asked for the key, but for a restore that
    /// brought a run back.
    Image { key: Key, answer: ImageAnswer },
    /// The runs that had an open connection when it was last looked; whether that could be seen at
    /// all.
    Connections { open: Vec<RunId>, seen: bool },
    /// The host did not run between these times, in milliseconds since the epoch: no tenant
    /// could be touched then.
    Absent { from_ms: u64, to_ms: u64 },
    /// A deadline may have passed.
    Tick,
}

/// Something that happened to a run.
#[derive(Clone, Debug)]
pub enum Fact {
    /// What holds for this run in place of what the pool's [`Config`](crate::Config) says. Before
    /// `Started`.
    Ruled(RunRules),
    /// The process exists. `port` is the port it is really bound to.
    Started { pid: u32, port: u16 },
    /// It was brought back from its key's image, and answers. It is the user's process. Answers the
    /// call of the snapshot driver, too.
    Restored { pid: u32, port: u16 },
    /// There is no process and there will be none.
    StartFailed(Failure),
    /// It answers.
    Ready,
    /// It does not answer, and is not asked again.
    NotReady(Failure),
    /// The main process is gone, and the rest will be: an `Exited` follows. Only of a process of
    /// ours.
    MainEnded,
    /// The whole process tree is gone and all its output has been passed on.
    Exited(Exit),
    /// The user's `kill` is being called: its grace counts from now. A busy host may get to it
    /// late.
    StopAsked { stage: StopStage },
    /// The user's `kill` has settled. The process may be there for a moment more.
    StopAnswered { asked: StopStage },
    /// Ending it in the way asked for failed; it is still there.
    StopRefused { asked: StopStage, failure: Failure },
    /// The last use of the claimed run has ended. Answers `Action::WatchUses`.
    Unused,
    /// The user's `shouldIdleKill` has answered.
    IdleAnswered { stop: bool },
    /// Its tree stands, so deep. Answers `Action::Rest`, with `Frozen` too where its memory could
    /// not be paged out. The tree uses so much memory now.
    Rested { depth: Depth, rss_bytes: u64 },
    /// Its tree runs, as it could not be frozen, or did not stand while it was paged out. Answers
    /// `Action::Rest`.
    RestFailed,
    /// Its tree has stood and runs, which no action has asked for. Comes before the answer to any
    /// `Action::Rouse` after which it was to run.
    Stirred,
    /// Its tree runs and, if that was to be seen, answers. Answers `Action::Rouse`.
    Roused,
    /// It does not run, or did not answer within a second. Answers `Action::Rouse`. The pool has it
    /// forced to end, as crashed.
    RouseFailed,
    /// What it does by itself. Answers `Action::LookAtActivity`. `outgoing`: so many established
    /// connections to elsewhere; `serves_beside`: it listens on UDP, or has visitors at other ports
    /// than its own; `is_busy`: it has used the CPU more than a little, apart from its start and from
    /// requests; `seen`: whether all that could be seen.
    Activity { outgoing: usize, serves_beside: bool, is_busy: bool, seen: bool },
    /// The user's `shouldSleep` has answered.
    SleepAnswered { sleep: bool },
    /// The sleeper has a visitor in the backlog of its listener.
    Knocked,
    /// The start has waited for the snapshot driver for as long as it may; the text says for what
    /// and how long.
    ImageLate { text: String },
    /// What the process tree has used so far. `regular`: it was to be observed, with all the
    /// others.
    Sampled { cpu_ms: u64, rss_bytes: u64, regular: bool },
}

/// What the snapshot driver says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageAnswer {
    /// It is saved; there is an image; it is dropped.
    Yes,
    /// It is not saved; there is none; the restore was called off before it was tried.
    No,
    /// It failed, or said nothing that could be understood. No process has come of a restore, or it
    /// is gone.
    Failed,
}

/// How a process ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exit {
    /// `None` when a signal ended it.
    pub exit_code: Option<i32>,
    /// The signal that ended it, where it is known.
    pub signal: Option<i32>,
    /// The last lines that it wrote.
    pub output: Arc<str>,
    /// CPU time of the whole tree over its whole life, where it is known.
    pub cpu_ms: Option<u64>,
    /// The bytes of memory that the tree may have, if the kernel ended it because it needed more.
    pub out_of_memory: Option<u64>,
}

/// One of the user's functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callback {
    /// `spawn`, and what it returned.
    Spawn,
    /// `readiness`.
    Readiness,
    /// `kill` of a `RuntimeProcess`.
    Kill,
}

/// Why a start or a stop failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The process could not be started; the text says which and why.
    NotStarted { reason: String },
    /// No process can be started on this machine, as it is set up; the text says why.
    Unsupported { reason: String },
    /// The process ended before it was ready.
    ExitedEarly { exit_code: Option<i32>, signal: Option<i32>, out_of_memory: Option<u64> },
    /// It crashed so soon after it had become ready that this counts as a failure of its start.
    CrashedSoon {
        exit_code: Option<i32>,
        signal: Option<i32>,
        uptime_ms: u64,
        out_of_memory: Option<u64>,
    },
    /// The start was stopped before there was a process.
    CalledOff,
    /// It did not answer in time; the text says how long, and what was found instead.
    ReadinessTimedOut { found: String },
    /// Another process listens on the port that it was given; the text names it.
    PortTaken { by: String },
    /// No port was left for it.
    NoPort,
    /// Its command is `bun`, to which its `PATH` does not lead, and the host cannot stand in for
    /// it.
    NoBun { path: Option<String> },
    /// The user's readiness check said no.
    ReadinessDenied,
    /// A user's function failed; the error object itself stays with the caller.
    Thrown { by: Callback, text: String },
    /// It was still there after it had been asked and forced to end.
    StopTimedOut,
}

impl Failure {
    /// Whether the key's own program or options are to blame, so that trying again at once would
    /// lead to the same.
    pub fn is_the_keys_own(&self) -> bool {
        !matches!(self, Failure::PortTaken { .. } | Failure::NoPort)
    }
}

/// Which of the two ways to end a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopStage {
    /// Politely: SIGTERM, or `kill()`.
    Ask,
    /// At once: SIGKILL, or `kill("SIGKILL")`.
    Force,
}

/// Everything the pool can want done, in the order in which it must be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// A run of this release of the key begins; facts about it carry `run`. Start a process for it,
    /// if `cold`; otherwise `StartCold` or `RestoreImage` follows, when it is known which.
    Start { run: RunId, key: Key, release: Release, cold: bool },
    /// Start a process for the run.
    StartCold { run: RunId },
    /// The process that this call handed over is the run.
    Adopt { run: RunId, key: Key, call: CallId, process: Adopted },
    /// This process that was found is the run.
    Recover { run: RunId, key: Key, process: Box<Recovered> },
    /// The run, which was ready, does not serve any more. It is stopped when nothing uses it, for
    /// which it has so long.
    Retire { run: RunId, for_ms: u64 },
    /// The run is over for the pool, and its process lives on for the next host. Its lease is as it
    /// was: callers that had the tenant may go on using it. No `Release` follows.
    LetGo { run: RunId },
    /// Find out whether it answers.
    Probe { run: RunId },
    /// End it.
    Stop { run: RunId, stage: StopStage },
    /// Its lease is claimed: tell by `Fact::Unused` when no use of it is open any more.
    WatchUses { run: RunId },
    /// Its main process has ended by itself: see that the rest of its tree does, too. Its output is
    /// waited for.
    Clear { run: RunId },
    /// Ask the user's `shouldIdleKill` whether the idle run is to be stopped.
    AskIdle { run: RunId, idle_ms: u64 },
    /// Find out what it does by itself: `Fact::Activity`, in any case.
    LookAtActivity { run: RunId },
    /// Ask the user's `shouldSleep` whether the idle run is to sleep.
    AskSleep { run: RunId, idle_ms: u64 },
    /// Have its tree stand, whatever it was before, and page its memory out for `PagedOut`.
    /// `Fact::Rested` or `Fact::RestFailed` answers, unless the run ends. Its lease is claimed.
    Rest { run: RunId, depth: Depth },
    /// Have its tree run, also where a `Rest` has not been answered yet, or it runs already.
    /// `Fact::Roused` or `Fact::RouseFailed` answers, after the answer to any `Rest` before it,
    /// unless the run ends. `is_to_answer`: only when it answers; otherwise as soon as it runs.
    Rouse { run: RunId, is_to_answer: bool },
    /// Look at the backlogs of sleepers from now on, and tell of visitors by `Fact::Knocked`; or no
    /// longer.
    WatchBacklogs { on: bool },
    /// Have the snapshot driver save it, before it is ended. `Input::Image` answers this and the
    /// next three.
    Checkpoint { run: RunId },
    /// Ask the snapshot driver whether there is an image to bring the run back from.
    FindImage { run: RunId, key: Key },
    /// Have the snapshot driver bring the run back; `is_ours` if the image is of a process of this
    /// pool.
    RestoreImage { run: RunId, key: Key, is_ours: bool },
    /// Have the snapshot driver drop the key's image.
    DropImage { key: Key },
    /// The run, a start or one that is to be saved, waits for the snapshot driver. Of a start
    /// `Fact::ImageLate` tells when that takes too long, as with `FindImage` and `RestoreImage`.
    AwaitImage { run: RunId, key: Key },
    /// Find out which runs have open connections.
    LookForConnections,
    /// Sample every live process.
    Observe,
    /// Sample this one, so that it is known what it uses before it is first observed.
    Sample { run: RunId },
    /// Tell the user.
    Emit(Event),
    /// Answer a call.
    Settle { call: CallId, outcome: Outcome },
    /// The run is over: let go of everything that was held for it, but for the port if the key's
    /// image listens there.
    Release { run: RunId, keeps_port: bool },
}

/// The answer to a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// This run is the tenant.
    Tenant(RunId),
    /// It is done.
    Done,
    /// It was refused or it failed.
    Refused(Refusal),
}

/// Why a call was refused, in the order in which reasons are looked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// The runtime has been disposed, or has left.
    Disposed,
    /// Another host owns the tenants: this process; with the version of its package, if that
    /// cannot be asked to leave by ours.
    InUse { pid: u32, version: Option<String> },
    /// It could not be found out what earlier hosts have left; the text says why.
    NotRecovered { reason: String },
    /// The key may have no process here.
    NotAdmitted,
    /// The runtime is draining.
    Draining,
    /// The key to be adopted has a process already, or is about to.
    Taken,
    /// Too many failures in a row.
    Exhausted { max_failures: u64, last: Failure },
    /// Inside the window after a failure.
    BackingOff { failures: u64, retry_after_ms: u64, last: Failure },
    /// So many keys wait to be started that no more are let in.
    Overloaded { waiting: usize },
    /// A second tree has no place beside the one that serves, which nothing else would leave.
    NoRoomBeside,
    /// The start that the call waited for failed. No `run`: it had not begun.
    StartFailed { run: Option<RunId>, failure: Failure },
    /// The stop that the call waited for was refused.
    StopRefused { run: RunId, failure: Failure },
    /// Some processes could not be ended.
    StillTracked { refused: Vec<(RunId, Failure)> },
}

/// What users are told. `run` stands for the key, pid and port of that run.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The process exists.
    Spawn { run: RunId, pid: u32, port: u16 },
    /// It answers, `duration_ms` after it was started.
    Ready { run: RunId, duration_ms: u64 },
    /// A process that was running already is a tenant now.
    Adopt { run: RunId, pid: u32, port: u16 },
    /// It has outlived the host that started it, and has used so much CPU time.
    Recover { run: RunId, pid: u32, port: u16, cpu_ms: u64 },
    /// It was brought back from a snapshot, and answers.
    Restored { run: RunId, pid: u32, port: u16, duration_ms: u64 },
    /// It is being stopped because it was not touched for `idle_ms`.
    IdleKill { run: RunId, idle_ms: u64 },
    /// It is being stopped to make room.
    LruEvict { run: RunId },
    /// It sleeps now, or deeper than before, and uses so much memory.
    Sleep { run: RunId, depth: Depth, rss_bytes: u64 },
    /// It is awake; so deep it has slept. `by_itself`: it could not be kept asleep.
    Wake { run: RunId, depth: Depth, by_itself: bool },
    /// What it has used so far.
    Observation { run: RunId, cpu_ms: u64, rss_bytes: u64 },
    /// It is gone. The signal is one that neither we nor the user's `kill` may have sent.
    Exit {
        run: RunId,
        exit_code: Option<i32>,
        signal: Option<i32>,
        reason: ExitReason,
        out_of_memory: Option<u64>,
    },
    /// A call was refused inside the key's back-off window.
    Backoff { key: Key, attempt: u64, retry_after_ms: u64 },
    /// No new spawns from now on.
    Drain,
    /// The host leaves, and its tenants stay.
    Detach,
}

/// Why a process ended. The first cause wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExitReason {
    /// By itself, with a code other than 0 or by a signal.
    Crashed,
    /// By itself, with code 0.
    ExitedClean,
    /// It was idle.
    IdleKilled,
    /// Another key needed the room.
    LruEvicted,
    /// A user asked for it.
    Killed,
    /// It did not become ready.
    ReadinessTimeout,
    /// The runtime was disposed.
    Disposed,
    /// A user asked for a fresh one.
    Restarted,
    /// It was idle, and was saved.
    Checkpointed,
    /// A later release serves in its place.
    Replaced,
    /// Its key was withdrawn: another host serves it, or will.
    Moved,
    /// This host may not serve its key any more, from one moment to the next.
    Fenced,
}

impl ExitReason {
    /// Of a process that ended by itself.
    pub(crate) fn by_itself(exit_code: Option<i32>) -> ExitReason {
        if exit_code == Some(0) { ExitReason::ExitedClean } else { ExitReason::Crashed }
    }

    /// Whether a process that ended for it counts as crashed: in its key's history and, soon after
    /// its start, as a failed start.
    pub fn is_crash(self) -> bool {
        use ExitReason::*;
        match self {
            Crashed => true,
            ExitedClean | ReadinessTimeout => false,
            IdleKilled | LruEvicted | Killed | Disposed | Restarted | Checkpointed | Replaced
            | Moved | Fenced => false,
        }
    }
}
