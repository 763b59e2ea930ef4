//! What the examples that have a status server share: how that is asked for, and what it says of the process.
#![allow(dead_code, reason = "each example uses some of it")]

use tokio_util::sync::CancellationToken;
use tower::BoxError;
use tower_openmetrics::MetricsExporter;
use tower_openmetrics::server::{Health, HealthStatus, StatusServer, StatusServerHandle};

/// The status server that `DYN_SYSTEM_*` ask for, if they do; and says where it is.
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

/// `/health` answers 200 until the process is asked to stop, and 503 from then on, while calls still come and are
/// answered: so that no more of them are sent here.
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
