//! Other crates' texts on the page, and a registry inside a prometheus-client registry.

mod support;

use self::support::{Page, now, page_of};
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tower::{Layer, Service, service_fn};
use tower_openmetrics::{Clock, Error, Format, MetricsLayer, MetricsRegistry};

const OPEN_METRICS: &str = "application/openmetrics-text";
const TEXT: &str = "text/plain";

/// The output of the crate `prometheus` (`TextEncoder`).
const PROMETHEUS: &str = "\
# HELP http_request_seconds Time \\\\ to answer,\\nin seconds
# TYPE http_request_seconds histogram
http_request_seconds_bucket{path=\"/a\",le=\"0.005\"} 0
http_request_seconds_bucket{path=\"/a\",le=\"1\"} 1
http_request_seconds_bucket{path=\"/a\",le=\"+Inf\"} 2
http_request_seconds_sum{path=\"/a\"} 2.5
http_request_seconds_count{path=\"/a\"} 2
# HELP jobs_total Jobs done
# TYPE jobs_total counter
jobs_total{queue=\"mail\"} 3
jobs_total{queue=\"a\\\"b\"} 1 1520879607789
# HELP process_open_fds Number of open file descriptors.
# TYPE process_open_fds gauge
process_open_fds 12
# TYPE queue_depth gauge
queue_depth -1.5
# TYPE anything untyped
anything 7
";

/// The output of the crate `metrics-exporter-prometheus`.
const METRICS: &str = "\
# HELP http_requests_total Requests served
# TYPE http_requests_total counter
http_requests_total{method=\"GET\",path=\"/\"} 12
http_requests_total{method=\"PUT\",path=\"/\"} 1

# TYPE calls counter
calls 4

# TYPE pool_size gauge
pool_size{pool=\"main\"} 8

# TYPE latency summary
latency{quantile=\"0\"} 0.1
latency{quantile=\"0.5\"} 0.2
latency{quantile=\"0.99\"} 0.5
latency{quantile=\"1\"} 0.5
latency_sum 0.9
latency_count 3

";

/// The output of Python's `prometheus_client` (`generate_latest`).
const PYTHON: &str = "\
# HELP jobs_total Jobs done
# TYPE jobs_total counter
jobs_total{queue=\"mail\"} 3.0
# HELP jobs_created Jobs done
# TYPE jobs_created gauge
jobs_created{queue=\"mail\"} 1.7642e+09
# HELP latency_seconds Latency
# TYPE latency_seconds histogram
latency_seconds_bucket{le=\"0.5\"} 1.0
latency_seconds_bucket{le=\"+Inf\"} 1.0
latency_seconds_count 1.0
latency_seconds_sum 0.25
# HELP latency_seconds_created Latency
# TYPE latency_seconds_created gauge
latency_seconds_created 1.7642e+09
# HELP python_info Python platform information
# TYPE python_info gauge
python_info{implementation=\"CPython\"} 1.0
";

/// Valid text in an unusual layout, as if written by hand.
const BY_HAND: &str = "\
# A note to the reader.
up 1
#HELP  build_info\tWhat was built
# TYPE  build_info\tgauge
build_info {version=\"1.2\",revision=\"3\",}   1
# HELP free Without a type
free{disk=\"a\"} 1e+06
free{disk=\"b\"} Nan

\t# TYPE  last_run_seconds  gauge
last_run_seconds 1.5e9 1395066363000
# The end.
";

fn registry() -> MetricsRegistry {
    MetricsRegistry::with_clock(Clock::manual())
}

fn include(registry: &MetricsRegistry, text: &'static str) -> Result<(), Error> {
    registry.include_with(move |page| {
        page.push_str(text);
        Ok(())
    })
}

/// Returns the page without the uptime.
fn page(registry: &MetricsRegistry, accept: &str) -> String {
    let page = page_of(registry.exporter(), accept);
    let lines = page.lines().filter(|line| !line.contains("uptime_seconds"));
    lines.map(|line| format!("{line}\n")).collect()
}

/// Checks both pages of a registry that includes `text`. `changes` turn the page in format 0.0.4 into the OpenMetrics page.
#[track_caller]
fn assert_pages(text: &'static str, expected: &str, changes: &[(&str, &str)]) {
    let registry = registry();
    include(&registry, text).unwrap();
    assert_eq!(page(&registry, TEXT), expected);
    let changed = changes
        .iter()
        .fold(expected.to_owned(), |page, (from, to)| {
            page.replace(from, to)
        });
    assert_eq!(page(&registry, OPEN_METRICS), format!("{changed}# EOF\n"));
}

#[test]
fn output_of_the_crate_prometheus_is_included() {
    let expected = "\
# HELP anything \n# TYPE anything untyped
anything 7
# HELP http_request_seconds Time \\\\ to answer,\\nin seconds
# TYPE http_request_seconds histogram
http_request_seconds_bucket{le=\"0.005\",path=\"/a\"} 0
http_request_seconds_bucket{le=\"1.0\",path=\"/a\"} 1
http_request_seconds_bucket{le=\"+Inf\",path=\"/a\"} 2
http_request_seconds_sum{path=\"/a\"} 2.5
http_request_seconds_count{path=\"/a\"} 2
# HELP jobs_total Jobs done
# TYPE jobs_total counter
jobs_total{queue=\"a\\\"b\"} 1 1520879607789
jobs_total{queue=\"mail\"} 3
# HELP process_open_fds Number of open file descriptors.
# TYPE process_open_fds gauge
process_open_fds 12
# HELP queue_depth \n# TYPE queue_depth gauge
queue_depth -1.5
";
    let changes = [
        ("anything untyped", "anything unknown"),
        ("HELP jobs_total", "HELP jobs"),
        ("TYPE jobs_total", "TYPE jobs"),
        ("1520879607789", "1520879607.789"),
    ];
    assert_pages(PROMETHEUS, expected, &changes);
}

#[test]
fn output_of_metrics_exporter_prometheus_is_included() {
    let expected = "\
# HELP calls \n# TYPE calls counter
calls 4
# HELP http_requests_total Requests served
# TYPE http_requests_total counter
http_requests_total{method=\"GET\",path=\"/\"} 12
http_requests_total{method=\"PUT\",path=\"/\"} 1
# HELP latency \n# TYPE latency summary
latency{quantile=\"0\"} 0.1
latency{quantile=\"0.5\"} 0.2
latency{quantile=\"0.99\"} 0.5
latency{quantile=\"1\"} 0.5
latency_sum 0.9
latency_count 3
# HELP pool_size \n# TYPE pool_size gauge
pool_size{pool=\"main\"} 8
";
    // OpenMetrics has no counter without `_total`.
    let changes = [
        ("calls counter", "calls unknown"),
        ("HELP http_requests_total", "HELP http_requests"),
        ("TYPE http_requests_total", "TYPE http_requests"),
    ];
    assert_pages(METRICS, expected, &changes);
}

#[test]
fn output_of_pythons_client_library_is_included() {
    let expected = "\
# HELP jobs_total Jobs done
# TYPE jobs_total counter
jobs_total{queue=\"mail\"} 3.0
# HELP latency_seconds Latency
# TYPE latency_seconds histogram
latency_seconds_bucket{le=\"0.5\"} 1.0
latency_seconds_bucket{le=\"+Inf\"} 1.0
latency_seconds_count 1.0
latency_seconds_sum 0.25
# HELP python_info Python platform information
# TYPE python_info gauge
python_info{implementation=\"CPython\"} 1.0
";
    // In OpenMetrics, `_created` gauges are samples of their families.
    let changes = [
        ("HELP jobs_total", "HELP jobs"),
        ("TYPE jobs_total", "TYPE jobs"),
        (
            "} 3.0\n",
            "} 3.0\njobs_created{queue=\"mail\"} 1.7642e+09\n",
        ),
        (
            "sum 0.25\n",
            "sum 0.25\nlatency_seconds_created 1.7642e+09\n",
        ),
    ];
    assert_pages(PYTHON, expected, &changes);
}

#[test]
fn text_in_an_unusual_layout_is_included() {
    let registry = registry();
    include(&registry, BY_HAND).unwrap();
    assert_eq!(
        page(&registry, TEXT),
        "\
# HELP build_info What was built
# TYPE build_info gauge
build_info{revision=\"3\",version=\"1.2\"} 1
# HELP free Without a type
# TYPE free untyped
free{disk=\"a\"} 1e+06
free{disk=\"b\"} NaN
# HELP last_run_seconds \n# TYPE last_run_seconds gauge
last_run_seconds 1.5e9 1395066363000
# HELP up \n# TYPE up untyped
up 1
"
    );
}

/// The exporter's own output is included unchanged, in both formats.
#[test]
fn a_page_can_be_included() {
    for accept in [TEXT, OPEN_METRICS] {
        let ours = registry();
        let builder = MetricsLayer::builder().registry(&ours);
        let layer = builder.build([("endpoint", "a \"b\"\\\n")]).unwrap();
        let help = "Jobs \\ of\nthe day";
        let counter = layer.register("jobs", help, Counter::<u64>::default());
        counter.unwrap().inc();
        let text = page_of(ours.exporter(), accept);
        let other = MetricsRegistry::builder()
            .prefix("other")
            .build(())
            .unwrap();
        let included = text.clone();
        other
            .include_with(move |page| {
                page.push_str(&included);
                Ok(())
            })
            .unwrap();
        let shown = page_of(other.exporter(), accept);
        for line in text.lines() {
            assert!(shown.lines().any(|shown| shown == line), "{line}\n{shown}");
        }
    }
}

/// The error names what both would show.
#[test]
fn an_error_names_the_clash() {
    let rows = [
        (
            "# TYPE requests_total counter\nrequests_total 1\n",
            "`requests_total`",
        ),
        ("# TYPE requests counter\nrequests 1\n", "`requests`"),
        ("requests_total 1\n", "`requests_total`"),
        ("# TYPE ours_total counter\nours_total 1\n", "`ours_total`"),
        ("# TYPE ours_total gauge\nours_total 1\n", "`ours_total`"),
        (
            "# TYPE uptime_seconds gauge\nuptime_seconds 1\n",
            "`uptime_seconds`",
        ),
        (
            "# TYPE x_total counter\nx_total 1\n# TYPE x gauge\nx 1\n",
            "`x`",
        ),
        (
            "# TYPE x_total counter\nx_total 1\n\n# TYPE x_total counter\nx_total 2\n",
            "`x_total`",
        ),
    ];
    for (text, named) in rows {
        let registry = registry();
        let builder = MetricsLayer::builder().registry(&registry);
        drop(builder.build([("endpoint", "a")]).unwrap());
        let ours = registry.register("ours", "Ours", Counter::<u64>::default());
        ours.unwrap();
        let before = page(&registry, TEXT);
        let error = include(&registry, text).unwrap_err().to_string();
        assert!(error.contains(named), "{named}: {error}");
        assert_eq!(page(&registry, TEXT), before);
        // The other order clashes too.
        let registry = self::registry();
        if include(&registry, text).is_ok() && !text.contains("ours") {
            let builder = MetricsLayer::builder().registry(&registry);
            let error = builder.build([("endpoint", "a")]).unwrap_err().to_string();
            assert!(error.contains(named), "{named}: {error}");
        }
    }
}

/// A custom metric and an included text may share a family, in either order.
#[test]
fn a_family_may_be_shared() {
    let theirs = "# HELP jobs_total Jobs\n# TYPE jobs_total counter\njobs_total{by=\"them\"} 2\n";
    for is_first in [true, false] {
        let registry = registry();
        if is_first {
            include(&registry, theirs).unwrap();
        }
        let counter = registry.register("jobs", "Jobs", Counter::<u64>::default());
        counter.unwrap().inc();
        if !is_first {
            include(&registry, theirs).unwrap();
        }
        let expected = "# HELP jobs_total Jobs\n# TYPE jobs_total counter\njobs_total 1\njobs_total{by=\"them\"} 2\n";
        assert_eq!(page(&registry, TEXT), expected);
    }
}

// === inside a prometheus-client registry ===

/// Returns how often the page has each HELP, TYPE and UNIT.
#[track_caller]
fn assert_once(page: &str) {
    let mut metadata: Vec<_> = page.lines().filter(|line| line.starts_with("# ")).collect();
    metadata.sort_unstable();
    let twice = metadata.windows(2).find(|pair| pair[0] == pair[1]);
    assert_eq!(twice, None, "{page}");
}

fn encoded(theirs: &Registry) -> String {
    let mut page = String::new();
    text::encode(&mut page, theirs).unwrap();
    page
}

#[test]
fn a_second_registry_is_refused_with_advice() {
    let (a, b) = (
        MetricsLayer::new([("endpoint", "a")]),
        MetricsLayer::new([("endpoint", "b")]),
    );
    let mut theirs = Registry::with_prefix("app");
    theirs.register("jobs", "Jobs", Gauge::<i64>::default());
    a.registry().register_in(&mut theirs).unwrap();
    let before = encoded(&theirs);
    let error = b.registry().register_in(&mut theirs).unwrap_err();
    let error = error.to_string();
    for named in [
        "`app_",
        "`MetricsLayerBuilder::registry`",
        "`MetricsRegistryBuilder::prefix`",
    ] {
        assert!(error.contains(named), "{error}");
    }
    let again = a.registry().register_in(&mut theirs).unwrap_err();
    assert!(again.to_string().contains("`app_"), "{again}");
    let without_time = |page: &str| {
        let lines = page.lines().filter(|line| !line.starts_with("app_uptime"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(without_time(&encoded(&theirs)), without_time(&before));
    assert_once(&before);
}

#[test]
fn a_registry_shows_all_its_layers_once() {
    let registry = registry();
    let mut theirs = Registry::default();
    registry.register_in(&mut theirs).unwrap();
    for endpoint in ["a", "b"] {
        let builder = MetricsLayer::builder().registry(&registry);
        drop(builder.build([("endpoint", endpoint)]).unwrap());
    }
    let page = encoded(&theirs);
    assert_once(&page);
    for endpoint in ["a", "b"] {
        let line = format!("requests_total{{endpoint=\"{endpoint}\"}} 0");
        assert!(page.lines().any(|found| found == line), "{page}");
    }
}

/// 2^53 + 3 nanoseconds are not a float.
#[test]
fn an_outer_registry_shows_the_same_seconds() {
    let clock = Clock::manual();
    let builder = MetricsLayer::unary_builder().clock(clock);
    let layer = builder.build([("endpoint", "a")]).unwrap();
    let mut service = layer.layer(service_fn(async |()| {
        clock.advance(Duration::from_nanos(9_007_199_254_740_995));
        Ok::<_, Infallible>(String::new())
    }));
    let Ok(_) = now(service.call(()));
    let mut theirs = Registry::default();
    layer.registry().register_in(&mut theirs).unwrap();
    let sum = |page: &str| -> f64 {
        let mut lines = page.lines();
        let line = lines.find_map(|line| line.strip_prefix("request_duration_seconds_sum"));
        line.unwrap().split_once(' ').unwrap().1.parse().unwrap()
    };
    let page = layer.registry().encode(Format::OpenMetrics).unwrap();
    assert_eq!(sum(&encoded(&theirs)), sum(&page));
}

#[test]
fn an_error_names_a_clash_with_the_outer_registry() {
    for (name, named) in [
        ("requests", "`requests_total`"),
        ("uptime_seconds", "`uptime_seconds`"),
    ] {
        let mut theirs = Registry::default();
        match name {
            "requests" => theirs.register(name, "Theirs", Counter::<u64>::default()),
            _ => theirs.register(name, "Theirs", Gauge::<i64>::default()),
        }
        let layer = MetricsLayer::new([("endpoint", "a")]);
        let error = layer.registry().register_in(&mut theirs).unwrap_err();
        assert!(error.to_string().contains(named), "{error}");
        let page = encoded(&theirs);
        assert!(!page.contains("endpoint"), "{page}");
    }
    // Later layers are checked against the names at that moment.
    for (builder, named) in [
        (MetricsLayer::builder(), "`requests_total`"),
        (MetricsLayer::builder().prefix("shop"), "`shop_requests`"),
    ] {
        let ours = registry();
        let mut theirs = Registry::with_prefix("app");
        theirs.register("requests", "Theirs", Counter::<u64>::default());
        theirs.register("shop_requests", "Theirs", Gauge::<i64>::default());
        ours.register_in(&mut theirs).unwrap();
        let error = builder.registry(&ours).build([("endpoint", "a")]);
        let error = error.map(drop).unwrap_err().to_string();
        assert!(error.contains(named), "{error}");
        let other = MetricsLayer::builder().registry(&ours).prefix("other");
        drop(other.build([("endpoint", "a")]).unwrap());
        assert_once(&encoded(&theirs));
    }
    // Labels of the outer registry are checked too.
    for label in ["endpoint", "error_type", "le"] {
        let labels = [(label.into(), "theirs".into())].into_iter();
        let mut theirs = Registry::with_labels(labels);
        let layer = MetricsLayer::new([("endpoint", "a")]);
        let error = layer.registry().register_in(&mut theirs).unwrap_err();
        let error = error.to_string();
        assert!(error.contains(&format!("`{label}`")), "{error}");
        assert_eq!(encoded(&theirs), "# EOF\n");
    }
    // Duplicates within the outer registry are not checked.
    let mut theirs = Registry::default();
    for shelf in ["a", "b"] {
        let labels = [("shelf".into(), shelf.into())].into_iter();
        let sub = theirs.sub_registry_with_labels(labels);
        sub.register("books", "Books", Gauge::<i64>::default());
    }
    registry().register_in(&mut theirs).unwrap();
}

// === prefixes ===

#[test]
fn a_prefix_applies_to_all_metrics_of_the_registry_itself() {
    let registry = MetricsRegistry::builder().prefix("shop").build(()).unwrap();
    let builder = || MetricsLayer::builder().registry(&registry);
    drop(builder().build([("endpoint", "a")]).unwrap());
    drop(builder().prefix("cart").build([("endpoint", "a")]).unwrap());
    drop(
        builder()
            .open_telemetry()
            .build([("endpoint", "a")])
            .unwrap(),
    );
    let exporter = registry.exporter().self_metrics().unwrap();
    for accept in [TEXT, OPEN_METRICS] {
        let page = page_of(exporter.clone(), accept);
        let names = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        let others: Vec<_> = names.filter(|name| !name.starts_with("shop_")).collect();
        assert!(others.is_empty(), "{others:?}");
        for name in [
            "shop_uptime_seconds ",
            "shop_requests_total{",
            "shop_cart_requests_total{",
            "# TYPE shop_http_server_active_requests ",
            "shop_metrics_exporter_scrapes_total{",
        ] {
            assert!(
                page.lines().any(|line| line.starts_with(name)),
                "{name}\n{page}"
            );
        }
    }
    // A scrape can select them by name.
    let request = http::Request::get("/metrics?name[]=shop_uptime_seconds").body(());
    let page = support::now(tower::ServiceExt::oneshot(
        registry.exporter(),
        request.unwrap(),
    ));
    let page = support::now(http_body_util::BodyExt::collect(page.unwrap().into_body()));
    let page = String::from_utf8(page.unwrap().to_bytes().into()).unwrap();
    assert_eq!(page.lines().count(), 3, "{page}");
    // Custom metrics keep their names, and clash with the prefixed ones.
    let own = registry.register("uptime_seconds", "Own", Gauge::<i64>::default());
    own.unwrap();
    let taken = registry.register("shop_uptime_seconds", "Own", Gauge::<i64>::default());
    let error = taken.unwrap_err().to_string();
    assert!(error.contains("`shop_uptime_seconds`"), "{error}");
}

/// Shows that the advice in the error works.
#[test]
fn a_prefix_makes_room_for_a_second_registry() {
    let (outer, inner) = (MetricsRegistry::new(), MetricsRegistry::new());
    let error = outer.register_collector(inner).unwrap_err().to_string();
    assert!(
        error.contains("`MetricsRegistryBuilder::prefix`"),
        "{error}"
    );

    let layer = |registry: &MetricsRegistry| {
        let builder = MetricsLayer::builder().registry(registry);
        builder.build([("endpoint", "a")]).unwrap()
    };
    let inner = MetricsRegistry::builder()
        .prefix("inner")
        .build(())
        .unwrap();
    let (_a, _b) = (layer(&outer), layer(&inner));
    outer.register_collector(inner.clone()).unwrap();
    let page = page_of(outer.exporter(), OPEN_METRICS);
    assert_once(&page);
    for name in ["uptime_seconds", "inner_uptime_seconds"] {
        Page::read(outer.exporter()).one(name);
    }
    assert!(
        page.contains("\ninner_requests_total{endpoint=\"a\"} 0\n"),
        "{page}"
    );

    // Both are in a prometheus-client registry, which is included in a page.
    let mut theirs = Registry::default();
    for registry in [&MetricsRegistry::new(), &inner] {
        registry.register_in(&mut theirs).unwrap();
    }
    assert_once(&encoded(&theirs));
    let third = MetricsRegistry::builder()
        .prefix("third")
        .build(())
        .unwrap();
    third.include(Arc::new(theirs)).unwrap();
    assert_once(&page_of(third.exporter(), OPEN_METRICS));
}

#[test]
fn a_prefix_must_be_a_valid_beginning_of_a_name() {
    for prefix in ["my-app", "1st", " "] {
        let error = MetricsRegistry::builder()
            .prefix(prefix)
            .build(())
            .unwrap_err()
            .to_string();
        assert!(error.contains(&format!("{prefix:?}")), "{error}");
    }
    for (prefix, name) in [("", "uptime_seconds"), ("my_", "my_uptime_seconds")] {
        let registry = MetricsRegistry::builder().prefix(prefix).build(()).unwrap();
        Page::read(registry.exporter()).one(name);
    }
}
