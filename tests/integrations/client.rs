//! The layer around a client, between the program and the network.

use crate::wire_support::{Handler, Numbers, Scripted, Server, Step, bounded, data};
use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tower::ServiceExt;
use tower_layer::Layer;
use tower_openmetrics::{ErrorType, Metrics, MetricsLayer, RequestBody, ResponseBody};

type MeasuredClient = Metrics<Client<HttpConnector, RequestBody<Full<Bytes>>>>;
type Answer =
    Result<Response<ResponseBody<hyper::body::Incoming>>, hyper_util::client::legacy::Error>;

fn client(layer: &MetricsLayer, http2: bool) -> MeasuredClient {
    let mut client = Client::builder(TokioExecutor::new());
    layer.layer(client.http2_only(http2).build_http())
}

async fn post(client: MeasuredClient, address: std::net::SocketAddr) -> Answer {
    let request = Request::post(format!("http://{address}/"));
    let request = request.body(Full::from("abc")).unwrap();
    bounded("an answer", client.oneshot(request)).await
}

#[tokio::test]
async fn bytes_are_counted_both_ways() {
    for http2 in [false, true] {
        let layer = MetricsLayer::default();
        let handler = Handler::sends(Scripted::new([data("hello")])).reads_all();
        let server = Server::start(handler.clone()).await;
        let answer = post(client(&layer, http2), server.address()).await;
        let body = bounded("its body", answer.unwrap().into_body().collect()).await;
        assert_eq!(body.unwrap().to_bytes(), "hello");
        let numbers = Numbers::completed().read(3).taken(5);
        assert_eq!(Numbers::of(&layer).await, numbers, "{http2}");
        server.stop().await;
    }
}

#[tokio::test]
async fn a_response_without_a_body_completes_the_call() {
    let layer = MetricsLayer::default();
    let mut promising = Response::new(Scripted::default());
    promising.headers_mut().insert(CONTENT_LENGTH, 5.into());
    let server = Server::start(Handler::answers(promising)).await;
    let request = Request::head(format!("http://{}/", server.address()));
    let request = request.body(Full::default()).unwrap();
    let answer = bounded("an answer", client(&layer, false).oneshot(request)).await;
    drop(answer.unwrap());
    assert_eq!(Numbers::of(&layer).await, Numbers::completed());
    server.stop().await;
}

#[tokio::test]
async fn the_server_resets_the_stream() {
    let layer = MetricsLayer::default();
    let handler = Handler::sends(Scripted::new([data("abc"), Step::Yield, Step::Err])).reads_all();
    let server = Server::start(handler).await;
    let answer = post(client(&layer, true), server.address()).await;
    let body = bounded("its body", answer.unwrap().into_body().collect()).await;
    body.unwrap_err();
    let failed = Numbers::failed(ErrorType::PUBLISH_RESPONSE);
    assert_eq!(Numbers::of(&layer).await, failed.read(3).taken(3));
    server.stop().await;
}

#[tokio::test]
async fn nothing_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let layer = MetricsLayer::default();
    post(client(&layer, false), address).await.unwrap_err();
    assert_eq!(
        Numbers::of(&layer).await,
        Numbers::failed(ErrorType::GENERATE)
    );
}

#[tokio::test]
async fn the_response_is_dropped() {
    let layer = MetricsLayer::default();
    let handler = Handler::sends(Scripted::new([data("hello")])).reads_all();
    let server = Server::start(handler.clone()).await;
    let answer = post(client(&layer, false), server.address()).await;
    assert_eq!(Numbers::of(&layer).await, Numbers::open().read(3));
    drop(answer);
    assert_eq!(Numbers::of(&layer).await, Numbers::cancelled().read(3));
    server.stop().await;
}

#[tokio::test]
async fn the_server_breaks_off() {
    #[rustfmt::skip] // a table: the received part of the response, and the outcome
    let cases = [
        ("", ErrorType::GENERATE, 0),
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", ErrorType::RESPONSE_STREAM, 0),
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabc", ErrorType::PUBLISH_RESPONSE, 3),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n", ErrorType::PUBLISH_RESPONSE, 3),
        ("HTTP/1.1 503 Closed\r\ncontent-length: 5\r\n\r\nabc", ErrorType::OVERLOADED, 3),
    ];
    for (part, error_type, taken) in cases {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\nabc") {
                assert_ne!(socket.read_buf(&mut request).await.unwrap(), 0);
            }
            socket.write_all(part.as_bytes()).await.unwrap();
        });
        let layer = MetricsLayer::default();
        if let Ok(answer) = post(client(&layer, false), address).await {
            let body = bounded("its body", answer.into_body().collect()).await;
            body.unwrap_err();
        }
        bounded("the server", server).await.unwrap();
        let numbers = Numbers::failed(error_type).read(3).taken(taken);
        assert_eq!(Numbers::of(&layer).await, numbers, "{part:?}");
    }
}
