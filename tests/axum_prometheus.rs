//! The names, labels and buckets of axum-prometheus. Each difference is a row of the table in `migration`, and a test here.

mod support;

use axum::Router;
use axum::body::Body;
use axum::extract::MatchedPath;
use axum::routing::get;
use futures_util::{FutureExt, stream};
use http::{Request, Response};
use std::collections::BTreeSet;
use std::future::pending;
use std::pin::pin;
use std::time::Duration;
use support::{Page, now, take_frames, take_to_end};
use tower::{Layer, ServiceExt, service_fn};
use tower_openmetrics::labels::Label;
use tower_openmetrics::{Clock, Error, Format, MetricsLayer, MetricsLayerBuilder, MetricsRegistry};

fn builder() -> MetricsLayerBuilder {
    MetricsLayer::builder().axum_prometheus()
}

fn app(layer: &MetricsLayer) -> Router {
    let two_chunks = || Body::from_stream(stream::iter(["a", "bc"].map(Ok::<_, Error>)));
    Router::new()
        .route("/", get(async || "hello"))
        .route("/items/{id}", get(async move || two_chunks()))
        .layer(layer.clone())
}

fn request(method: &str, path: &str) -> Request<Body> {
    let request = Request::builder().method(method).uri(path);
    request.body(Body::empty()).unwrap()
}

/// Makes a call, to its end.
fn call(layer: &MetricsLayer, method: &str, path: &str) {
    let Ok(answer) = now(app(layer).oneshot(request(method, path)));
    take_to_end(pin!(answer.into_body()));
}

fn page(layer: &MetricsLayer) -> Page {
    Page::read(layer.exporter())
}

#[track_caller]
fn assert_all(layer: &MetricsLayer, name: &str, expected: &[(&str, &str)]) {
    let page = page(layer);
    assert_eq!(page.all(name).collect::<Vec<_>>(), expected, "{name}");
}

// === the same ===

/// The series that axum-prometheus 0.10.1 shows after `GET /`, with labels sorted by name and without the values of times.
const AXUM_PROMETHEUS_SERIES: [&str; 15] = [
    r#"axum_http_requests_duration_seconds_bucket{endpoint="/",le="+Inf",method="GET",status="200"}"#,
    r#"axum_http_requests_duration_seconds_bucket{endpoint="/",le="0.005",method="GET",status="200"}"#,
    r#"axum_http_requests_duration_seconds_bucket{endpoint="/",le="0.01",method="GET",status="200"}"#,
    r#"axum_http_requests_duration_seconds_bucket{endpoint="/",le="0.025",method="GET",status="200"}"#,
    r#"axum_http_requests_duration_seconds_bucket{endpoint="/",le="0.05",method="GET",status="200"}"#,
    r#"axum_http_requests_duration_seconds_bucket{endpoint="/",le="0.1",method="GET",status="200"}"#,
    r#"axum_http_requests_duration_seconds_bucket{endpoint="/",le="0.25",method="GET",status="200"}"#,
    r#"axum_http_requests_duration_seconds_bucket{endpoint="/",le="0.5",method="GET",status="200"}"#,
    r#"axum_http_requests_duration_seconds_bucket{endpoint="/",le="1",method="GET",status="200"}"#,
    r#"axum_http_requests_duration_seconds_bucket{endpoint="/",le="10",method="GET",status="200"}"#,
    r#"axum_http_requests_duration_seconds_bucket{endpoint="/",le="2.5",method="GET",status="200"}"#,
    r#"axum_http_requests_duration_seconds_bucket{endpoint="/",le="5",method="GET",status="200"}"#,
    r#"axum_http_requests_duration_seconds_count{endpoint="/",method="GET",status="200"}"#,
    r#"axum_http_requests_pending{endpoint="/",method="GET"}"#,
    r#"axum_http_requests_total{endpoint="/",method="GET",status="200"}"#,
];

#[test]
fn every_series_of_axum_prometheus_is_shown() -> Result<(), Error> {
    let layer = builder().build(())?;
    call(&layer, "GET", "/");
    let page = page(&layer);
    // Whole bounds are written as OpenMetrics requires.
    let shown = page
        .samples()
        .map(|(series, _)| series.replace(".0\",", "\","));
    let shown: BTreeSet<String> = shown.collect();
    for series in AXUM_PROMETHEUS_SERIES {
        assert!(shown.contains(series), "{series}\n{shown:#?}");
    }
    let buckets = "axum_http_requests_duration_seconds_bucket";
    assert_eq!(page.all(buckets).count(), 12);
    Ok(())
}

