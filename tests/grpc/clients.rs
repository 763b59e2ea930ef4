//! Failures that only a client's layer can record, because its caller is still there.

use crate::bounded;
use crate::calls::Kind;
use crate::example::Text;
use crate::numbers::Numbers;
use crate::service::{End, Order};
use crate::transports::Transport;
use bytes::Bytes;
use futures_util::stream;
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use std::io;
use std::time::Duration;
use tokio::net::TcpStream;
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_openmetrics::MetricsLayer;
use tower_openmetrics::classify::Classify;
use tower_openmetrics::grpc::RequestBody;
use tower_openmetrics::protocol::Grpc;

fn order(end: End) -> String {
    Order { messages: 0, end }.text()
}

/// Makes a call with a message that is too long to encode. The caller gets an error.
async fn fails_to_encode(transport: Transport, kind: Kind) -> (Status, Numbers) {
    let server_layer = MetricsLayer::grpc([("side", "server")]);
    let layer = MetricsLayer::grpc_client([("side", "client")]);
    let server = transport.serve(&server_layer).await;
    let client = transport.connect(&server, &layer).await;
    let client = tonic::client::Grpc::with_origin(client, server.origin());
    let mut client = client.max_encoding_message_size(1);
    client.ready().await.unwrap();
    let path = format!("/test.Obedient/{}", kind.method()).parse().unwrap();
    let message = order(End::With(Code::Ok));
    let made = async {
        match kind {
            Kind::Unary => {
                let request = Request::new(message);
                client.unary(request, path, Text).await.map(drop)
            }
            _ => {
                let request = Request::new(stream::iter([message]));
                client.client_streaming(request, path, Text).await.map(drop)
            }
        }
    };
    let status = bounded("an answer", made).await.unwrap_err();
    let numbers = Numbers::of(&layer).await;
    server.stop().await;
    (status, numbers)
}

#[tokio::test]
async fn a_message_that_cannot_be_encoded_is_invalid() {
    for transport in Transport::ALL {
        for kind in [Kind::Unary, Kind::ClientStreaming] {
            let (status, numbers) = fails_to_encode(transport, kind).await;
            let row = format!("{transport:?}, {kind:?}: {status}");
            let expected = Numbers::failed(kind.method(), "none", "invalid_message");
            assert_eq!(numbers, expected, "{row}");
        }
    }
}

/// One failing call through tonic's channel.
async fn fails_through<C>(layer: &MetricsLayer<Grpc<C>>, channel: Channel)
where
    C: Classify + Send + 'static,
{
    let service = ServiceBuilder::new()
        .layer(layer.clone())
        .map_request(|request: http::Request<RequestBody<Body>>| request.map(Body::new))
        .service(channel);
    // The server never responds.
    let never = order(End::Never);
    let length = u8::try_from(never.len()).unwrap();
    let message = [&[0, 0, 0, 0, length], never.as_bytes()].concat();
    let request = http::Request::post("http://greeter/test.Obedient/Unary")
        .header("content-type", "application/grpc")
        .body(Body::new(Full::<Bytes>::from(message)));
    let failed = bounded("an error", service.oneshot(request.unwrap())).await;
    failed.map(drop).unwrap_err();
}

/// Both layers classify tonic's errors by default.
#[tokio::test]
async fn the_time_limit_of_a_channel_is_a_timeout() {
    let timeout = Numbers::failed("Unary", "none", "timeout");
    for transport in Transport::ALL {
        let server = transport.serve(&MetricsLayer::grpc([("", ""); 0])).await;
        let channel = || {
            let endpoint = Endpoint::from(server.origin()).timeout(Duration::ZERO);
            endpoint.connect_lazy()
        };
        let layer = MetricsLayer::grpc_client([("side", "client")]);
        fails_through(&layer, channel()).await;
        timeout.expect_except_request(&layer, "a client").await;
        let layer = MetricsLayer::grpc([("side", "client")]);
        fails_through(&layer, channel()).await;
        timeout.expect_except_request(&layer, "a server").await;
        server.stop().await;
    }
}

#[tokio::test]
async fn a_channel_that_cannot_connect_is_a_connect_error() {
    let refuses = service_fn(async |_: http::Uri| {
        let refused = io::Error::other("bad handshake");
        Err::<TokioIo<TcpStream>, _>(refused)
    });
    let channel = Endpoint::from_static("http://greeter").connect_with_connector_lazy(refuses);
    let layer = MetricsLayer::grpc_client([("side", "client")]);
    fails_through(&layer, channel).await;
    let connect = Numbers::failed("Unary", "none", "connect");
    assert_eq!(Numbers::of(&layer).await, connect);
}
