//! Outcomes by the response head: its status, and the [`ErrorType`] in its extensions.

use super::Ending::{self, Completed, Failed};
use super::support::{Numbers, errors};
use super::{Stage, get};
use http::Response;
use tower_openmetrics::classify::{Classify, Fault, Head, HttpStatus, ServerErrorsOnly};
use tower_openmetrics::{ErrorType, MetricsLayer};

/// Makes one call whose response has this status and optional error type.
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

/// The documented table. Any other status completes the call.
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
fn the_status_decides_the_outcome() {
    for status in 100..=999 {
        check(HttpStatus, status, None, by_status(status));
    }
}

#[test]
fn server_errors_only_ignores_client_errors() {
    for status in 100..=999 {
        let ending = match status {
            500..=599 => by_status(status),
            _ => Completed,
        };
        check(ServerErrorsOnly, status, None, ending);
    }
}

#[test]
fn an_error_type_takes_precedence_over_the_status() {
    const QUOTA: ErrorType = ErrorType::from_static("quota");
    for status in [200, 204, 101, 304, 404, 429, 400, 500, 503] {
        check(HttpStatus, status, Some(QUOTA), Failed("quota"));
        check(ServerErrorsOnly, status, Some(QUOTA), Failed("quota"));
        let built_in = Some(ErrorType::PUBLISH_FINAL);
        check(HttpStatus, status, built_in, Failed("publish_final"));
    }
}

#[test]
fn an_error_type_takes_precedence_over_a_classifier() {
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
fn declared_error_types_are_shown_at_zero() {
    const QUOTA: ErrorType = ErrorType::from_static("quota");
    let declared = [QUOTA, ErrorType::PANIC, QUOTA];
    let layer = MetricsLayer::builder().error_types(declared);
    let layer = layer.build([("endpoint", "a")]).unwrap();
    assert_eq!(Numbers::of(&layer).errors, errors([("quota", 0)]));
}

/// A layer has at most 64 types. One of them is for the others.
#[test]
fn error_types_beyond_the_limit_count_as_other() {
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
