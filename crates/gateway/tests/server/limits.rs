use crate::support::*;
use gateway::settings::{Limits, Settings};
use std::io::Read;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

fn limited(limits: Limits, backend: &Backend) -> TestGateway {
    start(Settings { limits, ..settings() }, &Scripted::with("shop", backend))
}

#[test]
fn a_head_has_a_largest_size() {
    let backend = Backend::start();
    let limits = Limits { header_bytes: 1_000, headers: 5, ..Limits::default() };
    let gateway = limited(limits, &backend);
    let with = |fields: &str| format!("GET /shop/ HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    for fields in [format!("X: {}\r\n", "x".repeat(1_000)), "X: a\r\n".repeat(5)] {
        let mut client = Client::connect(&gateway);
        assert_eq!(client.ask(with(&fields)).status, 431);
        assert!(client.is_closed());
    }
    // More than the kernel holds for the client: the answer arrives all the same.
    let mut client = Client::connect(&gateway);
    let answer = client.ask(with(&format!("X: {}\r\n", "x".repeat(200_000))));
    assert_eq!(answer.status, 431);
    assert_eq!(backend.seen(), 0);
    assert_eq!(Client::connect(&gateway).ask(with(&"X: a\r\n".repeat(4))).status, 200);
}

#[test]
fn more_fields_than_the_library_has_room_for_can_be_allowed() {
    let backend = Backend::start();
    let limits = Limits { headers: 300, ..Limits::default() };
    let gateway = limited(limits, &backend);
    let fields: String = (0..290).map(|number| format!("X-{number}: a\r\n")).collect();
    let request = format!("GET /shop/ HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    assert_eq!(Client::connect(&gateway).ask(request).status, 200);
}

#[test]
fn a_head_has_its_time() {
    let backend = Backend::start();
    let limits = Limits { headers_timeout: Duration::from_millis(100), ..Limits::default() };
    let gateway = limited(limits, &backend);
    // Nothing was asked for, so there is nothing to answer.
    assert!(Client::connect(&gateway).is_closed());
    let mut client = Client::connect(&gateway);
    client.send("GET /shop/ HTTP/1.1\r\nHost: a\r\n");
    assert_eq!(client.answer().status, 408);
    assert!(client.is_closed());
    // The second one of a connection, too.
    let mut client = Client::connect(&gateway);
    assert_eq!(client.get("/shop/").status, 200);
    client.send("GET /sh");
    assert_eq!(client.answer().status, 408);
    assert!(client.is_closed());
    assert_eq!(backend.seen(), 1);
}

#[test]
fn an_idle_connection_has_its_time_and_serves_after_a_rest() {
    let backend = Backend::start();
    let limits = Limits { keep_alive: Duration::from_millis(1_500), ..Limits::default() };
    let gateway = limited(limits, &backend);
    let mut client = Client::connect(&gateway);
    assert_eq!(client.get("/shop/").status, 200);
    // Longer than the library is kept without a request.
    std::thread::park_timeout(Duration::from_millis(1_200));
    assert_eq!(client.get("/shop/").status, 200);
    assert!(client.is_closed());
}

#[test]
fn connections_are_bounded() {
    let backend = Backend::start();
    let gateway = limited(Limits { connections: 2, ..Limits::default() }, &backend);
    let mut clients = [Client::connect(&gateway), Client::connect(&gateway)];
    clients.iter_mut().for_each(|client| assert_eq!(client.get("/shop/").status, 200));
    assert_eq!(gateway.stats().connections, 2);
    assert!(Client::connect(&gateway).is_closed());
    drop(clients);
    until("there is room", || gateway.stats().connections == 0);
    assert_eq!(Client::connect(&gateway).get("/shop/").status, 200);
}

#[test]
fn requests_at_once_to_a_tenant_are_bounded() {
    let backend = Backend::start();
    backend.hold(true);
    let gateway = limited(Limits { requests_per_tenant: Some(2), ..Limits::default() }, &backend);
    let mut clients = [Client::connect(&gateway), Client::connect(&gateway)];
    clients.iter_mut().for_each(|client| client.send(get("/shop/")));
    until("two are there", || backend.seen() == 2);
    let mut third = Client::connect(&gateway);
    let answer = third.get("/shop/");
    assert_eq!((answer.status, answer.field("retry-after")), (503, Some("1")));
    backend.hold(false);
    clients.iter_mut().for_each(|client| assert_eq!(client.answer().status, 200));
    until("they are over", || gateway.stats().in_flight == 0);
    assert_eq!(third.get("/shop/").status, 200);
}

#[test]
fn a_refused_request_takes_no_place_of_its_tenant() {
    let backend = Backend::start();
    backend.hold(true);
    let scripted = Scripted::with("shop", &backend);
    scripted.change(|state| state.are_pages_held = true);
    let limits = Limits { requests_per_tenant: Some(1), ..Limits::default() };
    let gateway = start(Settings { limits, pages: true, ..settings() }, &scripted);
    let mut first = Client::connect(&gateway);
    first.send(get("/shop/"));
    until("it is there", || backend.seen() == 1);
    let mut second = Client::connect(&gateway);
    second.send(get("/shop/"));
    scripted.until("a page is made", |scripted| scripted.script().asked.load(SeqCst) == 1);
    backend.hold(false);
    assert_eq!(first.answer().status, 200);
    until("only the refused one is left", || gateway.stats().in_flight <= 1);
    assert_eq!(Client::connect(&gateway).get("/shop/").status, 200);
    scripted.change(|state| state.are_pages_held = false);
    assert_eq!(second.answer().status, 503);
}

#[test]
fn requests_a_second_from_an_address_are_bounded() {
    let backend = Backend::start();
    let limits = Limits { requests_per_second_per_address: Some(0.01), ..Limits::default() };
    let gateway = limited(limits, &backend);
    let mut client = Client::connect(&gateway);
    assert_eq!(client.get("/shop/").status, 200);
    let answer = client.get("/shop/");
    assert_eq!((answer.status, answer.field("retry-after")), (429, Some("100")));
    assert_eq!(backend.seen(), 1);
}

#[test]
fn a_body_has_a_largest_size() {
    let backend = Backend::start();
    let gateway = limited(Limits { body_bytes: Some(4), ..Limits::default() }, &backend);
    let post = |body: &str| {
        let length = body.len();
        format!("POST /shop/ HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}")
    };
    assert_eq!(Client::connect(&gateway).ask(post("four")).status, 200);
    // The answer is there although a megabyte is on its way.
    let mut client = Client::connect(&gateway);
    assert_eq!(client.ask(post(&"x".repeat(200_000))).status, 413);
    assert_eq!(backend.seen(), 1);
}

#[test]
fn a_client_that_reads_nothing_has_its_time() {
    let backend = Backend::start();
    let limits = Limits { body_idle: Duration::from_millis(200), ..Limits::default() };
    let gateway = limited(limits, &backend);
    let mut client = Client::connect(&gateway);
    // Its own words come back, more than the sockets hold.
    let body = vec![b'x'; 24 << 20];
    client
        .send(format!("POST /shop/ HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len()));
    client.send(&body);
    until("it is cut off", || gateway.stats().connections == 0);
}

#[test]
fn a_client_that_reads_slowly_gets_all_of_it() {
    let backend = Backend::start();
    let limits = Limits { body_idle: Duration::from_secs(3), ..Limits::default() };
    let gateway = limited(limits, &backend);
    let mut client = Client::connect(&gateway);
    // With a small buffer it says often how much it has taken.
    let socket = socket2::SockRef::from(&client.stream);
    socket.set_recv_buffer_size(64 << 10).expect("a socket");
    let body = vec![b'x'; 24 << 20];
    client
        .send(format!("POST /shop/ HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len()));
    client.send(&body);
    // For longer than it may take nothing, and less than the kernel's buffers hold.
    let mut taken = vec![0; 20 << 10];
    for _ in 0..60 {
        // This is the rate, and nothing that is waited for.
        std::thread::park_timeout(Duration::from_millis(100));
        client.stream.read_exact(&mut taken).expect("more of it");
    }
    let left = body.len() - 60 * taken.len();
    assert_eq!(client.rest_of(left).len(), left);
}

#[test]
fn a_client_that_leaves_is_noticed_behind_what_is_not_read() {
    let backend = Backend::start();
    backend.hold(true);
    let gateway = limited(Limits::default(), &backend);
    let mut client = Client::connect(&gateway);
    // The second one waits for the first.
    client.send(get("/shop/").repeat(2));
    until("the first is there", || backend.seen() == 1);
    drop(client);
    until("nothing is left of it", || {
        let stats = gateway.stats();
        (stats.in_flight, stats.connections) == (0, 0)
    });
    assert_eq!(backend.seen(), 1);
}

#[test]
fn a_request_may_take_longer_than_it_takes_to_look_for_its_client() {
    let backend = Backend::start();
    backend.hold(true);
    let gateway = limited(Limits::default(), &backend);
    let mut client = Client::connect(&gateway);
    client.send(get("/shop/").repeat(2));
    // Longer than the gateway takes before it looks.
    std::thread::park_timeout(Duration::from_millis(5_500));
    backend.hold(false);
    assert_eq!((client.answer().status, client.answer().status), (200, 200));
}
