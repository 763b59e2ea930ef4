//! A page that is longer than what sockets hold for a client that reads nothing, and a server of one's own
//! that shows it besides the status server.

#[path = "../../examples/process/mod.rs"]
mod process;
#[path = "../../examples/status/mod.rs"]
mod status;

use axum::routing::Router;
use std::fmt::Write as _;
use std::process::ExitCode;
use tower::BoxError;
use tower_openmetrics::MetricsRegistry;

#[tokio::main]
async fn main() -> ExitCode {
    process::report(run()).await
}

async fn run() -> Result<(), BoxError> {
    let stop = process::asked_to_stop()?;
    let registry = MetricsRegistry::new();
    let place = "x".repeat(1_000);
    let mut text = "# HELP cells Readings\n# TYPE cells gauge\n".to_owned();
    for cell in 0..16_000 {
        writeln!(text, "cells{{place=\"{place}{cell}\"}} {cell}")?;
    }
    registry.include_with(move |page| page.write_str(&text))?;
    let app = Router::new().route_service("/metrics", registry.exporter());

    let listener = process::listen("DYN_WORKER_PORT", 8090).await?;
    let here = process::reachable(listener.local_addr()?);
    println!("work handler:  http://{here}/");
    let status = status::serve(registry.exporter(), "page").await?;
    axum::serve(listener, app)
        .with_graceful_shutdown(async move { stop.cancelled().await })
        .await?;
    if let Some(status) = status {
        status.shutdown().await;
    }
    Ok(())
}
