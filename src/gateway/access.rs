//! Access events on their way to JavaScript: written where they arise, and taken in batches.

use gateway::hooks::AccessEvent;
use napi::bindgen_prelude::Float64Array;
use napi_derive::napi;
use std::sync::{Mutex, PoisonError};

/// How many events wait for JavaScript at most: some seconds of a busy gateway. Those that come
/// after them are dropped, and counted.
const MOST_WAITING: usize = 65_536;

/// How many events a batch has at most: a few turns of JavaScript's.
const MOST_TAKEN: usize = 4_096;

/// How many numbers, and how many texts, an event has: see `lib/gateway/access.js`.
const NUMBERS: usize = 7;
const TEXTS: usize = 6;

/// A batch of events: their numbers, and their texts, a line each.
#[napi(object, object_from_js = false)]
pub struct NativeAccess {
    pub numbers: Float64Array,
    pub texts: String,
}

/// The events that wait.
#[derive(Default)]
pub struct AccessQueue(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    events: Vec<AccessEvent>,
    dropped: u64,
    /// JavaScript knows that there are events, and comes for them until there are none.
    is_rung: bool,
}

impl AccessQueue {
    /// Adds an event. Returns whether JavaScript is to be told.
    pub fn push(&self, event: AccessEvent) -> bool {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.events.len() < MOST_WAITING {
            waiting.events.push(event);
        } else {
            waiting.dropped += 1;
        }
        !std::mem::replace(&mut waiting.is_rung, true)
    }

    /// How many events were dropped.
    pub fn dropped(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).dropped
    }

    /// Takes the next batch; `None` if there are no events, and then the next one is told again.
    pub fn take(&self) -> Option<NativeAccess> {
        let events = self.take_events();
        if events.is_empty() {
            return None;
        }
        let (numbers, texts) = written(&events);
        Some(NativeAccess { numbers: numbers.into(), texts })
    }

    fn take_events(&self) -> Vec<AccessEvent> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.events.len() > MOST_TAKEN {
            return waiting.events.drain(..MOST_TAKEN).collect();
        }
        waiting.is_rung = !waiting.events.is_empty();
        std::mem::take(&mut waiting.events)
    }
}

fn written(events: &[AccessEvent]) -> (Vec<f64>, String) {
    let mut numbers = Vec::with_capacity(events.len() * NUMBERS);
    let mut texts = String::with_capacity(events.len() * 64);
    for event in events {
        numbers.extend([
            f64::from(u8::from(event.key.is_some())),
            f64::from(event.status),
            event.duration_ms,
            event.woke_ms.unwrap_or(-1.0),
            event.bytes_in as f64,
            event.bytes_out as f64,
            event.at_ms as f64,
        ]);
        let address = event.address.to_string();
        let key = event.key.as_deref().unwrap_or_default();
        let peer = event.peer.as_deref().unwrap_or_default();
        let of_event: [&str; TEXTS] =
            [key, &event.host, &event.method, &event.path, &address, peer];
        for text in of_event {
            // A line end, which no request has in any of these, would shift all that follows.
            texts.extend(text.chars().map(|letter| if letter == '\n' { ' ' } else { letter }));
            texts.push('\n');
        }
    }
    (numbers, texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(path: &str, key: Option<&str>) -> AccessEvent {
        AccessEvent {
            key: key.map(str::to_owned),
            host: "a.localhost".into(),
            method: "GET".into(),
            path: path.into(),
            status: 200,
            duration_ms: 1.5,
            woke_ms: None,
            bytes_in: 0,
            bytes_out: 5,
            address: [127, 0, 0, 1].into(),
            peer: key.is_none().then(|| "eu-2".into()),
            at_ms: 1_000,
            traceparent: None,
        }
    }

    #[test]
    fn an_event_has_its_places() {
        let (numbers, texts) = written(&[event("/", Some("a")), event("/x\ny", None)]);
        assert_eq!(numbers.len(), 2 * NUMBERS);
        assert_eq!(&numbers[..NUMBERS], [1.0, 200.0, 1.5, -1.0, 0.0, 5.0, 1_000.0]);
        assert_eq!(
            texts.split_terminator('\n').collect::<Vec<_>>(),
            [
                "a",
                "a.localhost",
                "GET",
                "/",
                "127.0.0.1",
                "",
                "",
                "a.localhost",
                "GET",
                "/x y",
                "127.0.0.1",
                "eu-2"
            ]
        );
    }

    #[test]
    fn javascript_is_told_once_until_it_has_taken_all() {
        let queue = AccessQueue::default();
        assert!(queue.push(event("/", None)));
        assert!(!queue.push(event("/", None)));
        assert_eq!(queue.take_events().len(), 2);
        assert!(!queue.push(event("/", None)));
        assert_eq!(queue.take_events().len(), 1);
        assert!(queue.take_events().is_empty());
        assert!(queue.push(event("/", None)));
    }

    #[test]
    fn a_host_that_does_not_come_for_them_loses_the_latest() {
        let queue = AccessQueue::default();
        for _ in 0..MOST_WAITING + 3 {
            queue.push(event("/", None));
        }
        assert_eq!(queue.dropped(), 3);
    }
}
