//! A page that is longer than socket buffers, on the status server and on a server of the app's own. A client that reads
//! nothing keeps it open.

mod server;

use axum::routing::Router;
use std::fmt::Write as _;
use std::process::ExitCode;
use tower::BoxError;
use tower_openmetrics::MetricsRegistry;

#[tokio::main]
async fn main() -> Result<ExitCode, BoxError> {
    let registry = MetricsRegistry::new();
    let place = "x".repeat(1_000);
    let mut text = "# HELP cells Readings\n# TYPE cells gauge\n".to_owned();
    for cell in 0..16_000 {
        writeln!(text, "cells{{place=\"{place}{cell}\"}} {cell}")?;
    }
    registry.include_with(move |page| page.write_str(&text))?;
    let app = Router::new().route_service("/metrics", registry.exporter());
    Ok(server::run("page", &registry, app).await)
}
