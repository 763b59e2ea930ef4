//! Answers that stay open by intent.

use super::{Answer, begin, get};
use crate::support::{Page, SECOND, take_to_end};
use http::{Response, StatusCode, header};
use http_body_util::Full;
use std::pin::pin;
use tower_openmetrics::labels::{LongLived, is_long_lived};
use tower_openmetrics::{Clock, MetricsLayer};

fn answer(
    layer: &MetricsLayer,
    change: impl Fn(&mut Response<Full<bytes::Bytes>>) + Clone,
) -> Answer {
    begin(layer, get("/"), move |_| {
        let mut response = Response::new(Full::from("hello"));
        change(&mut response);
        std::future::ready(Ok(response))
    })
}

#[test]
fn long_lived_answers_have_a_histogram_of_their_own() {
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
    // The upgrade took no time, the others 100 s.
    assert_eq!(
        (below(1.0), below(60.0), below(300.0), below(f64::INFINITY)),
        (1, 1, 4, 4)
    );
    assert_eq!(page.one("stream_duration_seconds_sum"), "300.0");
}

#[test]
fn they_are_told_apart_by_ones_own_function_and_buckets() {
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
fn without_being_asked_for_there_is_no_such_metric() {
    let page = Page::read(MetricsLayer::default().exporter());
    assert_eq!(page.all("stream_duration_seconds_count").count(), 0);
}
