//! Declared label sets, which the page shows before their first call.

use super::{all, assert_all, begin, call, get, serve};
use crate::support::{Page, panic_of};
use std::future::Ready;
use tower_openmetrics::labels::Label;
use tower_openmetrics::testing::Snapshot;
use tower_openmetrics::{MetricsLayer, assert_metrics};

#[test]
fn a_declared_label_set_stands_at_0_with_all_error_types() {
    let layer = MetricsLayer::builder()
        .label(Label::method())
        .label(Label::status())
        .declare([("method", "GET")])
        .declare([("status", "500"), ("method", "GET")])
        .build([("a", "1")])
        .unwrap();
    let zeros = [
        (r#"{a="1",method="GET",status="200"}"#, 0),
        (r#"{a="1",method="GET",status="500"}"#, 0),
    ];
    assert_all(&layer, "requests_total", &zeros);
    assert_all(&layer, "cancellations_total", &zeros);
    assert_all(&layer, "response_bytes_total", &zeros);
    assert_all(
        &layer,
        "concurrent_requests",
        &[(r#"{a="1",method="GET"}"#, 0)],
    );
    assert_all(
        &layer,
        "request_duration_seconds_count",
        &[(r#"{a="1",method="GET"}"#, 0)],
    );
    let errors = all(&layer, "errors_total");
    assert_eq!(errors.len(), 9);
    assert_eq!(
        errors[0].0,
        r#"{a="1",error_type="deserialization",method="GET"}"#
    );

    call(&layer, get("/"));
    assert_all(&layer, "requests_total", &[(zeros[0].0, 1), zeros[1]]);
    assert_eq!(all(&layer, "errors_total").len(), 9);
}

#[test]
fn an_undeclared_label_set_is_not_shown_before_its_first_call() {
    let layer = MetricsLayer::builder()
        .label(Label::method())
        .build([("a", "1")])
        .unwrap();
    let page = Page::read(layer.exporter());
    let names: Vec<_> = page.samples().map(|(series, _)| series).collect();
    assert_eq!(names, [r#"label_overflow_total{a="1"}"#, "uptime_seconds"]);
    call(&layer, get("/"));
    let errors = all(&layer, "errors_total");
    assert_eq!(
        errors.len(),
        9,
        "each type stands at 0 from the first call on"
    );
    assert!(errors.iter().all(|(_, count)| *count == 0));
}

/// Declared label sets count towards the cardinality limit from the start.
#[test]
fn a_declared_label_set_keeps_its_room() {
    let layer = MetricsLayer::builder()
        .label(Label::from_request("path", |head| Some(head.uri.path())))
        .declare([("path", "/kept")])
        .cardinality_limit(1)
        .build([("", ""); 0])
        .unwrap();
    for path in ["/1", "/2", "/kept"] {
        call(&layer, get(path));
    }
    assert_all(
        &layer,
        "requests_total",
        &[(r#"{path="/kept"}"#, 1), (r#"{path="_OTHER"}"#, 2)],
    );
}

/// Here the status is a label, and `errors_total` doesn't carry it.
#[test]
fn errors_stand_at_0_only_where_they_will_be_counted() {
    let layer = MetricsLayer::builder()
        .label(Label::method())
        .label(Label::route(|head| Some(head.uri.path())))
        .label(Label::status())
        .declare([("method", "GET"), ("route", "/declared")])
        .build([("a", "1")])
        .unwrap();
    let of_panics = || -> Vec<_> {
        let errors = all(&layer, "errors_total").into_iter();
        let panics = errors.filter(|(labels, _)| labels.contains("panic"));
        panics.collect()
    };
    let labels = |route| format!(r#"{{a="1",error_type="panic",method="GET",route="{route}"}}"#);
    assert_eq!(of_panics(), [(labels("/declared"), 0)]);
    assert_eq!(all(&layer, "errors_total").len(), 9);
    call_panics(&layer);
    assert_eq!(of_panics(), [(labels("/declared"), 1)]);
    // The first call of another label set completes.
    call(&layer, get("/met"));
    assert_eq!(of_panics(), [(labels("/declared"), 1), (labels("/met"), 0)]);
    assert_eq!(all(&layer, "errors_total").len(), 18);
}

/// They stand at 0 while the first call is still open.
#[test]
fn errors_stand_at_0_when_the_first_call_begins() {
    let layer = MetricsLayer::builder()
        .label(Label::method())
        .label(Label::status());
    let layer = layer.build([("a", "1")]).unwrap();
    let answer = begin(&layer, get("/"), serve);
    let errors = all(&layer, "errors_total");
    assert_eq!(errors.len(), 9);
    assert!(errors.iter().all(|(_, count)| *count == 0), "{errors:?}");
    assert_metrics!(Snapshot::of(layer.registry()), { "concurrent_requests" => 1 });
    drop(answer);
}

#[test]
fn errors_stand_at_0_with_only_constant_labels() {
    let errors = all(&MetricsLayer::new([("a", "1")]), "errors_total");
    assert_eq!(errors.len(), 9);
}

fn call_panics(layer: &MetricsLayer) {
    panic_of(|| {
        begin(layer, get("/declared"), |_| -> Ready<_> { panic!("a bug") });
    });
}
