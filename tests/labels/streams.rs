//! Responses that stay open by intent.

use super::{Answer, begin, call, get};
use crate::support::{Page, SECOND, panic_of, take_to_end};
use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use std::convert::Infallible;
use std::pin::pin;
use tower::{Layer, Service, service_fn};
use tower_openmetrics::labels::{LongLived, is_long_lived};
use tower_openmetrics::{Clock, MetricsLayer, MetricsLayerBuilder, RequestBody};

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

    let page = Page::read(layer.exporter());
    assert_eq!(page.integer("requests_total"), 5);
    assert_eq!(
        page.buckets("request_duration_seconds"),
        [(0.1, 0), (1.0, 1), (f64::INFINITY, 1)]
    );
    assert_eq!(page.one("request_duration_seconds_sum"), "1.0");
    let streams = page.buckets("stream_duration_seconds");
    let below = |bound| streams.iter().find(|(b, _)| *b == bound).unwrap().1;
    // The upgrade is not followed, so it is not timed.
    assert_eq!(
        (below(1.0), below(60.0), below(300.0), below(f64::INFINITY)),
        (0, 0, 3, 3)
    );
    assert_eq!(page.one("stream_duration_seconds_sum"), "300.0");
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
    let page = Page::read(layer.exporter());
    let bounds: Vec<f64> = page
        .buckets("stream_duration_seconds")
        .iter()
        .map(|(bound, _)| *bound)
        .collect();
    assert_eq!(bounds, [60.0, 3_600.0, f64::INFINITY]);
    assert_eq!(page.integer("stream_duration_seconds_count"), 1);
    assert_eq!(page.integer("request_duration_seconds_count"), 1);
}

#[test]
fn stream_durations_are_off_by_default() {
    let page = Page::read(MetricsLayer::default().exporter());
    assert_eq!(page.all("stream_duration_seconds_count").count(), 0);
}

fn watches() -> MetricsLayerBuilder {
    MetricsLayer::builder().stream_requests(|head| head.uri.query() == Some("watch=true"))
}

fn counts(layer: &MetricsLayer) -> [u64; 3] {
    let page = Page::read(layer.exporter());
    let names = [
        "requests_total",
        "request_duration_seconds_count",
        "stream_duration_seconds_count",
    ];
    names.map(|name| page.integer(name))
}

#[test]
fn the_request_head_can_mark_a_stream() {
    let layer = watches().build([("a", "1")]).unwrap();
    assert_eq!(counts(&layer), [0, 0, 0]);
    call(&layer, get("/?watch=true"));
    call(&layer, get("/?watch=false"));
    assert_eq!(counts(&layer), [2, 1, 1]);
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
    assert_eq!(counts(&layer), [2, 1, 1]);
    let page = Page::read(layer.exporter());
    assert_eq!(page.one("stream_duration_seconds_sum"), "1.0");
    assert_eq!(page.integer("cancellations_total"), 2);
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
    assert_eq!(counts(&layer), [4, 1, 3]);
}

#[test]
fn a_panic_in_a_stream_function_counts_as_a_panic() {
    let layer = MetricsLayer::builder().stream_requests(|_| panic!("a bug"));
    let layer = layer.build([("a", "1")]).unwrap();
    panic_of(|| call(&layer, get("/")));
    assert_eq!(counts(&layer), [1, 1, 0]);
    assert_eq!(Page::read(layer.exporter()).numbers().errors["panic"], 1);
}
