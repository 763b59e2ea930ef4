//! Metrics of the exporter's own scrapes. Each scrape is counted once, at its end, however it ends.

mod support;

use http::{Method, Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::gauge::Gauge;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;
use support::{Page, now, page_of};
use tokio_test::task::spawn;
use tower::ServiceExt;
use tower_openmetrics::exporter::Body;
use tower_openmetrics::{Clock, MetricsExporter, MetricsLayer, MetricsRegistry};

const CODES: [&str; 5] = ["200", "405", "499", "500", "503"];

/// Returns a registry with a manual clock, and its exporter with metrics of its own.
fn measured() -> (Clock, MetricsRegistry, MetricsExporter) {
    let clock = Clock::manual();
    let registry = MetricsRegistry::with_clock(clock);
    let exporter = registry.exporter().self_metrics().expect("free names");
    (clock, registry, exporter)
}

/// Scrapes without a runtime, so that the first poll returns the response.
fn scrape(exporter: &MetricsExporter, method: Method) -> Response<Body> {
    let mut request = Request::new(());
    *request.method_mut() = method;
    let Ok(response) = now(exporter.clone().oneshot(request));
    response
}

/// Reads a body to its end and returns its length.
fn read(response: Response<Body>) -> u64 {
    let body = now(response.into_body().collect()).expect("a body");
    body.to_bytes().len() as u64
}

/// Returns the page of an exporter without metrics of its own.
fn page(registry: &MetricsRegistry) -> Page {
    Page::read(registry.exporter())
}

/// Returns how many scrapes ended with each code, without codes at 0.
fn ended(page: &Page) -> Vec<(&str, u64)> {
    let counts = CODES.map(|code| {
        let series = format!("metrics_exporter_scrapes_total{{code=\"{code}\"}}");
        let mut samples = page.samples();
        let (_, count) = samples.find(|(name, _)| *name == series).expect("a count");
        (code, count.parse().expect("an integer"))
    });
    counts.into_iter().filter(|(_, count)| *count > 0).collect()
}

fn in_flight(page: &Page) -> u64 {
    page.integer("metrics_exporter_scrapes_in_flight")
}

fn bytes(page: &Page) -> u64 {
    page.integer("metrics_exporter_response_bytes_total")
}

#[test]
fn the_whole_page_before_the_first_scrape() {
    let (_, registry, _exporter) = measured();
    let text = page_of(registry.exporter(), "application/openmetrics-text");
    let of_the_histogram =
        |line: &&str| line.starts_with("metrics_exporter_scrape_duration_seconds");
    let (histogram, others): (Vec<_>, Vec<_>) =
        text.split_inclusive('\n').partition(of_the_histogram);
    assert_eq!(
        others.concat(),
        r#"# HELP metrics_exporter_response_bytes Bytes of answers to scrapes, compressed if the answers are
# TYPE metrics_exporter_response_bytes counter
# UNIT metrics_exporter_response_bytes bytes
metrics_exporter_response_bytes_total 0
# HELP metrics_exporter_scrape_duration_seconds Time from the start of a scrape until its answer has been read
# TYPE metrics_exporter_scrape_duration_seconds histogram
# UNIT metrics_exporter_scrape_duration_seconds seconds
# HELP metrics_exporter_scrapes Scrapes that have ended, by the status code of the answer
# TYPE metrics_exporter_scrapes counter
metrics_exporter_scrapes_total{code="200"} 0
metrics_exporter_scrapes_total{code="405"} 0
metrics_exporter_scrapes_total{code="499"} 0
metrics_exporter_scrapes_total{code="500"} 0
metrics_exporter_scrapes_total{code="503"} 0
# HELP metrics_exporter_scrapes_in_flight Scrapes in flight, including the scrape of this page
# TYPE metrics_exporter_scrapes_in_flight gauge
metrics_exporter_scrapes_in_flight 0
# HELP uptime_seconds Time since the registry was created
# TYPE uptime_seconds gauge
# UNIT uptime_seconds seconds
uptime_seconds 0.0
# EOF
"#
    );
    let bounds: Vec<_> = Page::parse(&text)
        .buckets("metrics_exporter_scrape_duration_seconds")
        .into_iter()
        .map(|(bound, _)| bound)
        .collect();
    let expected = [
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0,
    ];
    assert_eq!(bounds[..12], expected);
    // These buckets, `+Inf`, sum and count.
    assert_eq!(histogram.len(), 15);
}

#[test]
fn a_scrape_is_in_flight_until_its_body_is_read() {
    let (clock, registry, exporter) = measured();
    let response = scrape(&exporter, Method::GET);
    clock.advance(Duration::from_millis(250));
    let during = page(&registry);
    assert_eq!((in_flight(&during), ended(&during)), (1, vec![]));

    let sent = read(response);
    let after = page(&registry);
    assert_eq!((in_flight(&after), ended(&after)), (0, vec![("200", 1)]));
    assert_eq!(bytes(&after), sent);
    assert_eq!(
        after.one("metrics_exporter_scrape_duration_seconds_sum"),
        "0.25"
    );
    assert_eq!(
        after.integer("metrics_exporter_scrape_duration_seconds_count"),
        1
    );
}

#[test]
fn a_scrape_is_in_flight_on_its_own_page() {
    let (_, _, exporter) = measured();
    let first = Page::read(exporter.clone());
    assert_eq!((in_flight(&first), ended(&first)), (1, vec![]));
    let second = Page::read(exporter);
    assert_eq!((in_flight(&second), ended(&second)), (1, vec![("200", 1)]));
}

#[test]
fn a_scrape_ends_with_the_last_frame_of_its_body() {
    let (_, registry, exporter) = measured();
    let mut body = scrape(&exporter, Method::GET).into_body();
    while !body.is_end_stream() {
        now(body.frame()).expect("a frame").expect("data");
    }
    let page = page(&registry);
    assert_eq!((in_flight(&page), ended(&page)), (0, vec![("200", 1)]));
    drop(body);
    assert_eq!(ended(&page), [("200", 1)]);
}

#[test]
fn a_body_that_is_dropped_half_read_counts_the_bytes_read() {
    let (_, registry, exporter) = measured();
    // Longer than one piece of 64 KiB.
    let help = "x".repeat(100_000);
    let _: Gauge = registry.register("long", help, Gauge::default()).unwrap();
    let mut body = scrape(&exporter, Method::GET).into_body();
    let frame = now(body.frame()).expect("a frame").expect("data");
    drop(body);
    // This page has several pieces too, so its body is pending between them.
    let request = Request::get("/").header("accept", "application/openmetrics-text");
    let request = registry.exporter().oneshot(request.body(()).unwrap());
    let Ok(response) = tokio_test::block_on(request);
    let text = tokio_test::block_on(response.into_body().collect()).unwrap();
    let page = Page::parse(std::str::from_utf8(&text.to_bytes()).unwrap());
    assert_eq!((in_flight(&page), ended(&page)), (0, vec![("200", 1)]));
    assert_eq!(bytes(&page), frame.into_data().expect("data").len() as u64);
}

#[test]
fn every_answer_is_counted_under_its_code() {
    let (_, registry, exporter) = measured();
    let exporter = exporter.concurrent_scrapes(1);
    let refused = read(scrape(&exporter, Method::POST));
    let unread = scrape(&exporter, Method::GET);
    let busy = scrape(&exporter, Method::GET);
    assert_eq!(busy.status(), StatusCode::SERVICE_UNAVAILABLE);
    let busy = read(busy);
    drop(unread);
    // A response to HEAD has no bytes.
    assert_eq!(read(scrape(&exporter, Method::HEAD)), 0);
    let page = page(&registry);
    assert_eq!(ended(&page), [("200", 2), ("405", 1), ("503", 1)]);
    assert_eq!(bytes(&page), refused + busy);
    assert_eq!(in_flight(&page), 0);
}

#[test]
fn a_page_that_fails_is_counted_on_the_next_one() {
    let (_, registry, exporter) = measured();
    let broken = Arc::new(AtomicBool::new(false));
    registry
        .register_collector(Breakable(broken.clone()))
        .expect("it does not fail yet");
    broken.store(true, Ordering::Relaxed);
    let response = scrape(&exporter, Method::GET);
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let sent = read(response);
    broken.store(false, Ordering::Relaxed);
    let page = page(&registry);
    assert_eq!((ended(&page), bytes(&page)), (vec![("500", 1)], sent));
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_is_counted_under_499() {
    let (_, registry, exporter) = measured();
    // In a runtime another thread writes the page, so the first poll is pending.
    let mut scrape = spawn(exporter.oneshot(Request::new(())));
    assert!(matches!(scrape.poll(), Poll::Pending));
    drop(scrape);
    let page = page(&registry);
    assert_eq!((in_flight(&page), ended(&page)), (0, vec![("499", 1)]));
    assert_eq!(bytes(&page), 0);
}

#[test]
fn a_future_that_is_never_polled_is_not_a_scrape() {
    let (_, registry, exporter) = measured();
    let future = exporter.oneshot(Request::new(()));
    let page = page(&registry);
    assert_eq!((in_flight(&page), ended(&page)), (0, vec![]));
    drop(future);
}

#[test]
fn without_the_setting_there_are_no_such_metrics() {
    let registry = MetricsRegistry::new();
    read(scrape(&registry.exporter(), Method::GET));
    let page = page_of(registry.exporter(), "text/plain");
    assert!(!page.contains("metrics_exporter"), "{page}");
}

#[test]
fn compressed_bytes_are_counted() {
    let (_, registry, exporter) = measured();
    let request = Request::get("/metrics").header("accept-encoding", "gzip");
    let exporter = exporter.oneshot(request.body(()).unwrap());
    // A compressed body is pending between pieces.
    let Ok(response) = tokio_test::block_on(exporter);
    let encoded = response.headers().contains_key("content-encoding");
    let body = tokio_test::block_on(response.into_body().collect()).unwrap();
    assert_eq!(encoded, cfg!(feature = "compression"));
    assert_eq!(bytes(&page(&registry)), body.to_bytes().len() as u64);
}

#[test]
fn two_exporters_of_a_registry_can_not_both_have_self_metrics() {
    let (_, registry, _exporter) = measured();
    let error = registry.exporter().self_metrics().unwrap_err().to_string();
    assert!(error.contains("metrics_exporter_"), "{error}");
    assert!(error.contains("clone that one"), "{error}");
    // The metrics of the first exporter are still shown.
    assert_eq!(in_flight(&page(&registry)), 0);
}

#[test]
fn a_name_that_is_taken_is_in_the_error_and_nothing_is_registered() {
    let registry = MetricsRegistry::new();
    let name = "metrics_exporter_response_bytes_total";
    let _: Gauge = registry.register(name, "Mine", Gauge::default()).unwrap();
    let error = registry.exporter().self_metrics().unwrap_err().to_string();
    assert!(error.contains(name), "{error}");
    let page = page_of(registry.exporter(), "text/plain");
    assert!(!page.contains("metrics_exporter_scrapes"), "{page}");
}

#[test]
fn a_layers_exporter_shows_them_beside_the_layers_metrics() {
    let layer = MetricsLayer::new([("endpoint", "a")]);
    let page = Page::read(layer.exporter().self_metrics().unwrap());
    assert_eq!(page.one("requests_total"), "0");
    assert_eq!(in_flight(&page), 1);
}

/// A collector that fails while its flag is set.
#[derive(Debug)]
struct Breakable(Arc<AtomicBool>);

impl Collector for Breakable {
    fn encode(&self, _: DescriptorEncoder<'_>) -> fmt::Result {
        let broken = self.0.load(Ordering::Relaxed);
        if broken { Err(fmt::Error) } else { Ok(()) }
    }
}
