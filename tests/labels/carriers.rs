//! Which metric carries which label: the table in the module's documentation.

use super::{Answer, begin, get, serve};
use crate::support::{Page, take_to_end};
use http::Request;
use http_body_util::Full;
use std::collections::BTreeSet;
use std::pin::pin;
use tower_openmetrics::labels::Label;
use tower_openmetrics::protocol::Http;
use tower_openmetrics::testing::Snapshot;
use tower_openmetrics::{MetricsLayer, MetricsLayerBuilder, assert_metrics};

fn builder() -> MetricsLayerBuilder {
    // A protocol that may count messages.
    MetricsLayer::protocol_builder(Http::default())
        .response_head_seconds(true)
        .first_byte_seconds(true)
        .messages_total(true)
        .label(Label::method())
        .label(Label::status())
        .label(Label::from_response("cache", |_| Some("hit")))
        .label(Label::code(&["OK"]))
}

/// Returns the label names of a metric's samples, as sorted on the page, without `le` and `error_type`.
fn labels_of(page: &Page, name: &str) -> BTreeSet<String> {
    page.all(name)
        .map(|(labels, _)| {
            let labels = labels.trim_matches(['{', '}']).split(',');
            let names = labels.map(|label| label.split_once('=').map_or("", |(name, _)| name));
            let names: Vec<_> = names
                .filter(|name| !["le", "error_type"].contains(name))
                .collect();
            names.join(" ")
        })
        .collect()
}

#[track_caller]
fn assert_labels(layer: &MetricsLayer, expected: &[(&str, &str)]) {
    let page = Page::read(layer.exporter());
    for (metric, labels) in expected {
        let of = labels_of(&page, metric);
        assert_eq!(of, BTreeSet::from([(*labels).to_owned()]), "{metric}");
    }
}

fn one_call(layer: &MetricsLayer) {
    let answer: Answer = begin(layer, get("/"), serve);
    take_to_end(pin!(answer.into_body()));
}

#[test]
fn a_metric_carries_the_labels_known_when_it_moves() {
    let layer = builder().build([("endpoint", "a")]).unwrap();
    one_call(&layer);
    assert_labels(
        &layer,
        &[
            ("concurrent_requests", "endpoint method"),
            ("request_bytes_total", "endpoint method"),
            ("request_messages_total", "endpoint method"),
            ("response_bytes_total", "cache endpoint method status"),
            ("response_messages_total", "cache endpoint method status"),
            (
                "response_head_seconds_bucket",
                "cache endpoint method status",
            ),
            ("first_byte_seconds_count", "cache endpoint method status"),
            ("requests_total", "cache code endpoint method status"),
            ("cancellations_total", "cache code endpoint method status"),
            ("request_duration_seconds_bucket", "cache endpoint method"),
            ("request_duration_seconds_sum", "cache endpoint method"),
            ("label_overflow_total", "endpoint"),
        ],
    );
}

#[test]
fn a_label_can_be_turned_on_and_off_for_durations_and_beginnings() {
    let layer = MetricsLayer::builder()
        .label(Label::method().on_duration(false))
        .label(Label::version().on_begin(false))
        .label(Label::status_class().on_duration(true))
        .build([("endpoint", "a")])
        .unwrap();
    one_call(&layer);
    assert_labels(
        &layer,
        &[
            ("concurrent_requests", "endpoint method"),
            ("response_bytes_total", "endpoint method status version"),
            ("requests_total", "endpoint method status version"),
            ("request_duration_seconds_bucket", "endpoint status version"),
        ],
    );
}

/// Label sets that differ only in labels that a metric leaves out are one series of that metric.
#[test]
fn a_metric_sums_over_labels_that_it_leaves_out() {
    let layer = MetricsLayer::builder()
        .label(Label::method().on_duration(false).on_begin(false))
        .build([("endpoint", "a")])
        .unwrap();
    for method in ["GET", "PUT", "PUT"] {
        let request = Request::builder()
            .method(method)
            .body(Full::from("1234"))
            .unwrap();
        take_to_end(pin!(begin(&layer, request, serve).into_body()));
    }
    assert_metrics!(Snapshot::of(layer.registry()), {
        "request_duration_seconds_count" {endpoint = "a"} => 3,
        "request_bytes_total" {endpoint = "a"} => 12,
        "requests_total" {endpoint = "a", method = "GET"} => 1,
        "requests_total" {endpoint = "a", method = "PUT"} => 2,
        "concurrent_requests" {endpoint = "a"} => 0,
    });
}

#[test]
fn errors_carry_labels_of_the_request_and_the_error_type() {
    let layer = builder().build([("endpoint", "a")]).unwrap();
    let answer = begin(&layer, get("/"), |_| async {
        let mut response = http::Response::new(Full::default());
        *response.status_mut() = http::StatusCode::BAD_GATEWAY;
        Ok(response)
    });
    drop(answer);
    assert_metrics!(Snapshot::of(layer.registry()), {
        "errors_total" {cache = "hit", endpoint = "a", error_type = "generate", method = "GET"} => 1,
        "errors_total" => 1,
    });
    // Each type is shown once, whatever the status.
    assert_eq!(Page::read(layer.exporter()).all("errors_total").count(), 9);
}
