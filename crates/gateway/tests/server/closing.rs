use crate::support::*;
use gateway::Gateway;
use gateway::settings::{Listen, Settings};
use std::sync::mpsc;
use std::time::Duration;

fn close(gateway: &TestGateway, grace: Duration) -> mpsc::Receiver<()> {
    let (sender, closed) = mpsc::channel();
    gateway.close_with(grace, move || {
        let _ = sender.send(());
    });
    closed
}

#[test]
fn what_is_open_is_finished_and_nothing_else_begins() {
    let backend = Backend::start();
    let gateway = start(settings(), &Scripted::with("shop", &backend));
    let (mut idle, mut fresh) = (Client::connect(&gateway), Client::connect(&gateway));
    assert_eq!(idle.get("/shop/").status, 200);
    backend.hold(true);
    let mut open = Client::connect(&gateway);
    open.send(get("/shop/"));
    until("it is open", || backend.seen() == 2);
    let closed = close(&gateway, Duration::from_secs(600));
    assert!(idle.is_closed());
    assert!(fresh.is_closed());
    let address = address_of(&gateway);
    until("nothing listens", || std::net::TcpStream::connect(address).is_err());
    assert!(closed.try_recv().is_err());
    backend.hold(false);
    let answer = open.answer();
    assert_eq!((answer.status, answer.field("connection")), (200, Some("close")));
    assert!(open.is_closed());
    closed.recv_timeout(SOON).expect("closed");
    // Once more changes nothing.
    close(&gateway, Duration::ZERO).recv_timeout(SOON).expect("closed");
}

#[test]
fn what_goes_on_after_the_grace_is_cut_off() {
    let backend = Backend::start();
    let gateway = start(settings(), &Scripted::with("shop", &backend));
    backend.hold(true);
    let mut open = Client::connect(&gateway);
    open.send(get("/shop/"));
    until("it is open", || backend.seen() == 1);
    let long = close(&gateway, Duration::from_secs(600));
    let short = close(&gateway, Duration::from_millis(10));
    short.recv_timeout(SOON).expect("closed");
    long.recv_timeout(SOON).expect("closed");
    assert!(open.is_closed());
    backend.hold(false);
}

#[test]
fn a_request_that_waits_is_cut_off_too() {
    let scripted = Scripted::asleep("shop");
    let gateway = start(settings(), &scripted);
    let mut client = Client::connect(&gateway);
    client.send(get("/shop/"));
    until("it waits", || gateway.stats().waiting == 1);
    close(&gateway, Duration::ZERO).recv_timeout(SOON).expect("closed");
    assert!(client.is_closed());
    assert_eq!((gateway.stats().waiting, gateway.stats().in_flight), (0, 0));
}

#[test]
fn a_gateway_that_is_dropped_ends() {
    let backend = Backend::start();
    let scripted = Scripted::with("shop", &backend);
    let gateway = start(settings(), &scripted);
    let mut client = Client::connect(&gateway);
    assert_eq!(client.get("/shop/").status, 200);
    let address = address_of(&gateway);
    drop(gateway);
    assert!(client.is_closed());
    until("nothing listens", || std::net::TcpStream::connect(address).is_err());
}

#[test]
fn one_that_leaves_answers_one_more_request_of_each_connection_and_leaves_its_socket() {
    let backend = Backend::start();
    let mut shown = Vec::new();
    let scripted = Scripted::with("shop", &backend);
    let gateway =
        Gateway::start_and_show(settings(), scripted.clone(), scripted.clone(), |place, socket| {
            shown.push((place, socket.try_clone_to_owned().expect("a descriptor")))
        });
    let gateway = gateway.expect("it starts");
    let [mut kept, mut quiet, mut fresh, mut half, mut open] =
        [0; 5].map(|_| Client::connect(&gateway));
    assert_eq!(kept.get("/shop/").status, 200);
    assert_eq!(quiet.get("/shop/").status, 200);
    let request = get("/shop/");
    half.send(&request[..10]);
    backend.hold(true);
    open.send(get("/shop/"));
    until("one is open", || backend.seen() == 3);
    until("all are accepted", || gateway.stats().connections == 5);
    gateway.leave_sockets();
    gateway.begin_to_close(Duration::from_secs(600));
    backend.hold(false);
    half.send(&request[10..]);
    for client in [&mut kept, &mut fresh] {
        client.send(get("/shop/"));
    }
    for client in [&mut kept, &mut fresh, &mut half, &mut open] {
        let answer = client.answer();
        assert_eq!((answer.status, answer.field("connection")), (200, Some("close")));
        assert!(client.is_closed());
    }
    // One that asks nothing is closed all the same.
    assert!(quiet.is_closed());

    // Who comes meanwhile waits for the gateway that goes on with the socket.
    assert_eq!(shown.len(), 1);
    let mut waiting = Client::connect(&gateway);
    waiting.send(get("/shop/"));
    let (_, socket) = shown.remove(0);
    let next = Settings { listen: vec![Listen::Inherited(socket)], ..settings() };
    let next = start(next, &scripted);
    assert_eq!(waiting.answer().status, 200);
    assert_eq!(next.listening(), gateway.listening());
}
