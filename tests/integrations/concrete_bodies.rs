//! Services that need a certain body type, behind `RequestBody::into_inner`.

use crate::wire_support::{BOUND, Http1, Numbers, Server};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use std::convert::Infallible;
use tower::{ServiceBuilder, service_fn};
use tower_openmetrics::testing::wait_until_idle;
use tower_openmetrics::{ErrorType, MetricsLayer, RequestBody};

async fn handler(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let read = request.into_body().collect().await;
    let mut response = Response::new(Full::from("abc"));
    if read.is_err() {
        *response.status_mut() = StatusCode::BAD_REQUEST;
    }
    Ok(response)
}

async fn server(layer: &MetricsLayer) -> Server {
    let service = ServiceBuilder::new()
        .layer(layer)
        .map_request(|request: Request<RequestBody<Incoming>>| request.map(RequestBody::into_inner))
        .service(service_fn(handler));
    Server::start(service).await
}

#[tokio::test]
async fn only_the_response_is_counted() {
    let layer = MetricsLayer::default();
    let server = server(&layer).await;
    let mut client = Http1::connect(&server).await;
    let request =
        "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 5\r\n\r\nabcde";
    client.send(request).await;
    assert!(client.receive_all().await.ends_with(b"\r\n\r\nabc"));
    server.stop().await;
    assert_eq!(Numbers::of(&layer).await, Numbers::completed().taken(3));
}

#[tokio::test]
async fn the_service_decides_about_an_upload_that_breaks_off() {
    let layer = MetricsLayer::default();
    let server = server(&layer).await;
    let mut client = Http1::connect(&server).await;
    client
        .send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nabc")
        .await;
    Numbers::open().expect(&layer, "begun").await;
    client.close();
    wait_until_idle(layer.registry(), BOUND).await;
    let numbers = Numbers::of(&layer).await;
    let bad_request = Numbers::failed(ErrorType::DESERIALIZATION);
    assert_eq!(numbers, bad_request.taken(numbers.response_bytes()));
    server.stop().await;
}
