//! The position of the layer among others decides what it sees.

use crate::wire_support::{Handler, Numbers, Scripted, Step, data};
use bytes::Bytes;
use futures_util::{FutureExt, stream};
use http::{Request, Response, StatusCode, header};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, StreamBody};
use std::convert::Infallible;
use std::time::Duration;
use tower::limit::ConcurrencyLimit;
use tower::load_shed::LoadShedLayer;
use tower::timeout::TimeoutLayer as TimeoutErrorLayer;
use tower::{Service, ServiceExt};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::timeout::{RequestBodyTimeoutLayer, ResponseBodyTimeoutLayer, TimeoutLayer};
use tower_layer::Layer;
use tower_openmetrics::{ErrorType, MetricsLayer};

/// The body of every request. It never yields a frame and never ends.
type Endless = StreamBody<stream::Pending<Result<Frame<Bytes>, Infallible>>>;

const MOMENT: Duration = Duration::from_secs(1);

fn request() -> Request<Endless> {
    Request::post("/")
        .header(header::ACCEPT_ENCODING, "gzip")
        .body(StreamBody::new(stream::pending()))
        .unwrap()
}

/// Makes one call. Returns the length of the response body if it was received completely.
async fn ask<S, B>(service: S) -> Option<usize>
where
    S: Service<Request<Endless>, Response = Response<B>>,
    B: Body,
{
    let response = service.oneshot(request()).await.ok()?;
    let body = response.into_body().collect().await.ok()?;
    Some(body.to_bytes().len())
}

/// Returns two layers, one for each position.
fn two() -> (MetricsLayer, MetricsLayer) {
    (MetricsLayer::default(), MetricsLayer::default())
}

async fn assert_numbers(outside: (&MetricsLayer, Numbers), inside: (&MetricsLayer, Numbers)) {
    assert_eq!(Numbers::of(outside.0).await, outside.1, "outside");
    assert_eq!(Numbers::of(inside.0).await, inside.1, "inside");
}

#[tokio::test(start_paused = true)]
async fn a_timeout_that_responds() {
    let (outside, inside) = two();
    let timeout = TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, MOMENT);
    ask(outside.layer(timeout.layer(Handler::hangs()))).await;
    ask(timeout.layer(inside.layer(Handler::hangs()))).await;
    assert_numbers(
        (&outside, Numbers::failed(ErrorType::TIMEOUT)),
        (&inside, Numbers::cancelled()),
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_timeout_that_is_an_error() {
    let (outside, inside) = two();
    let timeout = TimeoutErrorLayer::new(MOMENT);
    ask(outside.layer(timeout.layer(Handler::hangs()))).await;
    ask(timeout.layer(inside.layer(Handler::hangs()))).await;
    assert_numbers(
        (&outside, Numbers::failed(ErrorType::TIMEOUT)),
        (&inside, Numbers::cancelled()),
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_timeout_of_the_response_body() {
    let (outside, inside) = two();
    let timeout = ResponseBodyTimeoutLayer::new(MOMENT);
    let half = || Handler::sends(Scripted::new([data("abc"), Step::Hang]));
    ask(outside.layer(timeout.layer(half()))).await;
    ask(timeout.layer(inside.layer(half()))).await;
    assert_numbers(
        (&outside, Numbers::failed(ErrorType::TIMEOUT).taken(3)),
        (&inside, Numbers::cancelled().taken(3)),
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_timeout_of_the_request_body() {
    let (outside, inside) = two();
    let timeout = RequestBodyTimeoutLayer::new(MOMENT);
    let reader = || Handler::sends(Scripted::default()).reads_all();
    ask(outside.layer(timeout.layer(reader()))).await;
    ask(timeout.layer(inside.layer(reader()))).await;
    assert_numbers(
        // Only the handler sees the error, and it responds with 200.
        (&outside, Numbers::completed()),
        (&inside, Numbers::failed(ErrorType::TIMEOUT)),
    )
    .await;
}

#[tokio::test]
async fn load_shedding() {
    let (outside, inside) = two();
    let full = ConcurrencyLimit::new(Handler::hangs(), 1);
    let mut first = Box::pin(full.clone().oneshot(request()));
    assert!(first.as_mut().now_or_never().is_none());
    let shed = LoadShedLayer::new();
    ask(outside.layer(shed.layer(full.clone()))).await;
    ask(shed.layer(inside.layer(full))).await;
    assert_numbers(
        (&outside, Numbers::failed(ErrorType::OVERLOADED)),
        // The inner layer is never called.
        (&inside, Numbers::default()),
    )
    .await;
}

#[tokio::test]
async fn caught_panics() {
    let (outside, inside) = two();
    let catch = CatchPanicLayer::new();
    let received = ask(outside.layer(catch.layer(Handler::panics()))).await;
    ask(catch.layer(inside.layer(Handler::panics()))).await;
    let explanation = received.expect("a 500 that says why") as u64;
    assert_numbers(
        (
            &outside,
            Numbers::failed(ErrorType::GENERATE).taken(explanation),
        ),
        (&inside, Numbers::failed(ErrorType::PANIC)),
    )
    .await;
}

#[tokio::test]
async fn compression() {
    const PLAIN: usize = 5_000;
    let (outside, inside) = two();
    let compress = CompressionLayer::new();
    let body = Scripted::new([Step::Data(vec![b'x'; PLAIN].into())]);
    let plain = Handler::sends(body.exact(PLAIN as u64));
    let compressed = ask(outside.layer(compress.layer(plain.clone()))).await;
    ask(compress.layer(inside.layer(plain.clone()))).await;
    let compressed = compressed.expect("a body");
    assert!(compressed < PLAIN / 10, "{compressed}");
    assert_numbers(
        (&outside, Numbers::completed().taken(compressed as u64)),
        (&inside, Numbers::completed().taken(PLAIN as u64)),
    )
    .await;
}
