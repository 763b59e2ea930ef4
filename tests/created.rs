//! Created timestamps: when each counter and histogram began to count.

mod support;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use support::{Page, now, page_of, take_to_end};
use tower::{Layer, ServiceExt, service_fn};
use tower_openmetrics::labels::Label;
use tower_openmetrics::{Clock, ErrorType, MetricsExporter, MetricsLayer, MetricsRegistry};

const OPEN_METRICS: &str = "application/openmetrics-text";
const MINUTE: Duration = Duration::from_secs(60);

/// Returns a layer whose calls have a label, and leave after a minute.
fn labelled(registry: &MetricsRegistry, clock: Clock) -> MetricsLayer {
    let builder = MetricsLayer::builder().registry(registry).clock(clock);
    let path = Label::from_request("path", |head| Some(head.uri.path()));
    let builder = builder.label(path).series_idle_timeout(MINUTE);
    builder.build([("endpoint", "a")]).unwrap()
}

fn call(layer: &MetricsLayer, path: &str, error_type: Option<ErrorType>) {
    let service = layer.layer(service_fn(move |_| async move {
        let mut response = Response::new(Full::new(Bytes::new()));
        if let Some(error_type) = error_type {
            response.extensions_mut().insert(error_type);
        }
        Ok::<_, Infallible>(response)
    }));
    let request = Request::get(path).body(Full::new(Bytes::new()));
    let Ok(response) = now(service.oneshot(request.unwrap()));
    take_to_end(pin!(response.into_body()));
}

fn shown(exporter: MetricsExporter) -> Page {
    Page::read(exporter.created_timestamps(true))
}

#[test]
fn only_openmetrics_shows_them_if_told_to() {
    let layer = MetricsLayer::new([("endpoint", "a")]);
    for (on, accept, expected) in [
        (false, OPEN_METRICS, false),
        (true, OPEN_METRICS, true),
        (false, "text/plain", false),
        (true, "text/plain", false),
    ] {
        let page = page_of(layer.exporter().created_timestamps(on), accept);
        assert_eq!(page.contains("_created"), expected, "{on} {accept}");
    }
    assert!(!page_of(layer.exporter(), OPEN_METRICS).contains("_created"));
}

#[test]
fn every_counter_and_histogram_has_one() {
    let clock = Clock::manual();
    clock.advance(Duration::from_millis(1_500));
    let registry = MetricsRegistry::with_clock(clock);
    let layer = labelled(&registry, clock);
    call(&layer, "/", Some(ErrorType::GENERATE));
    let histogram = Histogram::new([1.0]);
    layer.register("h", "Custom", histogram).unwrap();
    layer
        .register("g", "Custom", Gauge::<i64>::default())
        .unwrap();
    let exporter = registry.exporter().self_metrics().unwrap();
    let page = page_of(exporter.created_timestamps(true), OPEN_METRICS);
    let counted = page.lines().filter_map(|line| {
        let (series, _) = line.rsplit_once(' ')?;
        let (name, labels) = series.split_at(series.find('{').unwrap_or(series.len()));
        let mut suffixes = ["_total", "_count"].iter();
        let family = suffixes.find_map(|suffix| name.strip_suffix(suffix))?;
        Some(format!("{family}_created{labels} 1.5"))
    });
    let counted: Vec<String> = counted.collect();
    let created = page.lines().filter(|line| line.contains("_created"));
    assert_eq!(created.collect::<Vec<_>>(), counted);
    // Of the layer: four counters, nine error types, a histogram and the overflow. Of users: one histogram. Of the exporter:
    // five codes, a histogram and a counter.
    assert_eq!(counted.len(), 4 + 9 + 1 + 1 + 1 + 5 + 1 + 1);
}

#[test]
fn an_endpoint_that_returns_has_a_new_one() {
    let clock = Clock::manual();
    let registry = MetricsRegistry::with_clock(clock);
    let build = || {
        let layer = MetricsLayer::builder().registry(&registry).clock(clock);
        let layer = layer.build([("endpoint", "a")]).unwrap();
        layer
            .register("jobs", "Jobs", Counter::<u64>::default())
            .unwrap();
        layer
    };
    let names = [
        "requests_created",
        "request_duration_seconds_created",
        "jobs_created",
    ];
    let starts = || names.map(|name| shown(registry.exporter()).one(name).to_owned());
    let layer = build();
    assert_eq!(starts(), ["0.0"; 3]);
    clock.advance(MINUTE);
    // A second layer with these labels has the same series.
    let same = MetricsLayer::builder().registry(&registry).clock(clock);
    drop(same.build([("endpoint", "a")]).unwrap());
    assert_eq!(starts(), ["0.0"; 3]);
    layer.remove();
    let _again = build();
    assert_eq!(starts(), ["60.0"; 3]);
}

