use crate::support::*;
use gateway::Gateway;
use gateway::listeners::{Place, StartError};
use gateway::settings::{Listen, Settings};
use std::io::Write;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

fn path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("gateway-{}-{name}.sock", std::process::id()))
}

fn at(listen: Vec<Listen>) -> Settings {
    Settings { listen, ..settings() }
}

fn status(mut stream: UnixStream) -> u16 {
    stream.write_all(get("/shop/").as_bytes()).expect("written");
    Reader::new(stream).answer().status
}

#[test]
fn a_unix_socket_is_served_and_its_file_removed() {
    let backend = Backend::start();
    let path = path("served");
    // A gateway that was killed has left its file.
    drop(UnixListener::bind(&path).expect("a socket"));
    let scripted = Scripted::with("shop", &backend);
    let gateway = start(at(vec![Listen::Unix(path.clone())]), &scripted);
    assert_eq!(gateway.listening()[0].path.as_deref(), path.to_str());
    assert_eq!(status(UnixStream::connect(&path).expect("a connection")), 200);
    // One that is served is not taken over.
    let again = at(vec![Listen::Unix(path.clone())]);
    let Err(error) = Gateway::start(again, scripted.clone(), scripted.clone()) else {
        panic!("two at one path");
    };
    assert_eq!(error.code(), Some("EADDRINUSE"));
    assert_eq!(status(UnixStream::connect(&path).expect("a connection")), 200);
    let (sender, closed) = std::sync::mpsc::channel();
    gateway.close_with(Duration::ZERO, move || sender.send(()).expect("awaited"));
    closed.recv_timeout(SOON).expect("closed");
    assert!(!path.exists());
}

#[test]
fn an_inherited_socket_is_served() {
    let backend = Backend::start();
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = tcp.local_addr().expect("an address").port();
    let path = path("inherited");
    let unix = UnixListener::bind(&path).expect("a socket");
    let listen = [OwnedFd::from(tcp), OwnedFd::from(unix)].map(Listen::Descriptor);
    let gateway = start(at(listen.into()), &Scripted::with("shop", &backend));
    assert_eq!(gateway.listening()[0].port, Some(port));
    assert_eq!(Client::connect(&gateway).get("/shop/").status, 200);
    assert_eq!(status(UnixStream::connect(&path).expect("a connection")), 200);
    std::fs::remove_file(path).expect("the file is its owner's");
}

#[test]
fn a_taken_port_and_what_does_not_listen_are_told() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let listen = Listen::Tcp { hostname: "127.0.0.1".to_owned(), port };
    let scripted = Scripted::new();
    let Err(error) = Gateway::start(at(vec![listen]), scripted.clone(), scripted.clone()) else {
        panic!("two at one port");
    };
    assert_eq!(error.code(), Some("EADDRINUSE"));
    assert!(error.to_string().contains(&format!("127.0.0.1:{port}")), "{error}");
    let (one, _other) = UnixStream::pair().expect("a pair");
    let listen = vec![Listen::Descriptor(one.into())];
    assert!(Gateway::start(at(listen), scripted.clone(), scripted).is_err());
}

#[test]
fn a_socket_is_known_by_the_place_that_it_is_for() {
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = tcp.local_addr().expect("an address").port();
    let path = path("place");
    let unix = UnixListener::bind(&path).expect("a socket");
    let at = |hostname: &str, port| Listen::Tcp { hostname: hostname.to_owned(), port };
    let is_of =
        |listen: Listen, socket: BorrowedFd<'_>| Place::of(&listen).expect("a place").is_of(socket);
    for (listen, is_its) in [
        (at("127.0.0.1", port), true),
        (at("localhost", port), true),
        (at("127.0.0.1", 0), true),
        (at("127.0.0.1", port ^ 1), false),
        (at("0.0.0.0", port), false),
        (Listen::Unix(path.clone()), false),
    ] {
        assert_eq!(is_of(listen, tcp.as_fd()), is_its);
    }
    assert!(is_of(Listen::Unix(path.clone()), unix.as_fd()));
    assert!(!is_of(Listen::Unix(path.with_extension("other")), unix.as_fd()));
    assert!(!is_of(at("127.0.0.1", 0), unix.as_fd()));
    std::fs::remove_file(path).expect("the file is its owner's");
    assert!(Place::of(&Listen::Descriptor(tcp.into())).is_none(), "it comes from elsewhere");
}

#[test]
fn a_gateway_that_waits_listens_where_it_is_told_to_then() {
    let backend = Backend::start();
    let (path, other) = (path("asked"), path("told"));
    let scripted = Scripted::with("shop", &backend);
    type Shown = fn(usize, BorrowedFd<'_>);
    let start = |ready: fn(&mut [Listen]) -> Result<Shown, StartError>| {
        let settings = at(vec![Listen::Unix(path.clone())]);
        Gateway::start_when(settings, scripted.clone(), scripted.clone(), ready)
    };
    let gateway = start(|listen| {
        let [Listen::Unix(path)] = listen else { panic!("as it was set") };
        assert!(!path.exists(), "it listens before it is told to");
        path.set_file_name(PathBuf::from(path.display().to_string().replace("asked", "told")));
        Ok(|_, _| ())
    });
    let gateway = gateway.expect("it starts");
    assert_eq!(gateway.listening()[0].path.as_deref(), other.to_str());
    assert_eq!(status(UnixStream::connect(&other).expect("a connection")), 200);
    let refused = start(|_| Err(StartError::NoTenants("they are in use".into())));
    assert!(matches!(refused, Err(StartError::NoTenants(_))));
    assert!(!path.exists());
}

#[test]
fn the_file_of_a_socket_stays_when_another_gateway_goes_on_with_it() {
    let backend = Backend::start();
    let path = path("stays");
    let scripted = Scripted::with("shop", &backend);
    let mut left = None;
    let show = |_: usize, socket: BorrowedFd<'_>| left = socket.try_clone_to_owned().ok();
    let first = at(vec![Listen::Unix(path.clone())]);
    let first = Gateway::start_and_show(first, scripted.clone(), scripted.clone(), show);
    let first = first.expect("it starts");
    let close = |gateway: &TestGateway| {
        let (sender, closed) = std::sync::mpsc::channel();
        gateway.close_with(Duration::ZERO, move || sender.send(()).expect("awaited"));
        closed.recv_timeout(SOON).expect("closed");
    };
    first.leave_sockets();
    close(&first);
    assert!(path.exists());
    let next = at(vec![Listen::Inherited(left.expect("a descriptor"))]);
    let next = start(next, &scripted);
    assert_eq!(status(UnixStream::connect(&path).expect("a connection")), 200);
    close(&next);
    assert!(!path.exists(), "the last one removes it");
}
