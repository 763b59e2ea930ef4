//! Panics within a call, and panics beside it.

use super::Ending::{Cancelled, Completed, Failed};
use super::support::Step::{Data, Fail, Panic};
use super::support::{Numbers, Script, now, panic_of, poll_frame, take_to_end};
use super::{Stage, get};
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use std::any::Any;
use std::convert::Infallible;
use std::future::{Ready, pending, ready};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::thread;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_http::catch_panic::CatchPanicLayer;
use tower_openmetrics::classify::{Classify, Fault, Head, Phase};

type Never = Ready<Result<Response<Script>, BoxError>>;

const PANIC: super::Ending = Failed("panic");

#[test]
fn a_panic_in_call_fails_the_call() {
    let stage = Stage::new();
    let mut service = ServiceBuilder::new()
        .layer(stage.layer.clone())
        .service(service_fn(|_| -> Never { panic!("in call") }));
    let said = panic_of(|| service.call(get()));
    assert_eq!(said, "in call");
    stage.expect("in call", PANIC.after(0));
}

#[test]
fn a_panic_in_the_future_fails_the_call() {
    let stage = Stage::new();
    let mut service = ServiceBuilder::new()
        .layer(stage.layer.clone())
        .service(service_fn(
            async |_| -> Result<Response<Script>, BoxError> { panic!("in the future") },
        ));
    let mut future = Box::pin(service.call(get()));
    let said = panic_of(|| now(future.as_mut()));
    assert_eq!(said, "in the future");
    stage.expect("before the future is dropped", PANIC.after(0));
    drop(future);
    stage.expect("after it", PANIC.after(0));
}

#[test]
fn a_panic_in_the_response_body_fails_the_call() {
    for (status, ending) in [(200, PANIC), (500, Failed("generate"))] {
        let stage = Stage::new();
        let response = stage.call(get(), |_| {
            let body = Script::new(stage.clock, [Data("a"), Panic]);
            Ok(Response::builder().status(status).body(body).unwrap())
        });
        let mut body = Box::pin(response.unwrap().into_body());
        let said = panic_of(|| take_to_end(body.as_mut()));
        assert_eq!(said, "a scripted panic");
        let expected = ending.after(3).response_bytes(1);
        stage.expect("before the body is dropped", expected);
        drop(body);
        stage.expect("after it", expected);
    }
}

fn upload(stage: &Stage) -> Request<Script> {
    Request::new(Script::new(stage.clock, [Data("ab"), Panic]))
}

#[test]
fn a_panic_in_the_request_body_fails_the_call() {
    let stage = Stage::new();
    let said = panic_of(|| {
        let _ = stage.call(upload(&stage), |request| {
            take_to_end(pin!(request.into_body()));
            unreachable!()
        });
    });
    assert_eq!(said, "a scripted panic");
    stage.expect("in the handler", PANIC.after(3).request_bytes(2));
}

/// Another task reads the request. Its panic is not a panic of the handler.
#[test]
fn a_panic_in_the_request_body_on_another_task_fails_the_call() {
    let stage = Stage::new();
    let answered = stage.call(upload(&stage), |request| {
        let body = request.into_body();
        let reader = thread::spawn(move || take_to_end(pin!(body)));
        assert!(reader.join().is_err());
        Ok(Response::new(stage.empty()))
    });
    drop(answered);
    stage.expect("in another thread", PANIC.after(3).request_bytes(2));
}

#[test]
fn catch_panic_outside_the_layer_keeps_the_panic() {
    let stage = Stage::new();
    let service = ServiceBuilder::new()
        .layer(CatchPanicLayer::new())
        .layer(stage.layer.clone())
        .service(service_fn(
            async |_| -> Result<Response<Full<Bytes>>, Infallible> { panic!("in the future") },
        ));
    let Ok(response) = now(service.oneshot(get()));
    assert_eq!(response.status(), 500);
    stage.expect("outside", PANIC.after(0));
}

#[test]
fn catch_panic_inside_the_layer_makes_a_response() {
    let stage = Stage::new();
    let service = ServiceBuilder::new()
        .layer(stage.layer.clone())
        .layer(CatchPanicLayer::new())
        .service(service_fn(
            async |_| -> Result<Response<Full<Bytes>>, Infallible> { panic!("in the future") },
        ));
    let Ok(response) = now(service.oneshot(get()));
    let bytes = take_to_end(pin!(response.into_body())).bytes;
    assert!(bytes > 0);
    let expected = Failed("generate").after(0).response_bytes(bytes);
    stage.expect("inside", expected);
}

/// `CatchPanicLayer` does not cover bodies, but the code that polls them may catch a panic.
#[test]
fn a_caught_panic_in_the_response_body_fails_the_call() {
    let stage = Stage::new();
    let service = ServiceBuilder::new()
        .layer(CatchPanicLayer::new())
        .layer(stage.layer.clone())
        .service(service_fn(async |_| {
            let body = Script::<BoxError>::new(stage.clock, [Panic]);
            // Boxed, because `CatchPanicLayer` needs boxed bodies.
            Ok::<_, Infallible>(Response::new(axum::body::Body::new(body)))
        }));
    let Ok(response) = now(service.oneshot(get()));
    let mut body = pin!(response.into_body());
    panic_of(|| poll_frame(body.as_mut()));
    stage.expect("outside", PANIC.after(1));
}

// === beside the call ===

