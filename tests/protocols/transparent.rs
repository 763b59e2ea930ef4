//! Readiness, errors, clones and auto traits pass through unchanged.

use super::streams_support::{Numbers, Stage, now};
use bytes::Bytes;
use futures_util::stream::{self, Empty, Iter};
use http::{Request, Response};
use http_body_util::Full;
use std::fmt::Debug;
use std::future::Ready;
use std::sync::Arc;
use std::{error, fmt};
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok};
use tower::{BoxError, Layer};
use tower_openmetrics::classify::HttpStatus;
use tower_openmetrics::message::Own;
use tower_openmetrics::protocol::{Answer, Http, Many, PassHandle, Protocol, Streaming, Unary};
use tower_openmetrics::publish::Publish;
use tower_openmetrics::{
    Call, CallHandle, Metrics, MetricsExporter, MetricsLayer, MetricsLayerBuilder, MetricsRegistry,
    RequestBody, RequestStream, ResponseBody, ResponseFuture, ResponseStream,
};
use tower_test::mock::{self, Handle, Mock, Spawn};

/// An error with an identity.
#[derive(Clone, Debug)]
struct Marked(Arc<()>);

impl fmt::Display for Marked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("marked")
    }
}

impl error::Error for Marked {}

impl Marked {
    fn new() -> Self {
        Self(Arc::new(()))
    }

    #[track_caller]
    fn assert_is(&self, error: &BoxError) {
        let found = error.downcast_ref::<Self>().expect("the mark");
        assert!(Arc::ptr_eq(&self.0, &found.0), "another error");
    }
}

type Mocked<T, U, P> = (Spawn<Metrics<Mock<T, U>, P>>, Handle<T, U>);

/// Runs all checks for one protocol.
fn check<P, R, U>(
    builder: fn() -> MetricsLayerBuilder<P>,
    request: fn() -> R,
    response: fn() -> U,
    answered: Numbers,
) where
    P: Protocol<R> + Answer<U, BoxError>,
    <P as Answer<U, BoxError>>::Response: Debug,
{
    check_stage(|| Stage::new(builder()), request, response, answered);
}

/// The same, of a layer that is built already.
fn check_stage<P, R, U>(
    stage: impl Fn() -> Stage<P>,
    request: fn() -> R,
    response: fn() -> U,
    answered: Numbers,
) where
    P: Protocol<R> + Answer<U, BoxError>,
    <P as Answer<U, BoxError>>::Response: Debug,
{
    is_ready_when_the_service_is(&stage(), request, response, &answered);
    errors_are_the_services_own(&stage(), request);
    clones_are_ready_each_for_itself(&stage(), request, response, answered);
}

fn mocked<P, R, U>(stage: &Stage<P>) -> Mocked<P::Request, U, P>
where
    P: Protocol<R> + Answer<U, BoxError>,
{
    let (service, handle) = mock::pair();
    (Spawn::new(stage.layer.layer(service)), handle)
}

fn is_ready_when_the_service_is<P, R, U>(
    stage: &Stage<P>,
    request: fn() -> R,
    response: fn() -> U,
    answered: &Numbers,
) where
    P: Protocol<R> + Answer<U, BoxError>,
{
    let (mut service, mut handle) = mocked::<P, R, U>(stage);
    handle.allow(0);
    assert_pending!(service.poll_ready::<R>());
    assert!(!service.is_woken());
    handle.allow(1);
    assert!(service.is_woken(), "by the service itself");
    assert_ready_ok!(service.poll_ready::<R>());
    stage.expect("readiness is no call", &Numbers::none());

    let future = service.call(request());
    assert_eq!(stage.numbers().concurrent, 1);
    assert_pending!(service.poll_ready::<R>());
    let (_, send) = now(handle.next_request()).unwrap();
    send.send_response(response());
    drop(now(future).map_err(drop).unwrap());
    stage.expect("answered", answered);
}

fn errors_are_the_services_own<P, R, U>(stage: &Stage<P>, request: fn() -> R)
where
    P: Protocol<R> + Answer<U, BoxError>,
    <P as Answer<U, BoxError>>::Response: Debug,
{
    let (mut service, mut handle) = mocked::<P, R, U>(stage);
    let (of_the_call, of_readiness) = (Marked::new(), Marked::new());
    assert_ready_ok!(service.poll_ready::<R>());
    let future = service.call(request());
    let (_, send) = now(handle.next_request()).unwrap();
    send.send_error(of_the_call.clone());
    of_the_call.assert_is(&now(future).unwrap_err());

    handle.send_error(of_readiness.clone());
    of_readiness.assert_is(&assert_ready_err!(service.poll_ready::<R>()));
    let numbers = stage.numbers();
    assert_eq!((numbers.requests, numbers.errors["generate"]), (1, 1));
}

