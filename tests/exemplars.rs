//! Buckets show the latest traced call in them.

mod support;

use self::support::{SECOND, now, page_of, take_to_end};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};
use tower::{Layer, Service, service_fn};
use tower_openmetrics::labels::is_long_lived;
use tower_openmetrics::{Clock, MetricsLayer, MetricsLayerBuilder, TraceContext};

const OPEN_METRICS: &str = "application/openmetrics-text";

fn builder(clock: Clock) -> MetricsLayerBuilder {
    MetricsLayer::builder()
        .clock(clock)
        .buckets([0.1, 1.0])
        .exemplars(TraceContext::from_traceparent)
}

fn traceparent(trace: u128, span: u64, flags: u8) -> String {
    format!("00-{trace:032x}-{span:016x}-{flags:02x}")
}

/// A call that lasts so long.
fn call(layer: &MetricsLayer, clock: Clock, header: Option<&str>, lasts: Duration) {
    let mut request = Request::get("/");
    if let Some(header) = header {
        request = request.header("traceparent", header);
    }
    let request = request.body(Full::<Bytes>::default()).unwrap();
    let mut service = layer.layer(service_fn(async |_: Request<_>| {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("hello")))
    }));
    let Ok(answer) = now(service.call(request));
    clock.advance(lasts);
    take_to_end(pin!(answer.into_body()));
}

/// What follows the value in the samples that begin so.
fn exemplars(page: &str, name: &str) -> Vec<Option<String>> {
    let lines = page.lines().filter(|line| line.starts_with(name));
    lines
        .map(|line| {
            line.split_once(" # ")
                .map(|(_, exemplar)| exemplar.to_owned())
        })
        .collect()
}

#[test]
fn the_latest_traced_call_of_each_bucket_is_shown() {
    let clock = Clock::manual();
    let layer = builder(clock).build([("a", "1")]).unwrap();
    let sampled = |trace, span| traceparent(trace, span, 1);
    call(&layer, clock, Some(&sampled(0xab, 0xcd)), Duration::ZERO);
    call(
        &layer,
        clock,
        Some(&sampled(u128::MAX, u64::MAX)),
        Duration::from_millis(50),
    );
    call(
        &layer,
        clock,
        Some(&traceparent(1, 1, 0)),
        Duration::from_millis(60),
    );
    call(&layer, clock, None, Duration::from_millis(70));
    call(
        &layer,
        clock,
        Some("nonsense\"} 1"),
        Duration::from_millis(70),
    );
    call(&layer, clock, Some(&sampled(2, 3)), 5 * SECOND);

    let page = page_of(layer.exporter(), OPEN_METRICS);
    let buckets = exemplars(&page, "request_duration_seconds_bucket");
    let [first, second, third] = &buckets[..] else {
        panic!("{buckets:?}");
    };
    assert_eq!(*second, None, "no call of 0.1 to 1 s");
    // A manual clock begins in 1970. The second call ended after 0.05 s, the last one after two more of 0.06 and 0.07 s.
    let of_first =
        r#"{span_id="ffffffffffffffff",trace_id="ffffffffffffffffffffffffffffffff"} 0.05 0.05"#;
    let of_last =
        r#"{span_id="0000000000000003",trace_id="00000000000000000000000000000002"} 5.0 5.25"#;
    assert_eq!(first.as_deref(), Some(of_first));
    assert_eq!(third.as_deref(), Some(of_last));
    assert_eq!(page.matches(" # {").count(), 2, "on buckets alone: {page}");

    let prometheus = page_of(layer.exporter(), "text/plain");
    assert_eq!(
        exemplars(&prometheus, "request_duration_seconds_bucket"),
        [None, None, None]
    );
}

