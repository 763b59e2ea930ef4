//! Closures that classify errors, with the builder of every protocol.

use super::streams_support::{Numbers, Stage, all};
use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response};
use http_body_util::Full;
use std::fmt;
use std::pin::pin;
use tower::BoxError;
use tower::timeout::error::Elapsed;
use tower_openmetrics::classify::{ByError, Classify, ErrorType, Fault, Phase, by_error};
use tower_openmetrics::protocol::Http;
use tower_openmetrics::{CallHandle, MetricsLayer};

#[derive(Clone, Copy, Debug)]
enum EngineError {
    BadPrompt,
    OutOfMemory,
    ReaderLeft,
    Bug,
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for EngineError {}

const OUT_OF_MEMORY: ErrorType = ErrorType::from_static("out_of_memory");

/// Each error with its expected type. The last one depends on the phase.
const CASES: [(EngineError, Option<&str>); 4] = [
    (EngineError::BadPrompt, Some("deserialization")),
    (EngineError::OutOfMemory, Some("out_of_memory")),
    (EngineError::ReaderLeft, None),
    (EngineError::Bug, Some("generate")),
];

type ByEngineError = ByError<EngineError, fn(&EngineError, Phase) -> Option<Fault>>;

fn classifier() -> ByEngineError {
    by_error(|error, _| match error {
        EngineError::BadPrompt => Some(ErrorType::DESERIALIZATION.into()),
        EngineError::OutOfMemory => Some(OUT_OF_MEMORY.into()),
        EngineError::ReaderLeft => Some(Fault::Cancelled),
        EngineError::Bug => None,
    })
}

fn ended(error_type: Option<&str>, seconds: u32) -> Numbers {
    match error_type {
        Some(error_type) => Numbers::failed(error_type, seconds),
        None => Numbers::cancelled(seconds),
    }
}

#[test]
fn http() {
    for (error, error_type) in CASES {
        let stage =
            Stage::new(MetricsLayer::protocol_builder(Http::default()).classifier(classifier()));
        let request = Request::new(Full::<Bytes>::default());
        let refused = stage.call(request, |_| Err::<Response<Full<Bytes>>, _>(error));
        assert!(refused.is_err());
        stage.expect("an error", &ended(error_type, 1));
    }

    // The table of statuses still classifies heads.
    let stage =
        Stage::new(MetricsLayer::protocol_builder(Http::default()).classifier(classifier()));
    let request = Request::new(Full::<Bytes>::default());
    let unavailable = Response::builder().status(503);
    let unavailable = unavailable.body(Full::<Bytes>::default()).unwrap();
    let _ = stage.call(request, |_| Ok::<_, EngineError>(unavailable));
    let expected = Numbers::failed("overloaded", 1).head_after(1);
    stage.expect("a status", &expected);
}

#[test]
fn unary() {
    for (error, error_type) in CASES {
        let stage = Stage::new(MetricsLayer::unary_builder().classifier(classifier()));
        let refused = stage.call("abc", |_| Err::<(), _>(error));
        assert!(refused.is_err());
        let expected = ended(error_type, 1).request(3, 1);
        stage.expect("an error", &expected);

        let stage = Stage::new(MetricsLayer::unary_builder().classifier(classifier()));
        let _ = stage.call("abc", |_| Ok::<_, BoxError>(Err::<(), _>(error)));
        stage.expect("a response", &expected.head_after(1));
    }
}

#[test]
fn streaming() {
    for (error, error_type) in CASES {
        let stage = Stage::new(MetricsLayer::streaming_builder().classifier(classifier()));
        let items = stage.script([Ok("de"), Err(error)]);
        let answer = stage.call("abc", |_| Ok::<_, BoxError>(items)).unwrap();
        drop(all(pin!(answer)));
        let by_phase = |error_type| match error_type {
            "generate" => "publish_response",
            other => other,
        };
        let expected = ended(error_type.map(by_phase), 3).request(3, 1);
        let expected = expected.response(2, 1).head_after(1).first_byte_after(2);
        stage.expect("an item", &expected);
    }
}

#[test]
fn pass_handle_keeps_the_classifier() {
    let builder = MetricsLayer::unary_builder().classifier(classifier());
    let stage = Stage::new(builder).pass_handle(|_: &mut &str, _: CallHandle| ());
    let refused = stage.call("abc", |_| Err::<(), _>(EngineError::OutOfMemory));
    assert!(refused.is_err());
    let expected = Numbers::failed("out_of_memory", 1).request(3, 1);
    stage.expect("an error", &expected);
}

#[test]
fn errors_of_other_types_are_classified_by_phase() {
    for (error, error_type) in [
        (Elapsed::new().into(), "timeout"),
        // A boxed error has another type than the closure takes.
        (BoxError::from(EngineError::BadPrompt), "generate"),
    ] {
        let stage = Stage::new(MetricsLayer::unary_builder().classifier(classifier()));
        let refused = stage.call("abc", |_| Err::<(), _>(error));
        assert!(refused.is_err());
        let expected = Numbers::failed(error_type, 1).request(3, 1);
        stage.expect(error_type, &expected);
    }
}

/// An engine's own errors, and the boxed errors of middleware.
#[test]
fn or_combines_closures_for_several_types() {
    let in_a_box = |error: &BoxError, phase| {
        let error = error.downcast_ref::<EngineError>()?;
        Some(classifier().error(error, phase))
    };
    let both = classifier().or(by_error(in_a_box));
    for (error, error_type) in CASES {
        let builder = MetricsLayer::streaming_builder().classifier(both);
        let stage = Stage::new(builder.error_types([OUT_OF_MEMORY]));
        let before = stage.numbers();
        assert_eq!(before.errors["out_of_memory"], 0, "declared");
        let items = stream::iter([Err::<&str, EngineError>(error)]);
        let answer = stage.call("abc", |_| Ok::<_, BoxError>(items)).unwrap();
        drop(all(pin!(answer)));
        let refused = stage.call("abc", |_| {
            Err::<stream::Empty<&str>, _>(BoxError::from(error))
        });
        assert!(refused.is_err());
        let numbers = stage.numbers();
        let counted = match error_type {
            Some("generate") => numbers.errors["generate"] + numbers.errors["response_stream"],
            Some(error_type) => numbers.errors[error_type],
            None => numbers.cancellations,
        };
        assert_eq!((counted, numbers.requests), (2, 2), "{error}");
    }
}
