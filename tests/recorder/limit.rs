//! The cardinality limit at each moment of a call, and the length limit of label values.

use crate::raw::{
    Done, Raw, all, all_of, answer, assert_all, begin, builder, built, call, code_at, name, sum,
};
use crate::support::{Page, now};
use http::{Request, Response};
use std::collections::BTreeMap;
use std::sync::LazyLock;
use tower::{Layer, ServiceExt};
use tower_openmetrics::classify::Head;
use tower_openmetrics::labels::Label;
use tower_openmetrics::{Call, MetricsLayer, MetricsRegistry};

type Calls<'a> = &'a dyn Fn(usize) -> Call;

/// Makes two calls with each of `values` values, in order, under a limit of `room` label sets.
#[track_caller]
fn assert_limit(layer: &MetricsLayer<Raw>, calls: Calls<'_>, values: usize, room: usize) {
    for value in 0..values {
        calls(value).complete();
    }
    let open: Vec<Call> = (0..values).map(calls).collect();
    let page = Page::read(layer.exporter());
    assert_eq!(total(&page, "concurrent_requests"), values as i64);
    open.into_iter().for_each(Call::complete);
    let overflow = 2 * values.saturating_sub(room) as i64;
    let page = Page::read(layer.exporter());
    let requests = all_of(&page, "requests_total");
    let (others, own): (BTreeMap<_, _>, BTreeMap<_, _>) = requests
        .into_iter()
        .partition(|(labels, _)| labels.contains("_OTHER"));
    assert_eq!(own.len(), values.min(room), "{values} in {room}");
    assert!(own.values().all(|calls| *calls == 2));
    assert_eq!(others.values().sum::<i64>(), overflow);
    assert_eq!(others.len(), usize::from(overflow > 0));
    let calls = 2 * values as i64;
    for (metric, expected) in [
        ("label_overflow_total", overflow),
        ("requests_total", calls),
        ("request_duration_seconds_count", calls),
        ("response_bytes_total", calls),
        ("concurrent_requests", 0),
    ] {
        assert_eq!(total(&page, metric), expected, "{metric}");
    }
}

fn total(page: &Page, metric: &str) -> i64 {
    all_of(page, metric).values().sum()
}

/// The number of values, and the limit.
const SIZES: [(usize, usize); 8] = [
    (1, 1),
    (10, 5),
    (10, 10),
    (1_000, 2),
    (1_000, 999),
    (1_000, 1_000),
    (10_000, 5_000),
    (10_000, 10_000),
];

#[test]
fn the_limit_applies_to_request_labels() {
    for (values, room) in SIZES {
        let (layer, service) = built(builder().label(name()).cardinality_limit(room));
        let calls = |value: usize| {
            let mut call = begin(service, &format!("/{value}"));
            call.response_message(1);
            call
        };
        assert_limit(&layer, &calls, values, room);
    }
}

#[test]
fn the_limit_applies_to_response_labels() {
    let label = || Label::from_response("value", |head| head.headers.get("value")?.to_str().ok());
    for (values, room) in SIZES {
        let (layer, service) = built(builder().label(label()).cardinality_limit(room));
        let calls = |value: usize| {
            let mut call = begin(service, "/");
            let response = Response::builder().header("value", value);
            let response = response.body(()).unwrap();
            call.response_head(&Head::of(&response));
            call.response_message(1);
            call
        };
        assert_limit(&layer, &calls, values, room);
    }
}

/// A hundred codes for each name. The limit allows all names and half of the ends.
#[test]
fn the_limit_applies_to_labels_of_the_end() {
    for (values, room) in SIZES.into_iter().filter(|(_, room)| *room != 2) {
        let settings = builder()
            .label(name())
            .label(code())
            .cardinality_limit(room);
        let (layer, service) = built(settings);
        let calls = |value: usize| {
            let mut call = begin(service, &format!("/{}", value / 100));
            call.set_code(code_at(value % 100));
            call.response_message(1);
            call
        };
        assert_limit(&layer, &calls, values, room);
    }
}

fn code() -> Label {
    static NAMES: LazyLock<Vec<&str>> =
        LazyLock::new(|| (0..100).map(|code| &*format!("{code}").leak()).collect());
    Label::code(&NAMES)
}

