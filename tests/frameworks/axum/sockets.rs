//! WebSockets, followed as in the example `websocket`.

#[path = "../../../examples/websocket.rs"]
#[allow(dead_code, reason = "it is started otherwise")]
mod example;

use crate::wire_support::{BOUND, Server, bounded};
use axum::Router;
use axum::body::Body;
use axum::extract::ws::WebSocketUpgrade;
use axum::routing::any;
use futures_util::{SinkExt, StreamExt};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use hyper::client::conn::http2;
use hyper::ext::Protocol;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;
use tower::ServiceExt;
use tower_openmetrics::labels::Label;
use tower_openmetrics::{MetricsLayer, UpgradedCall};

/// The numbers of a route on the page: calls, open calls, failed and cancelled ones, and the count of each histogram.
async fn seen(layer: &MetricsLayer, route: &str) -> [u64; 6] {
    let scrape = Request::get("/metrics").body(()).unwrap();
    let Ok(page) = bounded("a page", layer.exporter().oneshot(scrape)).await;
    let page = page.into_body().collect().await.unwrap().to_bytes();
    let page = str::from_utf8(&page).unwrap();
    let route = format!(r#"route="{route}""#);
    [
        "requests_total{",
        "concurrent_requests{",
        "errors_total{",
        "cancellations_total{",
        "request_duration_seconds_count{",
        "stream_duration_seconds_count{",
    ]
    .map(|name| {
        let of_route = page.lines();
        let of_route = of_route.filter(|line| line.starts_with(name) && line.contains(&route));
        let values = of_route.map(|line| line.rsplit_once(' ').unwrap().1);
        values.map(|value| value.parse::<u64>().unwrap()).sum()
    })
}

async fn expect(layer: &MetricsLayer, route: &str, expected: [u64; 6]) {
    let deadline = Instant::now() + BOUND;
    while seen(layer, route).await != expected && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(seen(layer, route).await, expected, "{route}");
}

trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

type Client = WebSocketStream<Box<dyn Socket>>;

async fn over_http1(server: &Server, path: &str) -> Client {
    let socket = TcpStream::connect(server.address()).await.unwrap();
    let socket: Box<dyn Socket> = Box::new(socket);
    let handshake = tokio_tungstenite::client_async(format!("ws://a{path}"), socket);
    let (socket, answer) = bounded("the handshake", handshake).await.unwrap();
    assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS);
    socket
}

/// [RFC 8441](https://www.rfc-editor.org/rfc/rfc8441).
async fn over_http2(server: &Server, path: &str) -> Client {
    let socket = TokioIo::new(TcpStream::connect(server.address()).await.unwrap());
    let handshake = http2::handshake(TokioExecutor::new(), socket);
    let (mut requests, connection) = bounded("the handshake", handshake).await.unwrap();
    tokio::spawn(connection);
    let request = || {
        let request = Request::connect(format!("http://a{path}"))
            .header("sec-websocket-version", "13")
            .extension(Protocol::from_static("websocket"));
        request.body(Body::empty()).unwrap()
    };
    // The server must announce support for extended CONNECT first.
    let answer = loop {
        match bounded("an answer", requests.send_request(request())).await {
            Ok(answer) => break answer,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    assert_eq!(answer.status(), StatusCode::OK);
    let socket = bounded("the upgrade", hyper::upgrade::on(answer)).await;
    let socket: Box<dyn Socket> = Box::new(TokioIo::new(socket.unwrap()));
    WebSocketStream::from_raw_socket(socket, Role::Client, None).await
}

async fn talk(socket: &mut Client) {
    for text in ["hello", "bye"] {
        socket.send(Message::text(text)).await.unwrap();
        let echoed = bounded("an echo", socket.next()).await.unwrap().unwrap();
        assert_eq!(echoed, Message::text(text));
    }
}

#[tokio::test]
async fn a_followed_socket_is_open_until_it_is_closed() {
    let layer = example::metrics().unwrap();
    let server = Server::start(example::app(&layer)).await;
    let mut sockets = [
        (over_http1(&server, "/chat").await, "/chat"),
        (over_http1(&server, "/raw").await, "/raw"),
    ];
    let mut by_http2 = over_http2(&server, "/chat").await;
    for (socket, _) in &mut sockets {
        talk(socket).await;
    }
    talk(&mut by_http2).await;
    expect(&layer, "/chat", [0, 2, 0, 0, 0, 0]).await;
    expect(&layer, "/raw", [0, 1, 0, 0, 0, 0]).await;
    for (mut socket, _) in sockets {
        socket.close(None).await.unwrap();
        while bounded("the end", socket.next()).await.is_some() {}
    }
    expect(&layer, "/chat", [1, 1, 0, 0, 0, 1]).await;
    expect(&layer, "/raw", [1, 0, 0, 0, 0, 1]).await;
    drop(by_http2);
    expect(&layer, "/chat", [2, 0, 0, 1, 0, 2]).await;
    server.stop().await;
}

/// A socket without an `UpgradedCall` ends its call at the response head, in both versions, and has no duration.
#[tokio::test]
async fn a_socket_that_is_not_followed_is_not_timed() {
    let layer = crate::layer();
    let chat = async |upgrade: WebSocketUpgrade| {
        upgrade.on_upgrade(async |mut socket| while let Some(Ok(_)) = socket.recv().await {})
    };
    let app = Router::new().route("/chat", any(chat));
    let server = Server::start(app.layer(layer.clone())).await;
    let sockets = (
        over_http1(&server, "/chat").await,
        over_http2(&server, "/chat").await,
    );
    expect(&layer, "/chat", [2, 0, 0, 0, 0, 0]).await;
    drop(sockets);
    server.stop().await;
    expect(&layer, "/chat", [2, 0, 0, 0, 0, 0]).await;
}

#[tokio::test]
async fn a_socket_whose_task_panics_has_failed() {
    let layer = MetricsLayer::builder()
        .label(Label::axum_route())
        .stream_duration_seconds(|_| false)
        .build(())
        .unwrap();
    let chat = async |upgrade: WebSocketUpgrade| {
        let call = UpgradedCall::new();
        let guard = call.guard();
        let answer = upgrade.on_upgrade(async move |mut socket| {
            let _guard = guard;
            socket.recv().await;
            panic!("told to");
        });
        (axum::Extension(call), answer)
    };
    let app = Router::new().route("/chat", any(chat));
    let server = Server::start(app.layer(layer.clone())).await;
    for mut socket in [
        over_http1(&server, "/chat").await,
        over_http2(&server, "/chat").await,
    ] {
        socket.send(Message::text("go")).await.unwrap();
        while let Some(Ok(_)) = bounded("the end", socket.next()).await {}
    }
    expect(&layer, "/chat", [2, 0, 2, 0, 0, 2]).await;
    server.stop().await;
}
