//! Serves an app, and its page on the status server, until the process is told to stop.

#[path = "../../examples/process/mod.rs"]
mod process;
#[path = "../../examples/serving/mod.rs"]
mod serving;
#[path = "../../examples/status/mod.rs"]
mod status;

use self::process::Stop;
use axum::routing::Router;
use std::net::Ipv4Addr;
use std::process::ExitCode;
use tower::BoxError;
use tower_openmetrics::MetricsRegistry;

/// Serves until the process is told to stop. `endpoint` is the name that the health check reports.
pub(crate) async fn run(
    endpoint: &'static str,
    registry: &MetricsRegistry,
    app: Router,
) -> ExitCode {
    process::report(serve(endpoint, registry, app)).await
}

async fn serve(
    endpoint: &'static str,
    registry: &MetricsRegistry,
    app: Router,
) -> Result<(), BoxError> {
    let stop = Stop::on_signals()?;
    let listener = process::listen(Ipv4Addr::LOCALHOST, "DYN_WORKER_PORT", 8090).await?;
    println!("work handler:  http://{}/", listener.local_addr()?);
    let status = status::serve(registry.exporter(), endpoint, &stop.asked).await?;
    serving::serve(listener, app, stop.closing).await;
    if let Some(status) = status {
        status.shutdown().await;
    }
    Ok(())
}
