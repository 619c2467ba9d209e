//! Questions of hosts to one another, and their answers, as they are written in fields of HTTP.
//!
//! A question is the field `absolute-ask` beside `absolute-key`, its answer the field
//! `absolute-reply`. What is not understood is refused, so that hosts of different versions can be
//! in one fleet.

use fleet::{Question, Reply};
use std::sync::Arc;

/// The key that the question is about, and its words, of which the last says who asks.
pub fn question_to_text<'a>(question: &'a Question, from: &str) -> (&'a Arc<str>, String) {
    match question {
        Question::Prepare { key, claim } => (key, format!("prepare {claim} {from}")),
    }
}

/// Who asks, and the question, if it is one that this version knows.
pub fn question_from_text(text: &str, key: &str) -> Option<(Arc<str>, Question)> {
    let mut words = text.split(' ');
    match (words.next()?, words.next()?, words.next()?, words.next()) {
        ("prepare", claim, from, None) if !key.is_empty() && !from.is_empty() => {
            let question = Question::Prepare { key: key.into(), claim: claim.parse().ok()? };
            Some((from.into(), question))
        }
        _ => None,
    }
}

/// The words of an answer.
pub fn reply_to_text(reply: Reply) -> String {
    match reply {
        Reply::Prepared { session, reservation, epoch } => {
            format!("prepared {session} {reservation} {epoch}")
        }
        Reply::Refused => "refused".to_owned(),
        Reply::Failed => "failed".to_owned(),
    }
}

/// The answer. One that is not understood is as good as none.
pub fn reply_from_text(text: &str) -> Reply {
    match text.split_once(' ') {
        None if text == "refused" => Reply::Refused,
        Some(("prepared", numbers)) => prepared(numbers).unwrap_or(Reply::Failed),
        _ => Reply::Failed,
    }
}

fn prepared(numbers: &str) -> Option<Reply> {
    let mut numbers = numbers.split(' ').map(|number| number.parse().ok());
    let (session, reservation) = (numbers.next()??, numbers.next()??);
    let epoch = numbers.next()??;
    numbers.next().is_none().then_some(Reply::Prepared { session, reservation, epoch })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_read_as_it_was_written() {
        let question = Question::Prepare { key: "tenant-7".into(), claim: 42 };
        let (key, text) = question_to_text(&question, "eu-1");
        assert_eq!(question_from_text(&text, key), Some(("eu-1".into(), question.clone())));
    }

    #[test]
    fn what_is_not_a_question_of_this_version_is_none() {
        for text in ["", "prepare", "prepare 1", "prepare x a", "prepare 1 a b", "dance 1 a"] {
            assert_eq!(question_from_text(text, "key"), None, "{text:?}");
        }
        assert_eq!(question_from_text("prepare 1 a", ""), None);
    }

    #[test]
    fn an_answer_is_read_as_it_was_written() {
        let prepared = Reply::Prepared { session: 5, reservation: 8, epoch: 8 };
        for reply in [prepared, Reply::Refused, Reply::Failed] {
            assert_eq!(reply_from_text(&reply_to_text(reply)), reply);
        }
        for text in [
            "",
            "prepared",
            "prepared 1",
            "prepared 1 2",
            "prepared 1 2 3 4",
            "refused 1",
            "perhaps",
        ] {
            assert_eq!(reply_from_text(text), Reply::Failed, "{text:?}");
        }
    }
}
