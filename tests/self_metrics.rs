//! What an exporter tells of its own scrapes: each once, at its end, however that comes about.

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

/// A registry in which time stands still, and its exporter, which measures itself.
fn measured() -> (Clock, MetricsRegistry, MetricsExporter) {
    let clock = Clock::manual();
    let registry = MetricsRegistry::with_clock(clock);
    let exporter = registry.exporter().self_metrics().expect("free names");
    (clock, registry, exporter)
}

/// No runtime is entered here, so that a scrape is answered in its first poll.
fn scrape(exporter: &MetricsExporter, method: Method) -> Response<Body> {
    let mut request = Request::new(());
    *request.method_mut() = method;
    let Ok(response) = now(exporter.clone().oneshot(request));
    response
}

/// The bytes of a body that is read to its end.
fn read(response: Response<Body>) -> u64 {
    let body = now(response.into_body().collect()).expect("a body");
    body.to_bytes().len() as u64
}

/// The page, by an exporter that is not measured.
fn page(registry: &MetricsRegistry) -> Page {
    Page::read(registry.exporter())
}

/// How many scrapes ended with each code, those at 0 left out.
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
        r#"# HELP metrics_exporter_response_bytes Bytes of answers to scrapes, as they were sent
# TYPE metrics_exporter_response_bytes counter
# UNIT metrics_exporter_response_bytes bytes
metrics_exporter_response_bytes_total 0
# HELP metrics_exporter_scrape_duration_seconds Time from the beginning of a scrape until its answer was read
# TYPE metrics_exporter_scrape_duration_seconds histogram
# UNIT metrics_exporter_scrape_duration_seconds seconds
# HELP metrics_exporter_scrapes Scrapes that have ended, by the status code of their answer
# TYPE metrics_exporter_scrapes counter
metrics_exporter_scrapes_total{code="200"} 0
metrics_exporter_scrapes_total{code="405"} 0
metrics_exporter_scrapes_total{code="499"} 0
metrics_exporter_scrapes_total{code="500"} 0
metrics_exporter_scrapes_total{code="503"} 0
# HELP metrics_exporter_scrapes_in_flight Scrapes whose answer has not been read to its end, this one among them
# TYPE metrics_exporter_scrapes_in_flight gauge
metrics_exporter_scrapes_in_flight 0
# HELP uptime_seconds Time since the registry was made
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
    // These, `+Inf`, sum and count.
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
fn the_page_shows_the_scrape_that_reads_it_as_in_flight() {
    let (_, _, exporter) = measured();
    let first = Page::read(exporter.clone());
    assert_eq!((in_flight(&first), ended(&first)), (1, vec![]));
    let second = Page::read(exporter);
    assert_eq!((in_flight(&second), ended(&second)), (1, vec![("200", 1)]));
}

#[test]
fn a_body_that_is_at_its_end_need_not_be_dropped() {
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
fn a_body_that_is_dropped_half_read_counts_what_was_taken() {
    let (_, registry, exporter) = measured();
    // Longer than the 64 KiB that go out in one piece.
    let help = "x".repeat(100_000);
    let _: Gauge = registry.register("long", help, Gauge::default()).unwrap();
    let mut body = scrape(&exporter, Method::GET).into_body();
    let frame = now(body.frame()).expect("a frame").expect("data");
    drop(body);
    // Long as well, and so not read in one go.
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
    // Nothing is sent of it.
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
        .expect("it works yet");
    broken.store(true, Ordering::Relaxed);
    let response = scrape(&exporter, Method::GET);
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let sent = read(response);
    broken.store(false, Ordering::Relaxed);
    let page = page(&registry);
    assert_eq!((ended(&page), bytes(&page)), (vec![("500", 1)], sent));
}

#[tokio::test]
async fn a_client_that_goes_away_before_the_answer() {
    let (_, registry, exporter) = measured();
    // In a runtime the page is written elsewhere, so the first poll has to wait.
    let mut scrape = spawn(exporter.oneshot(Request::new(())));
    assert!(matches!(scrape.poll(), Poll::Pending));
    drop(scrape);
    let page = page(&registry);
    assert_eq!((in_flight(&page), ended(&page)), (0, vec![("499", 1)]));
    assert_eq!(bytes(&page), 0);
}

#[test]
fn what_was_never_polled_was_no_scrape() {
    let (_, registry, exporter) = measured();
    let future = exporter.oneshot(Request::new(()));
    let page = page(&registry);
    assert_eq!((in_flight(&page), ended(&page)), (0, vec![]));
    drop(future);
}

#[test]
fn without_the_setting_nothing_is_shown() {
    let registry = MetricsRegistry::new();
    read(scrape(&registry.exporter(), Method::GET));
    let page = page_of(registry.exporter(), "text/plain");
    assert!(!page.contains("metrics_exporter"), "{page}");
}

#[test]
fn compressed_bytes_are_what_was_sent() {
    let (_, registry, exporter) = measured();
    let request = Request::get("/metrics").header("accept-encoding", "gzip");
    let exporter = exporter.oneshot(request.body(()).unwrap());
    // The compressor gives each piece a turn, which wakes the task anew.
    let Ok(response) = tokio_test::block_on(exporter);
    let encoded = response.headers().contains_key("content-encoding");
    let body = tokio_test::block_on(response.into_body().collect()).unwrap();
    assert_eq!(encoded, cfg!(feature = "compression"));
    assert_eq!(bytes(&page(&registry)), body.to_bytes().len() as u64);
}

#[test]
fn two_exporters_of_a_registry_can_not_both_show_theirs() {
    let (_, registry, _exporter) = measured();
    let error = registry.exporter().self_metrics().unwrap_err().to_string();
    assert!(error.contains("metrics_exporter_"), "{error}");
    assert!(error.contains("clone that one"), "{error}");
    // The first one's are there as before.
    assert_eq!(in_flight(&page(&registry)), 0);
}

#[test]
fn a_name_that_is_taken_is_named_and_nothing_is_left_behind() {
    let registry = MetricsRegistry::new();
    let name = "metrics_exporter_response_bytes_total";
    let _: Gauge = registry.register(name, "Mine", Gauge::default()).unwrap();
    let error = registry.exporter().self_metrics().unwrap_err().to_string();
    assert!(error.contains(name), "{error}");
    let page = page_of(registry.exporter(), "text/plain");
    assert!(!page.contains("metrics_exporter_scrapes"), "{page}");
}

#[test]
fn a_layer_s_exporter_has_them_beside_the_layer_s_metrics() {
    let layer = MetricsLayer::new([("endpoint", "a")]);
    let page = Page::read(layer.exporter().self_metrics().unwrap());
    assert_eq!(page.one("requests_total"), "0");
    assert_eq!(in_flight(&page), 1);
}

/// A collector that fails while it is told to.
#[derive(Debug)]
struct Breakable(Arc<AtomicBool>);

impl Collector for Breakable {
    fn encode(&self, _: DescriptorEncoder<'_>) -> fmt::Result {
        let broken = self.0.load(Ordering::Relaxed);
        if broken { Err(fmt::Error) } else { Ok(()) }
    }
}
