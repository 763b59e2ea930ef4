//! Random registries: an independent decoder reads the same from the protobuf page as from the text page.

mod model;
mod native;

use self::model::{Exemplar, Metric, MetricFamily, Type};
use super::cases;
use super::support::{now, page_of, take_to_end};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::exemplar::{CounterWithExemplar, HistogramWithExemplars};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Unit;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use prost::Message;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime};
use tower::{Layer, ServiceExt, service_fn};
use tower_openmetrics::{Clock, MetricsExporter, MetricsLayer, MetricsRegistry};

const TEXT: &str = "text/plain";
const PROTOBUF: &str = "application/vnd.google.protobuf;\
     proto=io.prometheus.client.MetricFamily;encoding=delimited";

type Labels = Vec<(String, String)>;

/// What is registered, and the calls.
#[derive(Clone, Debug)]
struct Script {
    /// The layers' labels, and how long each of their calls takes in milliseconds.
    layers: BTreeMap<String, Vec<u64>>,
    counters: Vec<(String, String, u32)>,
    gauge: f64,
    observed: BTreeMap<String, Vec<f64>>,
    help: String,
}

/// A page: its comments in order, and its samples, with numbers as Rust writes them.
#[derive(Debug, PartialEq)]
struct Shown {
    comments: Vec<String>,
    samples: BTreeMap<String, String>,
}

fn text() -> impl Strategy<Value = String> {
    let characters = vec!['a', 'é', ' ', '\\', '"', '\n', 'n', '#', ',', '{', '}', '='];
    vec(select(characters), 0..6).prop_map(|all| all.into_iter().collect())
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>().prop_filter("equal to itself", |number| !number.is_nan()),
        -1e3..1e3,
        select(vec![0.0, -0.0, 0.1, 1e6, 1e-7, f64::INFINITY]),
    ]
}

prop_compose! {
    fn script()(
        layers in proptest::collection::btree_map(text(), vec(0..20_000_u64, 0..4), 0..3),
        counters in vec((text(), text(), 0..9_u32), 0..5),
        gauge in number(),
        observed in proptest::collection::btree_map(text(), vec(number(), 0..5), 0..3),
        help in text(),
    ) -> Script {
        Script { layers, counters, gauge, observed, help }
    }
}

// === impl Script ===

impl Script {
    fn run(&self) -> MetricsRegistry {
        let clock = Clock::manual();
        let registry = MetricsRegistry::with_clock(clock);
        for (value, calls) in &self.layers {
            let layer = MetricsLayer::builder().registry(&registry).clock(clock);
            let layer = layer.build([("layer", value)]).unwrap();
            for millis in calls {
                call(&layer, clock, Duration::from_millis(*millis));
            }
        }
        let counters = Family::<Labels, Counter>::default();
        for (a, b, count) in &self.counters {
            let labels = [("b", b), ("a", a)].map(|(name, value)| (name.to_owned(), value.clone()));
            counters
                .get_or_create(&labels.into())
                .inc_by((*count).into());
        }
        let unit = Unit::Other("jobs".to_owned());
        let counters = registry.register_with_unit("done", &self.help, unit, counters);
        drop(counters.unwrap());
        let gauge: Gauge<f64, AtomicU64> = Gauge::default();
        gauge.set(self.gauge);
        registry.register("level", &self.help, gauge).unwrap();
        let make: fn() -> Histogram = || Histogram::new([0.000_01, 0.5, 1.0, 1e6]);
        let observed = Family::<Labels, Histogram, _>::new_with_constructor(make);
        for (value, numbers) in &self.observed {
            let histogram = observed.get_or_create(&vec![("a".to_owned(), value.clone())]);
            numbers.iter().for_each(|number| histogram.observe(*number));
        }
        registry.register("observed", "Seen", observed).unwrap();
        let build = Info::new(vec![("version".to_owned(), self.help.clone())]);
        registry.register_info("build", "Built", build).unwrap();
        registry
    }
}

