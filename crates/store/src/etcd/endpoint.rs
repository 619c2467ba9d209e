//! One member of etcd, and the connections to it that rest.

use super::connection::Connection;
use super::failure::Failure;
use super::settings::SettingsError;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Request, Response, StatusCode, Uri};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde::de::DeserializeOwned;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Sleep, sleep};

/// How many connections are kept: a host has few requests under way at once.
const RESTING_MAX: usize = 8;

#[derive(Debug)]
pub(super) struct Endpoint {
    host: String,
    port: u16,
    /// As in the header `host`.
    authority: String,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    resting: Mutex<Vec<Connection>>,
}

/// One request to one endpoint.
#[derive(Clone, Copy)]
pub(super) struct Attempt<'a> {
    pub path: &'static str,
    pub body: &'a str,
    /// Until the whole answer is there; of a stream, its beginning.
    pub time: Duration,
    pub token: Option<&'a str>,
}

impl Endpoint {
    pub fn new(address: &str, tls: Option<&Arc<ClientConfig>>) -> Result<Endpoint, SettingsError> {
        let wrong = || SettingsError::Endpoint(address.to_owned());
        let uri: Uri = address.parse().map_err(|_| wrong())?;
        let authority = uri.authority().ok_or_else(wrong)?;
        let has_more = !matches!(uri.path(), "" | "/") || uri.query().is_some();
        if has_more || authority.as_str().contains('@') {
            return Err(wrong());
        }
        let host = uri.host().ok_or_else(wrong)?.trim_matches(['[', ']']).to_owned();
        let port = uri.port_u16().ok_or_else(wrong)?;
        let tls = match uri.scheme_str() {
            Some("http") => None,
            Some("https") => {
                let config = tls.ok_or_else(|| SettingsError::NoTls(address.to_owned()))?;
                let name = ServerName::try_from(host.clone()).map_err(|_| wrong())?;
                Some((config.clone(), name))
            }
            _ => return Err(wrong()),
        };
        let authority = authority.to_string();
        Ok(Endpoint { host, port, authority, tls, resting: Mutex::default() })
    }

    /// Sends a request and reads the whole answer.
    pub async fn ask<T: DeserializeOwned>(&self, attempt: Attempt<'_>) -> Result<T, Failure> {
        let mut end = pin!(sleep(attempt.time));
        let connection = self.connect(end.as_mut()).await?;
        let asked = async {
            let (mut connection, response) = self.send(connection, attempt).await?;
            let (status, answer) = self.whole(&mut connection, response).await?;
            self.rest(connection);
            match status.is_success() {
                true => serde_json::from_slice(&answer).map_err(|why| self.lost(why)),
                false => Err(Failure::of_answer(status, &answer)),
            }
        };
        self.answered(end, asked).await
    }

    /// Sends a request whose answer is a stream.
    pub async fn open(&self, attempt: Attempt<'_>) -> Result<(Connection, Incoming), Failure> {
        let mut end = pin!(sleep(attempt.time));
        let connection = self.connect(end.as_mut()).await?;
        let opened = async {
            let (mut connection, response) = self.send(connection, attempt).await?;
            if response.status().is_success() {
                return Ok((connection, response.into_body()));
            }
            let (status, answer) = self.whole(&mut connection, response).await?;
            Err(Failure::of_answer(status, &answer))
        };
        self.answered(end, opened).await
    }

    /// A connection that rested, or a new one.
    async fn connect(&self, end: Pin<&mut Sleep>) -> Result<Connection, Failure> {
        tokio::select! {
            connection = self.connection() => connection.map_err(|why| self.unreached(why)),
            () = end => Err(self.unreached("no connection in time")),
        }
    }

    async fn answered<T>(
        &self,
        end: Pin<&mut Sleep>,
        answer: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            answer = answer => answer,
            () = end => Err(self.lost("no answer in time")),
        }
    }

    async fn send(
        &self,
        mut connection: Connection,
        attempt: Attempt<'_>,
    ) -> Result<(Connection, Response<Incoming>), Failure> {
        match connection.send(self.request(attempt)).await {
            Ok(response) => Ok((connection, response)),
            // It was closed before the first byte of the request.
            Err(why) if why.is_canceled() => Err(self.unreached(why)),
            Err(why) => Err(self.lost(why)),
        }
    }

    async fn whole(
        &self,
        connection: &mut Connection,
        response: Response<Incoming>,
    ) -> Result<(StatusCode, Vec<u8>), Failure> {
        let (head, mut body) = response.into_parts();
        let mut answer = Vec::new();
        while let Some(bytes) = connection.data(&mut body).await.map_err(|why| self.lost(why))? {
            answer.extend_from_slice(&bytes);
        }
        Ok((head.status, answer))
    }

    async fn connection(&self) -> io::Result<Connection> {
        loop {
            let Some(mut resting) = self.lock().pop() else { break };
            if resting.is_open().await {
                return Ok(resting);
            }
        }
        // Kilobytes, of which the requests that find one that rests have no need.
        Box::pin(Connection::open(&self.host, self.port, self.tls.as_ref())).await
    }

    fn rest(&self, connection: Connection) {
        let mut resting = self.lock();
        if resting.len() < RESTING_MAX {
            resting.push(connection);
        }
    }

    fn request(&self, Attempt { path, body, token, .. }: Attempt<'_>) -> Request<String> {
        let mut request = Request::post(path)
            .header(HOST, &self.authority)
            .header(CONTENT_TYPE, "application/json");
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, token);
        }
        // The path and the authority were read from a URI; etcd's tokens are letters and dots.
        request.body(body.to_owned()).expect("a request that can be sent")
    }

    fn lost(&self, why: impl std::fmt::Display) -> Failure {
        Failure::Lost(format!("{}: {why}", self.authority))
    }

    fn unreached(&self, why: impl std::fmt::Display) -> Failure {
        Failure::NotCarriedOut(format!("{}: {why}", self.authority))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
