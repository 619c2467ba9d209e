use crate::support::*;
use gateway::route::Route;
use gateway::settings::{Routing, Settings};
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

#[test]
fn the_first_segment_of_the_path_leads_to_the_tenant() {
    let backend = Backend::start();
    let gateway = start(settings(), &Scripted::with("shop", &backend));
    let mut client = Client::connect(&gateway);
    let answer = client.get("/shop/a/b?c=d;e");
    assert_eq!(answer.status, 200);
    assert!(answer.body.starts_with("GET /a/b?c=d;e HTTP/1.1\r\n"), "{}", answer.body);
    assert!(answer.body.contains("x-forwarded-prefix: /shop\r\n"), "{}", answer.body);
    assert!(client.get("/shop/").body.starts_with("GET / HTTP/1.1\r\n"));
    // The root of a tenant ends in a slash.
    let answer = client.get("/shop?x=1");
    assert_eq!((answer.status, answer.field("location")), (308, Some("/shop/?x=1")));
    assert_eq!(client.get("/other").status, 404);
    assert_eq!(client.get("/other/").status, 404);
    assert_eq!(client.get("/").status, 404);
}

#[test]
fn a_label_below_the_domain_leads_to_the_tenant() {
    let backend = Backend::start();
    let by_domain = Routing::Rule(Route::Subdomain { domain: "apps.example".to_owned() });
    let gateway =
        start(Settings { routing: by_domain, ..settings() }, &Scripted::with("shop", &backend));
    let mut client = Client::connect(&gateway);
    let mut of = |host: &str| client.ask(format!("GET /x HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    for host in ["shop.apps.example", "SHOP.Apps.Example.:3000"] {
        let answer = of(host);
        assert_eq!(answer.status, 200, "{host}");
        assert!(answer.body.to_lowercase().contains(&format!("host: {}", host.to_lowercase())));
    }
    for host in ["apps.example", "a.shop.apps.example", "other.apps.example", "localhost"] {
        let answer = of(host);
        assert_eq!(answer.status, 404, "{host}");
        assert!(!answer.body.contains("apps"), "the page names nothing: {}", answer.body);
    }
}

#[test]
fn the_users_function_is_asked_once_for_all_who_wait() {
    let backend = Backend::start();
    let scripted = Scripted::with("shop", &backend);
    let by_asking = Routing::Ask { cache: Duration::from_secs(600) };
    let gateway = start(Settings { routing: by_asking, ..settings() }, &scripted);
    let mut clients: Vec<Client> = (0..10).map(|_| Client::connect(&gateway)).collect();
    clients.iter_mut().for_each(|client| client.send(get("/x")));
    until("all are there", || gateway.stats().in_flight == 10);
    scripted.change(|state| {
        state.keys.insert("a".to_owned(), Ok(Some("shop".to_owned())));
    });
    clients.iter_mut().for_each(|client| assert_eq!(client.answer().status, 200));
    assert_eq!(scripted.script().asked.load(SeqCst), 1);
    // What it said is remembered, also that there is none.
    assert_eq!(clients[0].get("/y").status, 200);
    scripted.change(|state| {
        state.keys.insert("none".to_owned(), Ok(None));
        state.keys.insert("bad".to_owned(), Err(()));
    });
    let mut of =
        |host: &str| clients[0].ask(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).status;
    assert_eq!((of("none"), of("NONE:80")), (404, 404));
    assert_eq!(scripted.script().asked.load(SeqCst), 2);
    // An error is not.
    assert_eq!((of("bad"), of("bad")), (502, 502));
    assert_eq!(scripted.script().asked.load(SeqCst), 4);
}

#[test]
fn a_question_goes_on_when_the_client_that_asked_it_leaves() {
    let backend = Backend::start();
    let scripted = Scripted::with("shop", &backend);
    let by_asking = Routing::Ask { cache: Duration::from_secs(600) };
    let gateway = start(Settings { routing: by_asking, ..settings() }, &scripted);
    let mut first = Client::connect(&gateway);
    first.send(get("/x"));
    scripted.until("it is asked", |scripted| scripted.script().asked.load(SeqCst) == 1);
    let mut second = Client::connect(&gateway);
    second.send(get("/x"));
    until("the second waits", || gateway.stats().in_flight == 2);
    drop(first);
    scripted.until("the second asks", |scripted| scripted.script().asked.load(SeqCst) == 2);
    scripted.change(|state| {
        state.keys.insert("a".to_owned(), Ok(Some("shop".to_owned())));
    });
    assert_eq!(second.answer().status, 200);
}

#[test]
fn forged_words_on_the_client_are_replaced() {
    let backend = Backend::start();
    let gateway = start(settings(), &Scripted::with("shop", &backend));
    let answer = Client::connect(&gateway).ask(
        "GET /shop/ HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n\r\n",
    );
    assert_eq!(answer.status, 200);
    assert!(!answer.body.contains("6.6.6.6"), "{}", answer.body);
    assert!(answer.body.contains("x-forwarded-for: 127.0.0.1\r\n"), "{}", answer.body);
}
