//! Common features of axum applications. The layer counts what the client saw.

mod client;
mod compression;
mod files;
mod routes;
mod sockets;
mod streams;
mod tally;
mod uploads;
#[path = "../../wire_support/mod.rs"]
mod wire_support;

use tower_openmetrics::MetricsLayer;
use tower_openmetrics::labels::{Label, is_long_lived};

/// Returns the layer as an application would build it.
fn layer() -> MetricsLayer {
    MetricsLayer::builder()
        .label(Label::method())
        .label(Label::axum_route())
        .label(Label::status())
        .stream_duration_seconds(is_long_lived)
        .build([("endpoint", "shop")])
        .unwrap()
}
