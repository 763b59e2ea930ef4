//! `grpc_service`, `grpc_method` and `grpc_code`: their metrics and their values.

use super::support::Step::{self, Bytes, Field, Pending, Trailers};
use super::support::{Page, page_of, take_frames, take_to_end};
use super::{STATUS, call, call_with, frame, layer, message, request, response_of, script};
use bytes::Bytes as Data;
use http::{Method, Request};
use http_body_util::Full;
use std::pin::pin;
use tower::{BoxError, Layer, ServiceExt, service_fn};
use tower_openmetrics::classify::GrpcCode;
use tower_openmetrics::protocol::Grpc;
use tower_openmetrics::{MetricsLayer, MetricsRegistry};

/// The labels of the only call on the metrics recorded at its end.
#[track_caller]
fn labels(layer: &MetricsLayer<Grpc>) -> String {
    let page = Page::read(layer.exporter());
    let mut all = page.all("requests_total");
    let (labels, count) = all.next().expect("a call");
    assert_eq!((count, all.next()), ("1", None));
    let labels = labels.strip_prefix(r#"{endpoint="stage","#).unwrap();
    labels.strip_suffix('}').unwrap().to_owned()
}

#[track_caller]
fn expect_code(row: &str, layer: &MetricsLayer<Grpc>, code: &str) {
    let expected = format!(r#"grpc_code="{code}",grpc_method="Add",grpc_service="shop.Cart""#);
    assert_eq!(labels(layer), expected, "{row}");
}

#[test]
fn each_metric_has_the_labels_known_when_it_is_recorded() {
    let layer = MetricsLayer::grpc_builder()
        .buckets([1.0])
        .response_head_seconds(true)
        .first_byte_seconds(true)
        .build([("endpoint", "stage")])
        .unwrap();
    let steps = [Bytes(message("abc")), Field(STATUS, "5")];
    let response = call(&layer, Ok(response_of("application/grpc", steps)));
    take_to_end(pin!(response.unwrap().into_body()));

    let page = page_of(layer.exporter(), "application/openmetrics-text");
    let names = [
        r#"grpc_method="Add",grpc_service="shop.Cart""#,
        "endpoint=\"stage\"",
    ];
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let is_of_no_call = ["uptime_seconds", "label_overflow"]
            .iter()
            .any(|name| line.starts_with(name));
        let is_counted_at_the_end = ["requests_total", "cancellations_total"]
            .iter()
            .any(|name| line.starts_with(name));
        for name in names.iter().filter(|_| !is_of_no_call) {
            assert!(line.contains(name), "{line}");
        }
        let has_code = line.contains(r#"grpc_code="NOT_FOUND""#);
        assert_eq!(has_code, is_counted_at_the_end, "{line}");
    }
    for name in [
        "response_messages_total",
        "request_messages_total",
        "concurrent_requests",
    ] {
        assert_eq!(Page::parse(&page).all(name).count(), 1, "{name}");
    }
}

#[test]
fn the_code_is_read_from_trailers_headers_and_grpc_web() {
    for code in GrpcCode::ALL {
        let digits: &'static str = (code as u32).to_string().leak();
        let trailers = response_of("application/grpc", [Field(STATUS, digits)]);
        let mut headers = response_of("application/grpc", []);
        headers
            .headers_mut()
            .insert(STATUS, digits.parse().unwrap());
        let last = frame(0x80, &format!("{STATUS}: {digits}\r\n"));
        let web = response_of("application/grpc-web", [Bytes(last)]);
        for (row, response) in [("trailers", trailers), ("headers", headers), ("web", web)] {
            let layer = layer();
            take_to_end(pin!(call(&layer, Ok(response)).unwrap().into_body()));
            expect_code(row, &layer, code.as_str());
        }
    }
}

#[test]
fn without_a_code_the_label_is_none() {
    let cases: [(&str, Vec<Step>, usize, &str); 6] = [
        ("cancelled", vec![Bytes(message("")), Pending], 1, "none"),
        ("nothing", vec![], 1, "none"),
        ("no status", vec![Bytes(message(""))], 2, "none"),
        ("trailers without it", vec![Trailers], 1, "none"),
        ("unknown", vec![Field(STATUS, "17")], 1, "UNKNOWN"),
        ("illegible", vec![Field(STATUS, "OK")], 1, "UNKNOWN"),
    ];
    for (row, steps, frames, code) in cases {
        let layer = layer();
        let response = call(&layer, Ok(response_of("application/grpc", steps)));
        take_frames(pin!(response.unwrap().into_body()), frames);
        expect_code(row, &layer, code);
    }
    let layer = layer();
    call(&layer, Err("lost".into())).unwrap_err();
    expect_code("an error", &layer, "none");
}

#[test]
fn the_http_status_determines_a_missing_code() {
    for (status, code) in [(401, "UNAUTHENTICATED"), (503, "UNAVAILABLE")] {
        let layer = layer();
        let mut response = response_of("text/plain", []);
        *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
        take_to_end(pin!(call(&layer, Ok(response)).unwrap().into_body()));
        expect_code("by HTTP", &layer, code);
    }
}

/// The first code that is not `OK`.
#[test]
fn of_two_codes_the_deciding_one_is_the_label() {
    for (first, second, code) in [
        (0, "0", "OK"),
        (0, "5", "NOT_FOUND"),
        (4, "5", "DEADLINE_EXCEEDED"),
        (4, "0", "DEADLINE_EXCEEDED"),
    ] {
        let layer = layer();
        let mut response = response_of("application/grpc", [Field(STATUS, second)]);
        response.headers_mut().insert(STATUS, first.into());
        take_to_end(pin!(call(&layer, Ok(response)).unwrap().into_body()));
        expect_code(second, &layer, code);
    }
}

#[test]
fn other_traffic_has_no_grpc_labels() {
    let layer = layer();
    let mut get = Request::new(Full::<Data>::default());
    *get.method_mut() = Method::GET;
    *get.uri_mut() = "/shop.Cart/Add".parse().unwrap();
    let response = call_with(&layer, get, |_| Ok(response_of("text/plain", [])));
    take_to_end(pin!(response.unwrap().into_body()));
    let expected = r#"grpc_code="none",grpc_method="none",grpc_service="none""#;
    assert_eq!(labels(&layer), expected);
}

#[test]
fn an_invalid_method_name_is_other() {
    let layer = layer();
    let mut strange = request();
    *strange.uri_mut() = "/../admin/%00?x".parse().unwrap();
    let response = call_with(&layer, strange, |_| {
        Ok(response_of("application/grpc", [Field(STATUS, "12")]))
    });
    take_to_end(pin!(response.unwrap().into_body()));
    let expected = r#"grpc_code="UNIMPLEMENTED",grpc_method="_OTHER",grpc_service="admin""#;
    assert_eq!(labels(&layer), expected);
}

/// A scan of a thousand services.
#[test]
fn the_cardinality_limit_applies() {
    const CALLS: u32 = 1_000;
    let layer = MetricsLayer::grpc_builder()
        .cardinality_limit(10)
        .buckets([1.0]);
    let layer = layer.build([("endpoint", "stage")]).unwrap();
    let service = layer.layer(service_fn(async |_: Request<_>| {
        Ok::<_, BoxError>(response_of("application/grpc", [Field(STATUS, "12")]))
    }));
    for call in 0..CALLS {
        let mut request = Request::new(script([]));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = format!("/service_{call}/Method").parse().unwrap();
        let content_type = "application/grpc".parse().unwrap();
        request.headers_mut().insert("content-type", content_type);
        let response = super::now(service.clone().oneshot(request)).unwrap();
        take_to_end(pin!(response.into_body()));
    }
    let page = Page::read(layer.exporter());
    let series: Vec<_> = page.all("requests_total").collect();
    let is_other = |labels: &str| labels.contains(r#"grpc_service="_OTHER""#);
    let other = series.iter().filter(|(labels, _)| is_other(labels)).count();
    assert!(series.len() <= 10 + 1 && other == 1, "{series:?}");
    let sum: u32 = series
        .iter()
        .map(|(_, count)| count.parse::<u32>().unwrap())
        .sum();
    assert_eq!(sum, CALLS);
}

#[test]
fn methods_can_be_declared() {
    let layer = MetricsLayer::grpc_builder()
        .declare([("grpc_service", "shop.Cart"), ("grpc_method", "Add")])
        .build([("endpoint", "stage")])
        .unwrap();
    let page = Page::read(layer.exporter());
    let declared =
        r#"{endpoint="stage",grpc_code="OK",grpc_method="Add",grpc_service="shop.Cart"}"#;
    assert!(
        page.all("requests_total")
            .any(|series| series == (declared, "0"))
    );
}

/// Two layers of one registry with the same labels.
#[test]
fn equal_layers_share_their_series() {
    let registry = MetricsRegistry::new();
    let build = || {
        let builder = MetricsLayer::grpc_builder().registry(&registry);
        builder.build([("endpoint", "stage")]).unwrap()
    };
    for layer in [build(), build()] {
        let response = response_of("application/grpc", [Field(STATUS, "0")]);
        take_to_end(pin!(call(&layer, Ok(response)).unwrap().into_body()));
    }
    assert_eq!(Page::read(registry.exporter()).one("requests_total"), "2");
}

#[test]
fn protocol_builder_adds_no_labels() {
    let layer = MetricsLayer::protocol_builder(Grpc::new());
    let layer = layer.build([("endpoint", "stage")]).unwrap();
    let response = response_of("application/grpc", [Field(STATUS, "3")]);
    take_to_end(pin!(call(&layer, Ok(response)).unwrap().into_body()));
    let page = Page::read(layer.exporter());
    let series: Vec<_> = page.all("requests_total").collect();
    assert_eq!(series, [(r#"{endpoint="stage"}"#, "1")]);
}
