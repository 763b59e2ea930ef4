//! Sums of durations beyond 2^64 nanoseconds, or 584 years.

use crate::raw::{Raw, begin, builder, built};
use crate::support::{Page, now};
use http::Request;
use http::header::ACCEPT;
use http_body_util::BodyExt;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use tower::ServiceExt;
use tower_openmetrics::{Call, Clock, MetricsLayer};

/// A year and a fraction that rounding would lose.
const YEAR: Duration = Duration::from_nanos(365 * 24 * 3_600 * 1_000_000_000 + 7);
const AT_ONCE: u64 = 1_000;
const YEARS: u64 = 100;
const SHARES: u64 = 4;

/// Makes calls of a year each. Some end on this thread, some on a long-lived thread, and some on threads that end.
fn years(clock: Clock) -> MetricsLayer<Raw> {
    let (layer, service) = built(builder().clock(clock).native_histograms(true));
    let (calls, to_end) = mpsc::channel::<Vec<Call>>();
    let (told, ended) = mpsc::channel();
    let other = thread::spawn(move || {
        for calls in to_end {
            calls.into_iter().for_each(Call::complete);
            told.send(()).unwrap();
        }
    });
    let mut before = 0.0;
    for year in 1..=YEARS {
        let some = || {
            (0..AT_ONCE / SHARES)
                .map(|_| begin(service, "/"))
                .collect::<Vec<_>>()
        };
        let [here, there, first, second] = [some(), some(), some(), some()];
        clock.advance(YEAR);
        calls.send(there).unwrap();
        let threads = [first, second]
            .map(|calls| thread::spawn(move || calls.into_iter().for_each(Call::complete)));
        here.into_iter().for_each(Call::complete);
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
        ended.recv().unwrap();
        if year % 10 == 0 {
            let page = Page::read(layer.exporter());
            let sum: f64 = page.one("request_duration_seconds_sum").parse().unwrap();
            assert!(before < sum, "{before}, then {sum}");
            before = sum;
        }
    }
    drop(calls);
    other.join().unwrap();
    layer
}

#[test]
fn a_hundred_thousand_calls_of_a_year_each() {
    let layer = years(Clock::manual());
    let count = AT_ONCE * YEARS;
    let nanos = u128::from(count) * YEAR.as_nanos();
    assert!(nanos > 100 * u128::from(u64::MAX));
    let (seconds, rest) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
    let exact = format!("{seconds}.{rest:09}");
    let page = Page::read(layer.exporter());
    let sum = page.one("request_duration_seconds_sum");
    assert_eq!(sum, exact.trim_end_matches('0'));
    assert_eq!(page.integer("request_duration_seconds_count"), count);
    assert_eq!(
        page.buckets("request_duration_seconds").last(),
        Some(&(f64::INFINITY, count))
    );
    assert_eq!(
        protobuf_sum(&layer).is_none(),
        cfg!(not(feature = "protobuf"))
    );
    if let Some(sum) = protobuf_sum(&layer) {
        assert_eq!(sum, exact.parse::<f64>().unwrap());
    }
}

/// Returns the sum of the only histogram on the protobuf page, with the feature `protobuf`.
fn protobuf_sum(layer: &MetricsLayer<Raw>) -> Option<f64> {
    const TYPE: &str = "application/vnd.google.protobuf; \
        proto=io.prometheus.client.MetricFamily; encoding=delimited";
    let (exporter, request) = (
        layer.exporter(),
        Request::get("/metrics").header(ACCEPT, TYPE),
    );
    let read = move || {
        let Ok(response) = now(exporter.oneshot(request.body(()).unwrap()));
        let is_protobuf = response.headers()["content-type"]
            .to_str()
            .unwrap()
            .contains("protobuf");
        let page = now(response.into_body().collect()).unwrap().to_bytes();
        is_protobuf.then_some(page)
    };
    let page = thread::spawn(read).join().unwrap()?;
    // `sample_count` of 100,000 as a varint, then `sample_sum` as a double.
    let count = [0x08, 0xa0, 0x8d, 0x06, 0x11];
    let at = page
        .windows(5)
        .position(|bytes| bytes == count)
        .expect("a histogram");
    let sum = page[at + 5..at + 13].try_into().unwrap();
    Some(f64::from_le_bytes(sum))
}
