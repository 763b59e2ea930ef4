//! Combined classifiers pass on what they do not decide, for every method of `Classify`.

use http::Response;
use std::any::Any;
use tower_openmetrics::classify::{
    ByError, Classify, ErrorType, Fault, GrpcCode, Head, Phase, by_error, expecting,
};

/// Returns a value from every method that differs from its default.
#[derive(Clone, Copy, Debug)]
struct Told;

const HEAD: ErrorType = ErrorType::from_static("told_head");
const STATUS: ErrorType = ErrorType::from_static("told_grpc_status");
const ERROR: ErrorType = ErrorType::from_static("told_error");

impl Classify for Told {
    fn head(&self, _: &Head<'_>) -> Option<Fault> {
        Some(HEAD.into())
    }

    fn grpc_status(&self, _: GrpcCode) -> Option<Fault> {
        Some(STATUS.into())
    }

    fn error(&self, _: &dyn Any, _: Phase) -> Fault {
        ERROR.into()
    }

    fn error_types(&self) -> &'static [ErrorType] {
        &[HEAD, STATUS, ERROR]
    }

    fn is_client(&self) -> bool {
        true
    }
}

/// For each method of [`Classify`], whether `classifier` returns the value of [`Told`].
fn methods(classifier: impl Classify) -> [(&'static str, bool); 5] {
    let response = Response::new(());
    let head = Head::of(&response);
    let all_codes = |code| classifier.grpc_status(code) == Some(STATUS.into());
    [
        ("head", classifier.head(&head) == Some(HEAD.into())),
        ("grpc_status", GrpcCode::ALL.into_iter().all(all_codes)),
        (
            "error",
            classifier.error(&"unknown", Phase::Generate) == ERROR.into(),
        ),
        (
            "error_types",
            classifier.error_types() == [HEAD, STATUS, ERROR],
        ),
        ("is_client", classifier.is_client()),
    ]
}

fn undecided() -> ByError<u8, impl Fn(&u8, Phase) -> Option<ErrorType> + Clone> {
    by_error(|_: &u8, _| None)
}

fn unexpected(_: &Head<'_>) -> bool {
    false
}

#[test]
fn every_combinator_passes_on_every_method() {
    let rows = [
        ("by itself", methods(Told)),
        ("by_error", methods(undecided().or(Told))),
        ("expecting", methods(expecting(unexpected).or(Told))),
        (
            "by_error around expecting",
            methods(undecided().or(expecting(unexpected).or(Told))),
        ),
        (
            "expecting around by_error",
            methods(expecting(unexpected).or(undecided().or(Told))),
        ),
        (
            "each twice",
            methods(
                expecting(unexpected)
                    .or(expecting(unexpected).or(undecided().or(undecided().or(Told)))),
            ),
        ),
    ];
    for (combinator, methods) in rows {
        for (method, is_passed_on) in methods {
            assert!(is_passed_on, "{combinator} passes `{method}` on");
        }
    }
}

/// A new method of the trait must be in the table above and in each combinator.
#[test]
fn the_table_has_every_method() {
    let source = include_str!("../../src/classify/mod.rs");
    let (_, from_the_trait) = source.split_once("pub trait Classify").unwrap();
    let (body, _) = from_the_trait.split_once("\n}\n").unwrap();
    let declared = body.lines().filter_map(|line| line.strip_prefix("    fn "));
    let declared: Vec<_> = declared
        .map(|rest| rest.split('(').next().unwrap())
        .collect();
    assert_eq!(declared, methods(Told).map(|(method, _)| method));
}
