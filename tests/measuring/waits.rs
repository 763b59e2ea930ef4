use super::support::{SECOND, now};
use super::{Stage, seconds};
use bytes::Bytes;
use futures_util::poll;
use http::{Request, Response};
use http_body_util::Empty;
use std::convert::Infallible;
use std::time::{SystemTime, UNIX_EPOCH};
use tower::limit::ConcurrencyLimit;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_openmetrics::labels::Label;
use tower_openmetrics::protocol::Unary;
use tower_openmetrics::testing::Snapshot;
use tower_openmetrics::{Clock, Metrics, MetricsLayer, assert_metrics};

type Answer = Result<(), Infallible>;

/// A service with one place behind a layer that times waits.
fn limited(
    clock: Clock,
) -> (
    MetricsLayer<Unary>,
    Metrics<
        impl Service<(), Response = (), Error = Infallible, Future: Future<Output = Answer>> + Clone,
        Unary,
    >,
) {
    let builder = MetricsLayer::unary_builder()
        .clock(clock)
        .ready_wait_seconds(true);
    let layer = builder
        .ready_wait_buckets([1.0, 2.0, 5.0])
        .build(())
        .unwrap();
    let service = service_fn(async |()| Answer::Ok(()));
    (
        layer.clone(),
        layer.layer(ConcurrencyLimit::new(service, 1)),
    )
}

#[tokio::test]
async fn a_wait_lasts_until_the_call() {
    let clock = Clock::manual();
    let (layer, service) = limited(clock);
    let (mut first, mut second) = (service.clone(), service);
    first.ready().await.unwrap();
    let numbers = || Snapshot::of(layer.registry());
    assert_metrics!(numbers(), { "waiting_requests" => 0, "ready_wait_seconds" => [] });

    assert!(poll!(second.ready()).is_pending());
    clock.advance(SECOND);
    assert!(poll!(second.ready()).is_pending());
    assert_metrics!(numbers(), { "waiting_requests" => 1, "ready_wait_seconds" => [] });

    first.call(()).await.unwrap();
    clock.advance(SECOND);
    second.ready().await.unwrap();
    assert_metrics!(numbers(), { "waiting_requests" => 1 });
    let call = second.call(());
    assert_metrics!(numbers(), {
        "waiting_requests" => 0,
        "ready_wait_seconds" => [2.0],
        "abandoned_waits_total" => 0,
        "concurrent_requests" => 1,
    });
    call.await.unwrap();
}

#[tokio::test]
async fn a_wait_that_is_given_up_is_counted() {
    let clock = Clock::manual();
    let (layer, service) = limited(clock);
    let mut first = service.clone();
    first.ready().await.unwrap();
    let mut second = service.clone();
    assert!(poll!(second.ready()).is_pending());
    // A clone waits on its own.
    let third = second.clone();
    clock.advance(SECOND);
    drop((second, third));
    assert_metrics!(Snapshot::of(layer.registry()), {
        "waiting_requests" => 0,
        "abandoned_waits_total" => 1,
        "ready_wait_seconds" => [1.0],
        "requests_total" => 0,
    });
    // The inner service goes on without its wait.
    let mut fourth = service.clone();
    assert!(poll!(fourth.ready()).is_pending());
    let _inner = fourth.into_inner();
    assert_metrics!(Snapshot::of(layer.registry()), { "abandoned_waits_total" => 2, "waiting_requests" => 0 });
}

#[tokio::test]
async fn a_service_that_fails_while_it_gets_ready_has_no_call() {
    #[derive(Clone)]
    struct Fails(bool);
    impl Service<()> for Fails {
        type Response = ();
        type Error = &'static str;
        type Future = std::future::Ready<Result<(), &'static str>>;

        fn poll_ready(
            &mut self,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Result<(), &'static str>> {
            match std::mem::replace(&mut self.0, true) {
                false => std::task::Poll::Pending,
                true => std::task::Poll::Ready(Err("no")),
            }
        }

        fn call(&mut self, (): ()) -> Self::Future {
            unreachable!()
        }
    }
    let layer = MetricsLayer::unary_builder()
        .ready_wait_seconds(true)
        .build(())
        .unwrap();
    let mut service = layer.layer(Fails(false));
    assert!(poll!(service.ready()).is_pending());
    assert!(service.ready().await.is_err());
    // Even if the service is kept.
    assert_metrics!(Snapshot::of(layer.registry()), {
        "waiting_requests" => 0,
        "abandoned_waits_total" => 1,
        "requests_total" => 0,
    });
}

/// There is no request yet whose labels a wait could have.
#[tokio::test]
async fn waits_have_constant_labels_only_and_are_there_from_the_start() {
    let builder = MetricsLayer::builder()
        .label(Label::method())
        .ready_wait_seconds(true);
    let layer = builder.build([("endpoint", "a")]).unwrap();
    let numbers = || Snapshot::of(layer.registry());
    assert_metrics!(numbers(), {
        "waiting_requests" {endpoint = "a"} => 0,
        "abandoned_waits_total" {endpoint = "a"} => 0,
        "ready_wait_seconds" {endpoint = "a"} => [],
    });
    let service =
        service_fn(async |_: Request<_>| Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())));
    let service = layer.layer(ConcurrencyLimit::new(service, 1));
    let (mut first, mut second) = (service.clone(), service);
    first.ready().await.unwrap();
    assert!(poll!(second.ready()).is_pending());
    drop(first.call(Request::new(Empty::<Bytes>::new())).await);
    second.ready().await.unwrap();
    drop(second.call(Request::new(Empty::<Bytes>::new())).await);
    assert_metrics!(numbers(), {
        "ready_wait_seconds_count" {endpoint = "a"} => 1,
        "requests_total" {endpoint = "a", method = "GET"} => 2,
    });
}

/// A wait may outlive its layer and registry.
#[tokio::test]
async fn a_wait_without_its_layer_ends_quietly() {
    let (layer, service) = limited(Clock::manual());
    let mut first = service.clone();
    first.ready().await.unwrap();
    let mut second = service;
    assert!(poll!(second.ready()).is_pending());
    drop(layer);
    drop(second);
}

/// Calls with this header, of a proxy that has taken the request so many milliseconds ago.
fn queued(stage: &Stage, header: &str) {
    let service =
        service_fn(async |_: Request<_>| Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())));
    let request = Request::get("/").header("X-Request-Start", header);
    let request = request.body(Empty::<Bytes>::new()).unwrap();
    drop(now(stage.layer.layer(service).oneshot(request)));
}

#[test]
fn the_wait_in_a_proxys_queue_is_read_in_all_spellings() {
    let stage = Stage::new(|builder| {
        builder
            .queue_wait_seconds(true)
            .queue_wait_buckets([1.0, 600.0, 3_600.0])
    });
    let ago = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() - seconds(300);
    let (millis, micros) = (ago.as_millis(), ago.as_micros());
    for header in [
        format!("t={}.{:03}", millis / 1_000, millis % 1_000),
        format!("{millis}"),
        format!("t={micros}"),
    ] {
        queued(&stage, &header);
    }
    assert_metrics!(stage.numbers(), { "queue_wait_seconds" => [300.0, 300.0, 300.0] });
}

#[test]
fn nonsense_and_times_in_the_future_are_no_waits() {
    let stage = Stage::new(|builder| builder.queue_wait_seconds(true));
    let soon = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + seconds(300);
    for header in ["", "soon", "t=", "-5", "1", &soon.as_millis().to_string()] {
        queued(&stage, header);
    }
    assert_metrics!(stage.numbers(), { "queue_wait_seconds" => [], "requests_total" => 6 });
}
