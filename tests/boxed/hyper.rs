//! Handlers that take one body type, served by hyper.

use crate::wire_support::{Http1, Numbers, Server};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use http_body_util::combinators::{BoxBody, UnsyncBoxBody};
use std::convert::Infallible;
use std::fmt;
use tower::{BoxError, ServiceBuilder, service_fn};
use tower_openmetrics::{ErrorType, MetricsLayer};

const WHOLE: &str =
    "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 5\r\n\r\nabcde";
const MALFORMED: &str = "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
    transfer-encoding: chunked\r\n\r\n3\r\nabc\r\nfive\r\n";

/// Responds with what it reads, or with 500 if reading fails.
async fn answer<B>(request: Request<B>) -> (StatusCode, Bytes)
where
    B: http_body::Body<Data = Bytes, Error: fmt::Debug>,
{
    match request.into_body().collect().await {
        Ok(body) => (StatusCode::OK, body.to_bytes()),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, Bytes::new()),
    }
}

/// The body type of hyper's own examples.
async fn hypers(
    request: Request<BoxBody<Bytes, hyper::Error>>,
) -> Result<Response<BoxBody<Bytes, hyper::Error>>, Infallible> {
    let (status, read) = answer(request).await;
    let body = http_body_util::Full::new(read);
    let mut response = Response::new(body.map_err(|never| match never {}).boxed());
    *response.status_mut() = status;
    Ok(response)
}

async fn unsync(
    request: Request<UnsyncBoxBody<Bytes, BoxError>>,
) -> Result<Response<http_body_util::Full<Bytes>>, Infallible> {
    let (status, read) = answer(request).await;
    let mut response = Response::new(http_body_util::Full::new(read));
    *response.status_mut() = status;
    Ok(response)
}

async fn expect(layer: &MetricsLayer, server: Server) {
    let mut client = Http1::connect(&server).await;
    client.send(WHOLE).await;
    assert!(client.receive_all().await.ends_with(b"\r\n\r\nabcde"));
    let whole = Numbers::completed().read(5).taken(5);
    whole.clone().expect(layer, "whole").await;

    let mut client = Http1::connect(&server).await;
    client.send(MALFORMED).await;
    client.receive_all().await;
    let malformed = Numbers::failed(ErrorType::INVALID_MESSAGE).read(3);
    (whole.clone() + malformed.clone())
        .expect(layer, "malformed")
        .await;

    let mut client = Http1::connect(&server).await;
    client.send(&WHOLE[..WHOLE.len() - 2]).await;
    let begun = whole.clone() + malformed.clone() + Numbers::open().read(3);
    begun.expect(layer, "begun").await;
    client.close();
    server.stop().await;
    let numbers = whole + malformed + Numbers::cancelled().read(3);
    assert_eq!(Numbers::of(layer).await, numbers);
}

#[tokio::test]
async fn uploads_and_their_outcomes_are_counted() {
    let layer = MetricsLayer::default();
    let service = ServiceBuilder::new()
        .layer(layer.clone().boxed::<BoxBody<Bytes, hyper::Error>>())
        .service(service_fn(hypers));
    expect(&layer, Server::start(service).await).await;

    let layer = MetricsLayer::default();
    let service = ServiceBuilder::new()
        .layer(layer.clone().boxed::<UnsyncBoxBody<Bytes, BoxError>>())
        .service(service_fn(unsync));
    expect(&layer, Server::start(service).await).await;
}
