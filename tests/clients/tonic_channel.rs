//! tonic's channel as a client of HTTP/2, without gRPC.

use crate::wire_support::{Handler, Numbers, Server, bounded};
use crate::{hello, nowhere};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use std::io;
use std::iter::Empty;
use std::net::SocketAddr;
use std::time::Duration;
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
use tower_openmetrics::classify::{Classify, HttpClient};
use tower_openmetrics::protocol::Http;
use tower_openmetrics::{ErrorType, MetricsLayer, RequestBody, ResponseBody};

/// Returns a layer that knows tonic's errors, by the feature `tonic`.
fn layer() -> MetricsLayer<Http<HttpClient>> {
    MetricsLayer::client([("", ""); 0])
}

fn endpoint(address: impl std::fmt::Display) -> Endpoint {
    format!("http://{address}").try_into().unwrap()
}

fn measured<C: Classify>(
    layer: &MetricsLayer<Http<C>>,
    channel: Channel,
) -> impl Service<
    Request<Full<Bytes>>,
    Response = Response<ResponseBody<Body, C>>,
    Error = tonic::transport::Error,
> {
    ServiceBuilder::new()
        .layer(layer.clone())
        .map_request(|request: Request<RequestBody<Full<Bytes>>>| request.map(Body::new))
        .service(channel)
}

fn post() -> Request<Full<Bytes>> {
    Request::post("/").body(Full::from("abc")).unwrap()
}

/// Makes one call over this channel, which fails with this error type.
async fn expect_failure(channel: Channel, request: Request<Full<Bytes>>, error_type: ErrorType) {
    let layer = layer();
    let answer = measured(&layer, channel).oneshot(request);
    bounded("an answer", answer).await.map(drop).unwrap_err();
    assert_eq!(Numbers::of(&layer).await, Numbers::failed(error_type));
}

#[tokio::test]
async fn bytes_and_statuses() {
    for (status, numbers) in [
        (200, Numbers::completed()),
        (404, Numbers::failed(ErrorType::REJECTED)),
        (503, Numbers::failed(ErrorType::OVERLOADED)),
    ] {
        let layer = layer();
        let server = Server::start(hello(status)).await;
        let channel = endpoint(server.address()).connect_lazy();
        let answer = measured(&layer, channel).oneshot(post());
        let answer = bounded("an answer", answer).await.unwrap();
        let body = bounded("its body", answer.into_body().collect()).await;
        assert_eq!(body.unwrap().to_bytes(), "hello");
        let seen = Numbers::of(&layer).await;
        assert_eq!(seen, numbers.read(3).taken(5), "{status}");
    }
}

#[tokio::test]
async fn nothing_listens() {
    let channel = endpoint(nowhere().await).connect_lazy();
    expect_failure(channel, post(), ErrorType::CONNECT).await;
}

#[tokio::test]
async fn the_name_is_not_resolved() {
    let resolver =
        service_fn(async |_: Name| Err::<Empty<SocketAddr>, _>(io::Error::other("no such host")));
    let connector = HttpConnector::new_with_resolver(resolver);
    let channel = endpoint("stock.internal").connect_with_connector_lazy(connector);
    expect_failure(channel, post(), ErrorType::CONNECT).await;
}

#[tokio::test]
async fn tonics_timeout_error_is_a_timeout() {
    let server = Server::start(Handler::hangs()).await;
    let channel = endpoint(server.address())
        .timeout(Duration::ZERO)
        .connect_lazy();
    let get = Request::get("/").body(Full::default()).unwrap();
    expect_failure(channel, get, ErrorType::TIMEOUT).await;
}

#[tokio::test]
async fn tonics_connect_error_is_connect() {
    let refuses = service_fn(async |_: http::Uri| {
        Err::<hyper_util::rt::TokioIo<tokio::net::TcpStream>, _>(io::Error::other("bad handshake"))
    });
    let channel = endpoint("stock.internal").connect_with_connector_lazy(refuses);
    expect_failure(channel, post(), ErrorType::CONNECT).await;
}