/// The panels show rates by each label, quantiles and means of the latency, and pending calls.
#[test]
fn every_dashboard_panel_has_its_series() -> Result<(), Error> {
    let clock = Clock::manual();
    let layer = builder().clock(clock).build(())?;
    call(&layer, "GET", "/");
    call(&layer, "GET", "/items/7");
    call(&layer, "POST", "/items/7");
    for (name, labels) in [
        (
            "axum_http_requests_total",
            &["endpoint", "method", "status"][..],
        ),
        (
            "axum_http_requests_duration_seconds_bucket",
            &["endpoint", "le", "method", "status"],
        ),
        (
            "axum_http_requests_duration_seconds_sum",
            &["endpoint", "method", "status"],
        ),
        (
            "axum_http_requests_duration_seconds_count",
            &["endpoint", "method", "status"],
        ),
        ("axum_http_requests_pending", &["endpoint", "method"]),
    ] {
        let page = page(&layer);
        let all: Vec<_> = page.all(name).collect();
        assert!(all.len() >= 3, "{name}: {all:?}");
        for (series, _) in all {
            let series = series.trim_matches(['{', '}']);
            let names = series
                .split("\",")
                .map(|pair| pair.split_once('=').unwrap().0);
            assert_eq!(names.collect::<Vec<_>>(), labels, "{name}");
        }
    }
    Ok(())
}

