//! The layers that the benchmarks use, and the contenders for the cost of a call.

use super::floors::{self, CLOCK};
use super::wrapping::Wrapping;
use super::{Contender, Reading, call, get, post};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use std::mem;
use std::sync::LazyLock;
use tower::{Layer, Service};
use tower_openmetrics::classify::ServerErrorsOnly;
use tower_openmetrics::labels::{Label, is_long_lived};
use tower_openmetrics::protocol::Http;
use tower_openmetrics::{MetricsLayer, MetricsLayerBuilder, TraceContext};

/// Contenders for the cost of a call, from no layer to a layer with all options. The first is the bare call; `floor-s`
/// and `floor-w` are the floors.
pub(crate) fn contenders() -> Vec<Contender> {
    let clock = LazyLock::force(&CLOCK);
    let uploading = built(MetricsLayer::builder()).layer(Reading);
    vec![
        measured("bare", Reading),
        Contender::new("floor-s", floors::shared),
        Contender::new("floor-w", || floors::one_writer(clock)),
        measured("wrapping", Wrapping::alone().layer(Reading)),
        measured("wrapping-clock", Wrapping::with_clock().layer(Reading)),
        measured("filtered", built(filtered()).layer(Reading)),
        measured("constant", uploading.clone()),
        Contender::new("constant-get", move || call(&uploading, get())),
        measured("labels", built(labelled()).layer(Reading)),
        measured("options", built(with_options(labelled())).layer(Reading)),
        measured("open-telemetry", built(open_telemetry()).layer(Reading)),
        measured("everything", built(everything()).layer(Reading)),
    ]
}

/// A call with a request of 1 KiB, which the service reads, and a response of 1 KiB.
pub(crate) fn measured<S, B>(name: &str, service: S) -> Contender
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + Sync + 'static,
    B: Body,
{
    Contender::new(name, move || call(&service, post()))
}

/// Builds a layer and leaks it: once no layer is left, services record nothing.
pub(crate) fn built<P: Clone>(builder: MetricsLayerBuilder<P>) -> MetricsLayer<P> {
    let layer = builder.build([("endpoint", "a")]).expect("valid settings");
    mem::forget(layer.clone());
    layer
}

/// Begins and ends calls, and records nothing.
fn filtered() -> MetricsLayerBuilder {
    MetricsLayer::builder().filter(|_| false)
}

/// Labels calls by method, route and status.
pub(crate) fn labelled() -> MetricsLayerBuilder {
    MetricsLayer::builder()
        .label(Label::method())
        .label(Label::route(|head| Some(head.uri.path())))
        .label(Label::status())
}

/// Adds histograms for the head, the first byte and streams, and exemplars. Every call has a trace.
pub(crate) fn with_options<P>(builder: MetricsLayerBuilder<P>) -> MetricsLayerBuilder<P> {
    builder
        .response_head_seconds(true)
        .first_byte_seconds(true)
        .stream_duration_seconds(is_long_lived)
        .exemplars(|_| Some(TraceContext::new(1, 1)))
}

/// OpenTelemetry's seven labels, and histograms of both bodies' sizes.
fn open_telemetry() -> MetricsLayerBuilder<Http<ServerErrorsOnly>> {
    let route = Label::route(|head| Some(head.uri.path()));
    MetricsLayer::builder().open_telemetry().label(route)
}

/// OpenTelemetry's metrics with all options, a filter, and native histograms beside the classic ones.
fn everything() -> MetricsLayerBuilder<Http<ServerErrorsOnly>> {
    with_options(open_telemetry())
        .filter(|head| head.uri.path() != "/health")
        .native_histograms(true)
}
