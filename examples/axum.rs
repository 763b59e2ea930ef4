//! A server of axum's that is measured by method, route and status, with an event stream and a page for Prometheus.
//!
//! ```text
//! $ PORT=8080 cargo run --release --example axum --features axum-route
//! $ curl http://127.0.0.1:8080/items/7
//! item 7
//! $ curl -d 'two words' http://127.0.0.1:8080/words
//! 2
//! $ curl -N http://127.0.0.1:8080/ticks
//! data: tick
//! $ curl http://127.0.0.1:8080/metrics
//! ```
//!
//! Ctrl-C lets the answers that are on their way finish, and ends the event streams.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::sse::{Event, Sse};
use axum::routing::{get, post};
use axum::{BoxError, Router};
use futures_util::stream::{self, Stream, StreamExt};
use std::convert::Infallible;
use std::env;
use std::future::IntoFuture;
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;
use tower_openmetrics::MetricsLayer;
use tower_openmetrics::labels::{Label, is_long_lived};

/// Nothing beyond has a page in the catalogue.
const ITEMS: u64 = 100;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let port = match env::var("PORT") {
        Ok(port) => port.parse()?,
        Err(_) => 8080,
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    println!("http://{}", listener.local_addr()?);

    let stop = CancellationToken::new();
    let server = tokio::spawn(serve(listener, stop.clone()));
    tokio::signal::ctrl_c().await?;
    println!("stopping");
    stop.cancel();
    server.await?
}

pub(crate) async fn serve(listener: TcpListener, stop: CancellationToken) -> Result<(), BoxError> {
    let app = app(&metrics()?, stop.clone());
    let server = axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned());
    Ok(server.into_future().await?)
}

fn metrics() -> Result<MetricsLayer, tower_openmetrics::Error> {
    MetricsLayer::builder()
        .label(Label::method())
        .label(Label::axum_route())
        .label(Label::status())
        // Whoever asks for health every second is of no interest.
        .filter(|head| head.uri.path() != "/health")
        // An event stream of an hour says nothing of how fast the others are.
        .stream_duration_seconds(is_long_lived)
        // There from the start, so that the first order shows as an increase.
        .declare([("method", "GET"), ("route", "/items/{id}")])
        .build([("service", "shop")])
}

fn app(metrics: &MetricsLayer, stop: CancellationToken) -> Router {
    let items = Router::new().route("/{id}", get(item));
    Router::new()
        .nest("/items", items)
        .route("/words", post(words))
        .route("/ticks", get(ticks))
        .route("/health", get(async || "ok\n"))
        .fallback(async || (StatusCode::NOT_FOUND, "there is no such page\n"))
        .with_state(stop)
        .layer(metrics.clone())
        // After the layer: scrapes are not among the calls.
        .route_service("/metrics", metrics.exporter())
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

/// An event a second, until one side or the other has enough.
async fn ticks(
    State(stop): State<CancellationToken>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let ticks = stream::unfold(interval(Duration::from_secs(1)), async |mut interval| {
        interval.tick().await;
        Some((Ok(Event::default().data("tick")), interval))
    });
    // Or the server would wait for its clients when it is to stop.
    Sse::new(ticks.take_until(stop.cancelled_owned()))
}
