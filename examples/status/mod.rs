//! What the examples that have a status server share: how that is asked for.

use super::process::reachable;
use tower::BoxError;
use tower_openmetrics::MetricsExporter;
use tower_openmetrics::server::{HealthStatus, StatusServer, StatusServerHandle};

/// The status server that `DYN_SYSTEM_*` ask for, if they do; and says where it is.
pub(crate) async fn serve(
    page: MetricsExporter,
    endpoint: &str,
) -> Result<Option<StatusServerHandle>, BoxError> {
    let Some(server) = StatusServer::from_env("DYN_SYSTEM")? else {
        println!("status server: none, since DYN_SYSTEM_ENABLED=true is not set");
        return Ok(None);
    };
    let server = server.bind(page).await?.spawn();
    server.health().set(endpoint, HealthStatus::Ready);
    println!(
        "status server: http://{}/metrics",
        reachable(server.local_addr())
    );
    Ok(Some(server))
}
