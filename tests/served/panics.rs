//! Handlers that panic when they are asked to, by `?panic`.
//!
//! `GET /declared` and `GET /met` are counted by method, route and status, and the first of them is declared. So is the gRPC method
//! `/shop.Cart/Add`, which is not counted among these.

#[path = "../../examples/process/mod.rs"]
mod process;
#[path = "../../examples/serving/mod.rs"]
mod serving;
#[path = "../../examples/status/mod.rs"]
mod status;

use self::process::Stop;
use axum::extract::MatchedPath;
use axum::http::{Uri, header};
use axum::response::IntoResponse;
use axum::routing::{Router, get, post};
use std::net::Ipv4Addr;
use std::process::ExitCode;
use tower::BoxError;
use tower_openmetrics::labels::Label;
use tower_openmetrics::{MetricsLayer, MetricsRegistry};

#[tokio::main]
async fn main() -> ExitCode {
    process::report(run()).await
}

async fn run() -> Result<(), BoxError> {
    let stop = Stop::on_signals()?;
    let registry = MetricsRegistry::new();
    let http = MetricsLayer::builder()
        .registry(&registry)
        .label(Label::method())
        .label(Label::route(|head| {
            Some(head.extensions.get::<MatchedPath>()?.as_str())
        }))
        .label(Label::status())
        .declare([("method", "GET"), ("route", "/declared")])
        .build([("endpoint", "http")])?;
    let grpc = MetricsLayer::grpc_builder()
        .registry(&registry)
        .declare([("grpc_service", "shop.Cart"), ("grpc_method", "Add")])
        .build([("endpoint", "grpc")])?;
    let app = Router::new()
        .route("/declared", get(answer).layer(http.clone()))
        .route("/met", get(answer).layer(http))
        .route("/shop.Cart/Add", post(add).layer(grpc));

    let listener = process::listen(Ipv4Addr::LOCALHOST, "DYN_WORKER_PORT", 8090).await?;
    println!("work handler:  http://{}/", listener.local_addr()?);
    let status = status::serve(registry.exporter(), "http", &stop.asked).await?;
    serving::serve(listener, app, stop.closing).await;
    if let Some(status) = status {
        status.shutdown().await;
    }
    Ok(())
}

async fn answer(uri: Uri) -> &'static str {
    assert_ne!(uri.query(), Some("panic"), "told to");
    "fine\n"
}

async fn add(uri: Uri) -> impl IntoResponse {
    answer(uri).await;
    let head = [
        (header::CONTENT_TYPE.as_str(), "application/grpc"),
        ("grpc-status", "0"),
    ];
    (head, ())
}
