//! A page that is longer than what sockets hold for a client that reads nothing, and a server of one's own
//! that shows it besides the status server.

#[path = "../../examples/process/mod.rs"]
mod process;
#[path = "../../examples/serving/mod.rs"]
mod serving;
#[path = "../../examples/status/mod.rs"]
mod status;

use self::process::Stop;
use axum::routing::Router;
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::process::ExitCode;
use tower::BoxError;
use tower_openmetrics::MetricsRegistry;

#[tokio::main]
async fn main() -> ExitCode {
    process::report(run()).await
}

async fn run() -> Result<(), BoxError> {
    let stop = Stop::on_signals()?;
    let registry = MetricsRegistry::new();
    let place = "x".repeat(1_000);
    let mut text = "# HELP cells Readings\n# TYPE cells gauge\n".to_owned();
    for cell in 0..16_000 {
        writeln!(text, "cells{{place=\"{place}{cell}\"}} {cell}")?;
    }
    registry.include_with(move |page| page.write_str(&text))?;
    let app = Router::new().route_service("/metrics", registry.exporter());

    let listener = process::listen(Ipv4Addr::LOCALHOST, "DYN_WORKER_PORT", 8090).await?;
    println!("work handler:  http://{}/", listener.local_addr()?);
    let status = status::serve(registry.exporter(), "page", &stop.asked).await?;
    serving::serve(listener, app, stop.closing).await;
    if let Some(status) = status {
        status.shutdown().await;
    }
    Ok(())
}
