//! Every protocol: what passes through unchanged, and every outcome with all numbers of the layer.

mod classifiers;
mod combinators;
mod declared;
mod handles;
mod incoming;
mod own;
mod panics;
mod streaming;
#[path = "../streams_support/mod.rs"]
mod streams_support;
#[path = "../support/mod.rs"]
mod support;
mod transparent;
mod traps;
mod unary;

use self::streams_support::Stage;
use tower_openmetrics::MetricsLayer;
use tower_openmetrics::protocol::{Streaming, Unary};

fn unary() -> Stage<Unary> {
    Stage::new(MetricsLayer::unary_builder())
}

fn streaming() -> Stage<Streaming> {
    Stage::new(MetricsLayer::streaming_builder())
}
