//! What people put into a router of axum: what the layer counts is what the client saw.

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

/// As an application would have it.
fn layer() -> MetricsLayer {
    MetricsLayer::builder()
        .label(Label::method())
        .label(Label::axum_route())
        .label(Label::status())
        .stream_duration_seconds(is_long_lived)
        .build([("endpoint", "shop")])
        .unwrap()
}
