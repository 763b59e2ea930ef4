use super::support::{Step, poll_frame, take_to_end};
use super::{Stage, seconds};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Request, Response};
use http_body_util::Empty;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use tower::{Layer, ServiceExt, service_fn};
use tower_openmetrics::testing::Snapshot;
use tower_openmetrics::{Clock, MetricsLayer, MetricsLayerBuilder, RequestBody, assert_metrics};

fn all<P>(builder: MetricsLayerBuilder<P>) -> MetricsLayerBuilder<P> {
    builder
        .handler_poll_seconds(true)
        .handler_poll_buckets([1.0, 2.0, 3.0, 5.0, 10.0])
        .slow_polls_total(seconds(2))
}

#[test]
fn the_time_of_all_polls_is_recorded_at_the_end() {
    let stage = Stage::new(all);
    // `Service::call` takes a second, and so does each frame.
    let mut body = pin!(stage.call(["a", "b"].map(Step::Data)));
    poll_frame(body.as_mut());
    stage.clock.advance(seconds(100)); // not in a poll
    assert_metrics!(stage.numbers(), { "handler_poll_seconds" => [] });
    take_to_end(body);
    assert_metrics!(stage.numbers(), {
        "handler_poll_seconds" => [3.0],
        "handler_poll_seconds_sum" => 3,
        "request_duration_seconds_sum" => 103,
        "slow_polls_total" => 0,
    });
}

/// A handler that waits between two polls, each of which takes `poll` seconds.
fn waits_between(clock: Clock, layer: &MetricsLayer, poll: u64) {
    let service = layer.layer(service_fn(move |_: Request<RequestBody<Empty<Bytes>>>| {
        let mut polls = 0;
        poll_fn(move |_| {
            clock.advance(seconds(poll));
            polls += 1;
            match polls {
                1 => Poll::Pending,
                _ => Poll::Ready(Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))),
            }
        })
    }));
    let mut future = pin!(service.oneshot(Stage::request()));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(future.as_mut().poll(&mut cx).is_pending());
    clock.advance(seconds(50));
    assert!(future.as_mut().poll(&mut cx).is_ready());
}

#[test]
fn waiting_is_no_polling() {
    let stage = Stage::new(all);
    waits_between(stage.clock, &stage.layer, 1);
    assert_metrics!(stage.numbers(), {
        "handler_poll_seconds" => [2.0],
        "slow_polls_total" => 0,
        "request_duration_seconds_sum" => 52,
    });
}

#[test]
fn each_poll_that_reaches_the_bound_is_slow() {
    let stage = Stage::new(all);
    waits_between(stage.clock, &stage.layer, 2);
    assert_metrics!(stage.numbers(), { "handler_poll_seconds" => [4.0], "slow_polls_total" => 2 });
}

/// A handler that never ends is found by its slow polls.
#[test]
fn slow_polls_count_at_once() {
    let stage = Stage::new(all);
    let clock = stage.clock;
    let service = stage
        .layer
        .layer(service_fn(async |_: Request<RequestBody<Empty<Bytes>>>| {
            clock.advance(seconds(2));
            std::future::pending::<Result<Response<Empty<Bytes>>, Infallible>>().await
        }));
    let mut future = pin!(service.oneshot(Stage::request()));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(future.as_mut().poll(&mut cx).is_pending());
    assert_metrics!(stage.numbers(), {
        "slow_polls_total" => 1,
        "requests_total" => 0,
        "handler_poll_seconds" => [],
    });
}

#[test]
fn cancelled_and_failed_calls_have_their_polls() {
    let stage = Stage::new(all);
    drop(stage.call([Step::Data("a")]));
    take_to_end(pin!(stage.call([Step::Fail(|| "no".into())])));
    // A poll that panics is not timed.
    super::support::panic_of(|| take_to_end(pin!(stage.call([Step::Panic]))));
    assert_metrics!(stage.numbers(), {
        "handler_poll_seconds" => [1.0, 2.0, 1.0],
        "requests_total" => 3,
    });
}

#[test]
fn a_slot_that_was_used_before_starts_from_nothing() {
    let stage = Stage::new(all);
    take_to_end(pin!(stage.call(["a", "b"].map(Step::Data))));
    take_to_end(pin!(stage.call([])));
    assert_metrics!(stage.numbers(), { "handler_poll_seconds" => [3.0, 1.0] });
}

#[test]
fn polls_of_streams_are_timed_and_those_of_sinks_are_not() {
    let clock = Clock::manual();
    let layer = all(MetricsLayer::streaming_builder()).clock(clock);
    let layer = layer.build(()).unwrap();
    let service = layer.layer(service_fn(async |_: ()| {
        let items = stream::iter(["to", "be"]);
        Ok::<_, Infallible>(items.inspect(move |_| clock.advance(seconds(1))))
    }));
    let items = super::now(service.clone().oneshot(())).unwrap();
    super::now(items.count());
    let items = super::now(service.oneshot(())).unwrap();
    let sink = futures_util::sink::drain();
    let sink = futures_util::SinkExt::with(sink, move |_: &str| {
        clock.advance(seconds(10));
        std::future::ready(Ok::<_, Infallible>(()))
    });
    super::now(items.publish(sink)).unwrap();
    assert_metrics!(Snapshot::of(layer.registry()), { "handler_poll_seconds" => [2.0, 2.0] });
}
