//! Other protocols over HTTP/1.

use super::frames::GOING_AWAY_MASKED;
use super::*;
use crate::forward::line::Line;

const ASK: &str = "GET /ws HTTP/1.1\r\nHost: a.example\r\nConnection: keep-alive, Upgrade\r\n\
    Upgrade: WebSocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\nCookie: a=1\r\n\r\n";
const AGREED: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
    Set-Cookie: b=2\r\n\r\n";

/// A WebSocket that is open: at the client, and at the tenant.
async fn open(gate: &Gate, tenant: &Tenant) -> (TcpStream, TcpStream) {
    let mut client = gate.send(ASK).await;
    let (mut stream, _) = tenant.take().await;
    write(&mut stream, AGREED).await;
    head(&mut client).await;
    (client, stream)
}

#[tokio::test]
async fn a_tenant_that_agrees_and_its_client_speak_another_protocol() {
    let tenant = Tenant::new().await;
    let gate = Gate::new(&tenant).await;
    let mut client = gate.send(ASK).await;
    let (mut stream, asked) = tenant.take().await;
    for field in ["connection: upgrade\r\n", "upgrade: WebSocket\r\n", "cookie: a=1\r\n"] {
        assert!(asked.contains(field), "{asked}");
    }
    // What comes right behind the agreement is not lost.
    write(&mut stream, &format!("{AGREED}first")).await;
    let agreed = head(&mut client).await;
    for part in ["HTTP/1.1 101 ", "connection: upgrade\r\n", "upgrade: websocket\r\n"] {
        assert!(agreed.contains(part), "{agreed}");
    }
    assert!(agreed.contains("set-cookie: b=2\r\n"), "{agreed}");
    until(&mut client, "first").await;
    for word in ["one", "two"] {
        write(&mut client, word).await;
        until(&mut stream, word).await;
        write(&mut stream, word).await;
        until(&mut client, word).await;
    }
    assert_eq!((gate.counters.stats().in_flight, tenant.uses()), (1, 1));
    // An end that is done sending may go on reading.
    client.shutdown().await.expect("to shut down");
    assert_eq!(to_end(&mut stream).await, "");
    write(&mut stream, "late").await;
    drop(stream);
    assert_eq!(to_end(&mut client).await, "late");
    gate.is_idle().await;
    tenant.is_unused().await;
    let stats = gate.counters.stats();
    assert_eq!((stats.bytes_in, stats.bytes_out, stats.requests[0]), (6, 15, 1));
}

#[tokio::test]
async fn a_tenant_may_decline() {
    let tenant = Tenant::new().await;
    let gate = Gate::new(&tenant).await;
    let mut client = gate.send(ASK).await;
    let (mut stream, _) = tenant.take().await;
    write(&mut stream, OK).await;
    let answer = until(&mut client, "\r\n\r\nok").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn an_agreement_to_what_was_not_asked_for_is_none() {
    let tenant = Tenant::new().await;
    let gate = Gate::new(&tenant).await;
    let other = AGREED.replace("Upgrade: websocket", "Upgrade: other");
    let h2c = ASK.replace("WebSocket\r\n", "h2c\r\n");
    let unnamed = ASK.replace("keep-alive, Upgrade", "keep-alive");
    for (ask, answer) in [
        (ASK, &*other),
        (GET, AGREED),
        (&h2c, &AGREED.replace("websocket", "h2c")),
        (&unnamed, AGREED),
    ] {
        let mut client = gate.send(ask).await;
        let (mut stream, asked) = tenant.take().await;
        assert_eq!(asked.contains("upgrade"), ask == ASK, "{asked}");
        write(&mut stream, answer).await;
        assert!(head(&mut client).await.starts_with("HTTP/1.1 502 "), "{ask}");
        assert_eq!(to_end(&mut stream).await, "");
    }
}

#[tokio::test]
async fn either_end_that_breaks_off_ends_the_other() {
    let tenant = Tenant::new().await;
    let gate = Gate::new(&tenant).await;
    let (client, mut stream) = open(&gate, &tenant).await;
    client.set_zero_linger().expect("to set an option");
    drop(client);
    assert_eq!(to_end(&mut stream).await, "");
    let (mut client, stream) = open(&gate, &tenant).await;
    stream.set_zero_linger().expect("to set an option");
    drop(stream);
    assert_eq!(to_end(&mut client).await, "");
    tenant.is_unused().await;
}

#[tokio::test]
async fn much_is_passed_on_in_order() {
    let tenant = Tenant::new().await;
    let gate = Gate::new(&tenant).await;
    let (client, stream) = open(&gate, &tenant).await;
    let all: Arc<Vec<u8>> = Arc::new((0..8 << 20).map(|index| (index / 251) as u8).collect());
    let ends = [client, stream].map(TcpStream::into_split);
    let [(client_reads, client_writes), (tenant_reads, tenant_writes)] = ends;
    let mut tasks = Vec::new();
    for mut writes in [client_writes, tenant_writes] {
        let all = all.clone();
        tasks.push(tokio::spawn(async move {
            writes.write_all(&all).await.expect("to write");
            writes.shutdown().await.expect("to shut down");
        }));
    }
    for mut reads in [client_reads, tenant_reads] {
        let all = all.clone();
        tasks.push(tokio::spawn(async move {
            let mut got = Vec::new();
            reads.read_to_end(&mut got).await.expect("to read");
            assert!(got == *all);
        }));
    }
    for task in tasks {
        task.await.expect("no panic");
    }
}

#[tokio::test]
async fn a_websocket_is_closed_between_frames_when_its_tenants_time_is_over() {
    let tenant = Tenant::new().await;
    let gate = Gate::new(&tenant).await;
    let (mut client, mut stream) = open(&gate, &tenant).await;
    // The tenant is in the middle of a frame of five bytes, the client between two.
    stream.write_all(&[0x82, 5, b'h', b'e']).await.expect("to write");
    let mut start = [0; 4];
    client.read_exact(&mut start).await.expect("a start");
    tenant.revoke.send(true).expect("a tenant");
    let mut goodbye = [0; 8];
    stream.read_exact(&mut goodbye).await.expect("a goodbye");
    assert_eq!(goodbye, GOING_AWAY_MASKED);
    stream.write_all(b"llo\x81\x02no").await.expect("to write");
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).await.expect("an orderly end");
    assert_eq!(rest, b"llo\x88\x02\x03\xe9");
    // The client's own goodbye ends it.
    client.write_all(&GOING_AWAY_MASKED).await.expect("to write");
    drop((client, stream));
    gate.is_idle().await;
    tenant.is_unused().await;
}