/// The date is right to the second, whether the system was just asked for it or some time before.
#[test]
fn an_exemplar_has_the_date_of_its_observation() {
    let layer = builder(Clock::real()).build([("a", "1")]).unwrap();
    let since_1970 = || {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        since.unwrap().as_secs_f64()
    };
    let mut dates = Vec::new();
    for (trace, pause) in [(1, 0), (2, 300), (3, 1_100)] {
        thread::sleep(Duration::from_millis(pause));
        let header = traceparent(trace, 1, 1);
        let before = since_1970();
        call(&layer, Clock::real(), Some(&header), Duration::ZERO);
        let after = since_1970();
        let page = page_of(layer.exporter(), OPEN_METRICS);
        let shown = exemplars(&page, "request_duration_seconds_bucket");
        let exemplar = shown.into_iter().flatten().next().unwrap();
        let date: f64 = exemplar.rsplit(' ').next().unwrap().parse().unwrap();
        assert!(
            (before - 0.1..=after + 0.1).contains(&date),
            "{date}, not in {before}..={after}"
        );
        dates.push(date);
    }
    assert!(dates.is_sorted(), "{dates:?}");
}

#[test]
fn every_histogram_has_them() {
    let clock = Clock::manual();
    let layer = builder(clock)
        .response_head_seconds(true)
        .first_byte_seconds(true)
        .stream_duration_seconds(|_| true)
        .stream_buckets([60.0])
        .build([("a", "1")])
        .unwrap();
    call(&layer, clock, Some(&traceparent(7, 8, 1)), 2 * SECOND);
    let page = page_of(layer.exporter(), OPEN_METRICS);
    let value = |name: &str| -> Vec<Option<String>> {
        let exemplars = exemplars(&page, name).into_iter();
        let value = |exemplar: String| exemplar.split(' ').nth(1).unwrap().to_owned();
        exemplars.map(|exemplar| exemplar.map(value)).collect()
    };
    let some = |value: &str| Some(value.to_owned());
    assert_eq!(
        value("response_head_seconds_bucket"),
        [some("0.0"), None, None]
    );
    assert_eq!(
        value("first_byte_seconds_bucket"),
        [None, None, some("2.0")]
    );
    assert_eq!(value("stream_duration_seconds_bucket"), [some("2.0"), None]);
    assert_eq!(value("request_duration_seconds_bucket"), [None, None, None]);
}

#[test]
fn a_function_of_ones_own_says_the_trace() {
    let clock = Clock::manual();
    let layer = MetricsLayer::builder()
        .clock(clock)
        .exemplars(|head| head.extensions.get().copied())
        .stream_duration_seconds(is_long_lived)
        .build([("a", "1")])
        .unwrap();
    let mut request = Request::new(Full::<Bytes>::default());
    request
        .extensions_mut()
        .insert(TraceContext::new(0x10, 0x20));
    let mut service = layer.layer(service_fn(async |_: Request<_>| {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    }));
    drop(now(service.call(request)));
    let page = page_of(layer.exporter(), OPEN_METRICS);
    let expected =
        r#"{span_id="0000000000000020",trace_id="00000000000000000000000000000010"} 0.0 "#;
    assert!(page.contains(expected), "{page}");
}

/// Scrapes while threads replace each other's: none shows a trace with another's span.
#[test]
fn an_exemplar_is_of_one_call() {
    let clock = Clock::manual();
    let layer = builder(clock).build([("a", "1")]).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for seed in 1..=4 {
            let (layer, done) = (&layer, &done);
            scope.spawn(move || {
                for i in 0..20_000 {
                    let id = seed * 1_000_000 + i;
                    call(
                        layer,
                        clock,
                        Some(&traceparent(id.into(), id, 1)),
                        Duration::ZERO,
                    );
                }
                done.store(true, Ordering::Relaxed);
            });
        }
        let mut seen = 0;
        while !done.load(Ordering::Relaxed) {
            let page = page_of(layer.exporter(), OPEN_METRICS);
            for exemplar in exemplars(&page, "request_duration_seconds_bucket")
                .iter()
                .flatten()
            {
                let hex: Vec<_> = exemplar.split('"').skip(1).step_by(2).take(2).collect();
                let [span, trace] = hex[..] else {
                    panic!("{exemplar}")
                };
                assert_eq!(
                    u128::from_str_radix(span, 16),
                    u128::from_str_radix(trace, 16)
                );
                seen += 1;
            }
        }
        assert!(seen > 0);
    });
}
