//! Calls that a filter leaves out.

use super::{all, assert_all, begin, call, get, serve};
use tower_openmetrics::labels::Label;
use tower_openmetrics::testing::Snapshot;
use tower_openmetrics::{MetricsLayer, assert_metrics};

#[test]
fn a_filtered_call_leaves_no_trace() {
    let layer = MetricsLayer::builder()
        .filter(|head| head.uri.path() != "/health")
        .build([("a", "1")])
        .unwrap();
    let health = begin(&layer, get("/health"), serve);
    assert_metrics!(Snapshot::of(layer.registry()), { "concurrent_requests" => 0, _ => 0 });
    drop(health);
    call(&layer, get("/health"));
    assert_metrics!(Snapshot::of(layer.registry()), { _ => 0 });

    call(&layer, get("/"));
    assert_metrics!(Snapshot::of(layer.registry()), { "requests_total" {a = "1"} => 1 });
}

#[test]
fn a_filtered_call_uses_no_label_set() {
    let layer = MetricsLayer::builder()
        .filter(|head| head.uri.path() != "/health")
        .label(Label::method())
        .label(Label::status())
        .cardinality_limit(1)
        .build([("a", "1")])
        .unwrap();
    call(
        &layer,
        http::Request::post("/health")
            .body(Default::default())
            .unwrap(),
    );
    assert_eq!(all(&layer, "requests_total"), []);
    call(&layer, get("/"));
    assert_all(
        &layer,
        "requests_total",
        &[(r#"{a="1",method="GET",status="200"}"#, 1)],
    );
    assert_all(&layer, "label_overflow_total", &[(r#"{a="1"}"#, 0)]);
}
