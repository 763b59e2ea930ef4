use super::now;
use futures_util::FutureExt;
use http::Request;
use http_body_util::BodyExt;
use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;
use tower::ServiceExt;
use tower_openmetrics::{MetricsExporter, MetricsLayer};

/// The samples of a page as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    /// By name and labels: `requests_total{endpoint="a"}`.
    samples: BTreeMap<String, String>,
}

/// All numbers of the only layer on a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Numbers {
    pub(crate) requests: u64,
    pub(crate) request_bytes: u64,
    pub(crate) response_bytes: u64,
    /// By type, including those at 0.
    pub(crate) errors: BTreeMap<String, u64>,
    pub(crate) cancellations: u64,
    pub(crate) durations: u64,
    pub(crate) duration_sum: Duration,
    pub(crate) concurrent: i64,
}

/// The error types on every page.
const BUILT_IN: [&str; 9] = [
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

/// Returns the exporter's page for this `Accept` header.
pub(crate) fn page_of(exporter: MetricsExporter, accept: &str) -> String {
    let scrape = Request::get("/metrics").header("accept", accept).body(());
    let read = move || {
        let Ok(response) = now(exporter.oneshot(scrape.unwrap()));
        let status = response.status();
        let mut body = pin!(response.into_body().collect());
        // A long page yields now and then.
        let body = std::iter::repeat_with(|| body.as_mut().now_or_never());
        let body = body.flatten().next().expect("a body");
        let body = body.expect("a body");
        let text = String::from_utf8(body.to_bytes().into()).expect("UTF-8");
        assert_eq!(status, 200, "{text}");
        text
    };
    // Outside of any runtime, which would write the page on another thread.
    std::thread::spawn(read).join().expect("a page")
}

/// Returns the built-in error types at 0, except these.
pub(crate) fn errors<'a>(
    counted: impl IntoIterator<Item = (&'a str, u64)>,
) -> BTreeMap<String, u64> {
    let zeros = BUILT_IN.map(|name| (name, 0));
    zeros
        .into_iter()
        .chain(counted)
        .map(|(name, count)| (name.to_owned(), count))
        .collect()
}

impl Page {
    pub(crate) fn read(exporter: MetricsExporter) -> Self {
        Self::parse(&page_of(exporter, "application/openmetrics-text"))
    }

    /// # Panics
    ///
    /// Panics if the page isn't complete, or has a sample twice.
    #[track_caller]
    pub(crate) fn parse(text: &str) -> Self {
        let text = text.strip_suffix("# EOF\n").expect("a whole page");
        let mut samples = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (series, value) = line.rsplit_once(' ').expect("a sample");
            let before = samples.insert(series.to_owned(), value.to_owned());
            assert_eq!(before, None, "{series} appears twice");
        }
        Self { samples }
    }

    pub(crate) fn samples(&self) -> impl Iterator<Item = (&str, &str)> {
        self.samples.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Returns the labels and values of all samples with this name, sorted by labels.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.samples().filter_map(move |(series, value)| {
            let labels = series.strip_prefix(name)?;
            (labels.is_empty() || labels.starts_with('{')).then_some((labels, value))
        })
    }

    /// Returns the value of the only sample with this name.
    #[track_caller]
    pub(crate) fn one<'a>(&'a self, name: &'a str) -> &'a str {
        let mut all = self.all(name);
        let (_, value) = all.next().unwrap_or_else(|| panic!("no {name}"));
        assert_eq!(all.next(), None, "a second {name}");
        value
    }

    #[track_caller]
    pub(crate) fn integer(&self, name: &str) -> u64 {
        self.one(name).parse().unwrap()
    }

    /// Returns the buckets of the only histogram with this name, `+Inf` last.
    pub(crate) fn buckets(&self, name: &str) -> Vec<(f64, u64)> {
        let name = format!("{name}_bucket");
        let mut buckets: Vec<_> = self
            .all(&name)
            .map(|(labels, count)| (label(labels, "le"), count))
            .map(|(bound, count)| (bound.parse().unwrap(), count.parse().unwrap()))
            .collect();
        buckets.sort_by(|(a, _): &(f64, _), (b, _)| a.total_cmp(b));
        buckets
    }

    /// Returns all numbers, after checking that they are consistent.
    #[track_caller]
    pub(crate) fn numbers(&self) -> Numbers {
        let durations = self.integer("request_duration_seconds_count");
        let buckets = self.buckets("request_duration_seconds");
        assert!(
            buckets.is_sorted_by(|(_, a), (_, b)| a <= b),
            "buckets are cumulative: {buckets:?}"
        );
        assert_eq!(buckets.last(), Some(&(f64::INFINITY, durations)));
        let sum: f64 = self.one("request_duration_seconds_sum").parse().unwrap();
        Numbers {
            requests: self.integer("requests_total"),
            request_bytes: self.integer("request_bytes_total"),
            response_bytes: self.integer("response_bytes_total"),
            errors: self
                .all("errors_total")
                .map(|(labels, count)| {
                    let name = label(labels, "error_type").to_owned();
                    (name, count.parse().unwrap())
                })
                .collect(),
            cancellations: self.integer("cancellations_total"),
            durations,
            duration_sum: Duration::from_secs_f64(sum),
            concurrent: self.one("concurrent_requests").parse().unwrap(),
        }
    }
}

impl Numbers {
    #[track_caller]
    pub(crate) fn of<P>(layer: &MetricsLayer<P>) -> Self {
        Page::read(layer.exporter()).numbers()
    }

    pub(crate) fn failed(&self) -> u64 {
        self.errors.values().sum()
    }
}

/// Returns the value of a label without escapes.
#[track_caller]
fn label<'a>(labels: &'a str, name: &str) -> &'a str {
    let key = format!("{name}=\"");
    let (_, value) = labels.split_once(&key).expect("the label");
    value.split_once('"').expect("a value").0
}
