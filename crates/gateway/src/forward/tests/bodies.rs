//! Bodies of requests.

use super::*;

const POST_LENGTH: &str = "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 6\r\n\r\n";
const POST_CHUNKED: &str =
    "POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n";

#[tokio::test]
async fn bodies_stream_both_ways_at_once() {
    let tenant = Tenant::new().await;
    let gate = Gate::new(&tenant).await;
    let mut client = gate.send(POST_CHUNKED).await;
    let (mut stream, _) = tenant.take().await;
    write(&mut stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    head(&mut client).await;
    for word in ["one", "two", "six"] {
        write(&mut client, &format!("3\r\n{word}\r\n")).await;
        until(&mut stream, &format!("3\r\n{word}\r\n")).await;
        write(&mut stream, &format!("3\r\n{word}\r\n")).await;
        until(&mut client, &format!("3\r\n{word}\r\n")).await;
    }
    write(&mut client, "0\r\n\r\n").await;
    until(&mut stream, "0\r\n\r\n").await;
    assert_eq!(tenant.uses(), 1);
    write(&mut stream, "0\r\n\r\n").await;
    until(&mut client, "0\r\n\r\n").await;
    gate.is_idle().await;
    tenant.is_unused().await;
    let stats = gate.counters.stats();
    assert_eq!((stats.bytes_in, stats.bytes_out), (9, 9));
}

#[tokio::test]
async fn a_body_of_any_method_is_passed_on_as_it_is_framed() {
    let tenant = Tenant::new().await;
    let gate = Gate::new(&tenant).await;
    for method in ["GET", "PUT", "DELETE", "QUERY"] {
        let chunked = POST_CHUNKED.replace("POST", method);
        let mut client = gate.send(&format!("{chunked}2\r\nhi\r\n0\r\n\r\n")).await;
        let (mut stream, head) = tenant.take().await;
        assert!(head.contains("transfer-encoding: chunked\r\n"), "{head}");
        until(&mut stream, "2\r\nhi\r\n0\r\n\r\n").await;
        write(&mut stream, &OK.replace("OK", "OK\r\nConnection: close")).await;
        until(&mut client, "\r\n\r\nok").await;
        let length = POST_LENGTH.replace("POST", method);
        let mut client = gate.send(&format!("{length}123456")).await;
        let (mut stream, head) = tenant.take().await;
        assert!(head.contains("content-length: 6\r\n"), "{head}");
        until(&mut stream, "123456").await;
        write(&mut stream, &OK.replace("OK", "OK\r\nConnection: close")).await;
        until(&mut client, "\r\n\r\nok").await;
    }
}

/// Reads chunks up to the last one.
async fn chunks(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let size = until(stream, "\r\n").await;
        let size = usize::from_str_radix(size.trim_end(), 16).expect("a size");
        let mut chunk = vec![0; size + 2];
        stream.read_exact(&mut chunk).await.expect("a chunk");
        assert!(chunk.ends_with(b"\r\n"));
        if size == 0 {
            return all;
        }
        all.extend_from_slice(&chunk[..size]);
    }
}

#[tokio::test]
async fn a_large_body_arrives_as_it_was_sent() {
    let tenant = Tenant::new().await;
    let gate = Gate::new(&tenant).await;
    let body: String = (0..400_000).map(|number| format!("{number:06} ")).collect();
    let length = format!("Content-Length: {}", body.len());
    for (request, is_chunked) in [
        (format!("{POST_CHUNKED}{:x}\r\n{body}\r\n0\r\n\r\n", body.len()), true),
        (POST_LENGTH.replace("Content-Length: 6", &length) + &body, false),
    ] {
        let mut client = gate.connect().await;
        let taken = async {
            let (mut stream, _) = tenant.take().await;
            let arrived = match is_chunked {
                true => chunks(&mut stream).await,
                false => {
                    let mut all = vec![0; body.len()];
                    stream.read_exact(&mut all).await.expect("all of it");
                    all
                }
            };
            assert!(arrived == body.as_bytes(), "{} bytes, or others", arrived.len());
            write(&mut stream, &OK.replace("OK", "OK\r\nConnection: close")).await;
        };
        tokio::join!(taken, write(&mut client, &request));
        until(&mut client, "\r\n\r\nok").await;
    }
}

