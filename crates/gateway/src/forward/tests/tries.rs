//! Requests that are sent more than once, and those that are not.

use super::*;

fn last_post(body: &str) -> String {
    let length = body.len();
    format!(
        "POST / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\nContent-Length: {length}\r\n\
         \r\n{body}"
    )
}

/// Ends a connection with a reset.
fn reset(stream: TcpStream) {
    stream.set_zero_linger().expect("to set an option");
}

#[tokio::test]
async fn a_connection_that_was_closed_while_it_was_idle_costs_nothing() {
    let tenant = Tenant::new().await;
    let (gate, stream) = used(&tenant).await;
    drop(stream);
    let mut client = gate.send(&last_post("hello")).await;
    let (mut stream, _) = tenant.take().await;
    until(&mut stream, "hello").await;
    write(&mut stream, OK).await;
    assert!(to_end(&mut client).await.ends_with("ok"));
    assert_eq!(gate.next_asked.load(Relaxed), 0);
}

#[tokio::test]
async fn a_safe_request_on_a_connection_that_closes_is_sent_once_more() {
    let put = "PUT / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\nContent-Length: 5\r\n\r\n";
    for (request, end) in [(LAST_GET.to_owned(), "\r\n\r\n"), (format!("{put}hello"), "hello")] {
        let tenant = Tenant::new().await;
        let (gate, mut stream) = used(&tenant).await;
        let mut client = gate.send(&request).await;
        until(&mut stream, end).await;
        reset(stream);
        let mut stream = tenant.accept().await;
        until(&mut stream, end).await;
        write(&mut stream, OK).await;
        assert!(to_end(&mut client).await.ends_with("ok"));
        assert_eq!(gate.next_asked.load(Relaxed), 0);
        tenant.is_unused().await;
    }
}

#[tokio::test]
async fn a_request_that_may_have_been_acted_upon_is_not_sent_once_more() {
    let tenant = Tenant::new().await;
    let (gate, mut stream) = used(&tenant).await;
    let mut client = gate.send(&last_post("hello")).await;
    until(&mut stream, "hello").await;
    reset(stream);
    assert!(to_end(&mut client).await.starts_with("HTTP/1.1 502 "));
    // Nor one of which a byte was answered.
    let (gate, mut stream) = used(&tenant).await;
    let mut client = gate.send(LAST_GET).await;
    head(&mut stream).await;
    write(&mut stream, "HTTP/1.1 2").await;
    drop(stream);
    assert!(to_end(&mut client).await.starts_with("HTTP/1.1 502 "));
    assert_eq!(gate.next_asked.load(Relaxed), 0);
}

#[tokio::test]
async fn a_request_whose_body_is_gone_is_not_sent_once_more() {
    let tenant = Tenant::new().await;
    let (gate, mut stream) = used(&tenant).await;
    let put = "PUT / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\nContent-Length: 9\r\n\r\n";
    let mut client = gate.send(&format!("{put}hello")).await;
    until(&mut stream, "hello").await;
    write(&mut client, "you").await;
    until(&mut stream, "you").await;
    reset(stream);
    assert!(to_end(&mut client).await.starts_with("HTTP/1.1 502 "));
}

#[tokio::test]
async fn a_request_that_finds_its_tenant_gone_waits_for_the_next() {
    let gone = Tenant::new().await;
    let gate = Gate::new(&gone).await;
    drop(gone);
    let tenant = Tenant::new().await;
    let mut client = gate.send(&last_post("hello")).await;
    gate.next.send(tenant.lent.clone()).expect("a gate");
    let (mut stream, _) = tenant.take().await;
    until(&mut stream, "hello").await;
    write(&mut stream, OK).await;
    assert!(to_end(&mut client).await.ends_with("ok"));
    assert_eq!(gate.next_asked.load(Relaxed), 1);
}

#[tokio::test]
async fn a_request_that_sees_its_tenant_die_goes_to_the_next_if_that_is_safe() {
    let dying = Tenant::new().await;
    let gate = Gate::new(&dying).await;
    let tenant = Tenant::new().await;
    let mut client = gate.send(LAST_GET).await;
    let (stream, _) = dying.take().await;
    reset(stream);
    gate.next.send(tenant.lent.clone()).expect("a gate");
    let (mut stream, _) = tenant.take().await;
    write(&mut stream, OK).await;
    assert!(to_end(&mut client).await.ends_with("ok"));

    let mut client = gate.send(&last_post("hello")).await;
    let (mut stream, _) = dying.take().await;
    until(&mut stream, "hello").await;
    reset(stream);
    assert!(to_end(&mut client).await.starts_with("HTTP/1.1 502 "));
    assert_eq!(gate.next_asked.load(Relaxed), 1);
}

#[tokio::test]
async fn a_request_that_ends_every_tenant_is_given_up() {
    let first = Tenant::new().await;
    let gate = Gate::new(&first).await;
    let second = Tenant::new().await;
    gate.next.send(second.lent.clone()).expect("a gate");
    let mut client = gate.send(LAST_GET).await;
    reset(first.take().await.0);
    reset(second.take().await.0);
    assert!(to_end(&mut client).await.starts_with("HTTP/1.1 502 "));
    assert_eq!(gate.next_asked.load(Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_stays_gone_is_given_up() {
    let gone = Tenant::new().await;
    let gate = Gate::new(&gone).await;
    let lent = gone.lent.clone();
    drop(gone);
    for _ in 0..20 {
        gate.next.send(lent.clone()).expect("a gate");
    }
    assert!(gate.whole(LAST_GET).await.starts_with("HTTP/1.1 502 "));
    assert_eq!(gate.next_asked.load(Relaxed), 7);
}

#[tokio::test]
async fn why_there_is_no_next_tenant_is_told() {
    let gone = Tenant::new().await;
    let mut gate = Gate::new(&gone).await;
    drop(gone);
    gate.next = mpsc::unbounded_channel().0;
    assert!(gate.whole(LAST_GET).await.starts_with("HTTP/1.1 503 "));
}