#[test]
fn a_label_set_begins_with_its_first_call_and_again_after_it_was_idle() {
    let clock = Clock::manual();
    let registry = MetricsRegistry::with_clock(clock);
    let layer = labelled(&registry, clock);
    let starts = |name| {
        let page = shown(layer.exporter());
        let starts = page
            .all(name)
            .map(|(labels, start)| format!("{labels} {start}"));
        starts.collect::<Vec<_>>()
    };
    clock.advance(Duration::from_secs(1));
    call(&layer, "/a", None);
    clock.advance(Duration::from_secs(59));
    call(&layer, "/b", None);
    let both = [
        r#"{endpoint="a",path="/a"} 1.0"#,
        r#"{endpoint="a",path="/b"} 60.0"#,
    ];
    assert_eq!(starts("requests_created"), both);
    assert_eq!(starts("request_bytes_created"), both);
    clock.advance(Duration::from_secs(30));
    assert_eq!(starts("requests_created"), both[1..]);
    call(&layer, "/a", None);
    let again = [r#"{endpoint="a",path="/a"} 90.0"#, both[1]];
    assert_eq!(starts("requests_created"), again);
    assert_eq!(starts("request_duration_seconds_created"), again);
    // It counts for the layer.
    assert_eq!(starts("label_overflow_created"), [r#"{endpoint="a"} 0.0"#]);
}

/// So that the first failure is an increase, however old the series is.
#[test]
fn an_undeclared_error_type_begins_with_its_first_failure() {
    const NEW: ErrorType = ErrorType::from_static("new");
    let clock = Clock::manual();
    let registry = MetricsRegistry::with_clock(clock);
    let layer = labelled(&registry, clock);
    call(&layer, "/", None);
    for _ in 0..2 {
        clock.advance(Duration::from_secs(20));
        call(&layer, "/", Some(NEW));
    }
    let page = shown(layer.exporter());
    let start = |error_type| {
        let series =
            format!(r#"errors_created{{endpoint="a",error_type="{error_type}",path="/"}}"#);
        let mut samples = page.samples();
        samples.find(|(name, _)| *name == series).unwrap().1
    };
    assert_eq!((start("generate"), start("new")), ("0.0", "20.0"));
}

#[test]
fn included_families_keep_what_their_text_says() {
    let registry = MetricsRegistry::with_clock(Clock::manual());
    let text = "# TYPE a counter\na_total 1\na_created 2.5\n# TYPE b counter\nb_total 1\n# EOF\n";
    registry
        .include_with(|out| {
            out.push_str(text);
            Ok(())
        })
        .unwrap();
    let mut theirs = Registry::default();
    theirs.register("c", "Theirs", Counter::<u64>::default());
    registry.include(Arc::new(theirs)).unwrap();
    for on in [false, true] {
        let page = Page::read(registry.exporter().created_timestamps(on));
        let created = page.samples().filter(|(name, _)| name.contains("_created"));
        assert_eq!(created.collect::<Vec<_>>(), [("a_created", "2.5")]);
    }
}

#[test]
fn the_real_clock_tells_the_time_of_day() {
    let since_1970 = || {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        now.unwrap().as_millis()
    };
    let before = since_1970();
    let layer = MetricsLayer::new([("endpoint", "a")]);
    let after = since_1970();
    let page = shown(layer.exporter());
    let start: f64 = page.one("requests_created").parse().unwrap();
    let millis = (start * 1e3).round() as u128;
    assert!(
        (before..=after).contains(&millis),
        "{before} {start} {after}"
    );
}

#[test]
fn the_info_about_the_target_comes_first() {
    let registry = MetricsRegistry::new();
    registry.target_info([("service_name", "cart")]).unwrap();
    registry.build_info([("version", "1")]).unwrap();
    for (accept, expected) in [
        (
            OPEN_METRICS,
            "# TYPE target info\ntarget_info{service_name=\"cart\"} 1\n",
        ),
        (
            "text/plain",
            "# TYPE target_info gauge\ntarget_info{service_name=\"cart\"} 1\n",
        ),
    ] {
        let page = page_of(registry.exporter(), accept);
        let (help, rest) = page.split_once('\n').unwrap();
        assert!(help.starts_with("# HELP target"), "{page}");
        assert!(rest.starts_with(expected), "{page}");
        assert_eq!(page.matches("target_info{").count(), 1);
    }
    // Only an info describes the target.
    let registry = MetricsRegistry::new();
    registry
        .register("target", "A level", Gauge::<i64>::default())
        .unwrap();
    registry.build_info([("version", "1")]).unwrap();
    assert!(page_of(registry.exporter(), OPEN_METRICS).starts_with("# HELP build "));
}
