//! Calls that end before the response.

use super::Ending::{Cancelled, Completed, Failed};
use super::support::{SECOND, Script};
use super::{Numbers, Stage, get};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use std::any::Any;
use std::convert::Infallible;
use std::future::{pending, ready};
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use tokio_test::{assert_pending, task};
use tower::load_shed::error::Overloaded;
use tower::timeout::error::Elapsed;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_openmetrics::classify::{Classify, Fault, HttpStatus, Phase};
use tower_openmetrics::{ErrorType, RequestBody};

#[test]
fn a_dropped_future_cancels_the_call() {
    for polls in [0, 1, 3] {
        let stage = Stage::new();
        let mut service = ServiceBuilder::new()
            .layer(stage.layer.clone())
            .service(service_fn(|_| {
                pending::<Result<Response<Script>, BoxError>>()
            }));
        let mut future = task::spawn(service.call(get()));
        for _ in 0..polls {
            assert_pending!(future.poll());
        }
        let open = Numbers::of(&stage.layer);
        assert_eq!((open.requests, open.concurrent), (0, 1));
        stage.clock.advance(SECOND * 2);
        drop(future);
        stage.expect(&format!("polled {polls} times"), Cancelled.after(2));
    }
}

/// Makes one call to a service that fails with `error`, classified by `classifier`.
#[track_caller]
fn fail<E: 'static>(
    classifier: impl Classify,
    error: E,
    error_type: Option<&'static str>,
    row: &str,
) {
    let stage = Stage::classified_by(classifier);
    let mut error = Some(Err::<Response<Script>, _>(error));
    let service = service_fn(move |_| ready(error.take().expect("one call")));
    let mut service = ServiceBuilder::new()
        .layer(stage.layer.clone())
        .service(service);
    let mut future = task::spawn(service.call(get()));
    stage.clock.advance(SECOND);
    assert!(matches!(future.poll(), Poll::Ready(Err(_))));
    stage.expect(row, error_type.map_or(Cancelled, Failed).after(1));
}

#[test]
fn errors_are_classified_by_their_source_chain_not_their_text() {
    let generate = Some("generate");
    let timeout = Some("timeout");
    let overloaded = Some("overloaded");
    let boxed: [(BoxError, _); 7] = [
        ("timed out".into(), generate),
        (Box::new(Elapsed::new()), timeout),
        (Box::new(Overloaded::new()), overloaded),
        (io::Error::other(Elapsed::new()).into(), timeout),
        (axum::Error::new(Overloaded::new()).into(), overloaded),
        (io::Error::from(io::ErrorKind::TimedOut).into(), timeout),
        // The service's own connection failed, not that of its caller.
        (
            io::Error::from(io::ErrorKind::ConnectionReset).into(),
            generate,
        ),
    ];
    for (error, error_type) in boxed {
        let row = format!("{error:?}");
        fail(HttpStatus, error, error_type, &row);
    }
    fail(HttpStatus, Elapsed::new(), timeout, "bare");
    fail(HttpStatus, Overloaded::new(), overloaded, "bare");
    fail(HttpStatus, io::Error::other(Elapsed::new()), timeout, "io");
    fail(
        HttpStatus,
        axum::Error::new(Elapsed::new()),
        timeout,
        "axum",
    );
}

