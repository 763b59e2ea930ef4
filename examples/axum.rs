//! An axum server that is measured by method, route and status, with an event stream and a page for Prometheus.
//!
//! ```text
//! $ PORT=8080 cargo run --release --example axum --features dashboard,http2
//! $ curl http://127.0.0.1:8080/items/7
//! item 7
//! $ curl -d 'two words' http://127.0.0.1:8080/words
//! 2
//! $ curl -N http://127.0.0.1:8080/ticks
//! data: tick
//! $ curl http://127.0.0.1:8080/metrics
//! ```
//!
//! `http://127.0.0.1:8080/dashboard` shows it live in a browser.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `PORT` | the port; 0 picks a free one | 8080 |
//! | `DRAIN_MS` | how long to go on after Ctrl-C or SIGTERM, with 503 at `/health` | 2000 |
//!
//! Then the server finishes open responses, and ends event streams.

pub(crate) mod process;
mod serving;

use self::process::Stop;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::sse::{Event, Sse};
use axum::routing::{get, post};
use axum::{BoxError, Router};
use futures_util::stream::{self, Stream, StreamExt};
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::interval;
use tower_http::timeout::RequestBodyTimeoutLayer;
use tower_openmetrics::labels::{Label, is_long_lived};
use tower_openmetrics::{MetricsDashboard, MetricsLayer};

/// The number of items in the catalogue.
const ITEMS: u64 = 100;

#[tokio::main]
async fn main() -> ExitCode {
    process::report(run()).await
}

async fn run() -> Result<(), BoxError> {
    let stop = Stop::on_signals()?;
    let listener = process::listen(Ipv4Addr::LOCALHOST, "PORT", 8080).await?;
    println!("http://{}", listener.local_addr()?);
    serve(listener, stop).await
}

pub(crate) async fn serve(listener: TcpListener, stop: Stop) -> Result<(), BoxError> {
    let app = app(&metrics()?, stop.clone());
    serving::serve(listener, app, stop.closing).await;
    Ok(())
}

fn metrics() -> Result<MetricsLayer, tower_openmetrics::Error> {
    MetricsLayer::builder()
        .http_labels(Label::axum_route())
        // Health checks are not measured.
        .filter(|head| head.uri.path() != "/health")
        // Event streams get a histogram of their own.
        .stream_duration_seconds(is_long_lived)
        // Shown at 0 from the start, so that the first call is an increase.
        .declare([("method", "GET"), ("route", "/items/{id}")])
        .build([("service", "shop")])
}

fn app(metrics: &MetricsLayer, stop: Stop) -> Router {
    let items = Router::new().route("/{id}", get(item));
    Router::new()
        .nest("/items", items)
        .route("/words", post(words))
        .route("/ticks", get(ticks))
        .route("/health", get(health))
        .fallback(async || (StatusCode::NOT_FOUND, "there is no such page\n"))
        .with_state(stop)
        .layer(metrics.clone())
        // Outside of the metrics, so that an upload that stalls is a `timeout`.
        .layer(RequestBodyTimeoutLayer::new(serving::UPLOAD))
        // After the layers, so that scrapes are not counted.
        .route_service("/metrics", metrics.exporter())
        .route_service("/dashboard", MetricsDashboard::new())
}

async fn item(Path(id): Path<u64>) -> Result<String, StatusCode> {
    if id < ITEMS {
        Ok(format!("item {id}\n"))
    } else {
        Err(StatusCode::NOT_FOUND)
    }
}

async fn words(text: String) -> String {
    format!("{}\n", text.split_whitespace().count())
}

/// Tells a load balancer whether to send more requests.
async fn health(State(stop): State<Stop>) -> Result<&'static str, StatusCode> {
    if stop.asked.is_cancelled() {
        Err(StatusCode::SERVICE_UNAVAILABLE)
    } else {
        Ok("ok\n")
    }
}

/// Sends an event a second, until the client leaves or the server stops.
async fn ticks(State(stop): State<Stop>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let ticks = stream::unfold(interval(Duration::from_secs(1)), async |mut interval| {
        interval.tick().await;
        Some((Ok(Event::default().data("tick")), interval))
    });
    // Otherwise the server would wait for its clients when it stops.
    Sse::new(ticks.take_until(stop.closing.cancelled_owned()))
}
