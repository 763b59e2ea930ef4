//! Responses that stay open by intent.

use super::{Answer, begin, call, get};
use crate::support::{SECOND, panic_of, take_to_end};
use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use std::convert::Infallible;
use std::pin::pin;
use tower::{Layer, Service, service_fn};
use tower_openmetrics::labels::{LongLived, is_long_lived};
use tower_openmetrics::testing::{ABSENT, Snapshot};
use tower_openmetrics::{Clock, MetricsLayer, MetricsLayerBuilder, RequestBody, assert_metrics};

fn answer(layer: &MetricsLayer, change: impl Fn(&mut Response<Full<Bytes>>) + Clone) -> Answer {
    begin(layer, get("/"), move |_| {
        let mut response = Response::new(Full::from("hello"));
        change(&mut response);
        std::future::ready(Ok(response))
    })
}

#[test]
fn long_lived_responses_have_their_own_histogram() {
    let clock = Clock::manual();
    let layer = MetricsLayer::builder()
        .clock(clock)
        .buckets([0.1, 1.0])
        .stream_duration_seconds(is_long_lived)
        .build([("a", "1")])
        .unwrap();
    let event_stream = |kind: &'static str| {
        move |response: &mut Response<_>| {
            response
                .headers_mut()
                .insert(header::CONTENT_TYPE, kind.parse().unwrap());
        }
    };
    let streams = [
        answer(&layer, event_stream("text/event-stream")),
        answer(&layer, event_stream("Text/Event-Stream; charset=utf-8")),
        answer(&layer, |response| {
            response.extensions_mut().insert(LongLived);
        }),
    ];
    let plain = answer(&layer, event_stream("text/event-stream-not"));
    clock.advance(SECOND);
    take_to_end(pin!(plain.into_body()));
    clock.advance(99 * SECOND);
    for stream in streams {
        take_to_end(pin!(stream.into_body()));
    }
    drop(answer(&layer, |response| {
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    }));

    // The upgrade is not followed, so it is not timed.
    assert_metrics!(Snapshot::of(layer.registry()), {
        "requests_total" {a = "1"} => 5,
        "request_duration_seconds" {a = "1"} => [1.0],
        "request_duration_seconds_sum" {a = "1"} => 1,
        "stream_duration_seconds" {a = "1"} => [100.0, 100.0, 100.0],
        "stream_duration_seconds_sum" {a = "1"} => 300,
    });
}

#[test]
fn streams_can_have_their_own_function_and_buckets() {
    let layer = MetricsLayer::builder()
        .stream_duration_seconds(|head| head.status == StatusCode::ACCEPTED)
        .stream_buckets([60.0, 3_600.0])
        .build([("a", "1")])
        .unwrap();
    drop(answer(&layer, |response| {
        *response.status_mut() = StatusCode::ACCEPTED;
    }));
    drop(answer(&layer, |_| ()));
    // Both last no time, so each of the three buckets has the stream.
    assert_metrics!(Snapshot::of(layer.registry()), {
        "stream_duration_seconds_bucket" {a = "1", le = "60.0"} => 1,
        "stream_duration_seconds_bucket" {a = "1", le = "3600.0"} => 1,
        "stream_duration_seconds_bucket" => 3,
        "request_duration_seconds_count" {a = "1"} => 1,
    });
}

#[test]
fn stream_durations_are_off_by_default() {
    let layer = MetricsLayer::default();
    assert_metrics!(Snapshot::of(layer.registry()), { "stream_duration_seconds_count" => ABSENT });
}

fn watches() -> MetricsLayerBuilder {
    MetricsLayer::builder().stream_requests(|head| head.uri.query() == Some("watch=true"))
}

#[track_caller]
fn assert_counts(layer: &MetricsLayer, [requests, durations, streams]: [u64; 3]) {
    assert_metrics!(Snapshot::of(layer.registry()), {
        "requests_total" => requests,
        "request_duration_seconds_count" => durations,
        "stream_duration_seconds_count" => streams,
    });
}

#[test]
fn the_request_head_can_mark_a_stream() {
    let layer = watches().build([("a", "1")]).unwrap();
    assert_counts(&layer, [0, 0, 0]);
    call(&layer, get("/?watch=true"));
    call(&layer, get("/?watch=false"));
    assert_counts(&layer, [2, 1, 1]);
}

/// A client leaves a long poll before the response.
#[test]
fn a_marked_request_is_a_stream_without_a_response() {
    let clock = Clock::manual();
    let layer = watches().clock(clock).build([("a", "1")]).unwrap();
    let mut service = layer.layer(service_fn(async |_: Request<RequestBody<Full<Bytes>>>| {
        std::future::pending::<Result<Response<Full<Bytes>>, Infallible>>().await
    }));
    for uri in ["/?watch=true", "/"] {
        let mut answer = tokio_test::task::spawn(service.call(get(uri)));
        assert!(answer.poll().is_pending());
        clock.advance(SECOND);
        drop(answer);
    }
    assert_counts(&layer, [2, 1, 1]);
    assert_metrics!(Snapshot::of(layer.registry()), {
        "stream_duration_seconds_sum" {a = "1"} => 1,
        "cancellations_total" {a = "1"} => 2,
    });
}

#[test]
fn either_head_can_mark_a_stream() {
    let layer = watches().stream_duration_seconds(is_long_lived);
    let layer = layer.build([("a", "1")]).unwrap();
    let events = |uri| {
        let answer = begin(&layer, get(uri), |_| {
            let mut response = Response::new(Full::from("hello"));
            response.extensions_mut().insert(LongLived);
            std::future::ready(Ok(response))
        });
        take_to_end(pin!(answer.into_body()));
    };
    events("/");
    events("/?watch=true");
    call(&layer, get("/?watch=true"));
    call(&layer, get("/"));
    assert_counts(&layer, [4, 1, 3]);
}

#[test]
fn a_panic_in_a_stream_function_counts_as_a_panic() {
    let layer = MetricsLayer::builder().stream_requests(|_| panic!("a bug"));
    let layer = layer.build([("a", "1")]).unwrap();
    panic_of(|| call(&layer, get("/")));
    assert_counts(&layer, [1, 1, 0]);
    assert_metrics!(Snapshot::of(layer.registry()), {
        "errors_total" {a = "1", error_type = "panic"} => 1,
    });
}
