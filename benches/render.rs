//! The cost of a page: the families of many endpoints, written by this crate, and by prometheus-client's own encoder with
//! the same values in its `Family`s.
//!
//! ```text
//! cargo bench --bench render
//! ```
//!
//! Compare rows of one run, never two runs. On Linux only processor time counts, so that other work on the machine matters
//! less.

use bytes::Bytes;
use futures_util::FutureExt;
use http::Request;
use http_body_util::BodyExt;
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::fs;
use std::hint::black_box;
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use tower::{Layer, ServiceExt, service_fn};
use tower_openmetrics::{MetricsExporter, MetricsLayer, MetricsRegistry};

/// Each endpoint has 34 samples, so there are about 100,000.
const ENDPOINTS: usize = 2_940;

/// The histogram's bounds. The sixteenth bucket is `+Inf`.
const BUCKETS: [f64; 15] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

const ERROR_TYPES: [&str; 9] = [
    "deserialization",
    "generate",
    "invalid_message",
    "overloaded",
    "panic",
    "publish_final",
    "publish_response",
    "response_stream",
    "timeout",
];

/// Rows take turns, because machines drift. A turn is long enough for a clock that ticks every few milliseconds.
const TURNS: u32 = 5;
const PAGES_A_TURN: u32 = 20;

/// What a scraper accepts.
const ROWS: [(&str, &str, &str); 4] = [
    ("OpenMetrics", "application/openmetrics-text", "identity"),
    ("0.0.4", "text/plain", "identity"),
    ("OpenMetrics, gzip", "application/openmetrics-text", "gzip"),
    // Without the feature `protobuf`, the next preference.
    (
        "protobuf",
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
        "identity",
    ),
];

type Labels = Vec<(&'static str, String)>;

fn main() {
    // Not under `cargo test`, which would wait for minutes.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let exporter = &ours().exporter();
    let theirs = theirs();
    let mut rows: Vec<Row<'_>> = vec![Row::new("prometheus-client's text::encode", || {
        encode(&theirs)
    })];
    rows.extend(
        ROWS.map(|(name, accept, coding)| Row::new(name, move || scrape(exporter, accept, coding))),
    );
    for _ in 0..TURNS {
        rows.iter_mut().for_each(Row::turn);
    }
    print(&rows);
}
/// A way to write a page, and the times it took.
struct Row<'a> {
    name: &'a str,
    write: Box<dyn Fn() -> Vec<Bytes> + 'a>,
    page: Vec<Bytes>,
    taken: Duration,
}

// === impl Row ===

impl<'a> Row<'a> {
    fn new(name: &'a str, write: impl Fn() -> Vec<Bytes> + 'a) -> Self {
        Self {
            name,
            write: Box::new(write),
            page: Vec::new(),
            taken: Duration::ZERO,
        }
    }

    fn turn(&mut self) {
        let began = processor_time();
        for _ in 0..PAGES_A_TURN {
            self.page = (self.write)();
        }
        self.taken += processor_time() - began;
    }

    fn millis(&self) -> f64 {
        self.taken.as_secs_f64() * 1e3 / f64::from(TURNS * PAGES_A_TURN)
    }

    fn length(&self) -> usize {
        self.page.iter().map(Bytes::len).sum()
    }

    fn samples(&self) -> usize {
        let page = self.page.concat();
        let text = String::from_utf8_lossy(&page);
        text.lines().filter(|line| !line.starts_with('#')).count()
    }
}

/// Returns this thread's processor time, or the wall time if the system is not Linux.
fn processor_time() -> Duration {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    let spent = fs::read_to_string("/proc/thread-self/schedstat");
    let nanos = spent
        .ok()
        .and_then(|spent| spent.split(' ').next()?.parse().ok());
    nanos.map_or_else(
        || BEGAN.get_or_init(Instant::now).elapsed(),
        Duration::from_nanos,
    )
}

