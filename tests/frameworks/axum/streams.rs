use crate::client::{Client, Seen};
use crate::layer;
use crate::tally::Tally;
use crate::wire_support::{Http1, Server, bounded};
use axum::Router;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::response::sse::{Event, Sse};
use axum::routing::{any, get};
use futures_util::stream::{self, Stream};
use futures_util::{SinkExt, StreamExt};
use http::Method;
use std::convert::Infallible;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

type Events<S> = Sse<S>;

fn events() -> impl Stream<Item = Result<Event, Infallible>> {
    let events = ["one", "two", "three"].map(|text| Ok(Event::default().data(text)));
    stream::iter(events)
}

/// Echoes messages until the socket is closed.
async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.next().await {
        if socket.send(message).await.is_err() {
            return;
        }
    }
}

fn app() -> Router {
    Router::new()
        .route("/events", get(async || Events::new(events())))
        .route(
            "/endless",
            get(async || Events::new(events().chain(stream::pending()))),
        )
        .route(
            "/socket",
            any(async |upgrade: WebSocketUpgrade| upgrade.on_upgrade(echo)),
        )
        .route("/", get(async || "hello"))
}

#[tokio::test]
async fn event_streams() {
    // Three events `data: …`, each followed by an empty line.
    const LENGTH: usize = 11 + 11 + 13;
    let (layer, mut tally) = (layer(), Tally::default());
    let server = Server::start(app().layer(layer.clone())).await;
    for client in Client::all(&server) {
        let seen = client.get("/events").await;
        assert_eq!(seen.body, "data: one\n\ndata: two\n\ndata: three\n\n");
        tally.count("/events", &seen);
        tally.count("/", &client.get("/").await);
    }
    let mut client = Http1::connect(&server).await;
    client
        .send("GET /endless HTTP/1.1\r\nhost: a\r\n\r\n")
        .await;
    client.receive_until("data: three\n\n\r\n").await;
    client.close();
    server.stop().await;
    tally.cancelled("/endless", LENGTH);
    tally.assert(&layer).await;
}

#[tokio::test]
async fn an_upgrade_to_a_websocket_ends_the_call() {
    let (layer, mut tally) = (layer(), Tally::default());
    let server = Server::start(app().layer(layer.clone())).await;
    let socket = TcpStream::connect(server.address()).await.unwrap();
    let handshake = tokio_tungstenite::client_async("ws://a/socket", socket);
    let (mut socket, answer) = bounded("the handshake", handshake).await.unwrap();
    let seen = Seen {
        method: Method::GET,
        sent: 0,
        status: answer.status(),
        headers: answer.headers().clone(),
        // Bytes from here on are not HTTP.
        body: bytes::Bytes::new(),
    };
    assert_eq!(seen.status, 101);
    tally.count("/socket", &seen);
    // The call has ended although the socket is open.
    tally.assert(&layer).await;

    for text in ["hello", "bye"] {
        socket.send(Message::text(text)).await.unwrap();
        let echoed = bounded("an echo", socket.next()).await.unwrap().unwrap();
        assert_eq!(echoed, Message::text(text));
    }
    socket.close(None).await.unwrap();
    // The close frame of the server, and the end.
    while bounded("the end", socket.next()).await.is_some() {}

    let [http1, _] = Client::all(&server);
    let not_upgraded = http1.get("/socket").await;
    assert_eq!(not_upgraded.status, 400);
    tally.count("/socket", &not_upgraded);
    server.stop().await;
    tally.assert(&layer).await;
}