/// Two open calls: one in its future, one in its response body.
fn open_calls(stage: &Stage) -> (impl Future + use<>, impl Body + use<>) {
    let mut service = ServiceBuilder::new()
        .layer(stage.layer.clone())
        .service(service_fn(|_| {
            pending::<Result<Response<Script>, BoxError>>()
        }));
    let body = Script::new(stage.clock, [Data("a")]);
    let response = stage.call(get(), |_| Ok(Response::new(body)));
    (service.call(get()), response.unwrap().into_body())
}

#[test]
fn a_call_dropped_during_another_panic_is_cancelled() {
    let stage = Stage::new();
    panic_of(|| {
        let _calls = open_calls(&stage);
        panic!("of the caller's own");
    });
    let numbers = Numbers::of(&stage.layer);
    let expected = Numbers {
        requests: 2,
        cancellations: 2,
        durations: 2,
        ..Numbers::of(&Stage::new().layer)
    };
    let duration_sum = expected.duration_sum;
    assert_eq!(
        Numbers {
            duration_sum,
            ..numbers
        },
        expected
    );
}

/// A destructor makes calls while its thread unwinds.
#[test]
fn calls_made_during_a_panic_have_their_own_outcome() {
    struct OnDrop<F: FnMut()>(F);
    impl<F: FnMut()> Drop for OnDrop<F> {
        fn drop(&mut self) {
            (self.0)();
        }
    }
    let (whole, left) = (Stage::new(), Stage::new());
    panic_of(|| {
        let _guard = OnDrop(|| {
            assert!(thread::panicking());
            let answered = whole.call(get(), |_| Ok(Response::new(whole.empty())));
            drop(answered);
            let body = Script::new(left.clock, [Data("a")]);
            let response = left.call(get(), |_| Ok(Response::new(body)));
            drop(response);
        });
        panic!("of the caller's own");
    });
    whole.expect("answered whole", Completed.after(1));
    left.expect("dropped unread", Cancelled.after(1));
}

#[test]
fn a_panic_in_another_thread_has_no_effect() {
    let stage = Stage::new();
    let answered = stage.call(get(), |_| {
        let other = thread::spawn(|| panic!("in another thread"));
        assert!(other.join().is_err());
        Ok(Response::new(stage.empty()))
    });
    drop(answered);
    stage.expect("beside it", Completed.after(1));
}

// === in bodies and classifiers ===

/// A body that panics in `size_hint` or `is_end_stream`.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Touchy {
    /// In `size_hint`, from the start.
    Hint,
    /// In `is_end_stream`, from the start.
    End,
    /// In `is_end_stream`, after the first frame.
    EndAfterFrame(bool),
}

impl Body for Touchy {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        *self = Self::EndAfterFrame(true);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"a")))))
    }

    fn is_end_stream(&self) -> bool {
        assert!(
            !matches!(self, Self::End | Self::EndAfterFrame(true)),
            "touchy"
        );
        false
    }

    fn size_hint(&self) -> SizeHint {
        assert!(*self != Self::Hint, "touchy");
        SizeHint::new()
    }
}

/// Responds at once with this body.
fn touchy_answer(stage: &Stage, body: Touchy) -> Response<tower_openmetrics::ResponseBody<Touchy>> {
    let service = ServiceBuilder::new()
        .layer(stage.layer.clone())
        .service(service_fn(move |_: Request<_>| {
            ready(Ok::<_, Infallible>(Response::new(body)))
        }));
    let Ok(response) = now(service.oneshot(get()));
    response
}

#[test]
fn a_panic_in_size_hint_or_is_end_stream_fails_the_call() {
    for body in [Touchy::Hint, Touchy::End] {
        let stage = Stage::new();
        panic_of(|| touchy_answer(&stage, body));
        stage.expect(&format!("{body:?} of the answer"), PANIC.after(0));
    }

    let stage = Stage::new();
    let response = touchy_answer(&stage, Touchy::EndAfterFrame(false));
    let mut body = pin!(response.into_body());
    panic_of(|| poll_frame(body.as_mut()));
    let numbers = Numbers::of(&stage.layer);
    assert_eq!((numbers.errors["panic"], numbers.concurrent), (1, 0));

    let stage = Stage::new();
    let request = Request::new(Touchy::End);
    panic_of(|| stage.call(request, |_| Ok(Response::new(stage.empty()))));
    stage.expect("the end of the request", PANIC.after(0));
}

#[test]
fn a_panicking_classifier_fails_the_call() {
    #[derive(Clone)]
    struct Touchy;
    impl Classify for Touchy {
        fn head(&self, head: &Head<'_>) -> Option<Fault> {
            assert!(head.status != 418, "touchy");
            None
        }

        fn error(&self, _: &dyn Any, _: Phase) -> Fault {
            panic!("touchy")
        }
    }

    let stage = Stage::classified_by(Touchy);
    let teapot = || Response::builder().status(418).body(stage.empty()).unwrap();
    panic_of(|| stage.call(get(), |_| Ok(teapot())));
    stage.expect("of a head", PANIC.after(1));

    let stage = Stage::classified_by(Touchy);
    panic_of(|| stage.call(get(), |_| Err("broken".into())));
    stage.expect("of the service's error", PANIC.after(1));

    let stage = Stage::classified_by(Touchy);
    let response = stage.call(get(), |_| {
        let body = Script::new(stage.clock, [Fail(|| "broken".into())]);
        Ok(Response::new(body))
    });
    let mut body = Box::pin(response.unwrap().into_body());
    panic_of(|| poll_frame(body.as_mut()));
    stage.expect("of the body's error", PANIC.after(2));
}
