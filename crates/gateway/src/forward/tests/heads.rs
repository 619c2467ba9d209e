//! Heads of requests and answers.

use super::*;

fn fields(head: &str) -> Vec<String> {
    let mut fields: Vec<String> = head.trim_end().lines().skip(1).map(str::to_lowercase).collect();
    fields.sort();
    fields
}

#[tokio::test]
async fn a_tenant_gets_the_request_without_what_is_for_one_hop() {
    let tenant = Tenant::new().await;
    let gate = Gate::new(&tenant).await;
    let request = "GET /a%20b;c?d=e&f;=%2f HTTP/1.1\r\nHost: a.example\r\nX-Mine: 1\r\nX-Hop: 1\r\n\
        Connection: X-Hop, close\r\nKeep-Alive: 5\r\nTE: trailers, deflate\r\n\
        X-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nProxy-Authorization: x\r\n\r\n";
    let mut client = gate.send(request).await;
    let (mut stream, head) = tenant.take().await;
    assert!(head.starts_with("GET /a%20b;c?d=e&f;=%2f HTTP/1.1\r\n"), "{head}");
    let expected = [
        "host: a.example",
        "te: trailers",
        "x-forwarded-for: 10.1.2.3",
        "x-forwarded-host: a.example",
        "x-forwarded-port: 80",
        "x-forwarded-proto: http",
        "x-mine: 1",
    ];
    assert_eq!(fields(&head), expected);
    write(&mut stream, OK).await;
    assert!(to_end(&mut client).await.ends_with("ok"));
}

#[tokio::test]
async fn a_client_gets_the_answer_without_what_is_for_one_hop() {
    let tenant = Tenant::new().await;
    let gate = Gate::new(&tenant).await;
    let mut client = gate.send(GET).await;
    let (mut stream, _) = tenant.take().await;
    let answer = "HTTP/1.1 418 Short And Stout\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Hop: 1\r\n\
        Connection: x-hop, close\r\nKeep-Alive: timeout=5\r\nContent-Length: 2\r\n\
        Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\nok";
    write(&mut stream, answer).await;
    let head = head(&mut client).await;
    assert!(head.starts_with("HTTP/1.1 418 Short And Stout\r\n"), "{head}");
    let expected = [
        "content-length: 2",
        "date: thu, 01 jan 1970 00:00:00 gmt",
        "set-cookie: a=1",
        "set-cookie: b=2",
    ];
    assert_eq!(fields(&head), expected);
    // The client's connection is not the tenant's to end.
    until(&mut client, "ok").await;
    write(&mut client, GET).await;
    let (mut stream, _) = tenant.take().await;
    write(&mut stream, OK).await;
    until(&mut client, "\r\n\r\nok").await;
}

#[tokio::test]
async fn answers_without_a_body_keep_their_length_and_their_connection() {
    let tenant = Tenant::new().await;
    let gate = Gate::new(&tenant).await;
    let mut client = gate.connect().await;
    let mut tenants = None;
    for (method, answer, has_length) in [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", true),
        // The HTTP library leaves it out here, as it may.
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5000\r\n\r\n", false),
        ("DELETE", "HTTP/1.1 204 No Content\r\n\r\n", false),
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false),
        ("HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false),
    ] {
        write(&mut client, &format!("{method} / HTTP/1.1\r\nHost: a.example\r\n\r\n")).await;
        let mut stream = match tenants.take() {
            Some(stream) => stream,
            None => tenant.accept().await,
        };
        head(&mut stream).await;
        write(&mut stream, answer).await;
        let head = head(&mut client).await.to_lowercase();
        assert_eq!(head.contains("content-length: 5000"), has_length, "{answer} {head}");
        tenants = Some(stream);
    }
    gate.is_idle().await;
    assert_eq!(tenant.uses(), 0);
}

#[tokio::test]
async fn early_hints_do_not_disturb_the_answer() {
    let tenant = Tenant::new().await;
    let gate = Gate::new(&tenant).await;
    let mut client = gate.send(LAST_GET).await;
    let (mut stream, _) = tenant.take().await;
    write(&mut stream, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n").await;
    write(&mut stream, "HTTP/1.1 102 Processing\r\n\r\n").await;
    write(&mut stream, OK).await;
    let answer = to_end(&mut client).await;
    assert!(answer.contains("200 OK") && answer.ends_with("\r\n\r\nok"), "{answer}");
}

#[tokio::test]
async fn a_client_of_http_1_0_is_answered_without_chunks() {
    let tenant = Tenant::new().await;
    let gate = Gate::new(&tenant).await;
    let mut client = gate.send("GET / HTTP/1.0\r\n\r\n").await;
    let (mut stream, head) = tenant.take().await;
    assert!(head.contains("HTTP/1.1\r\n") && head.contains("host: a.example\r\n"), "{head}");
    write(&mut stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
        .await;
    let answer = to_end(&mut client).await;
    assert!(answer.ends_with("\r\n\r\nok") && !answer.contains("chunked"), "{answer}");
}

#[tokio::test]
async fn a_post_without_a_body_says_so() {
    let tenant = Tenant::new().await;
    let gate = Gate::new(&tenant).await;
    let mut client = gate.send(&LAST_GET.replace("GET", "POST")).await;
    let (mut stream, head) = tenant.take().await;
    assert!(head.contains("content-length: 0\r\n"), "{head}");
    write(&mut stream, OK).await;
    assert!(to_end(&mut client).await.ends_with("ok"));
}
