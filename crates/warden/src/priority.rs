//! The warden and its keepers run ahead of their tenants: a tenant of thousands of processes must not keep the one that is to
//! end it from a processor. What a tenant starts with is all the same what the host would have given to a child of its own.
//!
//! The lowest of the real-time priorities, or else the highest of the ordinary ones, whichever is allowed; root may both, and
//! whom `RLIMIT_RTPRIO` or `RLIMIT_NICE` allow it. Nothing is where neither is. Each process sets it for itself: what is
//! forked starts without (`SCHED_RESET_ON_FORK`), so nothing of it can reach a tenant by an oversight.

use std::num::NonZeroU64;
use std::sync::OnceLock;

use rustix::process::{Pid, Resource, getpriority_process, getrlimit, setpriority_process};
use rustix::thread::{current_timer_slack, set_current_timer_slack};

use crate::sys::{self, Policy};

/// Ahead of every ordinary process, of what is hastened, and of little else that is real-time.
const AHEAD: i32 = 2;

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
        // A real-time process has none, and newer kernels let its children inherit that.
        timer_slack: current_timer_slack().ok(),
    });
    if !becomes_real_time(AHEAD)
        && setpriority_process(None, NICE_FIRST).is_ok()
        && let Ok(policy) = sys::policy()
    {
        let _ = sys::set_policy(None, policy.reset_on_fork());
    }
}

/// Not where real-time processes are killed for what they use (`RLIMIT_RTTIME`): the warden would go with its tenants.
fn becomes_real_time(priority: i32) -> bool {
    getrlimit(Resource::Rttime).current.is_none()
        && sys::set_policy(None, Policy::real_time(priority).reset_on_fork()).is_ok()
}

/// Lets a process that has been stopped, and is about to be killed, die ahead of others, if that is allowed.
///
/// The dead of a crowd unmap the same files and wait for each other at that, so that only one of them wants a processor at a
/// time; behind other work each would wait some milliseconds for its turn.
pub fn hasten(dying: Pid) {
    let _ = sys::set_policy(Some(dying), Policy::real_time(HASTENED));
}

/// Gives this process, which is about to become a tenant's, what the host has.
pub fn fall_back() {
    let Some(OfTheHost { policy, nice, timer_slack }) = OF_THE_HOST.get() else { return };
    if let Some(policy) = policy.filter(|policy| sys::policy() != Ok(*policy)) {
        let _ = sys::set_policy(None, policy);
    }
    if let Some(nice) = nice.filter(|nice| getpriority_process(None).ok() != Some(*nice)) {
        let _ = setpriority_process(None, nice);
    }
    if let Some(timer_slack) = timer_slack.and_then(NonZeroU64::new) {
        let _ = set_current_timer_slack(Some(timer_slack));
    }
}
