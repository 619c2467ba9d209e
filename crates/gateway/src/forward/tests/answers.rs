//! Bodies of answers.

use super::*;

#[tokio::test]
async fn a_tenant_that_breaks_off_before_its_answer_is_told_by_502() {
    let tenant = Tenant::new().await;
    let gate = Gate::new(&tenant).await;
    for part in [
        "",
        "HTTP/1.1 200",
        "nonsense\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        // Several ways to read where it ends, or where its lines do.
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 12\r\nTransfer-Encoding: chunked\r\n\r\n\
         2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
        "HTTP/1.1 200 OK\r\nA: b\rC: d\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 2\r\n\r\nok",
    ] {
        let mut client = gate.send(&LAST_GET.replace("GET", "POST")).await;
        let (mut stream, _) = tenant.take().await;
        write(&mut stream, part).await;
        drop(stream);
        assert!(to_end(&mut client).await.starts_with("HTTP/1.1 502 "), "{part}");
    }
    tenant.is_unused().await;
}

#[tokio::test]
async fn a_head_that_is_too_large_is_told_by_502() {
    let tenant = Tenant::new().await;
    let gate = Gate::new(&tenant).await;
    let mut client = gate.send(LAST_GET).await;
    let (mut stream, _) = tenant.take().await;
    let line = format!("A: {}\r\n", "b".repeat(20_000));
    let answer = OK.replace("Content", &format!("{}Content", line.repeat(21)));
    // The gateway may have ended the connection before it has all.
    let _ = stream.write_all(answer.as_bytes()).await;
    assert!(to_end(&mut client).await.starts_with("HTTP/1.1 502 "));
}

#[tokio::test]
async fn an_answer_that_breaks_off_never_looks_whole() {
    let tenant = Tenant::new().await;
    let gate = Gate::new(&tenant).await;
    for (answer, told) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", "ok"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", "2\r\nok\r\n"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n5\r\nok", "\nokok\r\n"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n", "2\r\nok\r\n"),
    ] {
        let mut client = gate.send(GET).await;
        let (mut stream, _) = tenant.take().await;
        write(&mut stream, answer).await;
        drop(stream);
        let all = to_end(&mut client).await;
        assert!(all.ends_with(told), "{answer:?} {all:?}");
        gate.is_idle().await;
    }
    tenant.is_unused().await;
}

#[tokio::test]
async fn events_arrive_one_by_one() {
    let tenant = Tenant::new().await;
    let gate = Gate::new(&tenant).await;
    let mut client = gate.send(GET).await;
    let (mut stream, _) = tenant.take().await;
    // Without a length: it lasts as long as the connection.
    write(&mut stream, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n").await;
    head(&mut client).await;
    for number in 0..3 {
        write(&mut stream, &format!("data: {number}\n\n")).await;
        until(&mut client, &format!("data: {number}\n\n\r\n")).await;
    }
    drop(stream);
    until(&mut client, "0\r\n\r\n").await;
}

#[tokio::test]
async fn small_parts_that_are_there_at_once_arrive_as_one() {
    let tenant = Tenant::new().await;
    let gate = Gate::new(&tenant).await;
    let mut client = gate.send(LAST_GET).await;
    let (mut stream, _) = tenant.take().await;
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n";
    write(&mut stream, answer).await;
    let start = until(&mut client, "two\r\n").await;
    assert!(start.ends_with("\r\n6\r\nonetwo\r\n"), "{start}");
    // Some of these are there at once, and are too many for one.
    let parts: Vec<String> = (0..40).map(|part| format!("{part:02}").repeat(3_000)).collect();
    for part in &parts {
        write(&mut stream, &format!("{:x}\r\n{part}\r\n", part.len())).await;
    }
    write(&mut stream, "0\r\n\r\n").await;
    let all = to_end(&mut client).await;
    let (mut rest, mut body) = (all.as_str(), String::new());
    while let Some((length, after)) = rest.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).expect("a length");
        body.push_str(&after[..length]);
        rest = &after[length + 2..];
    }
    assert!(body == parts.concat(), "{} bytes, or others", body.len());
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_its_tenant_up() {
    const ALL: usize = 96 << 20;
    let tenant = Tenant::new().await;
    let gate = Gate::new(&tenant).await;
    let mut client = gate.send(LAST_GET).await;
    let (mut stream, _) = tenant.take().await;
    let written = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = written.clone();
    tokio::spawn(async move {
        let block = vec![b'x'; 64 << 10];
        write(&mut stream, &format!("HTTP/1.1 200 OK\r\nContent-Length: {ALL}\r\n\r\n")).await;
        while count.load(Relaxed) < ALL {
            stream.write_all(&block).await.expect("to write");
            count.fetch_add(block.len(), Relaxed);
        }
    });
    let mut before = usize::MAX;
    while before != written.load(Relaxed) {
        before = written.load(Relaxed);
        sleep(Duration::from_millis(500)).await;
    }
    // What the kernel holds for two connections, and little more.
    assert!(before < ALL / 2, "{before} bytes were taken");
    head(&mut client).await;
    let mut rest = vec![0; ALL];
    client.read_exact(&mut rest).await.expect("all of it");
    assert_eq!(written.load(Relaxed), ALL);
}

#[tokio::test]
async fn interim_answers_have_an_end() {
    let tenant = Tenant::new().await;
    let gate = Gate::new(&tenant).await;
    let mut client = gate.send(LAST_GET).await;
    let (mut stream, _) = tenant.take().await;
    let interim = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(1_000);
    // Some are no harm.
    write(&mut stream, &interim).await;
    let sending = async { while stream.write_all(interim.as_bytes()).await.is_ok() {} };
    let (answer, ()) = tokio::join!(to_end(&mut client), sending);
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    gate.is_idle().await;
}

#[tokio::test]
async fn interim_answers_are_no_answer() {
    let tenant = Tenant::new().await;
    let gate = Gate::new(&tenant).await;
    let mut client = gate.send(LAST_GET).await;
    let (mut stream, _) = tenant.take().await;
    write(&mut stream, &"HTTP/1.1 100 Continue\r\n\r\n".repeat(1_000)).await;
    // More of a body than may come before a head.
    let body = "x".repeat(3 << 20);
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    let sending = async { write(&mut stream, &(head + &body)).await };
    let (answer, ()) = tokio::join!(to_end(&mut client), sending);
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(&body), "{}", answer.len());
}
