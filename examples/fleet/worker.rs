//! A worker: two measured endpoints whose calls end as the request says, and one page.

use super::process::{self, Stop};
use super::serving;
use axum::body::Body;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{Router, post};
use futures_util::stream::{self, StreamExt};
use std::io;
use std::net::Ipv4Addr;
use std::thread;
use std::time::Duration;
use tokio::time::sleep;
use tower::BoxError;
use tower_openmetrics::{MetricsLayer, MetricsRegistry};

pub(crate) const ENDPOINTS: [&str; 2] = ["chat", "search"];

/// How long a piece of an answer takes.
const WORK: Duration = Duration::from_millis(2);

/// Serves until it is told to stop, or until stdin is closed. Prints its address first.
pub(crate) async fn run() -> Result<(), BoxError> {
    let stop = Stop::on_signals()?;
    let closing = stop.closing.clone();
    thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        closing.cancel();
    });

    let registry = MetricsRegistry::new();
    let mut app = Router::new();
    for endpoint in ENDPOINTS {
        let metrics = MetricsLayer::builder()
            .registry(&registry)
            .build([("component", "fleet"), ("endpoint", endpoint)])?;
        app = app.route(&format!("/{endpoint}"), post(answer).layer(metrics));
    }
    let app = app.route_service("/metrics", registry.exporter());

    let listener = process::listen(Ipv4Addr::LOCALHOST, "FLEET_WORKER_PORT", 0).await?;
    println!("{}", listener.local_addr()?);
    serving::serve(listener, app, stop.closing).await;
    Ok(())
}

/// Ends as the request asks. The layer doesn't know what was asked: it sees statuses and bodies.
async fn answer(fate: String) -> Response {
    let pieces = stream::iter(["a whole", " ans", "wer\n"]).then(async |piece| {
        sleep(WORK).await;
        Ok(piece)
    });
    let failure = stream::once(async { Err(BoxError::from("broken off")) });
    match fate.as_str() {
        "whole" => "a whole answer\n".into_response(),
        "stream" => Body::from_stream(pieces).into_response(),
        "wait" => Body::from_stream(pieces.take(1).chain(stream::pending())).into_response(),
        "break before" => Body::from_stream(failure).into_response(),
        "break after" => Body::from_stream(pieces.take(1).chain(failure)).into_response(),
        "fail" => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        "refuse" => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        "time out" => StatusCode::GATEWAY_TIMEOUT.into_response(),
        _ => (StatusCode::BAD_REQUEST, "no such fate\n").into_response(),
    }
}
