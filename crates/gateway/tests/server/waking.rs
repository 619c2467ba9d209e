use crate::support::*;
use gateway::refusal::{Refusal, Why};
use gateway::settings::{Limits, Settings, Wake};
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

/// Only later the gateway looks whether a client has left whose leaving it cannot see.
const SEEN_WITHIN_MS: f64 = 4_000.0;

fn runs(scripted: &Scripted, backend: &Backend) {
    scripted.change(|state| {
        state.running.insert("shop".to_owned(), backend.address);
    });
}

#[test]
fn a_request_waits_for_its_tenant() {
    let backend = Backend::start();
    let scripted = Scripted::asleep("shop");
    let gateway = start(settings(), &scripted);
    let mut client = Client::connect(&gateway);
    client.send("POST /shop/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    scripted.until("it waits", |scripted| scripted.script().waits.load(SeqCst) == 1);
    let stats = gateway.stats();
    assert_eq!((stats.in_flight, stats.waiting, stats.wakes), (1, 1, 0));
    let of_key = gateway.stats_of("shop").expect("a request was for it");
    assert_eq!((of_key.in_flight, of_key.waiting), (1, 1));
    runs(&scripted, &backend);
    let answer = client.answer();
    assert_eq!(answer.status, 200);
    assert!(answer.body.ends_with("hello"), "{}", answer.body);
    until("it is over", || gateway.stats().in_flight == 0);
    let stats = gateway.stats();
    assert_eq!((stats.waiting, stats.wakes, stats.requests), (0, 1, [0, 1, 0, 0, 0]));
    assert_eq!(stats.wake_buckets.iter().sum::<u64>(), 1);
    assert_eq!(gateway.stats_of("shop").map(|stats| stats.requests[1]), Some(1));
    assert_eq!(gateway.stats_of("other"), None);
}

#[test]
fn a_wait_has_an_end() {
    let scripted = Scripted::asleep("shop");
    let wake = Wake { timeout: Duration::from_millis(50), ..Wake::default() };
    let gateway = start(Settings { wake, ..settings() }, &scripted);
    assert_eq!(Client::connect(&gateway).get("/shop/").status, 504);
    assert_eq!(scripted.script().waits.load(SeqCst), 0);
}

#[test]
fn so_many_wait_and_no_more() {
    let backend = Backend::start();
    let scripted = Scripted::asleep("shop");
    let wake = Wake { queue: 2, ..Wake::default() };
    let gateway = start(Settings { wake, ..settings() }, &scripted);
    let mut clients = [Client::connect(&gateway), Client::connect(&gateway)];
    clients.iter_mut().for_each(|client| client.send(get("/shop/")));
    scripted.until("two wait", |scripted| scripted.script().waits.load(SeqCst) == 2);
    let answer = Client::connect(&gateway).get("/shop/");
    assert_eq!((answer.status, answer.field("retry-after")), (503, Some("1")));
    runs(&scripted, &backend);
    clients.iter_mut().for_each(|client| assert_eq!(client.answer().status, 200));
}

#[test]
fn a_tenant_that_sleeps_is_woken_without_a_look_for_it() {
    let backend = Backend::start();
    let scripted = Scripted::new();
    // It is in no directory that could be found.
    scripted.change(|state| {
        state.there.insert("shop".to_owned());
    });
    let gateway = start(settings(), &scripted);
    let mut client = Client::connect(&gateway);
    client.send(get("/shop/"));
    scripted.until("it waits", |scripted| scripted.script().waits.load(SeqCst) == 1);
    runs(&scripted, &backend);
    assert_eq!(client.answer().status, 200);
    assert_eq!(client.get("/other/").status, 404);
}

#[test]
fn a_client_that_leaves_gives_its_wait_up() {
    let body = "POST /shop/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel";
    let upgrade =
        "GET /shop/ HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    // The ends of the first two are seen at once; that behind a body that nobody reads is looked for.
    for request in [get("/shop/"), upgrade.to_owned(), body.to_owned()] {
        let scripted = Scripted::asleep("shop");
        let gateway = start(Settings { access: true, ..settings() }, &scripted);
        let mut client = Client::connect(&gateway);
        client.send(&request);
        scripted.until("it waits", |scripted| scripted.script().waits.load(SeqCst) == 1);
        drop(client);
        scripted.until("it is over", |scripted| scripted.state().events.len() == 1);
        assert_eq!(scripted.script().waits.load(SeqCst), 0, "{request}");
        let event = scripted.state().events[0].clone();
        assert_eq!(event.status, 499, "{request}");
        assert!(request == body || event.duration_ms < SEEN_WITHIN_MS, "{request}");
        assert_eq!(gateway.stats().waiting, 0);
    }
}

#[test]
fn refusals_of_a_start_have_their_status_and_tell_nothing() {
    let scripted = Scripted::asleep("shop");
    let gateway = start(settings(), &scripted);
    let mut client = Client::connect(&gateway);
    for (status, why, retry_ms, retry_after) in [
        (503, Why::BackingOff, Some(4_001), Some("5")),
        (503, Why::Overloaded, Some(1), Some("1")),
        (503, Why::Draining, None, Some("1")),
        (502, Why::Failed, None, None),
    ] {
        let retry_after_ms = retry_ms;
        let refusal = Refusal { retry_after_ms, ..Refusal::new(status, why) };
        scripted.change(|state| {
            state.refusals.insert("shop".to_owned(), refusal);
        });
        let answer = client.get("/shop/");
        assert_eq!((answer.status, answer.field("retry-after")), (status, retry_after));
        assert!(!answer.body.contains("shop") && !answer.body.contains("127.0.0.1"));
    }
}

#[test]
fn what_is_refused_wakes_nobody() {
    let scripted = Scripted::asleep("shop");
    let limits = Limits {
        body_bytes: Some(4),
        requests_per_second_per_address: Some(0.001),
        ..Limits::default()
    };
    let gateway = start(Settings { limits, ..settings() }, &scripted);
    let mut client = Client::connect(&gateway);
    assert_eq!(client.get("/other/").status, 404, "the one that the address has");
    assert_eq!(client.get("/shop/").status, 429);
    let mut client = Client::connect(&gateway);
    let answer = client.ask("POST /shop/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(answer.status, 413);
    let mut client = Client::connect(&gateway);
    assert_eq!(client.ask("GET /shop/ HTTP/1.1\r\n\r\n").status, 400);
    assert_eq!(scripted.script().wakes.load(SeqCst), 0);
}

#[test]
fn a_page_of_the_users_replaces_the_built_in_one() {
    let scripted = Scripted::new();
    scripted.change(|state| state.page = Some(page("mine")));
    let gateway = start(Settings { pages: true, ..settings() }, &scripted);
    let mut client = Client::connect(&gateway);
    for _ in 0..2 {
        let answer = client.get("/other/");
        assert_eq!((answer.status, answer.body.as_str()), (404, "mine"));
        assert_eq!(answer.field("content-type"), Some("text/plain"));
        assert_eq!(answer.field("transfer-encoding"), None);
    }
    scripted.change(|state| state.page = None);
    assert!(client.get("/other/").body.contains("<h1>404"));
}

#[test]
fn a_woken_request_gets_the_context_of_its_span() {
    let backend = Backend::start();
    let scripted = Scripted::asleep("shop");
    let ours = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    scripted.change(|state| state.traceparent = Some(ours.to_owned()));
    let gateway = start(Settings { trace: true, access: true, ..settings() }, &scripted);
    let mut client = Client::connect(&gateway);
    client.send(get("/shop/"));
    scripted.until("it waits", |scripted| scripted.script().waits.load(SeqCst) == 1);
    runs(&scripted, &backend);
    let body = client.answer().body;
    assert!(body.contains(&format!("traceparent: {ours}\r\n")), "{body}");
    scripted.until("it is over", |scripted| scripted.state().events.len() == 1);
    assert_eq!(scripted.state().events[0].traceparent.as_deref(), Some(ours));
    assert_eq!(scripted.state().woken[0].key, "shop");
    let over = scripted.state().over[0];
    assert_eq!((over.id, over.status), (scripted.state().woken[0].id, 200));
    assert!(over.woke_ms.is_some());
    // A request to a running tenant: its own context is passed on, or one is begun.
    let theirs = "00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    let request = format!("GET /shop/ HTTP/1.1\r\nHost: a\r\nTraceparent: {theirs}\r\n\r\n");
    assert!(client.ask(request).body.contains(theirs));
    assert!(client.get("/shop/").body.contains("traceparent: 00-"));
    assert_eq!(scripted.state().woken.len(), 1);
}
