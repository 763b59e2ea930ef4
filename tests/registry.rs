//! Metrics that can and can't share a registry, and the page of a registry.

mod support;

use self::support::{Numbers, Page, now, page_of, panic_of, take_to_end};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Unit;
use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;
use tower::{Layer, ServiceExt, service_fn};
use tower_openmetrics::classify::ServerErrorsOnly;
use tower_openmetrics::labels::Label;
use tower_openmetrics::testing::{ABSENT, Snapshot};
use tower_openmetrics::{
    Clock, Error, ErrorType, MetricsLayer, MetricsLayerBuilder, MetricsRegistry, assert_metrics,
};

const OPEN_METRICS: &str = "application/openmetrics-text";
const TEXT: &str = "text/plain";

fn open_metrics(registry: &MetricsRegistry) -> String {
    page_of(registry.exporter(), OPEN_METRICS)
}

fn on(registry: &MetricsRegistry) -> MetricsLayerBuilder {
    MetricsLayer::builder().registry(registry)
}

/// Makes one call that sends and receives `text` and takes `time`.
fn echo(layer: &MetricsLayer, clock: Clock, text: &'static str, time: Duration) {
    let service = layer.layer(service_fn(async |request: Request<_>| {
        take_to_end(pin!(request.into_body()));
        clock.advance(time);
        let body = Full::new(Bytes::from_static(text.as_bytes()));
        Ok::<_, Infallible>(Response::new(body))
    }));
    let request = Full::new(Bytes::from_static(text.as_bytes()));
    let Ok(response) = now(service.oneshot(Request::new(request)));
    take_to_end(pin!(response.into_body()));
}

#[track_caller]
fn assert_names<T>(result: Result<T, Error>, named: &[&str]) {
    let Err(error) = result else {
        panic!("an error that names {named:?} was to come");
    };
    let text = error.to_string();
    for value in named {
        assert!(text.contains(value), "{value} in {text:?}");
    }
}

// === metrics that can share a registry ===

#[test]
fn layers_with_equal_labels_share_their_series() {
    let clock = Clock::manual();
    let registry = MetricsRegistry::with_clock(clock);
    let labels = [("namespace", "shop"), ("endpoint", "a")];
    let turned_around = [("endpoint", "a"), ("namespace", "shop")];
    let first = on(&registry).clock(clock).build(labels).unwrap();
    let second = on(&registry).clock(clock).build(turned_around).unwrap();
    echo(&first, clock, "ab", Duration::ZERO);
    echo(&second, clock, "c", Duration::ZERO);
    echo(&second.clone(), clock, "d", Duration::ZERO);
    let numbers = Numbers::of(&first);
    assert_eq!(numbers, Numbers::of(&second));
    assert_eq!((numbers.requests, numbers.request_bytes), (3, 4));
}

/// The classifier is not part of the settings that must be equal.
#[test]
fn layers_that_share_series_may_classify_differently() {
    let registry = MetricsRegistry::new();
    drop(on(&registry).build([("endpoint", "a")]).unwrap());
    let other = on(&registry).classifier(ServerErrorsOnly);
    drop(other.build([("endpoint", "a")]).unwrap());
}

