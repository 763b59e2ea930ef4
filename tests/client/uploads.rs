//! Request bodies that fail.

use crate::layer;
use crate::wire_support::{Handler, Numbers, Server, bounded};
use bytes::Bytes;
use futures_util::stream;
use http::Request;
use http_body::Frame;
use http_body_util::StreamBody;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use std::io;
use tower::{BoxError, ServiceExt};
use tower_layer::Layer;
use tower_openmetrics::ErrorType;

/// Returns the numbers of an upload that fails with this error after three bytes.
async fn upload_that_fails_by(error: fn() -> BoxError) -> Numbers {
    let layer = layer();
    let server = Server::start(Handler::hangs().reads_all()).await;
    let client = layer.layer(Client::builder(TokioExecutor::new()).build_http());
    let abc = Frame::data(Bytes::from_static(b"abc"));
    let body = StreamBody::new(stream::iter([Ok(abc), Err(error())]));
    let request = Request::post(format!("http://{}/", server.address()));
    let answer = client.oneshot(request.body(body).unwrap());
    bounded("an answer", answer).await.map(drop).unwrap_err();
    Numbers::of(&layer).await
}

#[tokio::test]
async fn a_failed_body_is_an_invalid_message() {
    let numbers = upload_that_fails_by(|| "the disk is gone".into()).await;
    assert_eq!(numbers, Numbers::failed(ErrorType::INVALID_MESSAGE).read(3));
}

#[tokio::test]
async fn a_body_whose_source_broke_off_is_an_invalid_message() {
    let gone = || io::Error::from(io::ErrorKind::UnexpectedEof).into();
    let numbers = upload_that_fails_by(gone).await;
    assert_eq!(numbers, Numbers::failed(ErrorType::INVALID_MESSAGE).read(3));
}

#[tokio::test]
async fn a_body_that_ends_before_its_length_is_an_invalid_message() {
    let layer = layer();
    let server = Server::start(Handler::hangs().reads_all()).await;
    let client = layer.layer(Client::builder(TokioExecutor::new()).build_http());
    let abc = Frame::data(Bytes::from_static(b"abc"));
    let body = StreamBody::new(stream::iter([Ok::<_, BoxError>(abc)]));
    let request = Request::post(format!("http://{}/", server.address()));
    let request = request.header("content-length", "9").body(body).unwrap();
    let answer = bounded("an answer", client.oneshot(request)).await;
    answer.map(drop).unwrap_err();
    let failed = Numbers::failed(ErrorType::INVALID_MESSAGE);
    assert_eq!(Numbers::of(&layer).await, failed.read(3));
}
