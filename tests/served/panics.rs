//! Handlers that panic if the query is `?panic`.
//!
//! `GET /declared` and `GET /met` are counted by method, route and status. Only the label sets of `/declared` are declared. The gRPC
//! method `/shop.Cart/Add` is declared too, in a layer of its own.

mod server;

use axum::extract::MatchedPath;
use axum::http::{Uri, header};
use axum::response::IntoResponse;
use axum::routing::{Router, get, post};
use std::process::ExitCode;
use tower::BoxError;
use tower_openmetrics::labels::Label;
use tower_openmetrics::{MetricsLayer, MetricsRegistry};

#[tokio::main]
async fn main() -> Result<ExitCode, BoxError> {
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
    Ok(server::run("http", &registry, app).await)
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
