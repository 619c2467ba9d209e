//! The warden and its keepers run ahead of their tenants: a tenant of thousands of processes must
//! not keep its keeper from a processor. A tenant nevertheless starts with the priority that a
//! child of the host would have.
//!
//! They have the highest ordinary priority where that is allowed (to root, and by `RLIMIT_NICE`),
//! and a real-time priority from when they wait for an order until they reap or fork, which
//! includes asking and killing ([`take_precedence`]). An ordinary priority is not enough where each session has a share of the
//! processors of its own (`sched_autogroup`): it counts only among the processes of one session,
//! and a tenant of 2,000 sessions would make its keeper and the warden wait seconds for each turn.
//!
//! They never reap with real-time priority ([`give_way`]): a keeper that reaps may spin in the
//! kernel for a lock of another process, without giving up its processor. With real-time priority
//! on all processors that lasts until the kernel throttles it, for 0.95 s, and the host waits too.
//!
//! Each process sets its own priority. A forked process starts with an ordinary one
//! (`SCHED_RESET_ON_FORK`), so a tenant cannot inherit it by an oversight.

use std::num::NonZeroU64;
use std::sync::OnceLock;

use rustix::process::{Pid, Resource, getpriority_process, getrlimit, setpriority_process};
use rustix::thread::{current_timer_slack, set_current_timer_slack};

use crate::sys::{self, Policy};

/// The real-time priority of [`take_precedence`]: ahead of all ordinary processes and of dying
/// ones ([`hasten`]), and behind most other real-time processes.
const PRECEDENCE: i32 = 2;

/// The real-time priority of [`hasten`]: ahead of all ordinary processes.
const HASTENED: i32 = 1;

/// The niceness of the highest ordinary priority.
const NICE_FIRST: i32 = -20;

/// The priority that the warden was started with.
static OF_THE_HOST: OnceLock<OfTheHost> = OnceLock::new();

struct OfTheHost {
    policy: Option<Policy>,
    nice: Option<i32>,
    timer_slack: Option<u64>,
}

/// Gives this process the highest ordinary priority that it may have. The first call, the
/// warden's, notes the former priority for its tenants.
pub fn raise_priority() {
    OF_THE_HOST.get_or_init(|| OfTheHost {
        policy: sys::policy().ok(),
        nice: getpriority_process(None).ok(),
        timer_slack: current_timer_slack().ok(),
    });
    if setpriority_process(None, NICE_FIRST).is_ok()
        && let Ok(policy) = sys::policy()
    {
        let _ = sys::set_policy(policy.reset_on_fork());
    }
}

/// Gives this process real-time priority until it gives way. Does nothing where real-time
/// processes are killed for the CPU time that they use (`RLIMIT_RTTIME`): its tenants would end
/// with it.
pub fn take_precedence() {
    if getrlimit(Resource::Rttime).current.is_none() {
        let _ = sys::set_policy(Policy::real_time(PRECEDENCE).reset_on_fork());
    }
}

/// Gives this process an ordinary priority again.
pub fn give_way() {
    let policy = OF_THE_HOST.get().and_then(|of_the_host| of_the_host.policy);
    let _ = policy.map(|policy| sys::set_policy(policy.reset_on_fork()));
}

/// Works with the priority of the host, as its tenants do: for work that nothing waits for.
pub fn as_the_host<T>(work: impl FnOnce() -> T) -> T {
    give_way();
    let nice = OF_THE_HOST.get().and_then(|of_the_host| of_the_host.nice);
    let _ = nice.map(|nice| setpriority_process(None, nice));
    let result = work();
    raise_priority();
    result
}

/// Gives a stopped process that is about to be killed a real-time priority, if that is allowed, so
/// that it dies soon.
///
/// Many processes that die together unmap the same files and wait for each other's locks, so only
/// one of them needs a processor at a time; with an ordinary priority each would wait some
/// milliseconds for its turn.
pub fn hasten(dying: Pid) {
    let _ = sys::set_policy_of(dying, Policy::real_time(HASTENED));
}

/// Gives this process, which is about to become a tenant's, the host's priority.
pub fn fall_back() {
    let Some(OfTheHost { policy, nice, timer_slack }) = OF_THE_HOST.get() else { return };
    if let Some(policy) = policy.filter(|policy| sys::policy() != Ok(*policy)) {
        let _ = sys::set_policy(policy);
    }
    if let Some(nice) = nice.filter(|nice| getpriority_process(None).ok() != Some(*nice)) {
        let _ = setpriority_process(None, nice);
    }
    if let Some(timer_slack) = timer_slack.and_then(NonZeroU64::new) {
        let _ = set_current_timer_slack(Some(timer_slack));
    }
}
