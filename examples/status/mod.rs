//! Shared by the examples with a status server: starts it, and reports whether the process is ready.
#![allow(dead_code, reason = "each example uses some of it")]

use super::process;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tower::BoxError;
use tower_openmetrics::server::{Canary, Health, HealthStatus, StatusServer, StatusServerHandle};
use tower_openmetrics::{MetricsExporter, MetricsLayer};

/// Starts the status server if the variables `DYN_SYSTEM_*` ask for one. Prints its address.
pub(crate) async fn serve(
    page: MetricsExporter,
    endpoint: &'static str,
    asked_to_stop: &CancellationToken,
) -> Result<Option<StatusServerHandle>, BoxError> {
    let Some(server) = asked_for()? else {
        return Ok(None);
    };
    start(server, page, endpoint, asked_to_stop).await
}

/// As [`serve`]. If `DYN_CANARY_IDLE_MS` says how long the layer's calls may pause, the endpoint is ready only while they,
/// or the canary, succeed.
pub(crate) async fn serve_watched<P>(
    layer: &MetricsLayer<P>,
    canary: Canary,
    endpoint: &'static str,
    asked_to_stop: &CancellationToken,
) -> Result<Option<StatusServerHandle>, BoxError> {
    let Some(server) = asked_for()? else {
        return Ok(None);
    };
    if let Some(idle) = process::variable("DYN_CANARY_IDLE_MS")? {
        let canary = canary.idle(Duration::from_millis(idle));
        server.health().watch(endpoint, layer, canary);
    }
    let page = layer.registry().exporter();
    start(server, page, endpoint, asked_to_stop).await
}

fn asked_for() -> Result<Option<StatusServer>, BoxError> {
    let server = StatusServer::from_env("DYN_SYSTEM")?;
    if server.is_none() {
        println!("status server: none, as DYN_SYSTEM_PORT and DYN_SYSTEM_ENABLED ask for none");
    }
    Ok(server)
}

async fn start(
    server: StatusServer,
    page: MetricsExporter,
    endpoint: &'static str,
    asked_to_stop: &CancellationToken,
) -> Result<Option<StatusServerHandle>, BoxError> {
    let server = server.bind(page).await?.spawn();
    ready_until(asked_to_stop, server.health(), endpoint);
    println!("status server: http://{}/metrics", server.local_addr());
    Ok(Some(server))
}

/// Makes `/health` respond with 503 from the moment that the process is asked to stop. Load balancers then send no more
/// calls. Those that still come are served.
pub(crate) fn ready_until(
    asked_to_stop: &CancellationToken,
    health: Health,
    endpoint: &'static str,
) {
    health.set(endpoint, HealthStatus::Ready);
    let asked_to_stop = asked_to_stop.clone();
    tokio::spawn(async move {
        asked_to_stop.cancelled().await;
        // `Stop` makes the pause.
        health.drain(Duration::ZERO).await;
    });
}