#[tokio::test]
async fn trailers_are_passed_on_both_ways() {
    let tenant = Tenant::new().await;
    let gate = Gate::new(&tenant).await;
    let trailers = "TE: trailers\r\nTrailer: x-sum\r\nTransfer-Encoding";
    let request = POST_CHUNKED.replace("Transfer-Encoding", trailers);
    let mut client = gate.send(&format!("{request}2\r\nhi\r\n0\r\nX-Sum: 7\r\n\r\n")).await;
    let (mut stream, head) = tenant.take().await;
    assert!(head.contains("te: trailers") && head.contains("trailer: x-sum"), "{head}");
    assert!(until(&mut stream, "\r\n\r\n").await.ends_with("0\r\nx-sum: 7\r\n\r\n"));
    let answer = "HTTP/1.1 200 OK\r\nTrailer: x-end\r\nTransfer-Encoding: chunked\r\n\r\n";
    write(&mut stream, &format!("{answer}2\r\nok\r\n0\r\nX-End: 8\r\n\r\n")).await;
    super::head(&mut client).await;
    assert!(until(&mut client, "\r\n\r\n").await.ends_with("0\r\nx-end: 8\r\n\r\n"));
}

#[tokio::test]
async fn a_tenant_gets_no_trailers_that_were_not_announced() {
    let tenant = Tenant::new().await;
    let gate = Gate::new(&tenant).await;
    let trailers = "0\r\nX-Sum: 7\r\nX-Other: 8\r\n\r\n";
    for (announced, passed) in [
        ("", "0\r\n\r\n"),
        ("Trailer: x-else\r\n", "0\r\n\r\n"),
        ("Trailer: x-else\r\nTrailer: a, X-Sum\r\n", "0\r\nx-sum: 7\r\n\r\n"),
    ] {
        let request = POST_CHUNKED.replace("Transfer-", &format!("{announced}Transfer-"));
        let mut client = gate.send(&format!("{request}2\r\nhi\r\n{trailers}")).await;
        let (mut stream, _) = tenant.take().await;
        let body = until(&mut stream, "\r\n\r\n").await;
        assert_eq!(body, format!("2\r\nhi\r\n{passed}"), "{announced}");
        write(&mut stream, &OK.replace("OK", "OK\r\nConnection: close")).await;
        until(&mut client, "\r\n\r\nok").await;
    }
}

