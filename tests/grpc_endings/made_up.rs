//! Methods that clients make up. They take no place from the server's own methods.

use super::support::Step::{Field, Pending};
use super::support::{Page, take_to_end};
use super::{STATUS, message, response_of, script};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use std::collections::BTreeMap;
use std::pin::pin;
use std::thread;
use std::time::Duration;
use tower::{BoxError, Layer, ServiceExt, service_fn};
use tower_openmetrics::grpc::RequestBody;
use tower_openmetrics::labels::Label;
use tower_openmetrics::protocol::Grpc;
use tower_openmetrics::{MetricsLayer, MetricsLayerBuilder};

const UNIMPLEMENTED: &str = "12";

fn built(builder: MetricsLayerBuilder<Grpc>) -> MetricsLayer<Grpc> {
    builder.buckets([1.0]).build([("a", "1")]).unwrap()
}

/// One call with one message. Ends with `code`, or is dropped without one.
fn call(layer: &MetricsLayer<Grpc>, path: &str, code: Option<&'static str>) {
    let service = layer.layer(service_fn(
        async |request: Request<RequestBody<Full<Bytes>>>| {
            take_to_end(pin!(request.into_body()));
            let steps = code.map_or(Pending, |code| Field(STATUS, code));
            Ok::<Response<_>, BoxError>(response_of("application/grpc", [steps]))
        },
    ));
    let request = Request::post(path).header("content-type", "application/grpc");
    let request = request.body(Full::from(message("abc"))).unwrap();
    let answer = super::now(service.oneshot(request)).unwrap();
    if code.is_some() {
        take_to_end(pin!(answer.into_body()));
    }
}

fn make_up(layer: &MetricsLayer<Grpc>, calls: std::ops::Range<usize>) {
    for number in calls {
        let path = format!("/made.Up{number}/Method");
        call(layer, &path, Some(UNIMPLEMENTED));
    }
}

/// The sums of a metric by service. Made-up services count as `_OTHER`.
fn by_service(layer: &MetricsLayer<Grpc>, name: &str) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for (labels, value) in Page::read(layer.exporter()).all(name) {
        let (_, service) = labels.split_once(r#"grpc_service=""#).unwrap();
        let (service, _) = service.split_once('"').unwrap();
        let service = match service {
            made_up if made_up.starts_with("made.Up") => "_OTHER",
            service => service,
        };
        *sums.entry(service.to_owned()).or_default() += value.parse::<u64>().unwrap();
    }
    sums
}

#[track_caller]
fn assert_calls(layer: &MetricsLayer<Grpc>, expected: &[(&str, u64)]) {
    let times = |times: u64| -> BTreeMap<String, u64> {
        let expected = expected.iter();
        let of_service = |(service, calls): &(&str, u64)| ((*service).to_owned(), calls * times);
        expected.map(of_service).collect()
    };
    for (name, each) in [
        ("requests_total", 1),
        ("request_messages_total", 1),
        ("request_bytes_total", 8),
        ("request_duration_seconds_count", 1),
        ("concurrent_requests", 0),
    ] {
        assert_eq!(by_service(layer, name), times(each), "{name}");
    }
    assert_eq!(
        Page::read(layer.exporter()).one("label_overflow_total"),
        "0"
    );
}

#[test]
fn made_up_methods_make_room_for_real_ones() {
    for (builder, calls) in [
        (MetricsLayer::grpc_builder().cardinality_limit(10), 100),
        (MetricsLayer::grpc_builder(), 2_001),
        (
            MetricsLayer::grpc_builder()
                .cardinality_limit(10)
                .series_idle_timeout(Duration::from_secs(3_600)),
            100,
        ),
        (
            MetricsLayer::grpc_builder()
                .label(Label::status())
                .cardinality_limit(10),
            100,
        ),
    ] {
        let layer = built(builder);
        make_up(&layer, 0..calls);
        call(&layer, "/shop.Cart/Add", Some("0"));
        make_up(&layer, 0..calls);
        call(&layer, "/shop.Cart/Add", Some("5"));
        call(&layer, "/shop.List/Get", Some("0"));
        let made_up = 2 * calls as u64;
        let expected = [("_OTHER", made_up), ("shop.Cart", 2), ("shop.List", 1)];
        assert_calls(&layer, &expected);
        let errors = by_service(&layer, "errors_total");
        assert_eq!((errors["_OTHER"], errors["shop.Cart"]), (made_up, 1));
    }
}