/// Prints each row, also as a multiple of the first.
fn print(rows: &[Row<'_>]) {
    println!("{} and {} samples", rows[0].samples(), rows[1].samples());
    println!("{:34} {:>9} {:>10} {:>8}", "", "ms", "bytes", "multiple");
    for row in rows {
        let (name, millis, length) = (row.name, row.millis(), row.length());
        let multiple = millis / rows[0].millis();
        println!("{name:34} {millis:9.2} {length:10} {multiple:8.3}");
    }
}

fn labels(endpoint: usize) -> Labels {
    vec![
        ("component", "backend".to_owned()),
        ("endpoint", format!("endpoint_{endpoint:04}")),
        ("namespace", "production".to_owned()),
    ]
}

/// Builds endpoints. Each has answered as many calls as its number.
fn ours() -> MetricsRegistry {
    let registry = MetricsRegistry::new();
    for endpoint in 0..ENDPOINTS {
        let layer = MetricsLayer::builder()
            .registry(&registry)
            .buckets(BUCKETS)
            .build(labels(endpoint))
            .expect("a layer");
        let service = layer.layer(service_fn(async |_: Request<_>| {
            Ok::<_, std::convert::Infallible>(http::Response::new(String::new()))
        }));
        for _ in 0..calls(endpoint) {
            let answered = service.clone().oneshot(Request::new(String::new()));
            let response = answered
                .now_or_never()
                .expect("it is ready")
                .expect("it works");
            let body = response.into_body().collect().now_or_never();
            drop(body.expect("it is ready").expect("it works"));
        }
    }
    registry
}

fn calls(endpoint: usize) -> usize {
    endpoint % 40
}

/// Registers the same families by hand, with values of the same length.
fn theirs() -> Registry {
    let requests = Family::<Labels, Counter>::default();
    let cancellations = Family::<Labels, Counter>::default();
    let errors = Family::<Labels, Counter>::default();
    let request_bytes = Family::<Labels, Counter>::default();
    let response_bytes = Family::<Labels, Counter>::default();
    let concurrent = Family::<Labels, Gauge>::default();
    let durations = Family::<Labels, Histogram>::new_with_constructor(|| Histogram::new(BUCKETS));
    for endpoint in 0..ENDPOINTS {
        let labels = labels(endpoint);
        requests
            .get_or_create(&labels)
            .inc_by(calls(endpoint) as u64);
        for counter in [&cancellations, &request_bytes, &response_bytes] {
            counter.get_or_create(&labels).inc_by(0);
        }
        concurrent.get_or_create(&labels).set(0);
        for _ in 0..calls(endpoint) {
            durations.get_or_create(&labels).observe(0.000_000_5);
        }
        drop(durations.get_or_create(&labels));
        for error_type in ERROR_TYPES {
            let mut labels = labels.clone();
            labels.push(("error_type", error_type.to_owned()));
            errors.get_or_create(&labels).inc_by(0);
        }
    }
    let mut registry = Registry::default();
    registry.register(
        "cancellations",
        "Calls whose caller left before the end",
        cancellations,
    );
    registry.register("concurrent_requests", "Calls in flight", concurrent);
    registry.register(
        "errors",
        "Calls that failed, by the type of their first failure",
        errors,
    );
    registry.register_with_unit(
        "request",
        "Bytes of requests that the service has read",
        Unit::Bytes,
        request_bytes,
    );
    registry.register_with_unit(
        "request_duration",
        "Time from the beginning of a call to the end of its response",
        Unit::Seconds,
        durations,
    );
    registry.register(
        "requests",
        "Calls that have ended, however they ended",
        requests,
    );
    registry.register_with_unit(
        "response",
        "Bytes of responses that the caller has taken",
        Unit::Bytes,
        response_bytes,
    );
    registry
}

fn encode(registry: &Registry) -> Vec<Bytes> {
    let mut page = String::new();
    text::encode(&mut page, registry).expect("it can be encoded");
    vec![black_box(page).into()]
}

/// Returns the pieces of a page from the exporter.
fn scrape(exporter: &MetricsExporter, accept: &str, coding: &str) -> Vec<Bytes> {
    let request = Request::get("/metrics")
        .header("accept", accept)
        .header("accept-encoding", coding);
    let answered = exporter
        .clone()
        .oneshot(request.body(()).expect("a request"));
    // Outside of any runtime the page is written at once.
    let Ok(response) = answered.now_or_never().expect("it is ready");
    assert_eq!(response.status(), 200);
    let mut body = response.into_body();
    let mut pieces = Vec::new();
    loop {
        match body.frame().now_or_never() {
            // The exporter yields between two pieces.
            None => {}
            Some(None) => return black_box(pieces),
            Some(Some(frame)) => {
                let frame = frame.expect("no error");
                pieces.push(frame.into_data().expect("no trailers"));
            }
        }
    }
}