#[tokio::test]
async fn a_body_is_asked_for_when_the_tenant_takes_it() {
    let tenant = Tenant::new().await;
    let gate = Gate::new(&tenant).await;
    let lent = tenant.lent.clone();
    // Its port refuses from here on, so the request waits for the next one.
    drop(tenant);
    let request = POST_LENGTH.replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n");
    let mut client = gate.send(&request).await;
    while gate.next_asked.load(Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    assert!(client.try_read(&mut [0]).is_err(), "something came before there was a tenant");
    let tenant = Tenant::new().await;
    gate.next.send(tenant.lent.clone()).expect("a gate");
    let (mut stream, head) = tenant.take().await;
    assert!(!head.contains("expect"), "{head}");
    assert_eq!(until(&mut client, "\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    write(&mut client, "123456").await;
    until(&mut stream, "123456").await;
    write(&mut stream, OK).await;
    until(&mut client, "\r\n\r\nok").await;
    drop(lent);
}

#[tokio::test]
async fn a_body_that_says_it_is_too_large_reaches_no_tenant() {
    let tenant = Tenant::new().await;
    let gate = Gate::with(&tenant, Version::Http1, |settings| settings.body_bytes = Some(5)).await;
    let mut client = gate.send(POST_LENGTH).await;
    assert!(head(&mut client).await.starts_with("HTTP/1.1 413 "));
    let mut client = gate.send(LAST_GET).await;
    let (mut stream, head) = tenant.take().await;
    assert!(head.starts_with("GET"), "{head}");
    write(&mut stream, OK).await;
    assert!(to_end(&mut client).await.ends_with("ok"));
}

#[tokio::test]
async fn a_body_that_becomes_too_large_is_cut() {
    let tenant = Tenant::new().await;
    let gate = Gate::with(&tenant, Version::Http1, |settings| settings.body_bytes = Some(5)).await;
    let mut client = gate.send(POST_CHUNKED).await;
    let (mut stream, _) = tenant.take().await;
    write(&mut client, "5\r\n12345\r\n").await;
    until(&mut stream, "5\r\n12345\r\n").await;
    write(&mut client, "1\r\n6\r\n").await;
    assert!(head(&mut client).await.starts_with("HTTP/1.1 413 "));
    assert_eq!(to_end(&mut stream).await, "");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_slowly_has_all_of_its_time_again_with_each_part() {
    let tenant = Tenant::new().await;
    let gate = Gate::new(&tenant).await;
    let mut client = gate.send(POST_LENGTH).await;
    let (mut stream, _) = tenant.take().await;
    for part in ["1", "2", "3", "4", "5", "6"] {
        sleep(Duration::from_secs(40)).await;
        write(&mut client, part).await;
        until(&mut stream, part).await;
    }
    write(&mut stream, OK).await;
    until(&mut client, "\r\n\r\nok").await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stops_sending_is_given_up() {
    let tenant = Tenant::new().await;
    let gate = Gate::new(&tenant).await;
    let mut client = gate.send(POST_LENGTH).await;
    let (mut stream, _) = tenant.take().await;
    write(&mut client, "123").await;
    until(&mut stream, "123").await;
    let began = tokio::time::Instant::now();
    assert!(head(&mut client).await.starts_with("HTTP/1.1 408 "));
    let waited = began.elapsed();
    assert!(waited >= Duration::from_secs(60) && waited <= Duration::from_secs(76), "{waited:?}");
    assert_eq!(to_end(&mut stream).await, "");
    tenant.is_unused().await;
}

#[tokio::test]
async fn the_tenant_hears_of_a_client_that_leaves() {
    let tenant = Tenant::new().await;
    let gate = Gate::new(&tenant).await;
    // Before the answer.
    let client = gate.send(GET).await;
    let (mut stream, _) = tenant.take().await;
    drop(client);
    assert_eq!(to_end(&mut stream).await, "");
    // In its own body.
    let client = gate.send(&format!("{POST_LENGTH}123")).await;
    let (mut stream, _) = tenant.take().await;
    until(&mut stream, "123").await;
    drop(client);
    assert_eq!(to_end(&mut stream).await, "");
    // In the answer's body.
    let mut client = gate.send(GET).await;
    let (mut stream, _) = tenant.take().await;
    write(&mut stream, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok").await;
    until(&mut client, "ok").await;
    drop(client);
    assert_eq!(to_end(&mut stream).await, "");
    // In both.
    let mut client = gate.send(&format!("{POST_LENGTH}123")).await;
    let (mut stream, _) = tenant.take().await;
    until(&mut stream, "123").await;
    write(&mut stream, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok").await;
    until(&mut client, "ok").await;
    drop(client);
    assert_eq!(to_end(&mut stream).await, "");
    gate.is_idle().await;
    tenant.is_unused().await;
}

/// An answer to a request of whose body 4 of 6 bytes are to come, and both ends of it.
async fn after_an_early_answer() -> (Tenant, Gate, TcpStream, TcpStream) {
    let tenant = Tenant::new().await;
    let gate = Gate::new(&tenant).await;
    let mut client = gate.send(&format!("{POST_LENGTH}12")).await;
    let (mut stream, _) = tenant.take().await;
    until(&mut stream, "12").await;
    write(&mut stream, OK).await;
    until(&mut client, "\r\n\r\nok").await;
    (tenant, gate, client, stream)
}

#[tokio::test]
async fn the_rest_of_a_body_is_taken_after_an_early_answer() {
    let (tenant, gate, mut client, mut stream) = after_an_early_answer().await;
    // By the tenant, while it reads.
    write(&mut client, "3456").await;
    until(&mut stream, "3456").await;
    drop(stream);
    // By nothing, when the tenant has closed. The client's connection goes on.
    write(&mut client, &format!("{POST_LENGTH}12")).await;
    let (mut stream, _) = tenant.take().await;
    until(&mut stream, "12").await;
    write(&mut stream, "HTTP/1.1 413 No\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno").await;
    drop(stream);
    until(&mut client, "\r\n\r\nno").await;
    write(&mut client, &format!("3456{GET}")).await;
    let (mut stream, _) = tenant.take().await;
    write(&mut stream, OK).await;
    until(&mut client, "\r\n\r\nok").await;
    gate.is_idle().await;
    tenant.is_unused().await;
}

#[tokio::test(start_paused = true)]
async fn the_rest_of_a_body_has_an_end() {
    let (tenant, gate, mut client, mut stream) = after_an_early_answer().await;
    let began = tokio::time::Instant::now();
    assert_eq!(to_end(&mut stream).await, "");
    assert!(began.elapsed() < Duration::from_secs(11));
    assert_eq!(to_end(&mut client).await, "");
    gate.is_idle().await;
    tenant.is_unused().await;
}
