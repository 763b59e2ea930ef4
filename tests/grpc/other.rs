//! Responses of the routers.

use crate::bounded;
use crate::calls::Layers;
use crate::numbers::Numbers;
use crate::transports::Transport;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use tonic::body::Body;
use tower::ServiceExt;

/// Sends a request and returns the status of its response.
async fn answer(layers: &Layers, transport: Transport, request: Request<Body>) -> StatusCode {
    let server = transport.serve(&layers.server).await;
    let client = transport.connect(&server, &layers.client).await;
    let (mut head, body) = request.into_parts();
    let uri = format!(
        "{}{}",
        server.origin(),
        head.uri.path().trim_start_matches('/')
    );
    head.uri = uri.parse().unwrap();
    let made = client.oneshot(Request::from_parts(head, body));
    let response = bounded("an answer", made).await.unwrap();
    let status = response.status();
    response.into_body().collect().await.unwrap();
    server.stop().await;
    status
}

#[tokio::test]
async fn an_unknown_service_is_unimplemented() {
    for transport in Transport::ALL {
        let layers = Layers::new();
        let request = Request::post("/test.Nobody/Call").header("content-type", "application/grpc");
        let request = request.body(Body::empty()).unwrap();
        assert_eq!(answer(&layers, transport, request).await, 200);
        let mut numbers = Numbers::failed("Call", "UNIMPLEMENTED", "invalid_message");
        numbers.labels.as_mut().unwrap()[0] = "test.Nobody".into();
        layers.expect(&numbers, &format!("{transport:?}")).await;
    }
}

/// tonic responds with a gRPC status, so a probe is a gRPC call without a service.
#[tokio::test]
async fn a_probe_is_a_grpc_call_without_a_service() {
    for transport in Transport::ALL {
        let layers = Layers::new();
        let request = Request::get("/health").body(Body::empty()).unwrap();
        assert_eq!(answer(&layers, transport, request).await, 200);
        let mut numbers = Numbers::failed("none", "UNIMPLEMENTED", "invalid_message");
        numbers.labels.as_mut().unwrap()[0] = "none".into();
        layers.expect(&numbers, &format!("{transport:?}")).await;
    }
}
