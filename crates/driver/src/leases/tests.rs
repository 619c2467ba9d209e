use super::*;
use std::pin::Pin;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll, Waker};

fn table() -> LeaseTable {
    LeaseTable::new(Arc::new(|| 60))
}

fn open(leases: &mut LeaseTable, run: u64) -> Arc<Lease> {
    leases.open(RunId(run), 50);
    leases.lease(RunId(run)).unwrap()
}

#[test]
fn a_lease_is_open_until_claimed() {
    let mut leases = table();
    open(&mut leases, 1);
    let address = leases.address(RunId(1)).unwrap();
    let chunk = leases.chunk(address.chunk).unwrap();
    assert_eq!(chunk.claimed[address.index].load(Ordering::SeqCst), 0);
    store(&chunk.touched_at[address.index], 70);
    assert_eq!(leases.claim(RunId(1)), Touch { at_ms: 70, sequence: 0 });
    assert_eq!(chunk.claimed[address.index].load(Ordering::SeqCst), 1);
}

#[test]
fn the_later_touch_of_javascript_and_rust_counts() {
    let mut leases = table();
    let lease = open(&mut leases, 1);
    let (chunk, index) = (lease.chunk.clone(), lease.address.index);
    lease.begin_use();
    assert_eq!(leases.touched(RunId(1)).at_ms, 60);
    store(&chunk.touched_at[index], 70);
    store(&chunk.sequence[index], 5);
    assert_eq!(leases.touched(RunId(1)), Touch { at_ms: 70, sequence: 5 });
    leases.touch(RunId(1), 80);
    assert_eq!(leases.touched(RunId(1)).at_ms, 80);
    assert_eq!(load(&chunk.touched_at[index]), 70, "each writer has its own cell");
}

#[test]
fn a_use_is_counted_until_it_ends_and_not_begun_once_claimed() {
    let mut leases = table();
    let lease = open(&mut leases, 1);
    assert!(lease.begin_use() && lease.begin_use());
    lease.end_use();
    leases.claim(RunId(1));
    assert!(leases.is_in_use(RunId(1)), "the claim sees a use that was counted before it");
    assert!(!lease.begin_use());
    lease.end_use();
    assert!(!leases.is_in_use(RunId(1)));
    leases.reopen(RunId(1));
    assert!(lease.begin_use());
}

/// Polls a future once.
fn is_ready(future: Pin<&mut impl Future<Output = ()>>) -> bool {
    future.poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(())
}

#[test]
fn the_end_of_the_last_use_of_a_claimed_tenant_is_heard() {
    let mut leases = table();
    let lease = open(&mut leases, 1);
    assert!(lease.begin_use() && lease.begin_use());
    leases.claim(RunId(1));
    let mut unused = pin!(lease.until_unused());
    assert!(!is_ready(unused.as_mut()));
    lease.end_use();
    assert!(!is_ready(unused.as_mut()));
    // One that comes too late is counted for a moment, and is not the last.
    assert!(!lease.begin_use());
    assert!(!is_ready(unused.as_mut()));
    lease.end_use();
    assert!(is_ready(unused.as_mut()));
    assert!(is_ready(pin!(lease.until_unused())));
}

#[test]
fn a_revocation_is_heard_until_the_lease_is_opened_again() {
    let mut leases = table();
    let lease = open(&mut leases, 1);
    assert!(lease.begin_use());
    let mut revoked = pin!(lease.until_revoked());
    assert!(!is_ready(revoked.as_mut()));
    leases.claim(RunId(1));
    assert!(!is_ready(revoked.as_mut()));
    lease.revoke();
    assert!(is_ready(revoked.as_mut()));
    assert_eq!(lease.uses(), 1);
    leases.reopen(RunId(1));
    assert!(!is_ready(pin!(lease.until_revoked())) && lease.begin_use());
}

#[test]
fn cells_are_reused_only_after_they_were_recycled() {
    let mut leases = table();
    open(&mut leases, 1);
    let first = leases.retire(RunId(1)).unwrap();
    open(&mut leases, 2);
    assert_ne!(leases.address(RunId(2)), Some(first));
    leases.recycle(first);
    open(&mut leases, 3);
    assert_eq!(leases.address(RunId(3)), Some(first));
}

#[test]
fn cells_are_not_reused_while_a_thread_has_their_lease() {
    let mut leases = table();
    let held = open(&mut leases, 1);
    assert!(held.begin_use());
    let first = leases.retire(RunId(1)).unwrap();
    leases.recycle(first);
    open(&mut leases, 2);
    assert_ne!(leases.address(RunId(2)), Some(first));
    held.end_use();
    drop(held);
    let second = leases.retire(RunId(2)).unwrap();
    leases.recycle(second);
    let addresses = [3, 4].map(|run| open(&mut leases, run).address);
    assert!(addresses.contains(&first) && addresses.contains(&second));
}

#[test]
fn a_second_chunk_is_added_when_the_first_is_full() {
    let mut leases = table();
    for run in 0..LEASES_PER_CHUNK as u64 + 1 {
        leases.open(RunId(run), run);
    }
    assert_eq!(leases.address(RunId(LEASES_PER_CHUNK as u64)).unwrap().chunk, 1);
    assert_eq!(leases.touched(RunId(5)).at_ms, 5);
}

/// Two threads take a tenant into use and look whether it has been stopped, while a third claims
/// it, and stops it if it is not in use. The threads spin for some nanoseconds and never sleep,
/// since the window of a race is that short.
#[test]
fn no_thread_uses_a_tenant_that_a_claim_has_found_unused() {
    const CLAIMS: u32 = 500_000;
    /// Turns of the loop for which a wrong state would be visible to the other threads.
    const SPINS: u32 = 20;
    let wait = |spins: u32| (0..spins).for_each(|_| std::hint::spin_loop());
    let mut leases = table();
    let lease = open(&mut leases, 1);
    let (stopped, done) = (AtomicBool::new(false), AtomicBool::new(false));
    let (uses, stops) = std::thread::scope(|scope| {
        let use_it = || {
            let mut uses = 0_u32;
            while !done.load(Ordering::Relaxed) {
                if lease.begin_use() {
                    uses += 1;
                    wait(uses % SPINS);
                    assert!(!stopped.load(Ordering::Relaxed), "in use, and stopped");
                    lease.end_use();
                }
                wait(uses % SPINS);
            }
            uses
        };
        let users = [scope.spawn(use_it), scope.spawn(use_it)];
        let mut stops = 0;
        for claim in 0..CLAIMS {
            if users.iter().any(|user| user.is_finished()) {
                break;
            }
            leases.claim(RunId(1));
            if !leases.is_in_use(RunId(1)) {
                stopped.store(true, Ordering::Relaxed);
                wait(SPINS);
                stopped.store(false, Ordering::Relaxed);
                stops += 1;
            }
            leases.reopen(RunId(1));
            wait(claim % SPINS);
        }
        done.store(true, Ordering::Relaxed);
        (users.into_iter().map(|user| user.join().unwrap()).sum::<u32>(), stops)
    });
    assert!(uses > 0 && stops > 0, "{uses} uses and {stops} stops: nothing was tried");
    assert_eq!(lease.uses(), 0);
}
