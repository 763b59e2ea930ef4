//! What a request costs: the same ready service with and without the layer,
//! its body of 1 KiB drained to the end.
//!
//! `cargo bench --bench overhead`. Compare rows of one run; the difference of
//! the medians is the layer's price.

use bytes::Bytes;
use divan::Bencher;
use divan::counter::ItemsCount;
use http::{Request, Response};
use http_body_util::Full;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use tower::util::ServiceFn;
use tower::{Layer, Service, service_fn};
use tower_openmetrics::MetricsLayer;

#[global_allocator]
static ALLOCATOR: divan::AllocProfiler = divan::AllocProfiler::system();

const CALLS: usize = 1_000;
static PAYLOAD: [u8; 1024] = [7; 1024];

fn main() {
    divan::main();
}

type Answer = Ready<Result<Response<Full<Bytes>>, Infallible>>;

/// Answers at once; asks nothing of the request's body.
fn answering<B>() -> ServiceFn<impl Fn(Request<B>) -> Answer + Copy> {
    service_fn(|request: Request<B>| {
        drop(black_box(request));
        ready(Ok(Response::new(Full::new(Bytes::from_static(&PAYLOAD)))))
    })
}

/// One call, from the clone that a server makes of its service to the end of
/// the response's body.
fn call<S, R, B>(service: &S, request: R)
where
    S: Service<R, Response = Response<B>> + Clone,
    B: http_body::Body,
{
    let mut cx = Context::from_waker(Waker::noop());
    let mut service = service.clone();
    let mut future = pin!(service.call(request));
    let Poll::Ready(Ok(response)) = future.as_mut().poll(&mut cx) else {
        unreachable!("the service answers at once");
    };
    let mut body = pin!(response.into_body());
    while let Poll::Ready(Some(frame)) = body.as_mut().poll_frame(&mut cx) {
        let _ = black_box(frame);
    }
}

fn run<S, R, B>(bencher: Bencher<'_, '_>, service: S, request: impl Fn() -> R + Sync)
where
    S: Service<R, Response = Response<B>> + Clone + Send + Sync,
    B: http_body::Body,
{
    bencher.counter(ItemsCount::new(CALLS)).bench(|| {
        for _ in 0..CALLS {
            call(&service, request());
        }
    });
}

fn get() -> Request<Full<Bytes>> {
    Request::new(Full::default())
}

fn post() -> Request<Full<Bytes>> {
    Request::new(Full::new(Bytes::from_static(&PAYLOAD)))
}

#[divan::bench(threads = [1, 2])]
fn without(bencher: Bencher<'_, '_>) {
    run(bencher, answering(), get);
}

#[divan::bench(threads = [1, 2])]
fn with_layer(bencher: Bencher<'_, '_>) {
    let layer = MetricsLayer::new([("endpoint", "a")]);
    run(bencher, layer.layer(answering()), get);
}

#[divan::bench(threads = [1, 2])]
fn with_layer_and_upload(bencher: Bencher<'_, '_>) {
    let layer = MetricsLayer::new([("endpoint", "a")]);
    run(bencher, layer.layer(answering()), post);
}
