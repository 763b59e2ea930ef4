//! Panics of users' classifiers, measures, messages and closures. Each one fails the call for which it ran.

use super::streams_support::{Stage, all, panics};
use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response};
use http_body_util::Full;
use std::any::Any;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tower::BoxError;
use tower_openmetrics::classify::{Classify, Fault, GrpcCode, Head, Phase, by_error, expecting};
use tower_openmetrics::labels::{Label, RequestHead};
use tower_openmetrics::message::Measure;
use tower_openmetrics::protocol::{Grpc, Http};
use tower_openmetrics::{CallHandle, ErrorType, Message, MetricsLayer, MetricsLayerBuilder};

/// A classifier and measure that panics in one place once it is armed.
#[derive(Debug)]
struct Trap {
    place: Place,
    armed: Arc<AtomicBool>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Clone,
    Head,
    GrpcStatus,
    Error,
    Size,
    IsError,
}

impl Trap {
    fn armed(place: Place) -> Self {
        let trap = Self::new(place);
        trap.armed.store(true, Ordering::Relaxed);
        trap
    }

    fn new(place: Place) -> Self {
        let armed = Arc::default();
        Self { place, armed }
    }

    fn at(&self, place: Place) {
        let springs = self.place == place && self.armed.swap(false, Ordering::Relaxed);
        assert!(!springs, "touchy");
    }
}

impl Clone for Trap {
    fn clone(&self) -> Self {
        self.at(Place::Clone);
        Self {
            place: self.place,
            armed: self.armed.clone(),
        }
    }
}

impl Classify for Trap {
    fn head(&self, _: &Head<'_>) -> Option<Fault> {
        self.at(Place::Head);
        None
    }

    fn grpc_status(&self, _: GrpcCode) -> Option<Fault> {
        self.at(Place::GrpcStatus);
        None
    }

    fn error(&self, _: &dyn Any, _: Phase) -> Fault {
        self.at(Place::Error);
        ErrorType::GENERATE.into()
    }
}

impl<T> Measure<T> for Trap {
    fn size(&self, _: &T) -> u64 {
        self.at(Place::Size);
        1
    }

    fn error<'a>(&self, _: &'a T) -> Option<&'a dyn Any> {
        self.at(Place::IsError);
        None
    }
}

type Requested = Request<Full<Bytes>>;

fn request() -> Requested {
    let request = Request::post("/shop.Cart/Add").header("content-type", "application/grpc");
    request.body(Full::default()).unwrap()
}

fn response(status: &str) -> Response<Full<Bytes>> {
    let response = Response::builder().header("grpc-status", status);
    response.body(Full::from("abc")).unwrap()
}

/// Checks that `run` makes one call, which panics after a second.
#[track_caller]
fn expect<P>(row: &str, builder: MetricsLayerBuilder<P>, run: impl FnOnce(&Stage<P>)) {
    expect_stage(row, &Stage::new(builder), run);
}

/// The same, of a layer that is built already.
#[track_caller]
fn expect_stage<P>(row: &str, stage: &Stage<P>, run: impl FnOnce(&Stage<P>)) {
    assert!(panics(|| run(stage)), "{row}");
    let numbers = stage.numbers();
    assert_eq!(numbers.errors["panic"], 1, "{row}: {numbers:?}");
    let (requests, cancellations) = (numbers.requests, numbers.cancellations);
    assert_eq!(
        (requests, cancellations, numbers.concurrent),
        (1, 0, 0),
        "{row}"
    );
}

#[test]
fn a_panicking_classifier_fails_the_call() {
    for place in [Place::Clone, Place::Head, Place::Error] {
        let trap = Trap::new(place);
        let armed = trap.armed.clone();
        let answer = move || {
            armed.store(true, Ordering::Relaxed);
            match place {
                Place::Error => Err(BoxError::from("broken")),
                _ => Ok(response("0")),
            }
        };
        let builder = MetricsLayer::protocol_builder(Http::default()).classifier(trap);
        expect(&format!("HTTP, {place:?}"), builder, |stage| {
            drop(stage.call(request(), |_| answer()));
        });
    }
    for place in [Place::Clone, Place::GrpcStatus, Place::Error] {
        let trap = Trap::new(place);
        let armed = trap.armed.clone();
        let answer = move || {
            armed.store(true, Ordering::Relaxed);
            match place {
                Place::Error => Err(BoxError::from("broken")),
                _ => Ok(response("5")),
            }
        };
        let builder = MetricsLayer::protocol_builder(Grpc::new()).classifier(trap);
        expect(&format!("gRPC, {place:?}"), builder, |stage| {
            drop(stage.call(request(), |_| answer()));
        });
    }
    let error = || Err::<&str, _>(BoxError::from("broken"));
    let trap = || Trap::armed(Place::Error);
    let unary = || MetricsLayer::unary_builder().classifier(trap());
    expect("unary", unary(), |stage| drop(stage.call("a", |_| error())));
    expect("unary, an error that is an answer", unary(), |stage| {
        drop(stage.call("a", |_| Ok::<_, BoxError>(error())));
    });
    let streaming = || MetricsLayer::streaming_builder().classifier(trap());
    expect("streaming", streaming(), |stage| {
        let refused = || Err::<stream::Empty<&str>, _>(BoxError::from("broken"));
        drop(stage.call("a", |_| refused()));
    });
    expect("streaming, an item", streaming(), |stage| {
        let items = stream::iter([error()]);
        let answer = stage.call("a", |_| Ok::<_, BoxError>(items)).unwrap();
        drop(all(pin!(answer)));
    });
    let touchy = by_error(|_: &BoxError, _| -> Option<ErrorType> { panic!("touchy") });
    let builder = MetricsLayer::unary_builder().classifier(touchy);
    expect("a closure for errors", builder, |stage| {
        drop(stage.call("a", |_| error()));
    });
    let touchy = expecting(|_| panic!("touchy"));
    let builder = MetricsLayer::protocol_builder(Http::default()).classifier(touchy);
    expect("a closure for heads", builder, |stage| {
        drop(stage.call(request(), |_| Ok::<_, BoxError>(response("0"))));
    });
}

