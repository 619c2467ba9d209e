use crate::support::*;
use gateway::refusal::{Refusal, Why};
use gateway::settings::Settings;

#[test]
fn each_request_is_told_once() {
    let backend = Backend::start();
    let scripted = Scripted::with("shop", &backend);
    let gateway = start(Settings { access: true, ..settings() }, &scripted);
    let mut client = Client::connect(&gateway);
    let body =
        client.ask("POST /shop/a?b HTTP/1.1\r\nHost: A\r\nContent-Length: 5\r\n\r\nhello").body;
    client.get("/other/");
    client.send("GET /shop/ HTTP/1.1\r\n\r\n");
    client.answer();
    scripted.until("three are over", |scripted| scripted.state().events.len() == 3);
    let state = scripted.state();
    let [first, second, third] = &state.events[..] else { panic!("{:?}", state.events) };
    assert_eq!(
        (first.key.as_deref(), first.host.as_str(), first.method.as_str(), first.path.as_str()),
        (Some("shop"), "A", "POST", "/shop/a")
    );
    assert_eq!((first.status, first.bytes_in, first.bytes_out), (200, 5, body.len() as u64));
    assert_eq!((first.woke_ms, first.address.to_string().as_str()), (None, "127.0.0.1"));
    assert!(first.at_ms > 1_600_000_000_000 && first.duration_ms > 0.0);
    assert_eq!((second.key.as_deref(), second.status), (None, 404));
    assert_eq!((third.key.as_deref(), third.status), (None, 400));
    assert_eq!(gateway.stats().requests, [0, 1, 0, 2, 0]);
}

#[test]
fn what_the_gateway_refuses_is_not_an_error_of_the_tenant() {
    let backend = Backend::start();
    let scripted = Scripted::with("shop", &backend);
    let breaking = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = breaking.local_addr().expect("an address");
    std::thread::spawn(move || breaking.incoming().for_each(drop));
    scripted.change(|state| {
        for key in ["asleep", "breaks"] {
            state.existing.insert(key.to_owned());
        }
        state.running.insert("breaks".to_owned(), address);
        state.refusals.insert("asleep".to_owned(), Refusal::new(503, Why::BackingOff));
    });
    let gateway = start(settings(), &scripted);
    // From here on it is counted how soon answers begin.
    assert_eq!(gateway.stats_of("shop"), None);
    let mut client = Client::connect(&gateway);
    // The last one leaves a connection, which is kept by its run: here all have the same.
    for (path, status) in [("/breaks/", 502), ("/asleep/", 503), ("/asleep/", 503), ("/shop/", 200)]
    {
        assert_eq!(client.get(path).status, status, "{path}");
    }
    until("all are over", || gateway.stats().in_flight == 0);
    // Of 5xx, of those the refused ones, and the answers of the tenant that were timed.
    let seen = |key: &str| {
        let stats = gateway.stats_of(key).expect("a key that was asked for");
        (stats.requests[4], stats.refused, stats.answers.iter().sum::<u64>())
    };
    assert_eq!(["shop", "asleep", "breaks"].map(seen), [(0, 0, 1), (2, 2, 0), (1, 0, 1)]);
}
