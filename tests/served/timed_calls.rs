//! Calls of a given duration. The clock only advances during calls.
//!
//! `GET /both/{milliseconds}` is measured in classic and native histograms, `GET /native/{milliseconds}` only in native ones.
//! Calls must not overlap.

mod server;

use axum::extract::Path;
use axum::routing::{Router, get};
use std::process::ExitCode;
use std::time::Duration;
use tower::BoxError;
use tower_openmetrics::{Clock, MetricsLayer, MetricsRegistry, TraceContext};

#[tokio::main]
async fn main() -> Result<ExitCode, BoxError> {
    let clock = Clock::manual();
    let registry = MetricsRegistry::new();
    let builder = MetricsLayer::builder()
        .registry(&registry)
        .clock(clock)
        .exemplars(TraceContext::from_traceparent)
        .native_histograms(true);
    let both = builder.clone().build([("endpoint", "both")])?;
    let native = builder
        .classic_histograms(false)
        .build([("endpoint", "native")])?;
    let last = async move |Path(millis)| clock.advance(Duration::from_millis(millis));
    let app = Router::new()
        .route("/both/{milliseconds}", get(last).layer(both))
        .route("/native/{milliseconds}", get(last).layer(native));
    Ok(server::run("both", &registry, app).await)
}
