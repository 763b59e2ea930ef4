//! Calls that a filter leaves out.

use super::{all, assert_all, begin, call, get, serve};
use crate::support::Numbers;
use tower_openmetrics::MetricsLayer;
use tower_openmetrics::labels::Label;

#[test]
fn a_filtered_call_leaves_no_trace() {
    let layer = MetricsLayer::builder()
        .filter(|head| head.uri.path() != "/health")
        .build([("a", "1")])
        .unwrap();
    let before = Numbers::of(&layer);
    let health = begin(&layer, get("/health"), serve);
    assert_eq!(Numbers::of(&layer), before, "while it is open");
    drop(health);
    call(&layer, get("/health"));
    assert_eq!(Numbers::of(&layer), before);

    call(&layer, get("/"));
    assert_eq!(Numbers::of(&layer).requests, 1);
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
