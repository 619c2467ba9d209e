//! What only JavaScript can say. A gateway's thread asks by a notice, and waits, with an end in
//! sight, for the answer with its ticket.

use super::access::AccessQueue;
use super::notices::{NativeNotice, Notices};
use bytes::Bytes;
use gateway::hooks::{AccessEvent, Asked, Page, RefusedRequest, WokenOver, WokenRequest};
use gateway::settings::CertifiedPem;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// How long JavaScript may take for an answer without which a request or a handshake cannot go on.
const PATIENCE: Duration = Duration::from_secs(10);

/// An answer of JavaScript's. `None`: the user's function has thrown, or said what is no answer.
pub enum Answer {
    Key(Option<Option<String>>),
    Page(Option<Page>),
    Certificate(Option<CertifiedPem>),
    Woken(Option<String>),
}

/// The questions without an answer.
#[derive(Default)]
pub struct Questions(Mutex<Open>);

#[derive(Default)]
struct Open {
    asked: u64,
    waiting: HashMap<u64, oneshot::Sender<Answer>>,
}

impl Questions {
    /// Answers a question, unless it is given up.
    pub fn answer(&self, ticket: u64, answer: Answer) {
        let waiting = self.lock().waiting.remove(&ticket);
        // An error says that the question has just been given up.
        let _ = waiting.map(|waiting| waiting.send(answer));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A question; it is given up when it is dropped.
struct Question {
    questions: Arc<Questions>,
    ticket: u64,
    answered: oneshot::Receiver<Answer>,
}

impl Question {
    fn open(questions: &Arc<Questions>) -> Question {
        let (answer, answered) = oneshot::channel();
        let mut open = questions.lock();
        open.asked += 1;
        let ticket = open.asked;
        open.waiting.insert(ticket, answer);
        drop(open);
        Question { questions: questions.clone(), ticket, answered }
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        self.questions.lock().waiting.remove(&self.ticket);
    }
}

/// The hooks of a gateway.
pub struct Hooks {
    pub notices: Arc<Notices>,
    pub questions: Arc<Questions>,
    pub access: Arc<AccessQueue>,
}

impl Hooks {
    /// Asks JavaScript. `None` if it does not answer in time.
    async fn asked(&self, notice: NativeNotice) -> Option<Answer> {
        let mut question = Question::open(&self.questions);
        self.notices.tell(NativeNotice { ticket: Some(question.ticket as f64), ..notice });
        tokio::time::timeout(PATIENCE, &mut question.answered).await.ok()?.ok()
    }
}

impl gateway::Hooks for Hooks {
    async fn ask(&self, request: Asked) -> Result<Option<String>, ()> {
        let answer = self
            .asked(NativeNotice {
                host: Some(request.host),
                method: Some(request.method),
                path: Some(request.path),
                address: Some(request.address.to_string()),
                ..NativeNotice::of("ask")
            })
            .await;
        match answer {
            Some(Answer::Key(Some(key))) => Ok(key),
            _ => Err(()),
        }
    }

    async fn page(&self, request: RefusedRequest) -> Option<Page> {
        let answer = self
            .asked(NativeNotice {
                status: Some(request.refusal.status.into()),
                code: Some(request.refusal.why.code().into()),
                key: request.key,
                retry_after_ms: request.refusal.retry_after_ms.map(|wait_ms| wait_ms as f64),
                ..NativeNotice::of("page")
            })
            .await;
        match answer {
            Some(Answer::Page(page)) => page,
            _ => None,
        }
    }

    async fn certificate(&self, server_name: Option<String>) -> Option<CertifiedPem> {
        let notice = NativeNotice { server_name, ..NativeNotice::of("certificate") };
        match self.asked(notice).await {
            Some(Answer::Certificate(certificate)) => certificate,
            _ => None,
        }
    }

    async fn woken(&self, request: WokenRequest) -> Option<String> {
        let answer = self
            .asked(NativeNotice {
                id: Some(request.id as f64),
                key: Some(request.key),
                host: Some(request.host),
                method: Some(request.method),
                path: Some(request.path),
                address: Some(request.address.to_string()),
                traceparent: request.traceparent,
                ..NativeNotice::of("woken")
            })
            .await;
        match answer {
            Some(Answer::Woken(traceparent)) => traceparent,
            _ => None,
        }
    }

    fn woken_over(&self, over: WokenOver) {
        self.notices.tell(NativeNotice {
            id: Some(over.id as f64),
            status: Some(over.status.into()),
            woke_ms: over.woke_ms,
            ..NativeNotice::of("wokenOver")
        });
    }

    fn access(&self, event: AccessEvent) {
        if self.access.push(event) {
            self.notices.tell(NativeNotice::of("access"));
        }
    }
}

/// A page as JavaScript has checked it: fields as name, value, name, …
pub fn page(headers: Vec<String>, body: Vec<u8>) -> Page {
    let mut texts = headers.into_iter();
    let mut headers = Vec::new();
    while let Some(field) = texts.next().zip(texts.next()) {
        headers.push(field);
    }
    Page { headers, body: Bytes::from(body) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_answered_once_and_given_up_when_it_is_dropped() {
        let questions = Arc::new(Questions::default());
        let mut first = Question::open(&questions);
        let second = Question::open(&questions);
        assert_ne!(first.ticket, second.ticket);
        questions.answer(first.ticket, Answer::Woken(Some("a".into())));
        questions.answer(first.ticket, Answer::Woken(None));
        assert!(matches!(first.answered.try_recv(), Ok(Answer::Woken(Some(text))) if text == "a"));
        drop(second);
        assert!(questions.lock().waiting.is_empty());
    }

    #[test]
    fn fields_of_a_page_come_in_pairs() {
        let Page { headers, body } = page(vec!["a".into(), "1".into(), "b".into()], b"x".to_vec());
        assert_eq!((headers, body), (vec![("a".into(), "1".into())], Bytes::from_static(b"x")));
    }
}
