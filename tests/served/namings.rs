//! Calls that end as they are told to, measured under all namings: what the generated rules and dashboards ask for.
//!
//! A request to `/fates/{fate}` takes one of the [fates](fate).

mod fate;
#[allow(
    dead_code,
    reason = "the description also has a client's layer with the crate's own names"
)]
#[path = "../../examples/dashboards/layers.rs"]
mod layers;
#[allow(dead_code, reason = "only the buckets are served")]
#[path = "../../examples/dashboards/objective.rs"]
mod objective;
mod server;

use axum::extract::Path;
use axum::routing::{Router, any};
use std::process::ExitCode;
use tower_openmetrics::collectors::ProcessCollector;
use tower_openmetrics::{Error, MetricsRegistry};

#[tokio::main]
async fn main() -> ExitCode {
    let registry = MetricsRegistry::new();
    match app(&registry) {
        Ok(app) => server::run("namings", &registry, app).await,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn app(registry: &MetricsRegistry) -> Result<Router, Error> {
    registry.register_collector(ProcessCollector::new())?;
    let handler = any(async |Path(fate): Path<String>| fate::answer(&fate).await);
    let app = Router::new()
        .route("/fates/{fate}", handler)
        .layer(layers::own(registry)?)
        .layer(layers::axum_prometheus(registry)?)
        .layer(layers::open_telemetry_server(registry)?)
        .layer(layers::open_telemetry_client(registry)?);
    Ok(app)
}
