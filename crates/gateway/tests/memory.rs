//! What a connection takes. A process of its own, so that no other test takes memory meanwhile.
#![allow(missing_docs, reason = "tests")]

#[path = "server/support.rs"]
#[allow(dead_code, reason = "other tests use it")]
mod support;

use support::*;

/// So many, within the descriptors that a process may have by default.
const CONNECTIONS: usize = 400;
/// What one may take.
const BYTES: usize = 12 << 10;

/// So many have a request at nearly the same time: what the library takes for them is kept by the
/// allocator.
const BATCH: usize = 40;

/// Longer than the library is kept after an answer.
fn rest() {
    std::thread::park_timeout(std::time::Duration::from_millis(400));
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("a process");
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.expect("a number") * 4096
}

#[test]
fn an_idle_connection_takes_little() {
    let backend = Backend::start();
    let gateway = start(settings(), &Scripted::with("shop", &backend));
    let connect = |count: usize| -> Vec<Client> {
        let mut clients: Vec<_> = (0..count).map(|_| Client::connect(&gateway)).collect();
        clients.iter_mut().for_each(|client| assert_eq!(client.get("/shop/").status, 200));
        clients
    };
    // What is allocated once is.
    let some = connect(BATCH);
    rest();
    let before = resident_bytes();
    let mut many = Vec::new();
    while many.len() < CONNECTIONS {
        many.extend(connect(BATCH));
        rest();
    }
    let each = resident_bytes().saturating_sub(before) / CONNECTIONS;
    println!("{each} bytes for an idle connection");
    assert!(each <= BYTES, "{each} bytes");
    drop((some, many));
}
