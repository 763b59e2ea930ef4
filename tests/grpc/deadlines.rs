//! Deadlines, enforced by the service, the server, or the client.

use crate::bounded;
use crate::calls::{Kind, Layers, call};
use crate::numbers::Numbers;
use crate::service::{End, Order};
use crate::transports::Transport;
use std::time::Duration;
use tonic::Code;
use tower_openmetrics::MetricsLayer;

const SOON: Duration = Duration::from_millis(20);
/// Enough time for a request to reach the server.
const NOT_TOO_SOON: Duration = Duration::from_millis(500);

/// An order of one message and this end.
fn order(end: End) -> Vec<String> {
    vec![Order { messages: 0, end }.text()]
}

/// The service responds with `DEADLINE_EXCEEDED`, as gRPC servers of other languages do.
#[tokio::test]
async fn a_deadline_enforced_by_the_service_is_a_timeout() {
    for kind in [Kind::Unary, Kind::ServerStreaming] {
        let layers = Layers::new();
        let transport = Transport::Hyper;
        let server = transport.serve(&layers.server).await;
        let client = transport.connect(&server, &layers.client).await;
        let request = order(End::AtTheDeadline);
        let made = call(client, &server, kind, request.clone(), Some(SOON));
        let status = bounded("a call", made).await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded);
        let numbers = Numbers::failed(kind.method(), "DEADLINE_EXCEEDED", "timeout");
        layers
            .expect(&numbers.request(&request), kind.method())
            .await;
        server.stop().await;
    }
}

/// tonic's server drops the call and responds with `CANCELLED`, outside of its layers. The client
/// is hyper's, which does not enforce deadlines.
#[tokio::test]
async fn a_deadline_enforced_by_tonics_server_is_a_cancellation() {
    let layers = Layers::new();
    let server = Transport::Tonic.serve(&layers.server).await;
    let client = Transport::Hyper.connect(&server, &layers.client).await;
    let request = order(End::Never);
    let made = call(client, &server, Kind::Unary, request, Some(SOON));
    let status = bounded("a call", made).await.unwrap_err();
    assert_eq!(status.code(), Code::Cancelled);
    let cancelled = |code| Numbers::cancelled("Unary", code);
    cancelled("none")
        .expect_except_request(&layers.server, "server")
        .await;
    cancelled("CANCELLED")
        .expect_except_request(&layers.client, "client")
        .await;
    server.stop().await;
}

/// tonic's channel fails with its own error. At the server the call is cancelled. The server is
/// hyper's, which does not enforce deadlines.
#[tokio::test]
async fn a_deadline_enforced_by_tonics_channel_is_a_timeout() {
    let client_layer = MetricsLayer::grpc_client([("side", "client")]);
    let layers = Layers::new();
    let server = Transport::Hyper.serve(&layers.server).await;
    let client = Transport::Tonic.connect(&server, &client_layer).await;
    let request = order(End::Never);
    let made = call(client, &server, Kind::Unary, request, Some(NOT_TOO_SOON));
    let status = bounded("a call", made).await.unwrap_err();
    assert_eq!(status.code(), Code::Cancelled, "as tonic calls it");
    let cancelled = Numbers::cancelled("Unary", "none");
    cancelled
        .expect_except_request(&layers.server, "server")
        .await;
    let timeout = Numbers::failed("Unary", "none", "timeout");
    timeout.expect_except_request(&client_layer, "client").await;
    server.stop().await;
}