fn call(layer: &MetricsLayer, clock: Clock, time: Duration) {
    let service = layer.layer(service_fn(async |request: Request<_>| {
        take_to_end(pin!(request.into_body()));
        clock.advance(time);
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"abc"))))
    }));
    let request = Request::new(Full::new(Bytes::from_static(b"ab")));
    let Ok(response) = now(service.oneshot(request));
    take_to_end(pin!(response.into_body()));
}

/// Reads all families of the protobuf page, without a rest.
fn families(exporter: MetricsExporter) -> Vec<MetricFamily> {
    let scrape = Request::get("/metrics").header("accept", PROTOBUF);
    let scrape = scrape.body(()).unwrap();
    let read = || {
        let Ok(response) = now(exporter.oneshot(scrape));
        let content_type = &response.headers()["content-type"];
        assert!(
            content_type
                .to_str()
                .unwrap()
                .starts_with("application/vnd.google.protobuf; ")
        );
        now(response.into_body().collect()).unwrap().to_bytes()
    };
    // Read outside of any runtime, like the text.
    let mut page = std::thread::spawn(read).join().expect("a page");
    let length = page.len();
    let mut families = Vec::new();
    while !page.is_empty() {
        families.push(MetricFamily::decode_length_delimited(&mut page).unwrap());
    }
    // Without a field that the model doesn't know, it would be shorter.
    let known = families.iter().map(|family| {
        let length = family.encoded_len();
        length + prost::length_delimiter_len(length)
    });
    assert_eq!(known.sum::<usize>(), length);
    families
}

// === impl Shown ===

