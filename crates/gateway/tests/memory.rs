//! What a connection takes. A process of its own, so that no other test takes memory meanwhile.
#![allow(missing_docs, reason = "tests")]

#[path = "server/memory.rs"]
mod memory;
#[path = "server/support.rs"]
#[allow(dead_code, reason = "other tests use it")]
mod support;

use support::*;

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting::new();

#[test]
fn an_idle_connection_takes_little() {
    let backend = Backend::start();
    let gateway = start(settings(), &Scripted::with("shop", &backend));
    ALLOCATOR.until_each_takes(2_300, || {
        let mut client = Client::connect(&gateway);
        assert_eq!(client.get("/shop/").status, 200);
        client.stream
    });
}
