//! Names in any characters: custom metrics, included registries and labels may have them. A scraper chooses how they are
//! escaped.

mod support;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::sync::Arc;
use support::page_of;
use tower_openmetrics::labels::Label;
use tower_openmetrics::{Clock, Error, Format, MetricsLayer, MetricsRegistry};

const OPEN_METRICS: &str = "application/openmetrics-text";
const TEXT: &str = "text/plain";

fn registry() -> MetricsRegistry {
    MetricsRegistry::with_clock(Clock::manual())
}

/// Returns the page in this format and escaping, without the uptime.
fn page(registry: &MetricsRegistry, accept: &str, escaping: &str) -> String {
    let accept = format!("{accept};escaping={escaping}");
    let page = page_of(registry.exporter(), &accept);
    let lines = page
        .lines()
        .filter(|line| !line.contains("uptime") && *line != "# EOF");
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn each_scheme_writes_a_custom_metric_in_its_own_way() {
    let registry = registry();
    let family = Family::<Vec<(String, String)>, Counter>::default();
    let labels = vec![
        ("http.path".to_owned(), "/".to_owned()),
        ("code".to_owned(), "1".to_owned()),
    ];
    family.get_or_create(&labels).inc();
    registry.register("my.jobs_done", "Jobs", family).unwrap();
    for (escaping, expected) in [
        (
            "allow-utf-8",
            "# HELP \"my.jobs_done\" Jobs\n# TYPE \"my.jobs_done\" counter\n\
             {\"my.jobs_done_total\",code=\"1\",\"http.path\"=\"/\"} 1\n",
        ),
        (
            "underscores",
            "# HELP my_jobs_done Jobs\n# TYPE my_jobs_done counter\n\
             my_jobs_done_total{code=\"1\",http_path=\"/\"} 1\n",
        ),
        (
            "dots",
            "# HELP my_dot_jobs__done_ Jobs\n# TYPE my_dot_jobs__done_ counter\n\
             my_dot_jobs__done__total{code=\"1\",http_dot_path=\"/\"} 1\n",
        ),
        (
            "values",
            "# HELP U__my_2e_jobs__done_ Jobs\n# TYPE U__my_2e_jobs__done_ counter\n\
             U__my_2e_jobs__done__total{U__http_2e_path=\"/\",code=\"1\"} 1\n",
        ),
    ] {
        assert_eq!(
            page(&registry, OPEN_METRICS, escaping),
            expected,
            "{escaping}"
        );
    }
    let text = page(&registry, TEXT, "allow-utf-8");
    let expected = "# HELP \"my.jobs_done_total\" Jobs\n# TYPE \"my.jobs_done_total\" counter\n\
         {\"my.jobs_done_total\",code=\"1\",\"http.path\"=\"/\"} 1\n";
    assert_eq!(text, expected);
    // Who names no scheme reads underscores.
    for page in [
        page_of(registry.exporter(), OPEN_METRICS),
        registry.encode(Format::OpenMetrics).unwrap(),
    ] {
        assert!(page.contains("\nmy_jobs_done_total{code=\"1\",http_path=\"/\"} 1\n"));
    }
}

#[test]
fn quotes_and_backslashes_of_names_are_escaped() {
    let registry = registry();
    let layer = MetricsLayer::builder().registry(&registry);
    let layer = layer.build([("a\"b\\", "1")]).unwrap();
    let unit = Unit::Seconds;
    let histogram = Histogram::new([1.0]);
    layer
        .register_with_unit("{\" ä}", "Help", unit, histogram)
        .unwrap();
    let shown = page(&registry, OPEN_METRICS, "allow-utf-8");
    for line in [
        r##"# TYPE "{\" ä}_seconds" histogram"##,
        r##"# UNIT "{\" ä}_seconds" seconds"##,
        r##"{"{\" ä}_seconds_bucket","a\"b\\"="1",le="1.0"} 0"##,
        r##"{"{\" ä}_seconds_count","a\"b\\"="1"} 0"##,
        r##"requests_total{"a\"b\\"="1"} 0"##,
        r##"errors_total{"a\"b\\"="1",error_type="panic"} 0"##,
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line}\n{shown}");
    }
}

