//! What an encrypted connection takes. A process of its own, as for one that is not encrypted.
#![allow(missing_docs, reason = "tests")]

#[path = "server/memory.rs"]
mod memory;
#[path = "server/support.rs"]
#[allow(dead_code, reason = "other tests use it")]
mod support;
#[path = "server/tls.rs"]
mod tls;

use gateway::settings::{Settings, Tls};
use std::io::Write;
use support::*;

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting::new();

/// The encryption has 7.6 KB of it.
#[test]
fn an_idle_encrypted_connection_takes_little() {
    let backend = Backend::start();
    let own = tls::certificate(&["a.example"]);
    let encrypted = Some(Tls::Certificates(vec![own.clone()]));
    let settings = Settings { tls: encrypted, ..settings() };
    let gateway = start(settings, &Scripted::with("shop", &backend));
    ALLOCATOR.until_each_takes(10_000, || {
        let mut client = tls::connect(&gateway, "a.example", &own, &[]).expect("a handshake");
        client.write_all(get("/shop/").as_bytes()).expect("written");
        assert_eq!(Reader::new(&mut client).answer().status, 200);
        // The client's side of the encryption is not to be measured.
        client.sock
    });
}
