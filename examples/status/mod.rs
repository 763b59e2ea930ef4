//! Shared by the examples with a status server: starts it, and reports whether the process is ready.
#![allow(dead_code, reason = "each example uses some of it")]

use tokio_util::sync::CancellationToken;
use tower::BoxError;
use tower_openmetrics::MetricsExporter;
use tower_openmetrics::server::{Health, HealthStatus, StatusServer, StatusServerHandle};

/// Starts the status server if the variables `DYN_SYSTEM_*` ask for one. Prints its address.
pub(crate) async fn serve(
    page: MetricsExporter,
    endpoint: &'static str,
    asked_to_stop: &CancellationToken,
) -> Result<Option<StatusServerHandle>, BoxError> {
    let Some(server) = StatusServer::from_env("DYN_SYSTEM")? else {
        println!("status server: none, as DYN_SYSTEM_PORT and DYN_SYSTEM_ENABLED ask for none");
        return Ok(None);
    };
    let server = server.bind(page).await?.spawn();
    ready_until(asked_to_stop, server.health(), endpoint);
    println!("status server: http://{}/metrics", server.local_addr());
    Ok(Some(server))
}

/// Makes `/health` respond with 200 until the process is asked to stop, and with 503 afterwards. Load balancers then send
/// no more calls. Those that still come are served.
pub(crate) fn ready_until(
    asked_to_stop: &CancellationToken,
    health: Health,
    endpoint: &'static str,
) {
    health.set(endpoint, HealthStatus::Ready);
    let asked_to_stop = asked_to_stop.clone();
    tokio::spawn(async move {
        asked_to_stop.cancelled().await;
        health.set(endpoint, HealthStatus::NotReady);
    });
}