#[test]
fn a_prefix_replaces_axum() -> Result<(), Error> {
    let registry = MetricsRegistry::builder().prefix("zone").build(())?;
    for (builder, name) in [
        (builder().prefix("shop"), "shop_http_requests_pending"),
        (builder().prefix("shop_"), "shop_http_requests_pending"),
        (
            builder().registry(&registry),
            "zone_axum_http_requests_pending",
        ),
    ] {
        let layer = builder.build(())?;
        call(&layer, "GET", "/");
        assert_all(&layer, name, &[(r#"{endpoint="/",method="GET"}"#, "0")]);
    }
    Ok(())
}

#[test]
fn a_given_label_replaces_the_presets() -> Result<(), Error> {
    // Like `with_group_patterns_as`.
    let group = |path: &str| {
        if path.starts_with("/items") {
            "items"
        } else {
            "others"
        }
    };
    let endpoint = Label::route(move |head| {
        let matched: &MatchedPath = head.extensions.get()?;
        Some(group(matched.as_str()))
    });
    let layer = builder().label(endpoint.named("endpoint")).build(())?;
    call(&layer, "GET", "/items/7");
    let expected = [(r#"{endpoint="items",method="GET",status="200"}"#, "1")];
    assert_all(&layer, "axum_http_requests_total", &expected);
    Ok(())
}

/// Like `with_ignore_patterns`.
#[test]
fn a_filter_ignores_endpoints() -> Result<(), Error> {
    let layer = builder().filter(|head| head.uri.path() != "/").build(())?;
    call(&layer, "GET", "/");
    assert_all(&layer, "axum_http_requests_total", &[]);
    assert_all(&layer, "axum_http_requests_pending", &[]);
    Ok(())
}

/// Both can be shown while dashboards are changed.
#[test]
fn all_naming_conventions_fit_on_one_page() -> Result<(), Error> {
    let registry = MetricsRegistry::new();
    let on = || MetricsLayer::builder().registry(&registry);
    let theirs = on().axum_prometheus().build([("service", "shop")])?;
    let ours = on().build([("service", "shop")])?;
    let conventional = on().open_telemetry().build([("service", "shop")])?;
    call(&theirs, "GET", "/");
    let page = registry.encode(Format::OpenMetrics)?;
    for name in ["\naxum_http_requests_total{", "\nrequests_total{"] {
        assert!(page.contains(name), "{page}");
    }
    drop((ours, conventional));
    Ok(())
}

/// The two keep the same numbers and have the same prefix, `shop_http_`. Only the preset names the calls in flight
/// `requests_pending`.
#[test]
fn layers_that_share_series_must_name_them_alike() {
    let registry = MetricsRegistry::new();
    let preset = builder().prefix("shop").registry(&registry);
    let _ = preset.build(()).unwrap();
    let alike = MetricsLayer::builder()
        .prefix("shop_http")
        .registry(&registry)
        .label(Label::method())
        .label(Label::axum_route().named("endpoint"))
        .label(Label::status().on_duration(true));
    let error = alike.build(()).unwrap_err().to_string();
    assert!(error.contains("different settings"), "{error}");
    assert!(error.contains("preset"), "{error}");
}

#[test]
fn a_second_preset_is_refused() {
    let error = builder()
        .open_telemetry()
        .build(())
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("`axum_prometheus` would do nothing"),
        "{error}"
    );
    let constant = builder()
        .build([("endpoint", "http")])
        .unwrap_err()
        .to_string();
    assert!(constant.contains("`endpoint`"), "{constant}");
}

// === different: each test is a row of the table in `migration` ===

#[test]
fn requests_total_counts_every_call_at_its_end() -> Result<(), Error> {
    let layer = builder().build(())?;
    let name = "axum_http_requests_total";
    let labels = r#"{endpoint="/items/{id}",method="GET",status="200"}"#;
    let Ok(answer) = now(app(&layer).oneshot(request("GET", "/items/7")));
    assert_all(&layer, name, &[(labels, "0")]);
    take_to_end(pin!(answer.into_body()));
    assert_all(&layer, name, &[(labels, "1")]);

    // A client leaves before the head, and a service fails.
    type Answer = Result<Response<Body>, &'static str>;
    let silent = layer.layer(service_fn(|_: Request<_>| pending::<Answer>()));
    drop(silent.oneshot(request("GET", "/")).now_or_never());
    let broken = layer.layer(service_fn(async |_: Request<_>| Answer::Err("broken")));
    assert!(now(broken.oneshot(request("GET", "/"))).is_err());
    let unanswered = r#"{endpoint="none",method="GET",status="none"}"#;
    assert_all(&layer, name, &[(labels, "1"), (unanswered, "2")]);
    Ok(())
}

#[test]
fn the_duration_lasts_to_the_end_of_the_body() -> Result<(), Error> {
    let clock = Clock::manual();
    let layer = builder().clock(clock).build(())?;
    let Ok(answer) = now(app(&layer).oneshot(request("GET", "/items/7")));
    clock.advance(Duration::from_secs(2));
    take_to_end(pin!(answer.into_body()));
    let expected = [(
        r#"{endpoint="/items/{id}",method="GET",status="200"}"#,
        "2.0",
    )];
    assert_all(&layer, "axum_http_requests_duration_seconds_sum", &expected);
    Ok(())
}

#[test]
fn the_time_to_the_head_is_opt_in() -> Result<(), Error> {
    let layer = builder().response_head_seconds(true).build(())?;
    call(&layer, "GET", "/");
    let name = "axum_http_response_head_seconds_count";
    assert_all(
        &layer,
        name,
        &[(r#"{endpoint="/",method="GET",status="200"}"#, "1")],
    );
    Ok(())
}

#[test]
fn pending_calls_have_not_ended() -> Result<(), Error> {
    let layer = builder().build(())?;
    let labels = r#"{endpoint="/items/{id}",method="GET"}"#;
    let name = "axum_http_requests_pending";
    let Ok(answer) = now(app(&layer).oneshot(request("GET", "/items/7")));
    take_frames(pin!(answer.into_body()), 1);
    assert_all(&layer, name, &[(labels, "0")]);
    let Ok(answer) = now(app(&layer).oneshot(request("GET", "/items/7")));
    assert_all(&layer, name, &[(labels, "1")]);
    drop(answer);
    assert_all(&layer, name, &[(labels, "0")]);
    Ok(())
}

#[test]
fn sizes_are_counters() -> Result<(), Error> {
    let layer = builder().build(())?;
    call(&layer, "GET", "/items/7");
    let page = page(&layer);
    assert_eq!(page.all("axum_http_response_body_size_count").count(), 0);
    let bytes = "axum_http_response_bytes_total";
    assert_all(
        &layer,
        bytes,
        &[(r#"{endpoint="/items/{id}",method="GET",status="200"}"#, "3")],
    );
    Ok(())
}

#[test]
fn errors_and_cancellations_are_shown_too() -> Result<(), Error> {
    let layer = builder().build(())?;
    call(&layer, "GET", "/");
    for name in [
        "axum_http_errors_total",
        "axum_http_cancellations_total",
        "axum_http_request_bytes_total",
        "axum_http_response_bytes_total",
        "axum_http_label_overflow_total",
    ] {
        assert!(page(&layer).all(name).count() > 0, "{name}");
    }
    // They are not shown a second time under the crate's own names.
    for name in [
        "axum_http_concurrent_requests",
        "axum_http_request_duration_seconds_count",
    ] {
        assert_eq!(page(&layer).all(name).count(), 0, "{name}");
    }
    Ok(())
}

#[test]
fn made_up_paths_and_methods_are_not_label_values() -> Result<(), Error> {
    let layer = builder().build(())?;
    call(&layer, "BREW", "/.env");
    let expected = [(r#"{endpoint="none",method="_OTHER",status="404"}"#, "1")];
    assert_all(&layer, "axum_http_requests_total", &expected);
    Ok(())
}

/// Prometheus 3 reads both as the same bound.
#[test]
fn whole_bounds_are_written_with_a_decimal_point() -> Result<(), Error> {
    let layer = builder().build(())?;
    call(&layer, "GET", "/");
    let page = layer.registry().encode(Format::Prometheus)?;
    let of = |bound| {
        format!("axum_http_requests_duration_seconds_bucket{{endpoint=\"/\",le=\"{bound}\",")
    };
    assert!(
        page.contains(&of("1.0")) && !page.contains(&of("1")),
        "{page}"
    );
    Ok(())
}

/// axum-prometheus has one global recorder per process.
#[test]
fn layers_share_no_global_state() -> Result<(), Error> {
    let [one, other] = [builder().build(())?, builder().build(())?];
    call(&one, "GET", "/");
    assert_eq!(page(&one).all("axum_http_requests_total").count(), 1);
    assert_eq!(page(&other).all("axum_http_requests_total").count(), 0);
    Ok(())
}