/// A call with an invalid name is recorded as `_OTHER` before any method makes room.
#[test]
fn calls_of_invalid_names_keep_their_counts() {
    for builder in [
        MetricsLayer::grpc_builder(),
        MetricsLayer::grpc_builder().label(Label::status()),
    ] {
        let layer = built(builder.cardinality_limit(10));
        make_up(&layer, 0..5);
        call(&layer, "/a-b/c-d", Some(UNIMPLEMENTED));
        make_up(&layer, 5..100);
        call(&layer, "/shop.Cart/Add", Some("0"));
        make_up(&layer, 100..200);
        call(&layer, "/a-b/c-d", Some(UNIMPLEMENTED));
        call(&layer, "/shop.Cart/Add", Some(UNIMPLEMENTED));
        assert_calls(&layer, &[("_OTHER", 202), ("shop.Cart", 2)]);
    }
}

/// Made-up methods are series like any other.
#[test]
fn made_up_methods_have_series_below_the_limit() {
    let layer = built(MetricsLayer::grpc_builder().cardinality_limit(10));
    make_up(&layer, 0..9);
    let page = Page::read(layer.exporter());
    assert_eq!(page.all("requests_total").count(), 9);
}

#[test]
fn an_unimplemented_call_of_a_real_method_keeps_its_labels() {
    let layer = built(MetricsLayer::grpc_builder().cardinality_limit(10));
    call(&layer, "/shop.Cart/Add", Some(UNIMPLEMENTED));
    call(&layer, "/shop.Cart/Add", Some("0"));
    call(&layer, "/shop.Cart/Add", Some(UNIMPLEMENTED));
    make_up(&layer, 0..100);
    assert_calls(&layer, &[("_OTHER", 100), ("shop.Cart", 3)]);
}

#[test]
fn a_cancelled_call_does_not_prove_its_method() {
    let layer = built(MetricsLayer::grpc_builder().cardinality_limit(10));
    for number in 0..100 {
        call(&layer, &format!("/made.Up{number}/Method"), None);
    }
    call(&layer, "/shop.Cart/Add", Some("0"));
    assert_calls(&layer, &[("_OTHER", 100), ("shop.Cart", 1)]);
    let cancelled = by_service(&layer, "cancellations_total");
    assert_eq!((cancelled["_OTHER"], cancelled["shop.Cart"]), (100, 0));
}

/// An HTTP router around the services responds with 404, which clients treat as UNIMPLEMENTED.
#[test]
fn a_404_marks_a_method_as_made_up() {
    let layer = built(MetricsLayer::grpc_builder().cardinality_limit(10));
    for number in 0..100 {
        let service = layer.layer(service_fn(async |_: Request<RequestBody<Full<Bytes>>>| {
            let mut response = response_of("text/plain", []);
            *response.status_mut() = http::StatusCode::NOT_FOUND;
            Ok::<_, BoxError>(response)
        }));
        let request = Request::post(format!("/made.Up{number}/Method"));
        let request = request.header("content-type", "application/grpc");
        let request = request.body(Full::default()).unwrap();
        take_to_end(pin!(
            super::now(service.oneshot(request)).unwrap().into_body()
        ));
    }
    call(&layer, "/shop.Cart/Add", Some("0"));
    let requests = by_service(&layer, "requests_total");
    assert_eq!((requests["_OTHER"], requests["shop.Cart"]), (100, 1));
}

/// A slow call of a made-up method stays in flight under its own labels.
#[test]
fn a_call_in_flight_keeps_its_labels() {
    let layer = built(MetricsLayer::grpc_builder().cardinality_limit(10));
    let service = layer.layer(service_fn(async |_: Request<RequestBody<_>>| {
        let steps = [Pending, Field(STATUS, UNIMPLEMENTED)];
        Ok::<_, BoxError>(response_of("application/grpc", steps))
    }));
    let request = Request::post("/slow.One/Method").header("content-type", "application/grpc");
    let request = request.body(script([])).unwrap();
    let answer = super::now(service.oneshot(request)).unwrap();
    make_up(&layer, 0..100);
    let open = by_service(&layer, "concurrent_requests");
    assert_eq!((open["slow.One"], open["_OTHER"]), (1, 0));
    take_to_end(pin!(answer.into_body()));
    assert_eq!(by_service(&layer, "requests_total")["slow.One"], 1);
    make_up(&layer, 0..100);
    let requests = by_service(&layer, "requests_total");
    assert_eq!(requests.get("slow.One"), None);
    assert_eq!(requests["_OTHER"], 201);
    assert_eq!(by_service(&layer, "concurrent_requests")["_OTHER"], 0);
}

