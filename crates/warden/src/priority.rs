//! The warden and its keepers run ahead of their tenants: a tenant of thousands of processes must not keep the one that is to
//! end it from a processor. What a tenant starts with is all the same what the host would have given to a child of its own.
//!
//! The highest of the ordinary priorities, where that is allowed: to root, and to a user whom `RLIMIT_NICE` allows it. A
//! real-time one while it waits for an order and while it kills ([`take_precedence`]). Where each session has a share of the
//! processors of its own (`sched_autogroup`), an ordinary priority counts among the processes of one session only: a tenant
//! of 2,000 sessions would let its keeper, and the warden, wait seconds for each turn.
//!
//! Never real-time to reap ([`give_way`]): in the kernel, a keeper that reaps may wait for what another process is about to
//! release, without giving its processor up; with real-time priority on all processors that lasts until the kernel
//! throttles it, for 0.95 s, and the host waits, too.
//!
//! Each process sets it for itself: what is forked starts without (`SCHED_RESET_ON_FORK`), so nothing of it can reach a tenant
//! by an oversight.

use std::num::NonZeroU64;
use std::sync::OnceLock;

use rustix::process::{Pid, Resource, getpriority_process, getrlimit, setpriority_process};
use rustix::thread::{current_timer_slack, set_current_timer_slack};

use crate::sys::{self, Policy};

/// Ahead of every ordinary process, of what is hastened, and of little else that is real-time.
const PRECEDENCE: i32 = 2;

/// Ahead of every ordinary process.
const HASTENED: i32 = 1;

/// The most that `nice` knows.
const NICE_FIRST: i32 = -20;

/// What the warden was started with.
static OF_THE_HOST: OnceLock<OfTheHost> = OnceLock::new();

struct OfTheHost {
    policy: Option<Policy>,
    nice: Option<i32>,
    timer_slack: Option<u64>,
}

/// Puts this process ahead. The first call, the warden's, keeps what it has so far for its tenants.
pub fn get_ahead() {
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

/// Puts this process before all ordinary ones until it gives way. Not where real-time processes are killed for what they
/// use (`RLIMIT_RTTIME`): its tenants would go with it.
pub fn take_precedence() {
    if getrlimit(Resource::Rttime).current.is_none() {
        let _ = sys::set_policy(Policy::real_time(PRECEDENCE).reset_on_fork());
    }
}

/// Makes this process an ordinary one again.
pub fn give_way() {
    let policy = OF_THE_HOST.get().and_then(|of_the_host| of_the_host.policy);
    let _ = policy.map(|policy| sys::set_policy(policy.reset_on_fork()));
}

/// Lets a process that has been stopped, and is about to be killed, die ahead of others, if that is allowed.
///
/// The dead of a crowd unmap the same files and wait for each other at that, so that only one of them wants a processor at a
/// time; behind other work each would wait some milliseconds for its turn.
pub fn hasten(dying: Pid) {
    let _ = sys::set_policy_of(dying, Policy::real_time(HASTENED));
}

/// Gives this process, which is about to become a tenant's, what the host has.
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
