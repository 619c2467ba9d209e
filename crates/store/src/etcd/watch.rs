//! A watch of etcd: one connection, over which a line of JSON comes for each batch.

use super::connection::Connection;
use super::failure::Failure;
use super::responses::{EventType, WatchEvent, WatchLine, Watched};
use super::{Etcd, requests};
use crate::horizon::Heard;
use crate::{Batch, Event, Range, Result, Revision, StoreError, Watch};
use hyper::body::Incoming;
use tokio::time::timeout;

/// See [`Watch`].
#[derive(Debug)]
pub struct EtcdWatch {
    store: Etcd,
    /// What had been heard of the store when it began.
    begun: Heard,
    connection: Connection,
    body: Incoming,
    /// What has come of lines that are not read yet.
    unread: Vec<u8>,
    /// How much of it is known to have no end of a line.
    searched: usize,
}

impl EtcdWatch {
    pub(super) async fn begin(store: Etcd, range: Range, after: Revision) -> Result<EtcdWatch> {
        let begun = store.0.horizon.heard();
        let (key, range_end) = store.0.keys.range(&range);
        let create_request = requests::WatchCreate { key, range_end, start_revision: after + 1 };
        let body = requests::body(&requests::Watch { create_request });
        let (connection, body) = store.0.open("/v3/watch", &body).await?;
        let mut watch =
            EtcdWatch { store, begun, connection, body, unread: Vec::new(), searched: 0 };
        let time = watch.store.0.attempt;
        let first = timeout(time, watch.line()).await;
        let first = first.unwrap_or_else(|_| Err(ended("a watch that does not begin")))?;
        watch.check(&first)?;
        match first.created {
            true => Ok(watch),
            false => Err(ended("a watch that does not begin")),
        }
    }

    /// Reads the next line.
    async fn line(&mut self) -> Result<Watched> {
        loop {
            let rest = &self.unread[self.searched..];
            if let Some(length) = rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=self.searched + length).collect();
                self.searched = 0;
                return read(&line);
            }
            self.searched = self.unread.len();
            let data = self.connection.data(&mut self.body).await;
            match data.map_err(|why| ended(&why.to_string()))? {
                Some(bytes) => self.unread.extend_from_slice(&bytes),
                None => return Err(ended("the watch was ended")),
            }
        }
    }

    /// Whether the watch goes on, and is one of the store that was listed.
    fn check(&self, line: &Watched) -> Result<()> {
        if line.compact_revision > 0 {
            return Err(StoreError::TooOld);
        }
        if line.canceled {
            return Err(ended(&line.cancel_reason));
        }
        self.store.0.horizon.hear(self.begun, line.header.standing())
    }

    fn event(&self, WatchEvent { r#type, kv }: WatchEvent) -> Option<Event> {
        let record = self.store.record(kv)?;
        Some(match r#type {
            EventType::Put => Event::Put(record),
            EventType::Delete => Event::Deleted { key: record.key, modified: record.modified },
        })
    }
}

impl Watch for EtcdWatch {
    async fn next(&mut self) -> Result<Batch> {
        loop {
            let line = self.line().await?;
            self.check(&line)?;
            // The header's revision may be later than what has been told.
            let last = line.events.iter().map(|event| event.kv.mod_revision).max();
            if let Some(revision) = last {
                let events = line.events.into_iter().filter_map(|event| self.event(event));
                return Ok(Batch { revision, events: events.collect() });
            }
        }
    }
}

fn read(line: &[u8]) -> Result<Watched> {
    match serde_json::from_slice(line) {
        Ok(WatchLine::Result(watched)) => Ok(watched),
        Ok(WatchLine::Error(why)) => match Failure::of_code(why.code.unwrap_or(0), why.message) {
            Failure::Final(why) => Err(why),
            Failure::Lost(why) | Failure::NotCarriedOut(why) => Err(ended(&why)),
            Failure::Token => Err(ended(super::failure::TOKEN)),
        },
        Err(why) => Err(ended(&why.to_string())),
    }
}

fn ended(why: &str) -> StoreError {
    StoreError::Unreachable(why.to_owned())
}