#[test]
fn layers_with_other_labels_or_prefixes_may_have_other_settings() {
    let registry = MetricsRegistry::new();
    drop(on(&registry).build([("endpoint", "a")]).unwrap());
    drop(
        on(&registry)
            .buckets([1.0, 60.0])
            .first_byte_seconds(true)
            .build([("endpoint", "b")])
            .unwrap(),
    );
    drop(
        on(&registry)
            .prefix("shop")
            .buckets([2.0])
            .build([("endpoint", "a")])
            .unwrap(),
    );
    let page = Page::read(registry.exporter());
    let bounds = |name| page.all(name).map(|(labels, _)| labels).collect::<Vec<_>>();
    let of_b = |labels: &&str| labels.contains("\"b\"");
    let buckets = bounds("request_duration_seconds_bucket");
    assert_eq!(buckets.iter().filter(|labels| of_b(labels)).count(), 3);
    assert_eq!(buckets.len(), 3 + 12);
    assert_eq!(bounds("first_byte_seconds_count"), [r#"{endpoint="b"}"#]);
    let prefixed = bounds("shop_request_duration_seconds_bucket");
    assert_eq!(
        prefixed,
        [r#"{endpoint="a",le="+Inf"}"#, r#"{endpoint="a",le="2.0"}"#]
    );
}

#[test]
fn registries_are_independent() {
    let (a, b) = (MetricsLayer::default(), MetricsLayer::default());
    let clock = Clock::manual();
    echo(&a, clock, "abc", Duration::ZERO);
    assert_metrics!(Snapshot::of(a.registry()), { "requests_total" {} => 1 });
    assert_metrics!(Snapshot::of(b.registry()), { _ => 0 });
    a.register("jobs", "Jobs", Gauge::<i64>::default()).unwrap();
    b.register("jobs", "Others", Counter::<u64>::default())
        .unwrap();
}

#[test]
fn optional_histograms_are_off_by_default() {
    let clock = Clock::manual();
    for (head, first_byte) in [(false, false), (true, false), (false, true), (true, true)] {
        let layer = MetricsLayer::builder()
            .clock(clock)
            .response_head_seconds(head)
            .first_byte_seconds(first_byte)
            .buckets([1.0, 4.0])
            .build([("endpoint", "a")])
            .unwrap();
        echo(&layer, clock, "abc", Duration::from_secs(2));
        echo(&layer, clock, "", Duration::from_secs(3));
        let if_on = |on, seconds: f64| match on {
            true => seconds.into(),
            false => ABSENT,
        };
        assert_metrics!(Snapshot::of(layer.registry()), {
            "response_head_seconds_sum" => if_on(head, 5.0),
            "response_head_seconds_count" => if_on(head, 2.0),
            "first_byte_seconds_sum" => if_on(first_byte, 2.0),
            // A response without bytes has no first byte.
            "first_byte_seconds_count" => if_on(first_byte, 1.0),
            "request_duration_seconds" => [2.0, 3.0],
        });
    }
}

#[test]
fn a_registry_has_one_uptime() {
    let clock = Clock::manual();
    clock.advance(Duration::from_secs(1_000));
    let registry = MetricsRegistry::with_clock(clock);
    let uptime = || {
        Page::read(registry.exporter())
            .one("uptime_seconds")
            .to_owned()
    };
    assert_eq!(uptime(), "0.0");
    clock.advance(Duration::from_millis(90_500));
    drop(on(&registry).build([("endpoint", "a")]).unwrap());
    drop(on(&registry).build([("endpoint", "b")]).unwrap());
    assert_eq!(uptime(), "90.5");
    clock.advance(Duration::from_nanos(1));
    assert_eq!(uptime(), "90.500000001");
}

// === metrics that can't share a registry ===

type Building = fn(MetricsLayerBuilder) -> Result<MetricsLayer, Error>;

#[test]
fn an_error_names_the_wrong_setting() {
    let rows: [(Building, &[&str]); 17] = [
        (|layer| layer.build([("le", "1")]), &["`le`", "reserved"]),
        (|layer| layer.build([("quantile", "1")]), &["`quantile`"]),
        (
            |layer| layer.build([("error_type", "1")]),
            &["`error_type`"],
        ),
        (|layer| layer.build([("__name__", "1")]), &["`__name__`"]),
        (|layer| layer.build([("", "1")]), &["\"\"", "invalid"]),
        (
            |layer| layer.build([("a.b", "1"), ("a_b", "1")]),
            &["`a.b`", "`a_b`"],
        ),
        (|layer| layer.build([("", "1")]), &["\"\""]),
        (
            |layer| layer.build([("a", "1"), ("b", "2"), ("a", "3")]),
            &["`a`", "\"1\"", "\"3\"", "twice"],
        ),
        (
            |layer| layer.prefix("my-app").build([("a", "1")]),
            &["\"my-app\"", "prefix"],
        ),
        (
            |layer| layer.prefix("1st").build([("a", "1")]),
            &["\"1st\""],
        ),
        (|layer| layer.buckets([]).build([("a", "1")]), &["empty"]),
        (
            |layer| layer.buckets([1.0, 0.5]).build([("a", "1")]),
            &["0.5", "1"],
        ),
        (
            |layer| layer.buckets([1.0, 1.0]).build([("a", "1")]),
            &["1 comes after 1"],
        ),
        (
            |layer| layer.buckets([-1.0]).build([("a", "1")]),
            &["-1", "negative"],
        ),
        (
            |layer| layer.buckets([1.0, f64::INFINITY]).build([("a", "1")]),
            &["inf", "finite"],
        ),
        (
            |layer| layer.buckets([f64::NAN]).build([("a", "1")]),
            &["NaN", "finite"],
        ),
        (
            |layer| {
                let types = (0..55).map(|i| {
                    let name = format!("type_{i}").into_boxed_str();
                    ErrorType::from_static(Box::leak(name))
                });
                layer.error_types(types).build([("a", "1")])
            },
            &["`type_54`", "54"],
        ),
    ];
    for (build, named) in rows {
        assert_names(build(MetricsLayer::builder()), named);
    }
}

#[test]
fn layers_with_equal_labels_and_different_settings_are_refused() {
    let rows: [Building; 5] = [
        |layer| layer.buckets([1.0]).build([("endpoint", "a")]),
        |layer| layer.response_head_seconds(true).build([("endpoint", "a")]),
        |layer| layer.first_byte_seconds(true).build([("endpoint", "a")]),
        |layer| layer.clock(Clock::manual()).build([("endpoint", "a")]),
        |layer| {
            let types = [ErrorType::from_static("quota")];
            layer.error_types(types).build([("endpoint", "a")])
        },
    ];
    for build in rows {
        let registry = MetricsRegistry::new();
        layer(&registry).unwrap();
        assert_names(
            build(on(&registry)),
            &[r#"{endpoint="a"}"#, "different settings"],
        );
        let before = open_metrics(&MetricsRegistry::new()).lines().count();
        assert!(open_metrics(&registry).lines().count() > before);
    }
}

#[test]
fn a_default_that_is_set_is_no_different_setting() {
    let registry = MetricsRegistry::new();
    for label in [Label::status(), Label::status().absent("none")] {
        let layer = on(&registry).label(label).build([("endpoint", "a")]);
        assert!(layer.is_ok(), "{layer:?}");
    }
}

#[test]
fn new_panics_with_the_error() {
    let error = MetricsLayer::builder().build([("le", "1")]).unwrap_err();
    let panic = panic_of(|| MetricsLayer::new([("le", "1")]));
    assert!(panic.contains(&error.to_string()), "{panic}");
}

type Registering = fn(&MetricsRegistry) -> Result<(), Error>;

fn counter(registry: &MetricsRegistry, name: &str) -> Result<(), Error> {
    let counter = Counter::<u64>::default();
    registry.register(name, "Help", counter).map(drop)
}

fn gauge(registry: &MetricsRegistry, name: &str) -> Result<(), Error> {
    let gauge = Gauge::<i64>::default();
    registry.register(name, "Help", gauge).map(drop)
}

fn histogram(registry: &MetricsRegistry, name: &str) -> Result<(), Error> {
    let histogram = Histogram::new([1.0]);
    registry.register(name, "Help", histogram).map(drop)
}

fn layer(registry: &MetricsRegistry) -> Result<(), Error> {
    on(registry).build([("endpoint", "a")]).map(drop)
}

fn prefixed(registry: &MetricsRegistry, prefix: &str) -> Result<(), Error> {
    let layer = on(registry).prefix(prefix);
    layer.build([("endpoint", "a")]).map(drop)
}

fn labelled<M>(registry: &MetricsRegistry, help: &str, metric: M) -> Result<(), Error>
where
    M: prometheus_client::registry::Metric + Clone,
{
    let layer = on(registry).build([("endpoint", "a")])?;
    layer.register("jobs", help, metric).map(drop)
}

/// The second registration of each pair is refused. The error names the clash.
#[test]
fn clashing_metrics_are_refused() {
    let rows: [(Registering, Registering, &[&str]); 26] = [
        (
            |r| counter(r, "x"),
            |r| counter(r, "x"),
            &["`x`", "already"],
        ),
        (|r| gauge(r, "x"), |r| gauge(r, "x"), &["`x`", "already"]),
        // A family with another type, unit or help.
        (
            |r| layer(r).and_then(|()| counter(r, "jobs")),
            |r| labelled(r, "Help", Gauge::<i64>::default()),
            &["`jobs`", "counter", "gauge"],
        ),
        (
            |r| layer(r).and_then(|()| counter(r, "jobs")),
            |r| labelled(r, "Other help", Counter::<u64>::default()),
            &["`jobs`", "\"Help\"", "\"Other help\""],
        ),
        (
            |r| counter(r, "x_bytes"),
            |r| {
                let counter = Counter::<u64>::default();
                let unit = Unit::Bytes;
                r.register_with_unit("x", "Help", unit, counter).map(drop)
            },
            &["`x_bytes`", "unit", "\"bytes\""],
        ),
        // Names of samples.
        (|r| counter(r, "x"), |r| gauge(r, "x_total"), &["`x_total`"]),
        (|r| gauge(r, "x_total"), |r| counter(r, "x"), &["`x_total`"]),
        (
            |r| histogram(r, "x"),
            |r| gauge(r, "x_count"),
            &["`x_count`"],
        ),
        (
            |r| gauge(r, "x_count"),
            |r| histogram(r, "x"),
            &["`x_count`"],
        ),
        (|r| histogram(r, "x"), |r| gauge(r, "x_sum"), &["`x_sum`"]),
        (
            |r| gauge(r, "x_bucket"),
            |r| histogram(r, "x"),
            &["`x_bucket`"],
        ),
        (
            |r| counter(r, "x"),
            |r| gauge(r, "x_created"),
            &["`x_created`"],
        ),
        (
            |r| histogram(r, "x"),
            |r| counter(r, "x_count"),
            &["`x_count`"],
        ),
        // Automatic metrics, before and after custom ones.
        (layer, |r| counter(r, "requests"), &["`requests`"]),
        (|r| counter(r, "requests"), layer, &["`requests`"]),
        (layer, |r| gauge(r, "requests_total"), &["`requests_total`"]),
        (|r| gauge(r, "requests_total"), layer, &["`requests_total`"]),
        (
            layer,
            |r| gauge(r, "concurrent_requests"),
            &["`concurrent_requests`"],
        ),
        (
            |r| gauge(r, "concurrent_requests"),
            layer,
            &["`concurrent_requests`"],
        ),
        (
            layer,
            |r| gauge(r, "request_duration_seconds_count"),
            &["`request_duration_seconds_count`"],
        ),
        (
            |r| histogram(r, "request_duration_seconds"),
            layer,
            &["`request_duration_seconds`"],
        ),
        (
            |r| prefixed(r, "shop"),
            |r| counter(r, "shop_requests"),
            &["`shop_requests`"],
        ),
        (
            |r| counter(r, "shop_requests"),
            |r| prefixed(r, "shop"),
            &["`shop_requests`"],
        ),
        (
            |_| Ok(()),
            |r| gauge(r, "uptime_seconds"),
            &["`uptime_seconds`"],
        ),
        // Automatic metrics with another prefix.
        (
            layer,
            |r| prefixed(r, "concurrent"),
            &["`concurrent_requests`"],
        ),
        (
            |r| prefixed(r, "concurrent"),
            layer,
            &["`concurrent_requests`"],
        ),
    ];
    for (first, second, named) in rows {
        let registry = MetricsRegistry::new();
        first(&registry).unwrap();
        let before = Page::read(registry.exporter());
        assert_names(second(&registry), named);
        let after = Page::read(registry.exporter());
        let names = |page: &Page| -> Vec<String> {
            page.samples()
                .map(|(series, _)| series.to_owned())
                .collect()
        };
        assert_eq!(
            names(&after),
            names(&before),
            "what was refused is not shown"
        );
    }
}

#[test]
fn similar_names_do_not_clash() {
    let rows: [(Registering, Registering); 6] = [
        (layer, |r| prefixed(r, "shop")),
        (layer, |r| gauge(r, "requests_waiting")),
        (layer, |r| gauge(r, "first_byte_seconds")),
        (|r| gauge(r, "x"), |r| gauge(r, "x_count")),
        (|r| counter(r, "x"), |r| counter(r, "x_y")),
        (|r| prefixed(r, "a"), |r| prefixed(r, "a_b")),
    ];
    for (first, second) in rows {
        let registry = MetricsRegistry::new();
        first(&registry).unwrap();
        second(&registry).unwrap();
    }
}

#[test]
fn invalid_names_are_refused() {
    let rows: [(Registering, &[&str]); 5] = [
        (|r| counter(r, ""), &["\"\""]),
        (|r| counter(r, "a\nb"), &[r#""a\nb""#]),
        (|r| counter(r, "jobs_total"), &["`jobs_total`", "`jobs`"]),
        (
            |r| r.register("build_info", "Help", NoClone::info()).map(drop),
            &["`build_info`", "`build`"],
        ),
        (
            |r| {
                let unit = Unit::Other("per second".to_owned());
                let gauge = Gauge::<i64>::default();
                r.register_with_unit("x", "Help", unit, gauge).map(drop)
            },
            &["\"per second\"", "`x`"],
        ),
    ];
    for (register, named) in rows {
        assert_names(register(&MetricsRegistry::new()), named);
    }
}

/// An `Info` behind an `Arc`, because `Info` is not `Clone`.
#[derive(Clone, Debug)]
struct NoClone(std::sync::Arc<Info<Vec<(&'static str, &'static str)>>>);

impl NoClone {
    fn info() -> Self {
        Self(std::sync::Arc::new(Info::new(vec![("version", "1.2")])))
    }
}

impl prometheus_client::encoding::EncodeMetric for NoClone {
    fn encode(&self, encoder: prometheus_client::encoding::MetricEncoder<'_>) -> std::fmt::Result {
        self.0.encode(encoder)
    }

    fn metric_type(&self) -> prometheus_client::metrics::MetricType {
        self.0.metric_type()
    }
}

// === the page ===

/// Returns a registry with every kind of metric and with labels that need escaping.
fn shop() -> MetricsRegistry {
    let clock = Clock::manual();
    let registry = MetricsRegistry::with_clock(clock);
    let layer = on(&registry)
        .clock(clock)
        .buckets([0.25, 1.0])
        .build([("namespace", "a \"b\"\\c\nd")])
        .unwrap();
    echo(&layer, clock, "abc", Duration::from_millis(250));
    echo(&layer, clock, "de", Duration::from_secs(2));

    let help = "Jobs \\ of\nthe \"day\"";
    let unlabelled = registry.register("jobs", help, Counter::<u64>::default());
    unlabelled.unwrap().inc();
    let labelled = layer.register("jobs", help, Counter::<u64>::default());
    labelled.unwrap().inc_by(2);

    let sizes = layer.register_with_unit("size", "Sizes", Unit::Bytes, Histogram::new([5.0, 1e6]));
    sizes.unwrap().observe(7.5);
    registry
        .register("build", "Build", NoClone::info())
        .unwrap();
    clock.advance(Duration::from_millis(250));
    registry
}

#[test]
fn a_page_in_openmetrics() {
    let expected = r#"# HELP build Build
# TYPE build info
build_info{version="1.2"} 1
# HELP cancellations Calls whose caller left before the end
# TYPE cancellations counter
cancellations_total{namespace="a \"b\"\\c\nd"} 0
# HELP concurrent_requests Calls in flight
# TYPE concurrent_requests gauge
concurrent_requests{namespace="a \"b\"\\c\nd"} 0
# HELP errors Calls that failed, by the type of their first failure
# TYPE errors counter
errors_total{error_type="deserialization",namespace="a \"b\"\\c\nd"} 0
errors_total{error_type="generate",namespace="a \"b\"\\c\nd"} 0
errors_total{error_type="invalid_message",namespace="a \"b\"\\c\nd"} 0
errors_total{error_type="overloaded",namespace="a \"b\"\\c\nd"} 0
errors_total{error_type="panic",namespace="a \"b\"\\c\nd"} 0
errors_total{error_type="publish_final",namespace="a \"b\"\\c\nd"} 0
errors_total{error_type="publish_response",namespace="a \"b\"\\c\nd"} 0
errors_total{error_type="response_stream",namespace="a \"b\"\\c\nd"} 0
errors_total{error_type="timeout",namespace="a \"b\"\\c\nd"} 0
# HELP jobs Jobs \\ of\nthe \"day\"
# TYPE jobs counter
jobs_total 1
jobs_total{namespace="a \"b\"\\c\nd"} 2
# HELP request_bytes Bytes of requests that the service has read
# TYPE request_bytes counter
# UNIT request_bytes bytes
request_bytes_total{namespace="a \"b\"\\c\nd"} 5
# HELP request_duration_seconds Time from the beginning of a call to the end of its response
# TYPE request_duration_seconds histogram
# UNIT request_duration_seconds seconds
request_duration_seconds_bucket{le="0.25",namespace="a \"b\"\\c\nd"} 1
request_duration_seconds_bucket{le="1.0",namespace="a \"b\"\\c\nd"} 1
request_duration_seconds_bucket{le="+Inf",namespace="a \"b\"\\c\nd"} 2
request_duration_seconds_sum{namespace="a \"b\"\\c\nd"} 2.25
request_duration_seconds_count{namespace="a \"b\"\\c\nd"} 2
# HELP requests Calls that have ended, however they ended
# TYPE requests counter
requests_total{namespace="a \"b\"\\c\nd"} 2
# HELP response_bytes Bytes of responses that the caller has taken
# TYPE response_bytes counter
# UNIT response_bytes bytes
response_bytes_total{namespace="a \"b\"\\c\nd"} 5
# HELP size_bytes Sizes
# TYPE size_bytes histogram
# UNIT size_bytes bytes
size_bytes_sum{namespace="a \"b\"\\c\nd"} 7.5
size_bytes_count{namespace="a \"b\"\\c\nd"} 1
size_bytes_bucket{le="5.0",namespace="a \"b\"\\c\nd"} 0
size_bytes_bucket{le="1e+06",namespace="a \"b\"\\c\nd"} 1
size_bytes_bucket{le="+Inf",namespace="a \"b\"\\c\nd"} 1
# HELP uptime_seconds Time since the registry was created
# TYPE uptime_seconds gauge
# UNIT uptime_seconds seconds
uptime_seconds 2.5
# EOF
"#;
    assert_eq!(open_metrics(&shop()), expected);
}

/// In format 0.0.4, metadata has the names of the samples, there is no unit or `info`, and quotes in HELP are not escaped.
#[test]
fn a_page_in_the_prometheus_text_format() {
    let text = page_of(shop().exporter(), TEXT);
    let expected = open_metrics(&shop())
        .replace(" cancellations ", " cancellations_total ")
        .replace(" errors ", " errors_total ")
        .replace(" jobs ", " jobs_total ")
        .replace(" request_bytes ", " request_bytes_total ")
        .replace("HELP requests ", "HELP requests_total ")
        .replace("TYPE requests ", "TYPE requests_total ")
        .replace(" response_bytes ", " response_bytes_total ")
        .replace("# HELP build ", "# HELP build_info ")
        .replace("# TYPE build info", "# TYPE build_info gauge")
        .replace(
            "Jobs \\\\ of\\nthe \\\"day\\\"",
            "Jobs \\\\ of\\nthe \"day\"",
        )
        .replace("# EOF\n", "");
    let expected: Vec<&str> = expected
        .lines()
        .filter(|line| !line.starts_with("# UNIT"))
        .collect();
    assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    assert!(text.ends_with("uptime_seconds 2.5\n"));
}

#[test]
fn an_empty_registry_shows_its_uptime() {
    let registry = MetricsRegistry::with_clock(Clock::manual());
    let metadata = "# HELP uptime_seconds Time since the registry was created\n\
                    # TYPE uptime_seconds gauge\n";
    assert_eq!(
        open_metrics(&registry),
        format!("{metadata}# UNIT uptime_seconds seconds\nuptime_seconds 0.0\n# EOF\n")
    );
    assert_eq!(
        page_of(registry.exporter(), TEXT),
        format!("{metadata}uptime_seconds 0.0\n")
    );
}

#[test]
fn a_family_is_written_once_for_all_labels() {
    let registry = MetricsRegistry::with_clock(Clock::manual());
    let (a, b) = (
        on(&registry).build([("endpoint", "a")]).unwrap(),
        on(&registry).build([("endpoint", "b")]).unwrap(),
    );
    for (layer, jobs) in [(&b, 2), (&a, 1)] {
        let gauge = layer.register("jobs", "Jobs", Gauge::<i64>::default());
        gauge.unwrap().set(jobs);
    }
    let page = open_metrics(&registry);
    let of_jobs = page.lines().filter(|line| line.contains("jobs"));
    assert_eq!(
        of_jobs.collect::<Vec<_>>(),
        [
            "# HELP jobs Jobs",
            "# TYPE jobs gauge",
            "jobs{endpoint=\"a\"} 1",
            "jobs{endpoint=\"b\"} 2",
        ]
    );
    let families = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let mut names: Vec<_> = families
        .map(|line| line.split_once(' ').unwrap().0)
        .collect();
    let all = names.len();
    assert!(names.is_sorted());
    names.dedup();
    assert_eq!(names.len(), all);
}

/// A `Family` encodes its series in the random order of a hash map.
#[test]
fn series_are_sorted_by_labels() {
    type Labels = [(&'static str, String); 2];
    let registry = MetricsRegistry::new();
    let layer = on(&registry).build([("k", "v")]).unwrap();
    let jobs = Family::<Labels, Counter>::default();
    let jobs = layer.register("jobs", "Jobs", jobs).unwrap();
    for i in (0..40).rev() {
        let labels = [("z", format!("{i:02}")), ("a", format!("{}", i % 2))];
        jobs.get_or_create(&labels).inc_by(i);
    }
    let page = open_metrics(&registry);
    let samples: Vec<_> = page
        .lines()
        .filter(|line| line.starts_with("jobs"))
        .collect();
    let mut expected: Vec<_> = (0..40)
        .map(|i| format!("jobs_total{{a=\"{}\",k=\"v\",z=\"{i:02}\"}} {i}", i % 2))
        .collect();
    expected.sort();
    assert_eq!(samples, expected);
}
