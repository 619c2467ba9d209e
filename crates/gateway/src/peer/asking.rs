//! A question of one host to another, over a connection of its own: they are rare.

use super::{ASK, CONNECT_TIMEOUT, HOPS, KEY, PEER, Peer, encoded_key};
use crate::forward::AnswerBody;
use http::header::{HOST, HeaderName, HeaderValue};
use http::response::Parts;
use http::{Request, StatusCode};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

/// The answer to a question.
pub const REPLY: HeaderName = HeaderName::from_static("absolute-reply");

/// A host with ten thousand tenants has half a megabyte to say of them.
const MOST_ANSWER_BYTES: usize = 64 << 20;

/// Asks the host, and returns its answer. `key`: what the question is about; it may be empty.
///
/// Errors: the host cannot be reached, does not believe this one, or knows no such question.
pub async fn ask(
    address: SocketAddr,
    peer: &Peer,
    question: &str,
    key: &str,
) -> io::Result<String> {
    let (head, _) = answer(address, peer, question, key).await?;
    let reply = head.headers.get(&REPLY).and_then(|reply| reply.to_str().ok());
    reply.map(str::to_owned).ok_or_else(|| refused(head.status, question))
}

/// The same, of a question whose answer is too long for a field, and which is for no key.
pub async fn ask_at_length(address: SocketAddr, peer: &Peer, question: &str) -> io::Result<String> {
    let (head, body) = answer(address, peer, question, "").await?;
    if head.status != StatusCode::OK {
        return Err(refused(head.status, question));
    }
    String::from_utf8(body).map_err(io::Error::other)
}

fn refused(status: StatusCode, question: &str) -> io::Error {
    io::Error::other(format!("{status} was answered to {question}"))
}

async fn answer(
    address: SocketAddr,
    peer: &Peer,
    question: &str,
    key: &str,
) -> io::Result<(Parts, Vec<u8>)> {
    let connected = timeout(CONNECT_TIMEOUT, peer.connect(address)).await;
    let stream = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
    let mut request = Request::new(AnswerBody::empty());
    let headers = request.headers_mut();
    let value = |text: &str| HeaderValue::try_from(text).map_err(io::Error::other);
    headers.insert(HOST, value(&address.to_string())?);
    headers.insert(PEER, peer.credentials.clone());
    headers.insert(HOPS, HeaderValue::from(1));
    headers.insert(ASK, value(question)?);
    if !key.is_empty() {
        headers.insert(KEY, encoded_key(key));
    }
    match &peer.encryption {
        None => send(stream, request).await,
        Some(encryption) => send(encryption.begin(stream).await?, request).await,
    }
}

async fn send(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<AnswerBody>,
) -> io::Result<(Parts, Vec<u8>)> {
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(io::Error::other)?;
    let mut exchange = pin!(async {
        let answer = sender.send_request(request).await.map_err(io::Error::other)?;
        let (head, body) = answer.into_parts();
        Ok((head, whole(body).await?))
    });
    tokio::select! {
        biased;
        exchanged = &mut exchange => exchanged,
        // What it has brought is there to be read; what it has not is an error of the exchange.
        _ = connection => exchange.await,
    }
}

async fn whole(mut body: Incoming) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let frame = frame.map_err(io::Error::other)?;
        bytes.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
        if bytes.len() > MOST_ANSWER_BYTES {
            return Err(io::Error::other("the answer is too long"));
        }
    }
    Ok(bytes)
}
