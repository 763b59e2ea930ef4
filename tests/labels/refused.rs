//! Settings that are refused when the layer is built.

use std::time::Duration;
use tower_openmetrics::classify::HttpStatus;
use tower_openmetrics::labels::{Label, is_long_lived};
use tower_openmetrics::message::Own;
use tower_openmetrics::protocol::{Http, Streaming, Unary};
use tower_openmetrics::{Error, ErrorType, MetricsLayer, MetricsLayerBuilder, MetricsRegistry};

#[track_caller]
fn refused(builder: MetricsLayerBuilder) -> String {
    builder
        .build([("a", "1")])
        .expect_err("it can't be")
        .to_string()
}

#[test]
fn an_error_names_the_invalid_label() {
    let named = |name: &'static str| MetricsLayer::builder().label(Label::method().named(name));
    for name in ["le", "quantile", "error_type", "__name__", "a\n", "", "a"] {
        let error = refused(named(name));
        assert!(
            error.contains(&format!("`{name}`")) || error.contains(&format!("{name:?}")),
            "{error}"
        );
    }
    for (one, other, escaped) in [("a.b", "a-b", "`a_b`"), ("_", "-", "`_`")] {
        let error = refused(named(one).label(Label::status().named(other)));
        assert!(
            error.contains(escaped) && error.contains("`underscores`"),
            "{error}"
        );
    }
    let error = refused(named("x").label(Label::status().named("x")));
    assert!(error.contains("`x` is given twice"), "{error}");
    let nine = (0..9).fold(MetricsLayer::builder(), |builder, i| {
        builder.label(Label::from_request(format!("l{i}"), |_| None))
    });
    let error = refused(nine);
    assert!(error.contains("`l8` is one too many"), "{error}");
}

