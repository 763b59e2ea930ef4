//! salvo's tower adaptor: what the module `body` says of it, and what the layer then counts.

#![cfg(test)]

#[path = "../wire_support/mod.rs"]
mod wire_support;

use self::wire_support::{Http1, Numbers};
use http_body_util::BodyExt;
use salvo::conn::tcp::TcpListener;
use salvo::http::{ReqBody, StatusError};
use salvo::prelude::{Listener, Router, Server, TowerLayerCompat, handler};
use std::net::SocketAddr;
use tokio::task::JoinHandle;
use tower::ServiceBuilder;
use tower_openmetrics::{MetricsLayer, RequestBody};

/// Gives back what was sent.
#[handler]
async fn echo(request: &mut salvo::Request, response: &mut salvo::Response) {
    match request.payload().await {
        Ok(sent) => drop(response.write_body(sent.clone())),
        Err(error) => response.render(StatusError::bad_request().cause(error)),
    }
}

/// A server on a port of its own, until the task is aborted.
async fn serve(metrics: &MetricsLayer) -> (SocketAddr, JoinHandle<()>) {
    let hoop = ServiceBuilder::new()
        .layer(metrics.clone())
        .map_request(|request: http::Request<RequestBody<ReqBody>>| {
            request.map(|body| ReqBody::Boxed {
                inner: Box::pin(body.map_err(Into::into)),
                fuse_config: None,
            })
        })
        .compat::<ReqBody>();
    let router = Router::new().hoop(hoop).post(echo);
    let listener = TcpListener::new("127.0.0.1:0");
    let acceptor = listener.bind().await;
    let address = acceptor.local_addr().unwrap();
    let server = tokio::spawn(Server::new(acceptor).serve(router));
    (address, server)
}

const HEAD: &str =
    "POST / HTTP/1.1\r\nhost: salvo\r\ncontent-length: 5\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn uploads_and_their_answers() {
    let metrics = MetricsLayer::default();
    let (address, server) = serve(&metrics).await;
    let mut client = Http1::connect_to(address).await;
    client.send(format!("{HEAD}abcde")).await;
    // salvo's adaptor forgets how long answers are.
    client
        .receive_until("\r\n\r\n5\r\nabcde\r\n0\r\n\r\n")
        .await;
    let expected = Numbers::completed().read(5).taken(5);
    expected.expect(&metrics, "an upload").await;
    server.abort();
}

#[tokio::test]
async fn uploads_that_break_off() {
    let metrics = MetricsLayer::default();
    let (address, server) = serve(&metrics).await;
    let mut client = Http1::connect_to(address).await;
    client.send(format!("{HEAD}abc")).await;
    client.close();
    let expected = Numbers::cancelled().read(3);
    expected.expect(&metrics, "an upload").await;
    server.abort();
}
