//! WebSockets that are in flight until they close: with axum, over HTTP/1.1 and HTTP/2, and with tungstenite alone.
//!
//! ```text
//! $ PORT=8080 cargo run --release -p frameworks --features heavy --example websocket
//! $ websocat ws://127.0.0.1:8080/chat
//! $ curl http://127.0.0.1:8080/metrics
//! ```
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `PORT` | the port; 0 picks a free one | 8080 |
//! | `DRAIN_MS` | how long to go on after Ctrl-C or SIGTERM | 2000 |

mod process;
mod serving;

use self::process::Stop;
use axum::body::Body;
use axum::extract::Request;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum::{BoxError, Extension, Router};
use futures_util::{SinkExt, StreamExt};
use hyper_util::rt::TokioIo;
use std::net::Ipv4Addr;
use std::process::ExitCode;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tokio_tungstenite::tungstenite::protocol::Role;
use tower_openmetrics::classify::Fault;
use tower_openmetrics::labels::{Label, is_long_lived};
use tower_openmetrics::upgrade::UpgradeGuard;
use tower_openmetrics::{MetricsLayer, UpgradedCall};

#[tokio::main]
async fn main() -> ExitCode {
    process::report(run()).await
}

async fn run() -> Result<(), BoxError> {
    let stop = Stop::on_signals()?;
    let listener = process::listen(Ipv4Addr::LOCALHOST, "PORT", 8080).await?;
    println!("http://{}", listener.local_addr()?);
    serving::serve(listener, app(&metrics()?), stop.closing).await;
    Ok(())
}

pub(crate) fn metrics() -> Result<MetricsLayer, tower_openmetrics::Error> {
    MetricsLayer::builder()
        .label(Label::axum_route())
        // Followed WebSockets are streams.
        .stream_duration_seconds(is_long_lived)
        .stream_buckets([1.0, 60.0, 3_600.0, 86_400.0])
        .build([("service", "chat")])
}

pub(crate) fn app(metrics: &MetricsLayer) -> Router {
    Router::new()
        // Not `get`: over HTTP/2 a WebSocket begins with CONNECT.
        .route("/chat", any(chat))
        .route("/raw", any(raw))
        .layer(metrics.clone())
        .route_service("/metrics", metrics.exporter())
}

/// With axum: the response carries the call as an extension, and the task has a guard of it.
async fn chat(upgrade: WebSocketUpgrade) -> impl IntoResponse {
    let call = UpgradedCall::new();
    let guard = call.guard();
    let answer = upgrade.on_upgrade(move |socket| echo(socket, guard));
    (Extension(call), answer)
}

async fn echo(mut socket: WebSocket, guard: UpgradeGuard) {
    while let Some(message) = socket.next().await {
        let Ok(message) = message else {
            // The client went away without closing. Otherwise the call completes.
            guard.fault(Fault::Cancelled);
            break;
        };
        if socket.send(message).await.is_err() {
            break;
        }
    }
}

/// With tungstenite: the handler does the handshake itself.
async fn raw(mut request: Request) -> Result<Response, StatusCode> {
    let Ok(mut answer) = create_response_with_body(&request, Body::empty) else {
        return Err(StatusCode::BAD_REQUEST);
    };
    let call = UpgradedCall::new();
    let guard = call.guard();
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let Ok(socket) = upgrade.await else { return };
        let socket = TokioIo::new(socket);
        let mut socket = WebSocketStream::from_raw_socket(socket, Role::Server, None).await;
        while let Some(message) = socket.next().await {
            let Ok(message) = message else {
                guard.fault(Fault::Cancelled);
                break;
            };
            if socket.send(message).await.is_err() {
                break;
            }
        }
        drop(guard); // the call ends here
    });
    answer.extensions_mut().insert(call);
    Ok(answer)
}