impl Shown {
    fn of_text(page: &str) -> Self {
        let (comments, samples) = page.lines().partition(|line| line.starts_with('#'));
        let comments: Vec<&str> = comments;
        let samples: Vec<&str> = samples;
        let numbers = samples.iter().map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let value: f64 = value.parse().unwrap();
            (spelt(series), format!("{value:?}"))
        });
        let shown = Self {
            comments: comments.into_iter().map(str::to_owned).collect(),
            samples: numbers.collect(),
        };
        assert_eq!(shown.samples.len(), samples.len());
        shown
    }

    /// Converts families to samples as Prometheus does.
    fn of_families(families: &[MetricFamily]) -> Self {
        let mut shown = Self {
            comments: Vec::new(),
            samples: BTreeMap::new(),
        };
        for family in families {
            let help = family.help().replace('\\', "\\\\").replace('\n', "\\n");
            let type_name = format!("{:?}", family.r#type()).to_ascii_lowercase();
            shown
                .comments
                .push(format!("# HELP {} {help}", family.name()));
            shown
                .comments
                .push(format!("# TYPE {} {type_name}", family.name()));
            for metric in &family.metric {
                shown.add(family.name(), family.r#type(), metric);
            }
        }
        shown
    }

    fn add(&mut self, name: &str, of_type: Type, metric: &Metric) {
        let mut add = |suffix: &str, le: Option<f64>, number: f64| {
            let mut labels: Vec<(&str, String)> = metric
                .label
                .iter()
                .map(|pair| {
                    let value = pair.value().replace('\\', "\\\\");
                    (pair.name(), value.replace('"', "\\\"").replace('\n', "\\n"))
                })
                .collect();
            assert!(labels.is_sorted());
            labels.extend(le.map(|le| ("le", le.to_string())));
            labels.sort();
            let labels: Vec<_> = labels
                .iter()
                .map(|(name, value)| format!("{name}=\"{value}\""))
                .collect();
            let braces = if labels.is_empty() {
                String::new()
            } else {
                format!("{{{}}}", labels.join(","))
            };
            let before = self
                .samples
                .insert(format!("{name}{suffix}{braces}"), format!("{number:?}"));
            assert_eq!(before, None);
        };
        match of_type {
            Type::Counter => add("", None, metric.counter.as_ref().unwrap().value()),
            Type::Gauge => add("", None, metric.gauge.as_ref().unwrap().value()),
            Type::Untyped => add("", None, metric.untyped.as_ref().unwrap().value()),
            Type::Histogram => {
                let histogram = metric.histogram.as_ref().unwrap();
                let count = histogram.sample_count() as f64;
                assert!(
                    histogram
                        .bucket
                        .is_sorted_by_key(|bucket| bucket.upper_bound())
                );
                for bucket in &histogram.bucket {
                    add(
                        "_bucket",
                        bucket.upper_bound,
                        bucket.cumulative_count() as f64,
                    );
                }
                if histogram
                    .bucket
                    .iter()
                    .all(|bucket| bucket.upper_bound() < f64::INFINITY)
                {
                    add("_bucket", Some(f64::INFINITY), count);
                }
                add("_sum", None, histogram.sample_sum());
                add("_count", None, count);
            }
        }
    }
}

/// Returns a series with its bound as Rust writes the number.
fn spelt(series: &str) -> String {
    let Some((before, after)) = series.split_once("le=\"") else {
        return series.to_owned();
    };
    let (bound, after) = after.split_once('"').unwrap();
    let bound: f64 = bound.parse().unwrap();
    format!("{before}le=\"{bound}\"{after}")
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn protobuf_and_text_show_the_same(script in script()) {
        let registry = script.run();
        let text = page_of(registry.exporter(), TEXT);
        let families = families(registry.exporter());
        prop_assert_eq!(Shown::of_families(&families), Shown::of_text(&text));
        let unit_of = |name| {
            let mut families = families.iter();
            families.find(|family| family.name() == name).map(|family| family.unit())
        };
        prop_assert_eq!(unit_of("uptime_seconds"), Some("seconds"));
        let done = (!script.counters.is_empty()).then_some("jobs");
        prop_assert_eq!(unit_of("done_jobs_total"), done);
    }
}

fn exemplar(label: &str, value: f64, timestamp: Option<(i64, i32)>) -> Exemplar {
    Exemplar {
        label: vec![model::LabelPair {
            name: Some("trace".to_owned()),
            value: Some(label.to_owned()),
        }],
        value: Some(value),
        timestamp: timestamp.map(|(seconds, nanos)| model::Timestamp {
            seconds: Some(seconds),
            nanos: Some(nanos),
        }),
    }
}

#[test]
fn exemplars_stay_with_their_samples() {
    let registry = MetricsRegistry::new();
    let counter = CounterWithExemplar::<Labels>::default();
    let labels = |value: &str| vec![("trace".to_owned(), value.to_owned())];
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_125);
    counter.inc_by(7, Some(labels("a-b")), Some(at));
    registry.register("a", "Counted", counter).unwrap();
    let histogram = HistogramWithExemplars::<Labels>::new([1.0].into_iter());
    histogram.observe(0.5, Some(labels("below")), None);
    histogram.observe(2.0, Some(labels("above")), None);
    registry.register("b", "Observed", histogram).unwrap();

    let families = families(registry.exporter());
    let [a, b, _uptime] = &families[..] else {
        panic!("three families, not {families:?}");
    };
    let counter = a.metric[0].counter.as_ref().unwrap();
    let found = counter.exemplar.as_ref();
    assert_eq!(
        found,
        Some(&exemplar("a-b", 7.0, Some((1_700_000_000, 125_000_000))))
    );
    let histogram = b.metric[0].histogram.as_ref().unwrap();
    let buckets: Vec<_> = histogram
        .bucket
        .iter()
        .map(|bucket| {
            (
                bucket.upper_bound(),
                bucket.cumulative_count(),
                bucket.exemplar.clone(),
            )
        })
        .collect();
    let expected = [
        (1.0, 1, Some(exemplar("below", 0.5, None))),
        (f64::INFINITY, 2, Some(exemplar("above", 2.0, None))),
    ];
    assert_eq!(buckets, expected);
}
