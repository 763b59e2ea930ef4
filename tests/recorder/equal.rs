//! Layers with the same labels must have the same closures.

use crate::raw::{Done, Raw, begin, builder, sum};
use std::time::Duration;
use tower::Layer;
use tower_openmetrics::labels::{Label, is_long_lived};
use tower_openmetrics::{Error, MetricsLayer, MetricsLayerBuilder, MetricsRegistry, TraceContext};

type Builder = MetricsLayerBuilder<Raw>;

/// Builds two layers with the same labels on one registry, and calls each once.
fn two(first: Builder, second: Builder) -> Result<MetricsLayer<Raw>, Error> {
    let registry = MetricsRegistry::new();
    let build = |builder: Builder| builder.registry(&registry).build([("a", "1")]);
    let layers = [build(first).unwrap(), build(second)?];
    for layer in &layers {
        begin(&layer.layer(Done), "/").complete();
    }
    let [first, second] = layers;
    assert_eq!(sum(&first, "requests_total"), 2);
    Ok(second)
}

fn path(head: &tower_openmetrics::labels::RequestHead<'_>) -> bool {
    head.uri.path() == "/"
}

fn idle(seconds: u64) -> Builder {
    let labelled = builder().label(Label::method());
    labelled.series_idle_timeout(Duration::from_secs(seconds))
}

#[test]
fn closures_without_captures_are_equal() {
    for settings in [
        || builder().stream_duration_seconds(is_long_lived),
        || builder().exemplars(TraceContext::from_traceparent),
        || builder().filter(path),
        || builder().filter(|_| true),
        || builder().label(Label::route(|head| Some(head.uri.path()))),
        || builder().label(Label::from_request("path", |head| Some(head.uri.path()))),
        || builder().label(Label::from_response("path", |_| None)),
        || idle(1),
        || {
            builder()
                .stream_duration_seconds(is_long_lived)
                .exemplars(TraceContext::from_traceparent)
                .filter(path)
                .label(Label::method())
                .label(Label::status())
        },
    ] as [fn() -> Builder; 9]
    {
        let _ = two(settings(), settings()).unwrap();
    }
}

#[test]
fn clones_of_one_builder_are_equal() {
    let captured = String::from("/");
    let [filter, label, route, response, streams] = [(); 5].map(|()| captured.clone());
    let one = builder()
        .filter(move |head| head.uri.path() == filter)
        .label(Label::from_request("path", move |_| {
            Some("x").filter(|_| !label.is_empty())
        }))
        .label(Label::route(move |_| {
            Some("x").filter(|_| !route.is_empty())
        }))
        .label(Label::from_response("r", move |_| {
            Some("x").filter(|_| !response.is_empty())
        }))
        .stream_duration_seconds(move |_| streams.is_empty())
        .exemplars(move |_| Some(TraceContext::new(captured.len() as u128, 1)));
    let _ = two(one.clone(), one).unwrap();
    let label = Label::route({
        let captured = 1;
        move |_| Some("x").filter(|_| captured == 1)
    });
    let _ = two(builder().label(label.clone()), builder().label(label)).unwrap();
}

#[test]
fn closures_with_captures_and_other_closures_differ() {
    fn capturing(number: usize) -> [Builder; 5] {
        [
            builder().filter(move |head| head.uri.path().len() != number),
            builder().label(Label::route(move |head| head.uri.path().get(number..))),
            builder().label(Label::from_response("a_label", move |_| {
                Some("x").filter(|_| number > 1)
            })),
            builder().stream_duration_seconds(move |head| head.headers.len() > number),
            builder().exemplars(move |_| Some(TraceContext::new(number as u128, 1))),
        ]
    }
    let others = [
        (
            builder().filter(|_| true),
            builder().filter(|head| head.uri.path() != "/"),
        ),
        (builder().filter(path), builder()),
        (
            builder().exemplars(TraceContext::from_traceparent),
            builder().exemplars(|_| None),
        ),
        (builder().stream_duration_seconds(is_long_lived), builder()),
        (idle(1), builder().label(Label::method())),
        (idle(1), idle(2)),
        (
            builder().label(Label::method().max_len(1)),
            builder().label(Label::method()),
        ),
    ];
    let capturing = capturing(1).into_iter().zip(capturing(1));
    for (first, second) in capturing.chain(others) {
        let told = format!("{first:?}");
        let error = two(first, second).expect_err(&told).to_string();
        assert!(error.contains("different settings"), "{error}");
    }
}
