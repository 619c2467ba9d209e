//! Measures how long a thread in Rust takes to acquire a ready tenant and to end its use: `cargo
//! bench -p driver`.
#![allow(missing_docs, reason = "divan's main")]

use divan::{Bencher, black_box};
use driver::confinement::Asked;
use driver::recipe::Recipe;
use driver::{Driver, Settings};
use pool::{Adopted, Config, Custody, Input};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

const TENANTS: usize = 1_000;
/// A pid above the highest one that Linux gives.
const NO_PROCESS: u32 = 1 << 23;
const THREADS: [usize; 2] = [1, 4];

fn main() {
    divan::main();
}

/// All threads use the same tenant, and so count in the same cell.
#[divan::bench(threads = THREADS, sample_size = 2_000)]
fn one_tenant(bencher: Bencher) {
    let directory = &HOST.directory;
    bencher.bench(|| drop(black_box(directory.acquire(black_box("tenant-1")))));
}

/// Each thread goes through the tenants, and begins with another one.
#[divan::bench(threads = THREADS, sample_size = 2_000)]
fn many_tenants(bencher: Bencher) {
    let directory = &HOST.directory;
    let keys: Vec<String> = (0..TENANTS).map(|tenant| format!("tenant-{tenant}")).collect();
    let threads = AtomicUsize::new(0);
    thread_local! {
        static NEXT: Cell<Option<usize>> = const { Cell::new(None) };
    }
    bencher.bench(|| {
        let next = NEXT.get().unwrap_or_else(|| threads.fetch_add(250, Ordering::Relaxed));
        NEXT.set(Some(next + 1));
        drop(black_box(directory.acquire(&keys[next % TENANTS])));
    });
}

#[divan::bench(threads = THREADS, sample_size = 2_000)]
fn a_key_without_a_tenant(bencher: Bencher) {
    let directory = &HOST.directory;
    bencher.bench(|| black_box(directory.acquire(black_box("unknown"))).is_none());
}

/// A driver with adopted tenants, which need no process.
static HOST: LazyLock<Arc<Driver>> = LazyLock::new(|| {
    let pool = Config {
        max_concurrent: TENANTS,
        tells_observations: false,
        custody: Custody::USERS,
        ..Config::plain()
    };
    let settings = Settings {
        pool,
        recipe: Recipe {
            root: "/no/such/directory".into(),
            command: vec!["server".into()],
            runs_start_script: false,
            has_default_env: true,
            asked: Asked::default(),
        },
        warden_path: "/no/such/program".into(),
        has_log: false,
        custom_readiness: false,
        asks_for_settings: false,
        readiness_timeout: Duration::from_secs(1),
        survive: None,
        keep_free_bytes: None,
    };
    let driver = Driver::new(settings, || ());
    for tenant in 0..TENANTS {
        let process =
            Adopted { pid: NO_PROCESS, port: 0, touched_at_ms: 0, custody: Custody::USERS };
        let key = format!("tenant-{tenant}").into();
        driver.feed_quietly(Input::Adopt { key, call: tenant as u64, process });
    }
    driver
});
