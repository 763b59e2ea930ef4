//! One layer of each naming, with every metric that it can have.

use crate::objective::OBJECTIVE;
use tower_openmetrics::classify::{HttpClient, ServerErrorsOnly};
use tower_openmetrics::labels::{Label, is_long_lived};
use tower_openmetrics::protocol::Http;
use tower_openmetrics::{Error, MetricsLayer, MetricsLayerBuilder, MetricsRegistry};

pub(crate) fn own(registry: &MetricsRegistry) -> Result<MetricsLayer, Error> {
    let builder = MetricsLayer::builder().http_labels(Label::axum_route());
    full(builder, registry).build(())
}

/// A client's layer, which has the same names and more error types.
pub(crate) fn own_client(
    registry: &MetricsRegistry,
) -> Result<MetricsLayer<Http<HttpClient>>, Error> {
    let builder = MetricsLayer::client_builder().http_labels(Label::axum_route());
    full(builder, registry).build([("peer", "stock")])
}

pub(crate) fn axum_prometheus(registry: &MetricsRegistry) -> Result<MetricsLayer, Error> {
    full(MetricsLayer::builder().axum_prometheus(), registry).build(())
}

pub(crate) fn open_telemetry_server(
    registry: &MetricsRegistry,
) -> Result<MetricsLayer<Http<ServerErrorsOnly>>, Error> {
    let builder = MetricsLayer::builder().open_telemetry();
    full(builder.label(Label::axum_route()), registry).build(())
}

pub(crate) fn open_telemetry_client(
    registry: &MetricsRegistry,
) -> Result<MetricsLayer<Http<HttpClient>>, Error> {
    let builder = MetricsLayer::client_builder().open_telemetry();
    full(builder.label(Label::axum_route()), registry).build(())
}

/// Turns on what is opt-in.
fn full<P>(builder: MetricsLayerBuilder<P>, registry: &MetricsRegistry) -> MetricsLayerBuilder<P> {
    builder
        .registry(registry)
        .buckets(OBJECTIVE.buckets())
        .first_byte_seconds(true)
        .first_item_seconds(true)
        .items_in_frames(|frame| u64::from(frame.starts_with(b"data: ")))
        .handler_poll_seconds(true)
        .oldest_request_age_seconds(true)
        .requests_longest_seconds(true)
        .response_head_seconds(true)
        .stream_duration_seconds(is_long_lived)
}
