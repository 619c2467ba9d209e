//! A question of one host to another, over a connection of its own: they are rare.

use super::{ASK, HOPS, KEY, PEER, Peer, encoded_key};
use crate::forward::AnswerBody;
use http::header::{HOST, HeaderName, HeaderValue};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The answer to a question.
pub const REPLY: HeaderName = HeaderName::from_static("absolute-reply");

/// A host that is there takes a connection at once.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Asks the host, and returns its answer. `key`: what the question is about; it may be empty.
///
/// Errors: the host cannot be reached, does not believe this one, or knows no such question.
pub async fn ask(
    address: SocketAddr,
    peer: &Peer,
    question: &str,
    key: &str,
) -> io::Result<String> {
    let connected = timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await;
    let stream = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
    stream.set_nodelay(true)?;
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
    let answer = match &peer.encryption {
        None => send(stream, request).await?,
        Some(encryption) => send(encryption.begin(stream).await?, request).await?,
    };
    let reply = answer.headers().get(&REPLY).and_then(|reply| reply.to_str().ok());
    let refused = || io::Error::other(format!("{} was answered to {question}", answer.status()));
    reply.map(str::to_owned).ok_or_else(refused)
}

async fn send(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<AnswerBody>,
) -> io::Result<Response<Incoming>> {
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(io::Error::other)?;
    let answer = sender.send_request(request);
    tokio::select! {
        biased;
        answer = answer => answer.map_err(io::Error::other),
        ended = connection => {
            ended.map_err(io::Error::other)?;
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }
}
