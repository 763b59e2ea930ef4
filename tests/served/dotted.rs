//! Names with dots and other characters: `GET /calls/{name}` is counted under the label `call.name`, and in `my.calls`.

mod server;

use axum::extract::State;
use axum::routing::{Router, get};
use prometheus_client::metrics::counter::Counter;
use std::process::ExitCode;
use tower::BoxError;
use tower_openmetrics::labels::Label;
use tower_openmetrics::{MetricsLayer, MetricsRegistry};

async fn call(State(calls): State<Counter>) -> &'static str {
    calls.inc();
    "counted"
}

#[tokio::main]
async fn main() -> Result<ExitCode, BoxError> {
    let registry = MetricsRegistry::new();
    let name = Label::from_request("call.name", |head| head.uri.path().strip_prefix("/calls/"));
    let layer = MetricsLayer::builder()
        .registry(&registry)
        .label(name)
        .build([("the \"zone\"", "eu")])?;
    let calls: Counter = layer.register("my.calls", "Calls", Counter::default())?;
    registry.target_info([("service.name", "dotted")])?;
    let app = Router::new()
        .route("/calls/{name}", get(call).layer(layer))
        .with_state(calls);
    Ok(server::run("dotted", &registry, app).await)
}
