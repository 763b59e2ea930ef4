//! Calls that last as long as they are told to, and nothing else: the clock stands still but for them.
//!
//! `GET /both/{milliseconds}` is measured in classic and native histograms, `GET /native/{milliseconds}` in native
//! ones alone. Calls are to come one after the other.

#[path = "../../examples/process/mod.rs"]
mod process;
#[path = "../../examples/serving/mod.rs"]
mod serving;
#[path = "../../examples/status/mod.rs"]
mod status;

use self::process::Stop;
use axum::extract::Path;
use axum::routing::{Router, get};
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::time::Duration;
use tower::BoxError;
use tower_openmetrics::{Clock, MetricsLayer, MetricsRegistry, TraceContext};

#[tokio::main]
async fn main() -> ExitCode {
    process::report(run()).await
}

async fn run() -> Result<(), BoxError> {
    let stop = Stop::on_signals()?;
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

    let listener = process::listen(Ipv4Addr::LOCALHOST, "DYN_WORKER_PORT", 8090).await?;
    println!("work handler:  http://{}/", listener.local_addr()?);
    let status = status::serve(registry.exporter(), "both", &stop.asked).await?;
    serving::serve(listener, app, stop.closing).await;
    if let Some(status) = status {
        status.shutdown().await;
    }
    Ok(())
}
