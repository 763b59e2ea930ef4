//! The conventions' names beside others, and settings that are refused.

use super::{all, begin, get, hello};
use crate::support::{Page, page_of, take_to_end};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::pin::pin;
use tower_openmetrics::classify::HttpClient;
use tower_openmetrics::labels::{Label, is_long_lived};
use tower_openmetrics::{MetricsLayer, MetricsLayerBuilder, MetricsRegistry};

/// Returns the names of all families.
fn families(page: &str) -> Vec<&str> {
    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types.map(|line| line.split(' ').next().unwrap()).collect()
}

/// They share no name, so layers may have the same labels.
#[test]
fn all_naming_conventions_fit_on_one_page() {
    let registry = MetricsRegistry::new();
    let labels = [("service", "a")];
    let builder = || {
        MetricsLayer::builder()
            .registry(&registry)
            .response_head_seconds(true)
            .first_byte_seconds(true)
            .stream_duration_seconds(is_long_lived)
    };
    let own = builder().label(Label::method()).build(labels).unwrap();
    let server = builder().open_telemetry().build(labels).unwrap();
    // A client's classifier makes the layer a client's.
    let client = builder().classifier(HttpClient).open_telemetry();
    let client = client.build(labels).unwrap();
    for _ in 0..3 {
        take_to_end(pin!(begin(&server, get("/"), hello).into_body()));
    }
    for _ in 0..2 {
        take_to_end(pin!(begin(&client, get("/"), hello).into_body()));
    }
    take_to_end(pin!(begin(&own, get("/"), hello).into_body()));

    let page = page_of(registry.exporter(), "application/openmetrics-text");
    let of_side = |side| {
        [
            "active_requests",
            "first_byte_seconds",
            "label_overflow",
            "request_body_size_bytes",
            "request_duration_seconds",
            "response_body_size_bytes",
            "response_head_seconds",
            "stream_duration_seconds",
        ]
        .map(|name| format!("http_{side}_{name}"))
    };
    let mut expected: Vec<_> = [
        "cancellations",
        "concurrent_requests",
        "errors",
        "first_byte_seconds",
        "label_overflow",
        "request_bytes",
        "request_duration_seconds",
        "requests",
        "response_bytes",
        "response_head_seconds",
        "stream_duration_seconds",
        "uptime_seconds",
    ]
    .map(str::to_owned)
    .into();
    expected.extend(of_side("server"));
    expected.extend(of_side("client"));
    expected.sort();
    assert_eq!(families(&page), expected);

    let page = Page::parse(&page);
    assert_eq!(page.integer("request_duration_seconds_count"), 1);
    for (side, calls) in [("server", 3), ("client", 2)] {
        for name in [
            "request_duration_seconds",
            "first_byte_seconds",
            "response_head_seconds",
        ] {
            let count = format!("http_{side}_{name}_count");
            assert_eq!(page.integer(&count), calls, "{count}");
        }
    }
}

/// Layers of all presets, with every metric that HTTP and gRPC can have and the same labels.
#[test]
fn presets_share_no_name() {
    fn all<P>(builder: MetricsLayerBuilder<P>, registry: &MetricsRegistry) -> MetricsLayer<P> {
        builder
            .registry(registry)
            .ready_wait_seconds(true)
            .oldest_request_age_seconds(true)
            .requests_longest_seconds(true)
            .items_in_frames(|_| 1)
            .items_total(true)
            .first_item_seconds(true)
            .item_gap_seconds(true)
            .time_per_item_seconds(true)
            .handler_poll_seconds(true)
            .build([("service", "a")])
            .unwrap()
    }
    let registry = MetricsRegistry::new();
    let http = MetricsLayer::builder;
    drop((
        all(http().label(Label::method()), &registry),
        all(http().open_telemetry(), &registry),
        all(MetricsLayer::client_builder().open_telemetry(), &registry),
        all(http().gen_ai(), &registry),
        all(MetricsLayer::grpc_builder().open_telemetry(), &registry),
        all(
            MetricsLayer::grpc_client_builder().open_telemetry(),
            &registry,
        ),
    ));
    let page = page_of(registry.exporter(), "application/openmetrics-text");
    let families = families(&page);
    for prefix in [
        "",
        "http_server_",
        "http_client_",
        "gen_ai_server_",
        "rpc_server_",
        "rpc_client_",
    ] {
        let gap = format!("{prefix}item_gap_seconds");
        let same = families.iter().filter(|family| **family == gap);
        assert_eq!(same.count(), 1, "{gap}");
    }
    let with = |ends: [&str; 2]| -> Vec<&str> {
        let families = families.iter().copied();
        let found = families.filter(|family| ends.iter().any(|end| family.ends_with(end)));
        found.collect()
    };
    assert_eq!(
        with(["errors", "cancellations"]),
        ["cancellations", "errors"]
    );
    assert_eq!(
        with(["_token_seconds", "call_duration_seconds"]),
        [
            "gen_ai_server_time_per_output_token_seconds",
            "gen_ai_server_time_to_first_token_seconds",
            "rpc_client_call_duration_seconds",
            "rpc_server_call_duration_seconds",
        ]
    );
}

#[test]
fn a_prefix_comes_before_the_name() {
    let layer = MetricsLayer::builder()
        .prefix("shop")
        .open_telemetry()
        .build([("", ""); 0])
        .unwrap();
    let page = page_of(layer.exporter(), "text/plain");
    assert_eq!(
        families(&page)[..2],
        [
            "shop_http_server_active_requests",
            "shop_http_server_label_overflow_total"
        ]
    );
}

