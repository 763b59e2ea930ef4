//! The cardinality limit, and the calls beyond it.

use super::{all, assert_all, begin, call, get, serve};
use crate::support::take_to_end;
use http::{Response, StatusCode};
use http_body_util::Full;
use std::pin::pin;
use tower_openmetrics::labels::Label;
use tower_openmetrics::testing::Snapshot;
use tower_openmetrics::{MetricsLayer, assert_metrics};

fn by_path(label_sets: usize) -> MetricsLayer {
    MetricsLayer::builder()
        .label(Label::from_request("path", |head| Some(head.uri.path())))
        .cardinality_limit(label_sets)
        .build([("a", "1")])
        .unwrap()
}

#[test]
fn calls_beyond_the_limit_are_recorded_under_other() {
    let layer = by_path(2);
    for path in ["/1", "/2", "/3", "/1", "/4", "/3"] {
        call(&layer, get(path));
    }
    let expected = [
        (r#"{a="1",path="/1"}"#, 2),
        (r#"{a="1",path="/2"}"#, 1),
        (r#"{a="1",path="_OTHER"}"#, 3),
    ];
    assert_all(&layer, "requests_total", &expected);
    assert_all(&layer, "request_duration_seconds_count", &expected);
    assert_all(&layer, "label_overflow_total", &[(r#"{a="1"}"#, 3)]);
    let bytes = expected.map(|(labels, calls)| (labels, calls * 5));
    assert_all(&layer, "response_bytes_total", &bytes);
}

#[test]
fn calls_up_to_the_limit_are_recorded_under_their_own_labels() {
    let layer = by_path(2);
    call(&layer, get("/1"));
    call(&layer, get("/2"));
    assert_eq!(all(&layer, "requests_total").len(), 2);
    assert_all(&layer, "label_overflow_total", &[(r#"{a="1"}"#, 0)]);
}

/// A call begins under its own labels, and there is no room for the label set of its response. Its beginning and its end
/// are counted in different places, and each exactly.
#[test]
fn label_sets_of_responses_have_the_same_limit() {
    let layer = MetricsLayer::builder()
        .label(Label::method())
        .label(Label::status())
        .cardinality_limit(2)
        .build([("a", "1")])
        .unwrap();
    for status in [200, 201, 202, 203, 200] {
        let answer = begin(&layer, get("/"), |_| async move {
            let mut response = Response::new(Full::from("hello"));
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            Ok(response)
        });
        take_to_end(pin!(answer.into_body()));
    }
    assert_all(
        &layer,
        "requests_total",
        &[
            (r#"{a="1",method="GET",status="200"}"#, 2),
            (r#"{a="1",method="GET",status="201"}"#, 1),
            (r#"{a="1",method="_OTHER",status="_OTHER"}"#, 2),
        ],
    );
    assert_all(&layer, "label_overflow_total", &[(r#"{a="1"}"#, 2)]);
    let concurrent = all(&layer, "concurrent_requests");
    assert!(
        concurrent.iter().all(|(_, calls)| *calls == 0),
        "{concurrent:?}"
    );
}

#[test]
fn an_overflowing_call_is_in_flight_under_other() {
    let layer = by_path(1);
    let first = begin(&layer, get("/1"), serve);
    let second = begin(&layer, get("/2"), serve);
    assert_all(
        &layer,
        "concurrent_requests",
        &[(r#"{a="1",path="/1"}"#, 1), (r#"{a="1",path="_OTHER"}"#, 1)],
    );
    drop((first, second));
    assert_all(
        &layer,
        "cancellations_total",
        &[(r#"{a="1",path="/1"}"#, 1), (r#"{a="1",path="_OTHER"}"#, 1)],
    );
}

/// A client might send long values to fill the memory.
#[test]
fn a_value_that_is_too_long_becomes_other() {
    let layer = by_path(10);
    let long = format!("/{}", "x".repeat(128));
    call(&layer, get(&long));
    call(&layer, get(&long[..128]));
    let labels: Vec<_> = all(&layer, "requests_total")
        .into_iter()
        .map(|(labels, _)| labels)
        .collect();
    assert_eq!(labels.len(), 2);
    assert!(
        labels[0].contains(&long[..128]) && labels[1].contains("_OTHER"),
        "{labels:?}"
    );
}

/// The recorder of a dropped layer is reused by the next layer with the same settings. It starts with the whole limit
/// and no label sets.
#[test]
fn a_reused_recorder_starts_empty() {
    let label = Label::from_request("path", |head| Some(head.uri.path()));
    let layer = || {
        let builder = MetricsLayer::builder()
            .label(label.clone())
            .cardinality_limit(3);
        builder.build([("a", "1")]).unwrap()
    };
    for round in 0..10 {
        let layer = layer();
        assert_eq!(all(&layer, "requests_total"), []);
        for path in 0..4 {
            call(&layer, get(&format!("/{round}/{path}")));
        }
        let mut expected: Vec<_> = (0..3)
            .map(|path| (format!(r#"{{a="1",path="/{round}/{path}"}}"#), 1))
            .collect();
        expected.push((r#"{a="1",path="_OTHER"}"#.to_owned(), 1));
        assert_eq!(all(&layer, "requests_total"), expected);
        assert_all(&layer, "label_overflow_total", &[(r#"{a="1"}"#, 1)]);
    }
}

#[test]
fn a_panic_in_a_label_function_counts_as_a_panic() {
    let layer = MetricsLayer::builder()
        .label(Label::from_request("path", |head| {
            head.uri
                .path()
                .strip_prefix("/ok")
                .or_else(|| panic!("a bug"))
        }))
        .build([("a", "1")])
        .unwrap();
    call(&layer, get("/ok/1"));
    crate::support::panic_of(|| call(&layer, get("/")));
    assert_metrics!(Snapshot::of(layer.registry()), {
        "errors_total" {a = "1", error_type = "panic", path = "none"} => 1,
        "errors_total" => 1,
    });
    assert_all(
        &layer,
        "concurrent_requests",
        &[(r#"{a="1",path="/1"}"#, 0), (r#"{a="1",path="none"}"#, 0)],
    );
}
