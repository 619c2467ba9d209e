//! Clients of HTTP/2.

use super::*;
use http::{HeaderValue, Method};
use http_body::Body as _;
use hyper::client::conn::http2;
use hyper::ext::Protocol;

type Body = AnswerBody;

/// A body that is all trailers.
struct Trailers(Option<http::HeaderMap>);

impl http_body::Body for Trailers {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, BodyError>>> {
        std::task::Poll::Ready(self.0.take().map(|fields| Ok(http_body::Frame::trailers(fields))))
    }
}

async fn connect<B>(gate: &Gate) -> http2::SendRequest<B>
where
    B: http_body::Body<Data = Bytes, Error = BodyError> + Send + Unpin + 'static,
{
    let io = TokioIo::new(gate.connect().await);
    let (sender, connection) =
        http2::Builder::new(TokioExecutor::new()).handshake(io).await.expect("a handshake");
    tokio::spawn(connection);
    sender
}

fn request(method: Method, body: &'static str) -> Request<Body> {
    let mut request = Request::new(AnswerBody::full(Bytes::from_static(body.as_bytes())));
    *request.method_mut() = method;
    *request.uri_mut() = "http://a.example/x?y".parse().expect("a URI");
    request
}

async fn text(answer: Response<Incoming>) -> Result<String, hyper::Error> {
    let mut body = answer.into_body();
    let mut bytes = Vec::new();
    while let Some(frame) =
        std::future::poll_fn(|context| std::pin::Pin::new(&mut body).poll_frame(context)).await
    {
        if let Ok(data) = frame?.into_data() {
            bytes.extend_from_slice(&data);
        }
    }
    Ok(String::from_utf8(bytes).expect("text"))
}

#[tokio::test]
async fn a_request_of_http_2_becomes_one_of_http_1() {
    let tenant = Tenant::new().await;
    let gate = Gate::http2(&tenant).await;
    let mut sender = connect::<Body>(&gate).await;
    let mut request = request(Method::POST, "hello");
    for cookie in ["a=1", "b=2"] {
        request.headers_mut().append("cookie", HeaderValue::from_static(cookie));
    }
    request.headers_mut().remove("content-length");
    let answer = tokio::spawn(sender.send_request(request));
    let (mut stream, head) = tenant.take().await;
    assert!(head.starts_with("POST /x?y HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("host: a.example\r\n"), "{head}");
    assert!(head.contains("cookie: a=1; b=2\r\n"), "{head}");
    let is_chunked = head.contains("transfer-encoding: chunked\r\n");
    until(&mut stream, if is_chunked { "5\r\nhello\r\n0\r\n\r\n" } else { "hello" }).await;
    write(&mut stream, &OK.replace("OK", "OK\r\nConnection: close")).await;
    let answer = answer.await.expect("no panic").expect("an answer");
    assert!(!answer.headers().contains_key("connection"));
    assert_eq!(text(answer).await.expect("a body"), "ok");
}

#[tokio::test]
async fn a_stream_breaks_when_its_tenant_does_and_the_others_go_on() {
    let tenant = Tenant::new().await;
    let gate = Gate::http2(&tenant).await;
    let mut sender = connect::<Body>(&gate).await;
    let broken = tokio::spawn(sender.send_request(request(Method::GET, "")));
    let (mut stream, _) = tenant.take().await;
    write(&mut stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n").await;
    let broken = broken.await.expect("no panic").expect("an answer");
    let whole = tokio::spawn(sender.send_request(request(Method::GET, "")));
    let (mut other, _) = tenant.take().await;
    drop(stream);
    assert!(text(broken).await.is_err());
    write(&mut other, OK).await;
    let whole = whole.await.expect("no panic").expect("an answer");
    assert_eq!(text(whole).await.expect("a body"), "ok");
}

#[tokio::test]
async fn a_stream_that_is_reset_ends_its_exchange_at_the_tenant() {
    let tenant = Tenant::new().await;
    let gate = Gate::http2(&tenant).await;
    let mut sender = connect::<Body>(&gate).await;
    let answer = tokio::spawn(sender.send_request(request(Method::GET, "")));
    let (mut stream, _) = tenant.take().await;
    answer.abort();
    assert_eq!(to_end(&mut stream).await, "");
    tenant.is_unused().await;
}

#[tokio::test]
async fn a_websocket_over_http_2_is_one_over_http_1_at_the_tenant() {
    let tenant = Tenant::new().await;
    let gate = Gate::http2(&tenant).await;
    let mut sender = connect::<Body>(&gate).await;
    let mut ask = request(Method::CONNECT, "");
    ask.extensions_mut().insert(Protocol::from_static("websocket"));
    ask.headers_mut().insert("sec-websocket-version", HeaderValue::from_static("13"));
    let answer = tokio::spawn(sender.send_request(ask));
    let (mut stream, head) = tenant.take().await;
    assert!(head.starts_with("GET /x?y HTTP/1.1\r\n"), "{head}");
    for field in ["connection: upgrade\r\n", "upgrade: websocket\r\n", "sec-websocket-key: "] {
        assert!(head.contains(field), "{head}");
    }
    let agreed = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
        Upgrade: websocket\r\nSec-WebSocket-Accept: x\r\nSec-WebSocket-Protocol: p\r\n\r\nfirst";
    write(&mut stream, agreed).await;
    let mut answer = answer.await.expect("no panic").expect("an answer");
    assert_eq!(answer.status(), 200);
    assert!(!answer.headers().contains_key("sec-websocket-accept"));
    assert_eq!(answer.headers()["sec-websocket-protocol"], "p");
    let upgraded = hyper::upgrade::on(&mut answer).await.expect("a stream");
    let mut client = TokioIo::new(upgraded);
    let mut first = [0; 5];
    client.read_exact(&mut first).await.expect("bytes");
    assert_eq!(&first, b"first");
    client.write_all(b"hello").await.expect("to write");
    until(&mut stream, "hello").await;
    drop(stream);
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).await.expect("an end");
    assert_eq!(rest, b"");
    drop(client);
    gate.is_idle().await;
    tenant.is_unused().await;
}

#[tokio::test]
async fn an_answer_that_is_no_agreement_does_not_look_like_one() {
    let tenant = Tenant::new().await;
    let gate = Gate::http2(&tenant).await;
    let mut sender = connect::<Body>(&gate).await;
    for (status, expected) in [("200 OK", 502), ("403 No", 403)] {
        let mut ask = request(Method::CONNECT, "");
        ask.extensions_mut().insert(Protocol::from_static("websocket"));
        let answer = tokio::spawn(sender.send_request(ask));
        let (mut stream, _) = tenant.take().await;
        let text = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        write(&mut stream, &text).await;
        let answer = answer.await.expect("no panic").expect("an answer");
        assert_eq!(answer.status(), expected);
    }
}

#[tokio::test]
async fn trailers_that_would_change_the_request_are_refused() {
    let tenant = Tenant::new().await;
    let gate = Gate::http2(&tenant).await;
    let mut sender = connect::<Trailers>(&gate).await;
    for name in ["authorization", "x-forwarded-for", "x_user"] {
        let fields = http::HeaderMap::from_iter([(
            http::HeaderName::from_static(name),
            HeaderValue::from_static("x"),
        )]);
        let ask = request(Method::POST, "").map(|_| Trailers(Some(fields)));
        let answer = sender.send_request(ask).await.expect("an answer");
        assert_eq!(answer.status(), 400, "{name}");
    }
    tenant.is_unused().await;
}