/// Each clone has the readiness of its own service. All clones share the series.
fn clones_are_ready_each_for_itself<P, R, U>(
    stage: &Stage<P>,
    request: fn() -> R,
    response: fn() -> U,
    answered: Numbers,
) where
    P: Protocol<R> + Answer<U, BoxError>,
{
    let (mut service, mut handle) = mocked::<P, R, U>(stage);
    let mut clone = service.clone();
    handle.allow(1);
    assert_ready_ok!(service.poll_ready::<R>());
    handle.allow(0);
    assert_pending!(clone.poll_ready::<R>());
    assert_ready_ok!(service.poll_ready::<R>());
    handle.allow(2);
    assert_ready_ok!(clone.poll_ready::<R>());

    let futures = [service.call(request()), clone.call(request())];
    assert_eq!(stage.numbers().concurrent, 2);
    drop((service, clone));
    for future in futures {
        let (_, send) = now(handle.next_request()).unwrap();
        send.send_response(response());
        drop(now(future).map_err(drop).unwrap());
    }
    let twice = stage.numbers();
    assert_eq!(twice.requests, 2 * answered.requests);
    assert_eq!(twice.cancellations, 2 * answered.cancellations);
    assert_eq!(twice.request.bytes, 2 * answered.request.bytes);
    assert_eq!(twice.concurrent, 0);
}

#[test]
fn http() {
    let request = || Request::new(Full::<Bytes>::from("abc"));
    let response = || Response::new(Full::<Bytes>::default());
    let answered = Numbers::completed(0).head_after(0);
    let builder = || MetricsLayer::protocol_builder(Http::default());
    check(builder, request, response, answered);
}

#[test]
fn unary() {
    let answered = Numbers::completed(0)
        .request(3, 1)
        .response(2, 1)
        .head_after(0)
        .first_byte_after(0);
    check(MetricsLayer::unary_builder, || "abc", || "de", answered);
}

#[test]
fn streaming() {
    let answered = Numbers::cancelled(0).request(3, 1).head_after(0);
    let response = || stream::iter(["de"]);
    check(
        MetricsLayer::streaming_builder,
        || "abc",
        response,
        answered,
    );
}

#[test]
fn request_streams() {
    let request = || stream::iter(["abc"]);
    let answered = Numbers::completed(0).response(2, 1).head_after(0);
    check(
        || MetricsLayer::unary_builder().request_streams(Own),
        request,
        || "de",
        answered.first_byte_after(0),
    );
    let answered = Numbers::cancelled(0).head_after(0);
    check(
        || MetricsLayer::streaming_builder().request_streams(Own),
        request,
        || stream::iter(["de"]),
        answered,
    );
}

#[test]
fn pass_handle() {
    type Asked = (u8, Option<CallHandle>);
    check_stage(
        || {
            Stage::new(MetricsLayer::unary_builder().measure_requests(|_: &Asked| 1))
                .pass_handle(|request: &mut Asked, call| request.1 = Some(call))
        },
        || (0, None),
        || "de",
        Numbers::completed(0)
            .request(1, 1)
            .response(2, 1)
            .head_after(0)
            .first_byte_after(0),
    );
}

#[test]
fn send_sync_and_unpin_are_kept() {
    fn shared<T: Send + Sync + Unpin + 'static>() {}
    fn sent<T: Send + Unpin + 'static>() {}

    type Pass = PassHandle<Http, fn(&mut Request<()>, CallHandle)>;
    type Items = Iter<std::vec::IntoIter<String>>;
    type Sink = Vec<String>;

    shared::<MetricsLayer>();
    shared::<MetricsLayer<Unary>>();
    shared::<MetricsLayer<Streaming>>();
    shared::<MetricsLayer<Streaming<Many>>>();
    shared::<MetricsLayer<Pass>>();
    shared::<MetricsLayerBuilder>();
    shared::<MetricsRegistry>();
    shared::<MetricsExporter>();
    shared::<Metrics<()>>();
    shared::<Metrics<(), Unary>>();
    shared::<Metrics<(), Streaming>>();
    shared::<Metrics<(), Pass>>();
    shared::<Call>();
    shared::<CallHandle>();
    shared::<ResponseFuture<Ready<()>, Http>>();
    shared::<ResponseFuture<Ready<()>, Streaming>>();
    shared::<RequestBody<Full<Bytes>>>();
    shared::<ResponseBody<Full<Bytes>>>();
    shared::<RequestStream<Items>>();
    shared::<ResponseStream<Items>>();
    shared::<ResponseStream<Empty<String>>>();
    shared::<Publish<Items, Sink, Own, HttpStatus>>();
    // Types that are only `Send` stay `Send`.
    sent::<ResponseStream<futures_util::stream::BoxStream<'static, String>>>();
    sent::<ResponseFuture<futures_util::future::BoxFuture<'static, ()>, Unary>>();
}
