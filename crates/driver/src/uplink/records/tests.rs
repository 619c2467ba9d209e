use super::*;

/// Reads a value as JavaScript does, and returns the numbers and texts after it.
fn read<'a>(shape: &Shape, numbers: &'a [f64], texts: &'a [String]) -> (&'a [f64], &'a [String]) {
    let in_order = |fields: &[Field], left: (&'a [f64], &'a [String])| {
        fields.iter().fold(left, |(numbers, texts), field| read(&field.shape, numbers, texts))
    };
    match shape {
        Shape::Number | Shape::Bool | Shape::Signal | Shape::Words { .. } => (&numbers[1..], texts),
        Shape::Text => (numbers, &texts[1..]),
        Shape::Unsent => (numbers, texts),
        Shape::Optional { of } if numbers[0] == 1.0 => read(of, &numbers[1..], texts),
        Shape::Optional { .. } => (&numbers[1..], texts),
        Shape::Object { fields, .. } => in_order(fields, (numbers, texts)),
        Shape::OneOf { variants, .. } => {
            in_order(variants[numbers[0] as usize].fields, (&numbers[1..], texts))
        }
    }
}

fn settled(refusal: Refusal) -> Record {
    Record::Settle { call: 7, outcome: Outcome::Refused(refusal), output: Some("last".to_owned()) }
}

#[test]
fn written_records_have_the_shape_that_is_declared() {
    let run = RunId(3);
    let lease = LeaseAddress { chunk: 1, index: 2 };
    let text = || "text".to_owned();
    let (signal, reason) = (Some(9), ExitReason::Checkpointed);
    let crashed =
        Failure::CrashedSoon { exit_code: Some(1), signal, uptime_ms: 5, out_of_memory: Some(1) };
    let thrown = Failure::Thrown { by: Callback::Kill, text: text() };
    let records = vec![
        Record::Drain,
        Record::Prepare { run, key: "a".into(), port: 1, started_at_ms: 2 },
        Record::Ready { run, duration_ms: 4, lease, at_ipv6: false },
        Record::Exit { run, exit_code: None, signal, reason, out_of_memory: Some(1) },
        Record::Log { run, stream: Stream::Stderr, at_ms: 8, text: text() },
        Record::Settle { call: 7, outcome: Outcome::Tenant(run), output: None },
        Record::Settle { call: 7, outcome: Outcome::Done, output: None },
        settled(Refusal::BackingOff { failures: 1, retry_after_ms: 2, last: crashed }),
        settled(Refusal::StartFailed { run: Some(run), failure: thrown }),
        settled(Refusal::StillTracked { refused: vec![(run, Failure::NoPort)] }),
        Record::Release { run, lease: Some(lease) },
        Record::SharedRoot { pid: None },
    ];
    let count = records.len();
    let Written { numbers, texts } = write_records(records);
    let (mut numbers_read, mut texts_read) = (0, 0);
    for _ in 0..count {
        let (end, text_end) = (numbers[numbers_read] as usize, numbers[numbers_read + 1] as usize);
        assert!(end - numbers_read <= RECORD_NUMBERS);
        let record = (&numbers[numbers_read + 2..end], &texts[texts_read..text_end]);
        let left = read(&Record::SHAPE, record.0, record.1);
        assert!(left.0.is_empty() && left.1.is_empty(), "{record:?} leaves {left:?}");
        (numbers_read, texts_read) = (end, text_end);
    }
    assert_eq!((numbers_read, texts_read), (numbers.len(), texts.len()));
}