/// An error only needs to be `'static`.
#[test]
fn errors_of_any_type_are_classified() {
    struct Opaque(#[expect(dead_code, reason = "it is neither Send nor Sync")] *const ());
    fail(
        HttpStatus,
        Opaque(std::ptr::null()),
        Some("generate"),
        "opaque",
    );
    fail(HttpStatus, (), Some("generate"), "no error at all");
}

#[test]
fn a_classifier_can_downcast_the_error() {
    #[derive(Debug)]
    enum Mine {
        Quota,
        Decode,
        Gone,
        Other,
    }

    #[derive(Clone, Copy)]
    struct ByVariant;

    impl Classify for ByVariant {
        fn error(&self, error: &dyn Any, phase: Phase) -> Fault {
            match error.downcast_ref() {
                Some(Mine::Quota) => ErrorType::from_static("quota").into(),
                Some(Mine::Decode) => ErrorType::DESERIALIZATION.into(),
                Some(Mine::Gone) => Fault::Cancelled,
                Some(Mine::Other) | None => HttpStatus.error(error, phase),
            }
        }
    }

    fail(ByVariant, Mine::Quota, Some("quota"), "its own type");
    fail(ByVariant, Mine::Decode, Some("deserialization"), "built in");
    fail(ByVariant, Mine::Gone, None, "cancelled");
    fail(ByVariant, Mine::Other, Some("generate"), "as by default");
    fail(ByVariant, "text", Some("generate"), "another type");
}

/// The layer is outside of the timeout.
#[tokio::test(start_paused = true)]
async fn a_timeout_inside_the_layer_fails_the_call() {
    let stage = Stage::new();
    let service = ServiceBuilder::new()
        .layer(stage.layer.clone())
        .timeout(Duration::from_secs(5))
        .service(service_fn(|_| {
            pending::<Result<Response<Script>, Infallible>>()
        }));
    let error = service.oneshot(get()).await.map(drop).unwrap_err();
    assert!(error.is::<Elapsed>());
    stage.expect("inside", Failed("timeout").after(0));
}

#[tokio::test(start_paused = true)]
async fn a_timeout_outside_the_layer_cancels_the_call() {
    let stage = Stage::new();
    let service = ServiceBuilder::new()
        .timeout(Duration::from_secs(5))
        .layer(stage.layer.clone())
        .service(service_fn(|_| {
            pending::<Result<Response<Script>, Infallible>>()
        }));
    let error = service.oneshot(get()).await.map(drop).unwrap_err();
    assert!(error.is::<Elapsed>());
    stage.expect("outside", Cancelled.after(0));
}

#[tokio::test]
async fn load_shedding_inside_the_layer_fails_the_call() {
    let stage = Stage::new();
    let (busy, mut handle) = tower_test::mock::pair::<Request<_>, Response<Script>>();
    handle.allow(0);
    let service = ServiceBuilder::new()
        .layer(stage.layer.clone())
        .load_shed()
        .service(busy);
    let error = service.oneshot(get()).await.map(drop).unwrap_err();
    assert!(error.is::<Overloaded>());
    stage.expect("inside", Failed("overloaded").after(0));
}

#[tokio::test]
async fn load_shedding_outside_the_layer_is_not_counted() {
    let stage = Stage::new();
    let (busy, mut handle) = tower_test::mock::pair::<Request<_>, Response<Script>>();
    handle.allow(0);
    let service = ServiceBuilder::new()
        .load_shed()
        .layer(stage.layer.clone())
        .service(busy);
    let error = service.oneshot(get()).await.map(drop).unwrap_err();
    assert!(error.is::<Overloaded>());
    let numbers = Numbers::of(&stage.layer);
    assert_eq!((numbers.requests, numbers.concurrent), (0, 0));
}

/// The service reads a part of the request and never responds.
#[test]
fn a_future_dropped_during_an_upload_counts_its_bytes() {
    let stage = Stage::new();
    let mut service = ServiceBuilder::new()
        .layer(stage.layer.clone())
        .service(service_fn(async |request: Request<RequestBody<_>>| {
            super::support::take_frames(pin!(request.into_body()), 1);
            pending::<Result<Response<Script>, BoxError>>().await
        }));
    let mut future = task::spawn(service.call(Request::new(Full::<Bytes>::from("abc"))));
    assert_pending!(future.poll());
    drop(future);
    stage.expect("dropped", Cancelled.after(0).request_bytes(3));
}

#[test]
fn a_late_response_completes_the_call() {
    let stage = Stage::new();
    let answered = stage.call(get(), |_| {
        stage.clock.advance(SECOND * 3_600);
        Ok(Response::new(stage.empty()))
    });
    drop(answered);
    stage.expect("late", Completed.after(3_601));
}