#[test]
fn an_error_names_the_invalid_declaration() {
    let builder = || {
        MetricsLayer::builder()
            .label(Label::method())
            .label(Label::status())
    };
    for (given, expected) in [
        (vec![("route", "/"), ("method", "GET")], "`route`"),
        (vec![("status", "200")], "without `method`"),
        (
            vec![("method", "GET"), ("method", "PUT")],
            "`method` given twice",
        ),
    ] {
        let error = refused(builder().declare(given));
        assert!(error.contains(expected), "{error}");
    }
    // No call has these values.
    for (label, name, value) in [
        (Label::method(), "method", "get"),
        (Label::status(), "status", "5xx"),
        (Label::status(), "status", "099"),
        (Label::status_class(), "status", "500"),
        (Label::grpc_code(), "grpc_code", "not found"),
    ] {
        let declare = |value| {
            let builder = MetricsLayer::builder().label(label.clone());
            builder.declare([(name, value)])
        };
        let error = refused(declare(value));
        let expected = format!("`{name}` as {value:?}");
        assert!(error.contains(&expected), "{error}");
        for without_code in ["none", "_OTHER"] {
            let _ = declare(without_code).build(()).unwrap();
        }
    }
    // Only the first 256 names of a list can be codes.
    let names: Vec<&str> = (0..257).map(|i| &*format!("CODE_{i}").leak()).collect();
    let label = Label::code(names.leak());
    let declare = |value| {
        let builder = MetricsLayer::builder().label(label.clone());
        builder.declare([("code", value)])
    };
    let _ = declare("CODE_255").build(()).unwrap();
    let error = refused(declare("CODE_256"));
    assert!(error.contains(r#"`code` as "CODE_256""#), "{error}");
    let error = refused(
        builder()
            .cardinality_limit(1)
            .declare([("method", "GET")])
            .declare([("method", "PUT")]),
    );
    assert!(
        error.contains("2 label sets are declared, and `cardinality_limit` is 1"),
        "{error}"
    );
    let error = refused(builder().cardinality_limit(0));
    assert!(error.contains("`cardinality_limit` is 0"), "{error}");
    let error = refused(
        builder()
            .stream_duration_seconds(is_long_lived)
            .stream_buckets([2.0, 1.0]),
    );
    assert!(error.contains("1 comes after 2"), "{error}");
}

/// Closures that capture something are equal only if they are clones of one closure.
#[test]
fn layers_that_share_series_must_have_the_same_request_labels() {
    let registry = MetricsRegistry::new();
    let build = |label: Label| {
        let builder = MetricsLayer::builder().registry(&registry).label(label);
        builder.build([("a", "1")]).map(|_| ())
    };
    let of_header = || {
        let name = "h".to_owned();
        Label::from_request("h", move |head| head.headers.get(&name)?.to_str().ok())
    };
    let label = of_header();
    build(label.clone()).unwrap();
    build(label.clone()).unwrap();
    for other in [of_header(), Label::method(), label.on_duration(false)] {
        let error = build(other).unwrap_err().to_string();
        assert!(error.contains("different settings"), "{error}");
    }
}

/// A constant label of one layer is a request label of the other, or it is empty, which counts as absent.
#[test]
fn layers_that_would_show_the_same_series_are_refused() {
    type Build = fn(&MetricsRegistry) -> Result<(), Error>;
    let constant: Build = |registry| {
        let builder = MetricsLayer::builder().registry(registry);
        builder.build([("a", "1"), ("method", "GET")]).map(drop)
    };
    let request_label: Build = |registry| {
        let builder = MetricsLayer::builder().registry(registry);
        builder.label(Label::method()).build([("a", "1")]).map(drop)
    };
    let empty: Build = |registry| {
        let builder = MetricsLayer::builder().registry(registry);
        builder.build([("a", "1"), ("b", "")]).map(drop)
    };
    let without: Build = |registry| {
        let builder = MetricsLayer::builder().registry(registry);
        builder.build([("a", "1")]).map(drop)
    };
    for (first, second) in [(constant, request_label), (empty, without)] {
        for (first, second) in [(first, second), (second, first)] {
            let registry = MetricsRegistry::new();
            first(&registry).unwrap();
            let error = second(&registry).unwrap_err().to_string();
            assert!(error.contains("may show the same series"), "{error}");
            // The first can be built again, and the second once the first is removed.
            first(&registry).unwrap();
            for labels in [
                &[("a", "1")][..],
                &[("a", "1"), ("b", "")],
                &[("a", "1"), ("method", "GET")],
            ] {
                registry.remove(labels.iter().copied()).unwrap();
            }
            second(&registry).unwrap();
        }
    }
}

/// Layers that differ in the value of a label, or in the prefix, have series of their own.
#[test]
fn layers_with_different_series_are_accepted() {
    let registry = MetricsRegistry::new();
    let builder = || MetricsLayer::builder().registry(&registry);
    let method = || builder().label(Label::method());
    let both = method().label(Label::status_class());
    for built in [
        builder().build([("a", "1"), ("method", "GET")]),
        method().build([("a", "2")]),
        method().prefix("other").build([("a", "1")]),
        both.build([("b", "1")]),
    ] {
        drop(built.unwrap());
    }
}

/// Requests and responses of unary and streaming services have no heads.
#[test]
fn settings_that_read_heads_are_refused_without_heads() {
    fn each<P: Clone>(builder: fn() -> MetricsLayerBuilder<P>) {
        let check = |given: MetricsLayerBuilder<P>, setting: &str| {
            let error = given.build([("a", "1")]).map(drop).unwrap_err().to_string();
            assert!(error.contains(&format!("`{setting}`")), "{error}");
            assert!(error.contains("would do nothing"), "{error}");
        };
        check(builder().filter(|_| true), "filter");
        check(builder().label(Label::method()), "method");
        check(builder().label(Label::status()), "label");
        check(builder().declare([("method", "GET")]), "declare");
        check(builder().cardinality_limit(10), "cardinality_limit");
        check(
            builder().series_idle_timeout(Duration::from_secs(60)),
            "series_idle_timeout",
        );
        check(builder().exemplars(|_| None), "exemplars");
        check(
            builder().stream_duration_seconds(is_long_lived),
            "stream_duration_seconds",
        );
        check(builder().stream_requests(|_| true), "stream_requests");
        check(builder().stream_buckets([1.0]), "stream_buckets");
        builder().build([("a", "1")]).map(drop).unwrap();
    }
    each(MetricsLayer::unary_builder);
    each(MetricsLayer::streaming_builder);
    each(|| MetricsLayer::unary_builder().classifier(HttpStatus));
    each(|| MetricsLayer::streaming_builder().measure_items(Own));
    each(|| MetricsLayer::protocol_builder(Unary::default()));
    each(|| MetricsLayer::protocol_builder(Streaming::default()));
    each(|| MetricsLayer::protocol_builder(Streaming::default()).request_streams(Own));

    let error = refused(MetricsLayer::builder().stream_buckets([1.0]));
    assert!(
        error.contains("`stream_buckets` would do nothing"),
        "{error}"
    );
    let error = refused(MetricsLayer::builder().body_size_buckets([1]));
    assert!(
        error.contains("`body_size_buckets` would do nothing"),
        "{error}"
    );
}

/// For every protocol.
#[test]
fn a_setting_without_effect_is_refused_by_name() {
    let builder = MetricsLayer::builder;
    let second = Duration::from_secs(1);
    for (setting, builder) in [
        ("cardinality_limit", builder().cardinality_limit(10)),
        ("series_idle_timeout", builder().series_idle_timeout(second)),
        ("declare", builder().declare([("method", "GET")])),
        ("messages_total", builder().messages_total(true)),
        // HTTP has no items by itself.
        ("items_total", builder().items_total(true)),
        ("first_item_seconds", builder().first_item_seconds(true)),
        ("item_gap_seconds", builder().item_gap_seconds(true)),
        (
            "time_per_item_seconds",
            builder().time_per_item_seconds(true),
        ),
        ("items_in_frames", builder().items_in_frames(|_| 1)),
    ] {
        let error = refused(builder);
        let expected = format!("`{setting}` would do nothing");
        assert!(error.starts_with(&expected), "{error}");
    }
    let types = [ErrorType::from_static("quota")];
    let error = builder().open_telemetry().error_types(types).build(());
    let error = error.unwrap_err().to_string();
    assert!(
        error.starts_with("`error_types` would do nothing"),
        "{error}"
    );

    let streaming = MetricsLayer::streaming_builder;
    for (setting, builder) in [
        ("queue_wait_seconds", streaming().queue_wait_seconds(true)),
        (
            "items_in_frames",
            streaming().items_total(true).items_in_frames(|_| 1),
        ),
    ] {
        let error = builder.build(()).unwrap_err().to_string();
        let expected = format!("`{setting}` would do nothing");
        assert!(error.starts_with(&expected), "{error}");
    }

    let error = refused(builder().slow_polls_total(Duration::ZERO));
    assert!(
        error.starts_with("`slow_polls_total` has a bound of 0 s"),
        "{error}"
    );

    // They are accepted if they have an effect.
    let items = builder().items_in_frames(|_| 1).items_total(true);
    drop(items.build(()).unwrap());
    drop(streaming().first_item_seconds(true).build(()).unwrap());
    let labelled = || builder().label(Label::method());
    drop(labelled().cardinality_limit(10).build(()).unwrap());
    drop(labelled().series_idle_timeout(second).build(()).unwrap());
    let grpc = MetricsLayer::grpc_builder().cardinality_limit(10);
    drop(grpc.messages_total(true).build(()).unwrap());
    let conventional = builder().open_telemetry().cardinality_limit(10);
    drop(conventional.build(()).unwrap());
}

/// A custom protocol may find a head in any request.
#[test]
fn settings_that_read_heads_are_accepted_for_other_protocols() {
    let builder = MetricsLayer::protocol_builder(Http::default());
    let builder = builder.filter(|_| true).label(Label::method());
    builder.build([("a", "1")]).map(drop).unwrap();
    let grpc = MetricsLayer::grpc_builder()
        .filter(|_| true)
        .exemplars(|_| None);
    grpc.build([("a", "1")]).map(drop).unwrap();
}
