use crate::support::*;
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
