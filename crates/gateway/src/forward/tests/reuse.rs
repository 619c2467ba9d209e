//! Which connections to a tenant are used again.

use super::*;

/// Sends a second request, and says whether it comes on the connection of the first.
async fn is_reused(answer: &str) -> bool {
    let tenant = Tenant::new().await;
    let gate = Gate::new(&tenant).await;
    let mut client = gate.send(LAST_GET).await;
    let (mut stream, _) = tenant.take().await;
    write(&mut stream, answer).await;
    if !answer.contains("ength") && !answer.contains("hunked") {
        stream.shutdown().await.expect("to shut down");
    }
    let told = to_end(&mut client).await;
    assert!(told.contains("ok") && told.matches("ength").count() <= 1, "{answer} {told}");
    assert!(!told.contains("2, 2"), "{told}");
    gate.is_idle().await;
    let mut client = gate.send(LAST_GET).await;
    let mut byte = [0];
    let (is_reused, mut stream) = tokio::select! {
        count = stream.read(&mut byte) => match count {
            Ok(1) => (true, stream),
            _ => (false, tenant.accept().await),
        },
        other = tenant.accept() => (false, other),
    };
    head(&mut stream).await;
    write(&mut stream, OK).await;
    assert!(to_end(&mut client).await.ends_with("ok"), "{answer}");
    is_reused
}

#[tokio::test]
async fn a_connection_is_used_again_after_answers_that_end_clearly() {
    assert!(is_reused(OK).await);
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    assert!(is_reused(chunked).await);
}

#[tokio::test]
async fn a_connection_is_not_used_again_after_others() {
    for answer in [
        // More than it said.
        &format!("{OK}!"),
        &format!("{OK}{OK}"),
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        // Ended by the connection's end.
        "HTTP/1.1 200 OK\r\n\r\nok",
    ] {
        assert!(!is_reused(answer).await, "{answer}");
    }
}

#[tokio::test]
async fn what_comes_while_a_connection_is_idle_answers_no_request() {
    let tenant = Tenant::new().await;
    let (gate, mut stream) = used(&tenant).await;
    write(&mut stream, &OK.replace("ok", "no")).await;
    let mut client = gate.send(LAST_GET).await;
    let (mut stream, _) = tenant.take().await;
    write(&mut stream, OK).await;
    assert!(to_end(&mut client).await.ends_with("\r\n\r\nok"));
}

#[tokio::test]
async fn a_connection_is_not_used_again_before_its_request_has_ended() {
    let tenant = Tenant::new().await;
    let gate = Gate::new(&tenant).await;
    let mut client =
        gate.send("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 9\r\n\r\n1234").await;
    let (mut stream, _) = tenant.take().await;
    until(&mut stream, "1234").await;
    write(&mut stream, OK).await;
    until(&mut client, "\r\n\r\nok").await;
    let mut other = gate.send(LAST_GET).await;
    let (mut second, _) = tenant.take().await;
    write(&mut second, OK).await;
    to_end(&mut other).await;
    // The first goes on to its end.
    write(&mut client, "56789").await;
    until(&mut stream, "56789").await;
    gate.is_idle().await;
    tenant.is_unused().await;
}

#[tokio::test]
async fn many_requests_at_once_have_many_connections_and_share_them_later() {
    let tenant = Tenant::new().await;
    let gate = Gate::new(&tenant).await;
    let mut open = Vec::new();
    for _ in 0..5 {
        let client = gate.send(LAST_GET).await;
        open.push((client, tenant.take().await.0));
    }
    let mut kept = Vec::new();
    for (mut client, mut stream) in open {
        write(&mut stream, OK).await;
        assert!(to_end(&mut client).await.ends_with("ok"));
        kept.push(stream);
    }
    gate.is_idle().await;
    // The one that was used last.
    let mut client = gate.send(LAST_GET).await;
    let mut last = kept.pop().expect("a connection");
    head(&mut last).await;
    write(&mut last, OK).await;
    assert!(to_end(&mut client).await.ends_with("ok"));
}

#[tokio::test(start_paused = true)]
async fn no_more_than_32_idle_connections_are_kept() {
    let tenant = Tenant::new().await;
    let gate = Gate::new(&tenant).await;
    let mut open = Vec::new();
    for _ in 0..33 {
        let client = gate.send(LAST_GET).await;
        open.push((client, tenant.take().await.0));
    }
    let mut kept = Vec::new();
    for (mut client, mut stream) in open {
        write(&mut stream, OK).await;
        to_end(&mut client).await;
        kept.push(stream);
    }
    gate.is_idle().await;
    let began = tokio::time::Instant::now();
    assert_eq!(to_end(&mut kept.pop().expect("a connection")).await, "");
    assert!(began.elapsed() < Duration::from_secs(1), "it was kept for a while");
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_dropped_after_four_seconds_at_most() {
    let tenant = Tenant::new().await;
    let (_gate, mut stream) = used(&tenant).await;
    let began = tokio::time::Instant::now();
    assert_eq!(to_end(&mut stream).await, "");
    let idle = began.elapsed();
    assert!(idle >= Duration::from_secs(3) && idle <= Duration::from_millis(4_100), "{idle:?}");
}

#[tokio::test(start_paused = true)]
async fn the_idle_connections_of_a_run_that_is_over_are_dropped() {
    let tenant = Tenant::new().await;
    let (gate, mut stream) = used(&tenant).await;
    gate.forwarder.forget(tenant.lent.run + 1_000);
    let mut client = gate.send(LAST_GET).await;
    head(&mut stream).await;
    write(&mut stream, OK).await;
    to_end(&mut client).await;
    gate.is_idle().await;
    let began = tokio::time::Instant::now();
    gate.forwarder.forget(tenant.lent.run);
    assert_eq!(to_end(&mut stream).await, "");
    assert!(began.elapsed() < Duration::from_secs(1));
}
