//! Upgraded connections: WebSockets and tunnels, over HTTP/1 and HTTP/2.

use crate::wire_support::{Http1, Http2, Numbers, Server, bounded};
use bytes::Bytes;
use h2::ext::Protocol;
use http::header::{CONNECTION, UPGRADE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower::{ServiceExt, service_fn};
use tower_layer::Layer;
use tower_openmetrics::{MetricsLayer, RequestBody, UpgradedCall};

const OVER_HTTP1: [&str; 2] = [
    "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: b\r\n\r\n",
    "CONNECT a:1 HTTP/1.1\r\nhost: a\r\n\r\n",
];

/// Upgrades over HTTP/2: a WebSocket (RFC 8441) and a tunnel.
fn over_http2() -> [Request<()>; 2] {
    let mut web_socket = Request::new(());
    *web_socket.method_mut() = Method::CONNECT;
    *web_socket.uri_mut() = "http://a/".parse().unwrap();
    let mut tunnel = web_socket.clone();
    *tunnel.uri_mut() = "a:1".parse().unwrap();
    let protocol = Protocol::from_static("websocket");
    web_socket.extensions_mut().insert(protocol);
    [web_socket, tunnel]
}

type Asked = Request<RequestBody<Incoming>>;

/// Accepts any upgrade or tunnel and echoes its data until it is closed.
async fn accept(mut request: Asked, call: Option<UpgradedCall>) -> Response<Empty<Bytes>> {
    let guard = call.as_ref().map(UpgradedCall::guard);
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let mut tunnel = TokioIo::new(upgrade.await.unwrap());
        let mut bytes = [0; 4];
        while tunnel.read_exact(&mut bytes).await.is_ok() {
            tunnel.write_all(&bytes).await.unwrap();
        }
        drop(guard);
    });
    let mut response = Response::new(Empty::new());
    if request.method() != Method::CONNECT {
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let upgrade = request.headers()[UPGRADE].clone();
        response.headers_mut().insert(UPGRADE, upgrade);
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("upgrade"));
    }
    if let Some(call) = call {
        response.extensions_mut().insert(call);
    }
    response
}

async fn unfollowed(request: Asked) -> Result<Response<Empty<Bytes>>, Infallible> {
    Ok(accept(request, None).await)
}

async fn followed(request: Asked) -> Result<Response<Empty<Bytes>>, Infallible> {
    Ok(accept(request, Some(UpgradedCall::new())).await)
}

/// A layer that does not detect streams by their response heads.
fn layer() -> MetricsLayer {
    let layer = MetricsLayer::builder().stream_duration_seconds(|_| false);
    layer.build(()).unwrap()
}

async fn streams(layer: &MetricsLayer) -> String {
    let Ok(page) = layer.exporter().oneshot(Request::new(())).await;
    let page = page.into_body().collect().await.unwrap().to_bytes();
    let page = String::from_utf8(page.into()).unwrap();
    let count = |line: &str| {
        Some(
            line.strip_prefix("stream_duration_seconds_count ")?
                .to_owned(),
        )
    };
    page.lines().find_map(count).expect("a histogram")
}

/// Uses each connection, and checks the page while it is open and after it is closed.
async fn check(is_followed: bool) {
    let (open, streams_at_rest) = match is_followed {
        true => (Numbers::open(), "1"),
        false => (Numbers::upgraded(), "0"),
    };
    for request in OVER_HTTP1 {
        let layer = layer();
        let server = match is_followed {
            true => Server::start(layer.layer(service_fn(followed))).await,
            false => Server::start(layer.layer(service_fn(unfollowed))).await,
        };
        let mut client = Http1::connect(&server).await;
        client.send(request).await;
        client.receive_until("\r\n\r\n").await;
        open.clone().expect(&layer, request).await;
        client.send("ping").await;
        client.receive_until("ping").await;
        open.clone().expect(&layer, request).await;
        assert_eq!(streams(&layer).await, "0");
        client.close();
        server.stop().await;
        Numbers::upgraded().expect(&layer, request).await;
        assert_eq!(streams(&layer).await, streams_at_rest);
    }
    for request in over_http2() {
        let layer = layer();
        let server = match is_followed {
            true => Server::start(layer.layer(service_fn(followed))).await,
            false => Server::start(layer.layer(service_fn(unfollowed))).await,
        };
        let name = format!("{request:?}");
        let mut client = Http2::connect(&server).await;
        let mut socket = client.send(request, false).await;
        socket.upload(b"ping", false);
        let answer = bounded("an answer", socket.receive_up_to(4)).await;
        assert_eq!(answer.data, b"ping");
        open.clone().expect(&layer, &name).await;
        assert_eq!(streams(&layer).await, "0");
        socket.upload(b"", true);
        Numbers::upgraded().expect(&layer, &name).await;
        assert_eq!(streams(&layer).await, streams_at_rest);
        client.close();
        server.stop().await;
    }
}

#[tokio::test]
async fn an_upgrade_without_a_guard_ends_at_the_response_head_and_is_not_timed() {
    check(false).await;
}

#[tokio::test]
async fn an_upgrade_with_a_guard_is_a_stream_until_it_is_closed() {
    check(true).await;
}
