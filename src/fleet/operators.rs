//! What one host asks another for its operators. This side only carries it: JavaScript asks, and
//! JavaScript answers (`lib/fleet/operators.js`).

use super::notices::{NativeFleetNotice, Notices};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// The first word of such a question; the second is what is asked, the third who asks.
const OPERATOR: &str = "operator";

/// The words of a question.
pub fn question_to_text(question: &str, from: &str) -> String {
    format!("{OPERATOR} {question} {from}")
}

/// What is asked, and by whom, if it is such a question.
pub fn question_from_text(text: &str) -> Option<(&str, &str)> {
    let mut words = text.split(' ');
    match (words.next()?, words.next()?, words.next()?, words.next()) {
        (OPERATOR, question, from, None) => Some((question, from)),
        _ => None,
    }
}

/// Questions of other hosts that JavaScript has not answered yet.
pub struct Operators {
    notices: Arc<Notices>,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    last: u64,
    by_ticket: HashMap<u64, oneshot::Sender<String>>,
}

impl Operators {
    pub fn new(notices: Arc<Notices>) -> Operators {
        Operators { notices, waiting: Mutex::default() }
    }

    /// Has JavaScript answer by `reply`. `None`: it knows no such question. Dropping the future
    /// gives the question up.
    pub async fn asked(&self, question: &str, from: &str) -> Option<String> {
        let (answer, answered) = oneshot::channel();
        let ticket = {
            let mut waiting = self.waiting();
            waiting.last += 1;
            let ticket = waiting.last;
            waiting.by_ticket.insert(ticket, answer);
            ticket
        };
        let _waits = Waits { operators: self, ticket };
        self.notices.tell(NativeFleetNotice {
            ticket: Some(ticket as f64),
            question: Some(question.to_owned()),
            host: Some(from.to_owned()),
            ..NativeFleetNotice::of("asked")
        });
        answered.await.ok()
    }

    /// JavaScript's answer.
    pub fn reply(&self, ticket: f64, text: Option<String>) {
        let answer = self.waiting().by_ticket.remove(&(ticket as u64));
        // Without a text the sender is dropped, which says so.
        if let Some((answer, text)) = answer.zip(text) {
            let _ = answer.send(text);
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A question for as long as its asker waits.
struct Waits<'a> {
    operators: &'a Operators,
    ticket: u64,
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.operators.waiting().by_ticket.remove(&self.ticket);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_read_as_it_was_written() {
        let text = question_to_text("drain", "eu-1");
        assert_eq!(question_from_text(&text), Some(("drain", "eu-1")));
        for text in ["", "operator", "operator drain", "operator drain a b", "ensure drain a"] {
            assert_eq!(question_from_text(text), None, "{text:?}");
        }
    }
}