#[tokio::test]
async fn a_websocket_is_closed_when_the_gateways_time_is_over() {
    let tenant = Tenant::new().await;
    let farewell = Arc::<watch::Sender<bool>>::default();
    let said = farewell.clone();
    let gate = Gate::with(&tenant, Version::Http1, |all| all.farewell = said.clone()).await;
    let (mut client, mut stream) = open(&gate, &tenant).await;
    farewell.send_replace(true);
    let (mut to_tenant, mut to_client) = ([0; 8], [0; 4]);
    stream.read_exact(&mut to_tenant).await.expect("a goodbye");
    client.read_exact(&mut to_client).await.expect("a goodbye");
    assert_eq!((to_tenant, to_client), (GOING_AWAY_MASKED, *b"\x88\x02\x03\xe9"));
    drop((client, stream));
    // So the gateway knows that it has ended.
    farewell.closed().await;
}

#[tokio::test]
async fn a_websocket_that_its_tenant_has_closed_is_not_closed_again() {
    let tenant = Tenant::new().await;
    let gate = Gate::new(&tenant).await;
    let (mut client, mut stream) = open(&gate, &tenant).await;
    stream.write_all(&[0x88, 0x02, 0x03, 0xe8]).await.expect("to write");
    let mut bytes = vec![0; 4];
    client.read_exact(&mut bytes).await.expect("a frame");
    tenant.revoke.send(true).expect("a tenant");
    client.read_to_end(&mut bytes).await.expect("an orderly end");
    assert_eq!(bytes, [0x88, 0x02, 0x03, 0xe8]);
}

#[tokio::test(start_paused = true)]
async fn a_websocket_of_which_one_end_has_gone_ends_after_a_while() {
    let tenant = Tenant::new().await;
    let gate = Gate::new(&tenant).await;
    let (mut client, mut stream) = open(&gate, &tenant).await;
    client.shutdown().await.expect("to shut down");
    let began = tokio::time::Instant::now();
    assert_eq!(to_end(&mut stream).await, "");
    assert_eq!(to_end(&mut client).await, "");
    assert!(began.elapsed() < Duration::from_secs(31));
    tenant.is_unused().await;
}

#[tokio::test(start_paused = true)]
async fn a_websocket_whose_ends_do_not_answer_ends_all_the_same() {
    let tenant = Tenant::new().await;
    let gate = Gate::new(&tenant).await;
    let (_client, _stream) = open(&gate, &tenant).await;
    let began = tokio::time::Instant::now();
    tenant.revoke.send(true).expect("a tenant");
    while tenant.uses() > 0 {
        sleep(Duration::from_millis(10)).await;
    }
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn other_protocols_are_left_to_their_tenant() {
    let tenant = Tenant::new().await;
    let gate = Gate::new(&tenant).await;
    let mut client = gate.send(&ASK.replace("WebSocket\r\n", "chat\r\n")).await;
    let (mut stream, _) = tenant.take().await;
    write(&mut stream, &AGREED.replace("websocket", "chat")).await;
    head(&mut client).await;
    tenant.revoke.send(true).expect("a tenant");
    // The clock is the runtime's own, and waits for nothing.
    sleep(Duration::from_secs(60)).await;
    write(&mut stream, "still here").await;
    until(&mut client, "still here").await;
}

#[tokio::test]
async fn an_idle_websocket_holds_no_buffer() {
    let tenant = Tenant::new().await;
    let (client, _) = tokio::join!(TcpStream::connect(tenant.lent.address), tenant.accept());
    let tunnel = Tunnel {
        client: hyper::upgrade::on(Request::new(())),
        tenant: Line::Plain(client.expect("a connection")),
        first: Bytes::new(),
        farewell: Some(watch::Sender::new(false).subscribe()),
        record: Arc::new(Record::begin(Counters::new(1).tallies()[0].clone(), None, None)),
        in_use: tenant.lent.lend(),
    };
    // What its task takes up; the sockets are as large as sockets are.
    let bytes = size_of_val(&tunnel.run());
    assert!(bytes <= 1_024, "{bytes}");
}
