//! Within walls a tenant listens on and connects to the TCP ports that its rules allow.

mod support;

use std::io;

use support::walls::{assert_passes, data, inner_test_within, landlock_abi, skipped};

fn number<T>(result: io::Result<T>) -> Option<i32> {
    result.err().and_then(|error| error.raw_os_error())
}

#[test]
#[ignore = "run as a tenant by the test below"]
fn listening() {
    let port = |name| data(name).parse::<u16>().expect("a port");
    let listen = |port| number(std::net::TcpListener::bind(("127.0.0.1", port)));
    let connect = |port| number(std::net::TcpStream::connect(("127.0.0.1", port)));
    assert_eq!(listen(port("OWN")), None);
    assert_eq!(listen(port("OTHER")), Some(libc::EACCES));
    assert_eq!(listen(0), Some(libc::EACCES));
    let (reached, not) = match data("CONNECT").as_str() {
        "all" => (None, None),
        _ => (None, Some(libc::EACCES)),
    };
    assert_eq!(connect(port("SERVER")), reached);
    assert_eq!(connect(port("OTHER_SERVER")), not);
}

#[test]
fn a_tenant_listens_on_and_connects_to_ports_that_are_its_own() {
    if skipped(landlock_abi() >= 4, "this kernel's Landlock knows no ports") {
        return;
    }
    let server = || std::net::TcpListener::bind("127.0.0.1:0").expect("a server");
    let port = |server: &std::net::TcpListener| server.local_addr().expect("its address").port();
    let (one, other) = (server(), server());
    let free = || port(&server());
    for connect in [None, Some(vec![port(&one)])] {
        let own = free();
        let text = |port: u16| port.to_string();
        let which = if connect.is_none() { "all" } else { "one" };
        let data = [
            ("OWN", text(own)),
            ("OTHER", text(free())),
            ("SERVER", text(port(&one))),
            ("OTHER_SERVER", text(port(&other))),
            ("CONNECT", which.to_owned()),
        ];
        let mut spec = inner_test_within("listening", &data, Vec::new());
        let walls = spec.confinement.walls.as_mut().expect("set");
        let landlock = walls.landlock.as_mut().expect("there");
        landlock.listen = vec![own];
        landlock.connect = connect;
        assert_passes(&spec);
    }
}