/// Dots escape underscores, so that they can be told from dots.
#[test]
fn automatic_families_are_escaped_as_well() {
    let registry = registry();
    let builder = MetricsLayer::builder()
        .registry(&registry)
        .label(Label::method().named("http.method"));
    let layer = builder
        .declare([("http.method", "GET")])
        .build([("my_zone", "eu")])
        .unwrap();
    drop(layer);
    for (escaping, expected) in [
        (
            "allow-utf-8",
            r#"requests_total{"http.method"="GET",my_zone="eu"} 0"#,
        ),
        (
            "underscores",
            r#"requests_total{http_method="GET",my_zone="eu"} 0"#,
        ),
        (
            "dots",
            r#"requests__total{http_dot_method="GET",my__zone="eu"} 0"#,
        ),
        (
            "dots",
            r#"errors__total{error__type="panic",http_dot_method="GET",my__zone="eu"} 0"#,
        ),
        (
            "dots",
            r#"request__duration__seconds_bucket{http_dot_method="GET",le="+Inf",my__zone="eu"} 0"#,
        ),
        (
            "values",
            r#"requests_total{U__http_2e_method="GET",my_zone="eu"} 0"#,
        ),
    ] {
        let shown = page(&registry, OPEN_METRICS, escaping);
        assert!(
            shown.lines().any(|line| line == expected),
            "{escaping}: {expected}\n{shown}"
        );
    }
}

#[test]
fn included_registries_may_have_them_in_quotes_or_not() {
    let registry = registry();
    let mut theirs = Registry::default();
    theirs.register("their.level", "Level", Gauge::<i64>::default());
    registry.include(Arc::new(theirs)).unwrap();
    let text =
        "# HELP \"a \\\"b\" Quoted\n# TYPE \"a \\\"b\" gauge\n{\"a \\\"b\",\"x.y\"=\"1\"} 2\n";
    registry
        .include_with(move |out| {
            out.push_str(text);
            Ok(())
        })
        .unwrap();
    let theirs =
        "# HELP \"their.level\" Level.\n# TYPE \"their.level\" gauge\n{\"their.level\"} 0\n";
    for format in [OPEN_METRICS, TEXT] {
        let shown = page(&registry, format, "allow-utf-8");
        let expected = format!("{text}{theirs}");
        assert_eq!(shown, expected);
    }
    let shown = page(&registry, TEXT, "underscores");
    assert!(shown.contains("a__b{x_y=\"1\"} 2\n") && shown.contains("their_level 0\n"));
}

#[test]
fn names_that_become_equal_are_refused() {
    type Registering = fn(&MetricsRegistry) -> Result<(), Error>;
    let rows: [(Registering, Registering, &[&str]); 5] = [
        (
            |r| gauge(r, "my.level"),
            |r| gauge(r, "my_level"),
            &["`my.level`", "`my_level`"],
        ),
        (
            |r| gauge(r, "my.level"),
            |r| gauge(r, "my level"),
            &["`my_level`"],
        ),
        (
            |r| gauge(r, "a.b"),
            |r| gauge(r, "U__a_2e_b"),
            &["`U__a_2e_b`"],
        ),
        (
            |r| {
                r.register("requests.done", "", Counter::<u64>::default())
                    .map(drop)
            },
            |r| gauge(r, "requests_done_total"),
            &["`requests_done_total`"],
        ),
        (
            |r| {
                MetricsLayer::builder()
                    .registry(r)
                    .build([("a.b", "1")])
                    .map(drop)
            },
            |r| {
                MetricsLayer::builder()
                    .registry(r)
                    .build([("a_b", "1")])
                    .map(drop)
            },
            &["{a.b=\"1\"}", "{a_b=\"1\"}"],
        ),
    ];
    for (first, second, named) in rows {
        for (one, other) in [(first, second), (second, first)] {
            let registry = registry();
            one(&registry).unwrap();
            let before = page(&registry, OPEN_METRICS, "underscores");
            let error = other(&registry).unwrap_err().to_string();
            for name in named {
                assert!(error.contains(name), "{name}: {error}");
            }
            assert_eq!(page(&registry, OPEN_METRICS, "underscores"), before);
        }
    }
}

fn gauge(registry: &MetricsRegistry, name: &str) -> Result<(), Error> {
    registry
        .register(name, "", Gauge::<i64>::default())
        .map(drop)
}

/// `unregister` and `name[]` know them by the name that they were given, and a selection by what the page shows.
#[test]
fn they_are_found_by_name() {
    let registry = registry();
    gauge(&registry, "my.level").unwrap();
    for name in ["my.level", "my_level", "U__my_2e_level"] {
        let uri = format!("/metrics?name[]={name}");
        let request = http::Request::get(uri).body(()).unwrap();
        let exporter = registry.exporter();
        let read = move || {
            let Ok(response) = support::now(tower::ServiceExt::oneshot(exporter, request));
            let body = http_body_util::BodyExt::collect(response.into_body());
            support::now(body).unwrap().to_bytes()
        };
        let page = std::thread::spawn(read).join().unwrap();
        assert!(page.ends_with(b"\nmy_level 0\n"), "{name}: {page:?}");
    }
    assert!(registry.unregister("my.level"));
    assert_eq!(page(&registry, OPEN_METRICS, "allow-utf-8"), "");
}
