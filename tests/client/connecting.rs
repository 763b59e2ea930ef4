//! Failures to connect, and time limits.

use crate::wire_support::{Handler, Numbers, Server, bounded};
use crate::{client, layer, nowhere, over};
use futures_util::future::BoxFuture;
use http::{Request, Uri};
use http_body_util::Full;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioIo;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower::timeout::TimeoutLayer;
use tower::{BoxError, Service, ServiceExt, service_fn};
use tower_layer::Layer;
use tower_openmetrics::ErrorType;

type Stream = TokioIo<TcpStream>;

const LIMIT: Duration = Duration::from_secs(1);

fn get(host: impl std::fmt::Display) -> Request<Full<bytes::Bytes>> {
    let request = Request::get(format!("http://{host}/"));
    request.body(Full::default()).unwrap()
}

#[tokio::test]
async fn nothing_listens() {
    let layer = layer();
    let answer = client(&layer).oneshot(get(nowhere().await));
    bounded("an answer", answer).await.unwrap_err();
    let numbers = Numbers::failed(ErrorType::CONNECT);
    assert_eq!(Numbers::of(&layer).await, numbers);
}

#[tokio::test]
async fn the_name_is_not_resolved() {
    let resolver = service_fn(async |_: Name| {
        Err::<std::iter::Empty<SocketAddr>, _>(io::Error::other("no such host"))
    });
    let layer = layer();
    let client = over(&layer, HttpConnector::new_with_resolver(resolver));
    let answer = client.oneshot(get("stock.internal"));
    bounded("an answer", answer).await.unwrap_err();
    let numbers = Numbers::failed(ErrorType::CONNECT);
    assert_eq!(Numbers::of(&layer).await, numbers);
}

/// Returns a connector that never connects.
fn stuck() -> impl Service<Uri, Response = Stream, Error = BoxError, Future: Send + Unpin>
+ Clone
+ Send
+ Sync
+ 'static {
    service_fn(|_: Uri| pending())
}

#[tokio::test(start_paused = true)]
async fn a_time_limit_for_connecting_is_a_connect_error() {
    let layer = layer();
    let limited = service_fn(|_: Uri| {
        let connecting = timeout(LIMIT, pending());
        let connected: BoxFuture<'_, Result<Stream, BoxError>> =
            Box::pin(async { Ok(connecting.await?) });
        connected
    });
    let client = over(&layer, limited);
    client.oneshot(get("stock.internal")).await.unwrap_err();
    let numbers = Numbers::failed(ErrorType::CONNECT);
    assert_eq!(Numbers::of(&layer).await, numbers);
}

#[tokio::test(start_paused = true)]
async fn a_time_limit_for_the_whole_call_is_a_timeout() {
    let layer = layer();
    let client = over(&layer, stuck()).into_inner();
    let limited = layer.layer(TimeoutLayer::new(LIMIT).layer(client));
    limited
        .oneshot(get("stock.internal"))
        .await
        .map(drop)
        .unwrap_err();
    let numbers = Numbers::failed(ErrorType::TIMEOUT);
    assert_eq!(Numbers::of(&layer).await, numbers);
}

#[tokio::test]
async fn a_dropped_future_is_cancelled() {
    let layer = layer();
    let handler = Handler::hangs();
    let server = Server::start(handler.clone()).await;
    let answer = tokio::spawn(client(&layer).oneshot(get(server.address())));
    handler.is_here().await;
    assert_eq!(Numbers::of(&layer).await, Numbers::open());
    answer.abort();
    answer.await.map(drop).unwrap_err();
    assert_eq!(Numbers::of(&layer).await, Numbers::cancelled());
    server.stop().await;
}