#[test]
fn an_error_names_the_clashing_metric() {
    let registry = MetricsRegistry::new();
    let taken = "http_server_active_requests";
    registry
        .register(taken, "Mine", Gauge::<i64>::default())
        .unwrap();
    let builder = || MetricsLayer::builder().registry(&registry);
    let error = builder().open_telemetry().build([("", ""); 0]).unwrap_err();
    assert!(error.to_string().contains(taken), "{error}");

    let client = MetricsLayer::client_builder().registry(&registry);
    let client = client.open_telemetry().build(()).unwrap();
    let taken = "http_client_request_body_size_bytes";
    let counter = Counter::<u64>::default();
    let error = client
        .register(format!("{taken}_sum"), "Mine", counter)
        .unwrap_err();
    assert!(error.to_string().contains(taken), "{error}");
}

#[test]
fn layers_that_share_series_must_have_the_same_settings() {
    let registry = MetricsRegistry::new();
    let build = |bounds: &[u64]| {
        MetricsLayer::builder()
            .registry(&registry)
            .open_telemetry()
            .body_size_buckets(bounds.to_vec())
            .build([("a", "1")])
    };
    for _ in 0..2 {
        drop(build(&[1, 2]).unwrap());
    }
    let error = build(&[1, 3]).unwrap_err().to_string();
    assert!(error.contains("different settings"), "{error}");
}

#[test]
fn an_error_names_the_invalid_buckets() {
    let build = |bounds: &[u64]| {
        let builder = MetricsLayer::builder().open_telemetry();
        let built = builder
            .body_size_buckets(bounds.to_vec())
            .build([("", ""); 0]);
        built.unwrap_err().to_string()
    };
    for (bounds, expected) in [
        (&[][..], "at least one upper bound in bytes"),
        (&[1, 1], "1 comes after 1: bounds in bytes"),
        (&[7, 3], "3 comes after 7: bounds in bytes"),
    ] {
        let error = build(bounds);
        assert!(error.contains(expected), "{error}");
    }
}

/// Declarations use the names on the page.
#[test]
fn declared_label_sets_stand_at_0_under_the_names_of_the_conventions() {
    let declared = [
        ("http_request_method", "GET"),
        ("http_route", "/items/{id}"),
        ("network_protocol_version", "2"),
        ("url_scheme", "https"),
    ];
    let builder = || {
        MetricsLayer::builder()
            .open_telemetry()
            .label(Label::route(|_| Some("/items/{id}")))
    };
    let layer = builder().declare(declared).build([("", ""); 0]).unwrap();
    let labels = r#"{error_type="",http_request_method="GET",http_response_status_code="200",http_route="/items/{id}",network_protocol_version="2",url_scheme="https"}"#;
    for name in [
        "request_duration_seconds_count",
        "request_body_size_bytes_sum",
        "response_body_size_bytes_count",
    ] {
        let expected = [(labels.to_owned(), "0".to_owned())];
        assert_eq!(all(&layer, &format!("http_server_{name}")), expected);
    }
    let active = r#"{http_request_method="GET",url_scheme="https"}"#;
    assert_eq!(
        all(&layer, "http_server_active_requests"),
        [(active.to_owned(), "0".to_owned())]
    );
    let mut request = get("https://shop/items/1");
    *request.version_mut() = http::Version::HTTP_2;
    take_to_end(pin!(begin(&layer, request, hello).into_body()));
    assert_eq!(
        all(&layer, "http_server_request_duration_seconds_count"),
        [(labels.to_owned(), "1".to_owned())]
    );

    let error = builder().declare([("method", "GET")]).build([("", ""); 0]);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("`method`"), "{error}");
}

#[test]
fn calls_beyond_the_limit_are_recorded_under_other() {
    let layer = MetricsLayer::builder()
        .open_telemetry()
        .label(Label::from_request("path", |head| Some(head.uri.path())).on_begin(false))
        .cardinality_limit(2)
        .body_size_buckets([0])
        .build([("", ""); 0])
        .unwrap();
    for path in ["/1", "/2", "/3", "/4", "/5"] {
        take_to_end(pin!(begin(&layer, get(path), hello).into_body()));
    }
    let page = Page::read(layer.exporter());
    assert_eq!(page.one("http_server_label_overflow_total"), "3");
    let sums = all(&layer, "http_server_response_body_size_bytes_sum");
    let total: u64 = sums
        .iter()
        .map(|(_, sum)| sum.parse::<u64>().unwrap())
        .sum();
    assert_eq!((sums.len(), total), (3, 5 * 5));
    let other = sums
        .iter()
        .find(|(labels, _)| labels.contains(r#"path="_OTHER""#));
    assert_eq!(other.unwrap().1, "15");
}

/// For an app that has a registry already.
#[test]
fn another_registry_shows_the_metrics_too() {
    let layer = MetricsLayer::builder()
        .open_telemetry()
        .body_size_buckets([4, 1_048_576])
        .build([("", ""); 0])
        .unwrap();
    take_to_end(pin!(begin(&layer, get("/"), hello).into_body()));
    let mut theirs = Registry::default();
    theirs.register_collector(Box::new(layer.registry().clone()));
    let mut page = String::new();
    prometheus_client::encoding::text::encode(&mut page, &theirs).unwrap();
    let line = |name: &str| {
        let name = format!("http_server_response_body_size_bytes_{name}{{");
        let found = page.lines().find(|line| line.starts_with(&name));
        found
            .unwrap_or_else(|| panic!("{name}\n{page}"))
            .rsplit(' ')
            .next()
            .unwrap()
    };
    assert_eq!(
        (line("sum"), line("count"), line("bucket")),
        ("5.0", "1", "0")
    );
}
