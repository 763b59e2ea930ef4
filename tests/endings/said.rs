//! What the head of an answer says: its status, and the [`ErrorType`] in its extensions.

use super::Ending::{self, Completed, Failed};
use super::support::{Numbers, errors};
use super::{Stage, get};
use http::Response;
use tower_openmetrics::classify::{Classify, Fault, Head, HttpStatus, ServerErrorsOnly};
use tower_openmetrics::{ErrorType, MetricsLayer};

/// One call that is answered by this status, and by this type if there is one.
fn answer<C: Classify>(stage: &Stage<C>, status: u16, said: Option<ErrorType>) {
    let answered = stage.call(get(), |_| {
        let mut response = Response::new(stage.empty());
        *response.status_mut() = status.try_into().unwrap();
        if let Some(said) = said {
            response.extensions_mut().insert(said);
        }
        Ok(response)
    });
    drop(answered);
}

fn check<C: Classify>(classifier: C, status: u16, said: Option<ErrorType>, ending: Ending) {
    let stage = Stage::classified_by(classifier);
    answer(&stage, status, said);
    stage.expect(
        &format!("{status} {said:?}"),
        ending.after(1).upgrades(status == 101),
    );
}

/// The contract's table; what is not in it is an answer.
fn by_status(status: u16) -> Ending {
    match status {
        400 | 422 => Failed("deserialization"),
        405 | 411 | 413 | 414 | 415 | 431 => Failed("invalid_message"),
        408 | 504 => Failed("timeout"),
        503 => Failed("overloaded"),
        500..=599 => Failed("generate"),
        _ => Completed,
    }
}

#[test]
fn every_status() {
    for status in 100..=999 {
        check(HttpStatus, status, None, by_status(status));
    }
}

#[test]
fn server_errors_only() {
    for status in 100..=999 {
        let ending = match status {
            500..=599 => by_status(status),
            _ => Completed,
        };
        check(ServerErrorsOnly, status, None, ending);
    }
}

#[test]
fn what_the_handler_says_wins_over_the_status() {
    const QUOTA: ErrorType = ErrorType::from_static("quota");
    for status in [200, 204, 101, 304, 404, 429, 400, 500, 503] {
        check(HttpStatus, status, Some(QUOTA), Failed("quota"));
        check(ServerErrorsOnly, status, Some(QUOTA), Failed("quota"));
        let built_in = Some(ErrorType::PUBLISH_FINAL);
        check(HttpStatus, status, built_in, Failed("publish_final"));
    }
}

#[test]
fn what_the_handler_says_wins_over_a_classifier() {
    #[derive(Clone)]
    struct TeapotsAreFine;
    impl Classify for TeapotsAreFine {
        fn head(&self, head: &Head<'_>) -> Option<Fault> {
            (head.status != 418).then_some(Fault::Cancelled)
        }
    }
    check(TeapotsAreFine, 418, None, Completed);
    check(TeapotsAreFine, 500, None, Ending::Cancelled);
    let said = Some(ErrorType::OVERLOADED);
    check(TeapotsAreFine, 418, said, Failed("overloaded"));
    check(TeapotsAreFine, 500, said, Failed("overloaded"));
}

#[test]
fn declared_types_stand_at_zero_from_the_start() {
    const QUOTA: ErrorType = ErrorType::from_static("quota");
    let declared = [QUOTA, ErrorType::PANIC, QUOTA];
    let layer = MetricsLayer::builder().error_types(declared);
    let layer = layer.build([("endpoint", "a")]).unwrap();
    assert_eq!(Numbers::of(&layer).errors, errors([("quota", 0)]));
}

/// A layer has room for 64 types, one of which is for the rest.
#[test]
fn types_without_end_are_counted_as_other() {
    let names: Vec<&'static str> = (0..70)
        .map(|i| &*Box::leak(format!("type_{i:02}").into_boxed_str()))
        .collect();
    let stage = Stage::new();
    for name in &names {
        for _ in 0..2 {
            answer(&stage, 200, Some(ErrorType::from_static(name)));
        }
    }
    answer(&stage, 500, None);
    answer(&stage, 200, Some(ErrorType::from_static(names[0])));

    let told_apart = 64 - 1 - 9;
    let mut expected = vec![("generate", 1), ("_OTHER", 2 * (70 - told_apart))];
    expected.extend(names[..told_apart as usize].iter().map(|name| (*name, 2)));
    expected.push((names[0], 3));
    let numbers = Numbers::of(&stage.layer);
    assert_eq!(numbers.errors, errors(expected));
    assert_eq!(numbers.failed(), numbers.requests);
}