#[test]
fn a_panicking_clone_fails_the_call() {
    for is_classifier in [true, false] {
        let trap = Trap::new(Place::Clone);
        let armed = trap.armed.clone();
        let answer = move || {
            armed.store(true, Ordering::Relaxed);
            Ok::<_, BoxError>(stream::iter(["b"]))
        };
        let builder = MetricsLayer::streaming_builder();
        if is_classifier {
            let builder = builder.classifier(trap);
            expect("a classifier", builder, |stage| {
                drop(stage.call("a", |_| answer()));
            });
        } else {
            let builder = builder.measure_items(trap);
            expect("a measure", builder, |stage| {
                drop(stage.call("a", |_| answer()));
            });
        }
    }
}

#[test]
fn a_panicking_measure_fails_the_call() {
    let ok = || Ok::<_, BoxError>("b");
    for place in [Place::Size, Place::IsError] {
        let trap = || Trap::armed(place);
        let builder = MetricsLayer::unary_builder().measure_responses(trap());
        expect(&format!("a response, {place:?}"), builder, |stage| {
            drop(stage.call("a", |_| ok()));
        });
        let builder = MetricsLayer::streaming_builder().measure_items(trap());
        expect(&format!("an item, {place:?}"), builder, |stage| {
            let items = stream::iter(["b"]);
            let answer = stage.call("a", |_| Ok::<_, BoxError>(items)).unwrap();
            drop(all(pin!(answer)));
        });
        let builder = MetricsLayer::unary_builder().request_streams(trap());
        expect(&format!("a request's, {place:?}"), builder, |stage| {
            let messages = stream::iter(["a"]);
            drop(stage.call(messages, |messages| {
                drop(all(pin!(messages)));
                ok()
            }));
        });
    }
    let builder = MetricsLayer::unary_builder().measure_requests(Trap::armed(Place::Size));
    expect("a request", builder, |stage| {
        drop(stage.call("a", |_| ok()));
    });
    expect("a message", MetricsLayer::unary_builder(), |stage| {
        drop(stage.call("a", |_| Ok::<_, BoxError>(TouchyMessage)));
    });
    expect(
        "a message of a request",
        MetricsLayer::unary_builder(),
        |stage| {
            drop(stage.call(TouchyMessage, |_| ok()));
        },
    );
}

struct TouchyMessage;

impl Message for TouchyMessage {
    fn size(&self) -> u64 {
        panic!("touchy")
    }
}

#[test]
fn a_panicking_closure_for_heads_fails_the_call() {
    let builder = || MetricsLayer::protocol_builder(Http::default());
    let call = |stage: &Stage<_>| {
        drop(stage.call(request(), |_| Ok::<_, BoxError>(response("0"))));
    };
    let touchy = |_: &RequestHead<'_>| -> bool { panic!("touchy") };
    expect("a filter", builder().filter(touchy), call);
    let label = Label::from_request("a", |_| panic!("touchy"));
    expect("a label of the request", builder().label(label), call);
    let label = Label::from_response("a", |_| panic!("touchy"));
    expect("a label of the response", builder().label(label), call);
    let streams = builder().stream_duration_seconds(|_| panic!("touchy"));
    expect("streams", streams, call);
    let traces = builder().exemplars(|_| panic!("touchy"));
    expect("exemplars", traces, call);
    expect_stage(
        "a handle",
        &Stage::new(builder()).pass_handle(|_: &mut Requested, _: CallHandle| panic!("touchy")),
        |stage| drop(stage.call(request(), |_| Ok::<_, BoxError>(response("0")))),
    );
}