/// A call that overflows at its beginning also overflows later, even if there is room.
#[test]
fn a_call_that_overflows_at_its_beginning_stays_there() {
    let (layer, service) = built(
        builder()
            .label(name())
            .label(Label::status())
            .cardinality_limit(3),
    );
    for (path, status) in [
        ("/a", 200),
        ("/b", 200),
        ("/c", 200),
        ("/d", 200),
        ("/a", 404),
        ("/a", 200),
    ] {
        let mut call = begin(service, path);
        answer(&mut call, status);
        call.complete();
    }
    assert_all(
        &layer,
        "requests_total",
        &[
            (r#"name="_OTHER",status="_OTHER""#, 2),
            (r#"name="a",status="200""#, 2),
            (r#"name="b",status="200""#, 1),
            (r#"name="c",status="200""#, 1),
        ],
    );
    assert_all(&layer, "label_overflow_total", &[("", 2)]);
}

/// Layers that share a registry don't share the limit.
#[test]
fn each_layer_has_its_own_limit() {
    let registry = MetricsRegistry::new();
    let layers = ["1", "2"].map(|own| {
        let builder = builder()
            .registry(&registry)
            .label(name())
            .cardinality_limit(2);
        builder.build([("layer", own)]).unwrap()
    });
    for layer in &layers {
        let service = layer.layer(Done);
        for path in ["/a", "/b", "/c"] {
            call(&service, path);
        }
    }
    let overflow = [(r#"layer="1""#, 1), (r#"layer="2""#, 1)];
    assert_all(&layers[0], "label_overflow_total", &overflow);
    assert_eq!(all(&layers[0], "requests_total").len(), 6);
}

/// Values that the program chooses are never cut, even if they differ only in the last byte.
#[test]
fn long_templates_are_never_cut() {
    #[derive(Clone)]
    struct Matched(String);
    let label = Label::route(|head| Some(&head.extensions.get::<Matched>()?.0));
    let (layer, service) = built(builder().label(label));
    let stem = format!("/{}", "segment/".repeat(25));
    for last in ["a", "b", "a"] {
        let matched = Matched(format!("{}{last}", &stem[..199]));
        let request = Request::get("/").extension(matched).body(()).unwrap();
        let Ok(call) = now(service.clone().oneshot(request));
        call.complete();
    }
    let route = |last: &str| format!(r#"route="{}{last}""#, &stem[..199]);
    let expected = [(&*route("a"), 2), (&*route("b"), 1)];
    assert_all(&layer, "requests_total", &expected);
    assert_all(
        &layer,
        "concurrent_requests",
        &[(&*route("a"), 0), (&*route("b"), 0)],
    );
}

#[test]
fn long_values_from_clients_overflow_unless_declared() {
    let declared = ["a", "b"].map(|last| "x".repeat(299) + last);
    let mut settings = builder().label(name());
    for value in &declared {
        settings = settings.declare([("name", value)]);
    }
    let (layer, service) = built(settings);
    let client = ["x".repeat(300), "x".repeat(129), "x".repeat(128)];
    for value in declared.iter().chain(&client) {
        call(service, &format!("/{value}"));
    }
    let labels = |value: &str| format!(r#"name="{value}""#);
    let expected = [
        (labels(&declared[0]), 1),
        (labels(&declared[1]), 1),
        (labels("_OTHER"), 2),
        (labels(&client[2]), 1),
    ];
    let expected: Vec<_> = expected
        .iter()
        .map(|(labels, calls)| (&**labels, *calls))
        .collect();
    assert_all(&layer, "requests_total", &expected);
    assert_all(&layer, "label_overflow_total", &[("", 0)]);
}

#[test]
fn the_maximum_length_of_values_is_configurable() {
    for (most, expected) in [(0, 0), (4, 1), (300, 3), (usize::MAX, 4)] {
        let (layer, service) = built(builder().label(name().max_len(most)));
        for length in [4, 5, 300, 301] {
            call(service, &format!("/{}", "x".repeat(length)));
        }
        let requests = all(&layer, "requests_total");
        let own = requests.keys().filter(|labels| !labels.contains("_OTHER"));
        assert_eq!(own.count(), expected, "{most}");
        assert_eq!(sum(&layer, "requests_total"), 4);
    }
}