/// Threads make up the same methods concurrently, during scrapes and real calls.
#[test]
fn no_call_is_lost_between_threads() {
    const THREADS: u64 = 4;
    const ROUNDS: u64 = 300;
    let layer = built(MetricsLayer::grpc_builder().cardinality_limit(8));
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let layer = &layer;
            scope.spawn(move || {
                for round in 0..ROUNDS as usize {
                    make_up(layer, round..round + 1);
                    let service = ["/shop.Cart/Add", "/shop.List/Get"][round % 2];
                    call(layer, service, Some("0"));
                    if thread == 0 && round % 20 == 0 {
                        let page = Page::read(layer.exporter());
                        let open = page.all("concurrent_requests");
                        assert!(
                            open.map(|(_, open)| open)
                                .all(|open| !open.starts_with('-'))
                        );
                    }
                }
            });
        }
    });
    let (made_up, each) = (THREADS * ROUNDS, THREADS * ROUNDS / 2);
    // A call goes to the overflow at once, and counts there, if calls of other threads use every label set.
    let requests = by_service(&layer, "requests_total");
    assert_eq!(requests.values().sum::<u64>(), made_up + 2 * each);
    assert_eq!(
        by_service(&layer, "request_bytes_total")
            .values()
            .sum::<u64>(),
        8 * (made_up + 2 * each)
    );
    assert_eq!(
        by_service(&layer, "concurrent_requests")
            .values()
            .sum::<u64>(),
        0
    );
    assert_eq!(
        requests["shop.Cart"] + requests["shop.List"],
        2 * each,
        "{requests:?}"
    );
}

fn only_declared() -> MetricsLayerBuilder<Grpc> {
    MetricsLayer::grpc_builder()
        .label(Label::grpc_service().only_declared(true))
        .label(Label::grpc_method().only_declared(true))
        .declare([("grpc_service", "shop.Cart"), ("grpc_method", "Add")])
}

#[test]
fn only_declared_limits_the_labels_to_declared_values() {
    let layer = built(only_declared());
    for path in [
        "/shop.Cart/Add",
        "/shop.Cart/Remove",
        "/made.Up/Add",
        "/made.Up/Other",
    ] {
        call(&layer, path, Some("0"));
    }
    let page = Page::read(layer.exporter());
    let requests: Vec<_> = page.all("requests_total").collect();
    let labels = |method, service| {
        format!(r#"{{a="1",grpc_code="OK",grpc_method="{method}",grpc_service="{service}"}}"#)
    };
    let expected = [
        (labels("Add", "_OTHER"), "1"),
        (labels("Add", "shop.Cart"), "1"),
        (labels("_OTHER", "_OTHER"), "1"),
        (labels("_OTHER", "shop.Cart"), "1"),
    ];
    let expected: Vec<_> = expected.iter().map(|(labels, n)| (&**labels, *n)).collect();
    assert_eq!(requests, expected);
    assert_eq!(page.one("label_overflow_total"), "0");
}

/// Other traffic has the value `none`.
#[test]
fn none_needs_no_declaration() {
    let layer = built(only_declared());
    let service = layer.layer(service_fn(async |_: Request<RequestBody<Full<Bytes>>>| {
        Ok::<_, BoxError>(response_of("text/plain", []))
    }));
    let request = Request::get("/health").body(Full::default()).unwrap();
    take_to_end(pin!(
        super::now(service.oneshot(request)).unwrap().into_body()
    ));
    assert_eq!(by_service(&layer, "requests_total")["none"], 1);
}

/// A label of the same name replaces the one that the builder adds by default.
#[test]
fn a_label_replaces_the_default_one() {
    let layer = built(MetricsLayer::grpc_builder().label(Label::grpc_code().on_errors(true)));
    call(&layer, "/shop.Cart/Add", Some("5"));
    let page = Page::read(layer.exporter());
    let (labels, _) = page.all("errors_total").next().unwrap();
    assert!(labels.contains(r#"grpc_code="NOT_FOUND""#), "{labels}");
    assert_eq!(page.all("requests_total").count(), 1);
}
