//! An app that axum-prometheus measured before, under that crate's names: what dashboards made for it ask for.
//!
//! A request to `/fates/{fate}` takes one of the [fates](fate).

mod fate;
mod server;

use axum::extract::Path;
use axum::routing::{Router, any, get};
use std::process::ExitCode;
use tower::BoxError;
use tower_openmetrics::{MetricsLayer, MetricsRegistry};

#[tokio::main]
async fn main() -> Result<ExitCode, BoxError> {
    let registry = MetricsRegistry::new();
    let builder = MetricsLayer::builder().registry(&registry);
    let metrics = builder.axum_prometheus().build(())?;
    let handler = any(async |Path(fate): Path<String>| fate::answer(&fate).await);
    let app = Router::new()
        .route("/", get("hello"))
        .route("/fates/{fate}", handler)
        .layer(metrics);
    Ok(server::run("migrated", &registry, app).await)
}
