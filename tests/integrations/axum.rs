//! Layers in and around axum's routers.

use crate::wire_support::{BOUND, Http1, Http2, Numbers, Server, bounded};
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Json};
use axum::routing::{get, post};
use axum::{Router, ServiceExt};
use futures_util::stream;
use http::{Request, Response};
use std::future::IntoFuture;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tower::timeout::error::Elapsed;
use tower::{BoxError, ServiceBuilder};
use tower_openmetrics::testing::wait_until_idle;
use tower_openmetrics::{ErrorType, MetricsLayer, ResponseBody};

/// Returns handlers with one extractor each. They respond with the length that they extracted.
fn routes() -> Router {
    Router::new()
        .route("/", get(async || "hello"))
        .route("/bytes", post(async |bytes: Bytes| bytes.len().to_string()))
        .route("/string", post(async |text: String| text.len().to_string()))
        .route(
            "/json",
            post(async |Json(texts): Json<Vec<String>>| texts.concat()),
        )
        .route("/echo", post(async |body: Body| body))
        .route("/unread", post(async || "hello"))
        .route(
            "/short",
            post(async |bytes: Bytes| bytes.len().to_string()).layer(DefaultBodyLimit::max(3)),
        )
}

/// Returns the bytes of a request with this body and its length.
fn request(method: &str, path: &str, content_type: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
         content-type: {content_type}\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// Returns the body of a response with a `Content-Length`.
fn body(answer: &[u8]) -> &str {
    let answer = str::from_utf8(answer).unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").expect("an answer");
    body
}

async fn exchange(server: &Server, request: &str) -> Vec<u8> {
    let mut client = Http1::connect(server).await;
    client.send(request).await;
    client.receive_all().await
}

#[tokio::test]
async fn extractors_and_rejections() {
    const JSON: &str = "application/json";
    const TEXT: &str = "text/plain";
    let failed = Numbers::failed;
    #[rustfmt::skip] // a table: the request, the outcome, the bytes that are read
    let cases = [
        (request("GET", "/", TEXT, ""), Numbers::completed(), 0),
        (request("HEAD", "/", TEXT, ""), Numbers::completed(), 0),
        (request("POST", "/bytes", TEXT, "abcde"), Numbers::completed(), 5),
        (request("POST", "/string", TEXT, "abcde"), Numbers::completed(), 5),
        (request("POST", "/json", JSON, r#"["abc","de"]"#), Numbers::completed(), 12),
        (request("POST", "/json", JSON, r#"["abc""#), failed(ErrorType::DESERIALIZATION), 6),
        (request("POST", "/json", JSON, r#"[1]"#), failed(ErrorType::DESERIALIZATION), 3),
        (request("POST", "/json", TEXT, r#"["abc"]"#), failed(ErrorType::INVALID_MESSAGE), 0),
        (request("POST", "/short", TEXT, "abcde"), failed(ErrorType::INVALID_MESSAGE), 5),
        (request("POST", "/echo", TEXT, "abcde"), Numbers::completed(), 5),
        (request("POST", "/unread", TEXT, "abcde"), Numbers::completed(), 0),
        (request("POST", "/nowhere", TEXT, "abcde"), Numbers::completed(), 0),
        (request("POST", "/", TEXT, "abcde"), failed(ErrorType::INVALID_MESSAGE), 0),
    ];
    for (request, numbers, read) in cases {
        // Both layers count the same.
        let (inside, outside) = (MetricsLayer::default(), MetricsLayer::default());
        let app = routes().layer(inside.clone()).layer(outside.clone());
        let server = Server::start(app).await;
        let answer = exchange(&server, &request).await;
        let numbers = numbers.read(read).taken(body(&answer).len() as u64);
        numbers.clone().expect(&outside, &request).await;
        numbers.clone().expect(&inside, &request).await;
        server.stop().await;
        assert_eq!(Numbers::of(&outside).await, numbers, "{request}");
    }
}

#[tokio::test]
async fn uploads_that_break_off() {
    for (path, sent_back) in [("/bytes", 0), ("/string", 0), ("/json", 0), ("/echo", 7)] {
        let whole = request("POST", path, "application/json", r#"["abc","de"]"#);
        let layer = MetricsLayer::default();
        let server = Server::start(routes().layer(layer.clone())).await;
        let mut client = Http1::connect(&server).await;
        client.send(&whole[..whole.len() - 5]).await;
        let begun = Numbers::open().read(7).taken(sent_back);
        begun.expect(&layer, path).await;
        client.close();
        wait_until_idle(layer.registry(), BOUND).await;
        let numbers = Numbers::of(&layer).await;
        // Hyper may still take the text of a 400 that nobody receives.
        let taken = numbers.response_bytes();
        assert_eq!(numbers, Numbers::cancelled().read(7).taken(taken), "{path}");
        server.stop().await;
    }
}

#[tokio::test]
async fn uploads_that_are_malformed_or_reset() {
    let malformed = "POST /bytes HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
        transfer-encoding: chunked\r\n\r\n3\r\nabc\r\nfive\r\n";
    let layer = MetricsLayer::default();
    let server = Server::start(routes().layer(layer.clone())).await;
    let answer = exchange(&server, malformed).await;
    assert!(answer.starts_with(b"HTTP/1.1 400 "));
    let invalid = Numbers::failed(ErrorType::INVALID_MESSAGE);
    let numbers = invalid.read(3).taken(body(&answer).len() as u64);
    numbers.clone().expect(&layer, "malformed").await;

    let mut client = Http2::connect(&server).await;
    let request = Request::post("http://a/bytes").body(()).unwrap();
    let mut stream = client.send(request, false).await;
    stream.upload(b"abc", false);
    let begun = numbers.clone() + Numbers::open().read(3);
    begun.expect(&layer, "begun").await;
    stream.reset();
    client.close();
    server.stop().await;
    // The 400 of a stream that was reset is never taken.
    let numbers = numbers + Numbers::cancelled().read(3);
    assert_eq!(Numbers::of(&layer).await, numbers);
}

#[tokio::test]
async fn streams_that_fail() {
    type Item = Result<&'static str, BoxError>;
    let stream =
        |items: fn() -> Vec<Item>| get(async move || Body::from_stream(stream::iter(items())));
    let app = Router::new()
        .route(
            "/late",
            stream(|| vec![Ok("abc"), Err(Elapsed::new().into())]),
        )
        .route("/half", stream(|| vec![Ok("abc"), Err("broken".into())]))
        .route("/none", stream(|| vec![Err("broken".into())]));
    let layer = MetricsLayer::default();
    let server = Server::start(app.layer(layer.clone())).await;
    for path in ["/late", "/half", "/none"] {
        exchange(&server, &request("GET", path, "text/plain", "")).await;
    }
    server.stop().await;
    let numbers = Numbers::failed(ErrorType::TIMEOUT).taken(3)
        + Numbers::failed(ErrorType::PUBLISH_RESPONSE).taken(3)
        + Numbers::failed(ErrorType::RESPONSE_STREAM);
    assert_eq!(Numbers::of(&layer).await, numbers);
}

#[tokio::test]
async fn a_layer_on_routes_only_sees_those_routes() {
    let layer = MetricsLayer::default();
    let app = Router::new()
        .route("/measured", get(async || "hello"))
        .route_layer(layer.clone())
        .route("/other", get(async || "hello"));
    let server = Server::start(app).await;
    for path in ["/measured", "/other", "/nowhere", "/measured"] {
        exchange(&server, &request("GET", path, "text/plain", "")).await;
    }
    server.stop().await;
    let numbers = (Numbers::completed() * 2).taken(10);
    assert_eq!(Numbers::of(&layer).await, numbers);
}

#[tokio::test]
async fn a_layer_that_is_applied_twice_counts_twice() {
    let layer = MetricsLayer::default();
    let server = Server::start(routes().layer(layer.clone()).layer(layer.clone())).await;
    exchange(&server, &request("POST", "/bytes", "text/plain", "abcde")).await;
    server.stop().await;
    let numbers = Numbers::completed().read(5).taken(1) * 2;
    assert_eq!(Numbers::of(&layer).await, numbers);
}

/// `axum::serve` needs axum's own response body, and a layer around the whole router changes the type. `Router::layer`
/// converts it by itself.
#[tokio::test]
async fn around_the_router_for_axum_serve() {
    let layer = MetricsLayer::default();
    let app = ServiceBuilder::new()
        .map_response(|response: Response<ResponseBody<Body>>| response.map(Body::new))
        .layer(&layer)
        .service(routes());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let make = ServiceExt::<Request<Body>>::into_make_service(app);
    let (stop, stopped) = oneshot::channel::<()>();
    let server = axum::serve(listener, make).with_graceful_shutdown(async {
        let _ = stopped.await;
    });
    let server = tokio::spawn(server.into_future());
    let mut client = Http1::connect_to(address).await;
    client
        .send(request("GET", "/nowhere", "text/plain", ""))
        .await;
    client.receive_all().await;
    stop.send(()).unwrap();
    bounded("the server", server).await.unwrap().unwrap();
    assert_eq!(Numbers::of(&layer).await, Numbers::completed());
}

#[tokio::test]
async fn the_page_can_be_a_route_that_is_not_measured() {
    let layer = MetricsLayer::new([("endpoint", "shop")]);
    let app = routes()
        .layer(layer.clone())
        .route_service("/metrics", layer.exporter());
    let server = Server::start(app).await;
    exchange(&server, &request("GET", "/", "text/plain", "")).await;
    for _ in 0..2 {
        let answer = exchange(&server, &request("GET", "/metrics", "text/plain", "")).await;
        let page = body(&answer);
        assert!(
            page.contains("\nrequests_total{endpoint=\"shop\"} 1\n"),
            "{page}"
        );
        assert!(
            page.contains("\nresponse_bytes_total{endpoint=\"shop\"} 5\n"),
            "{page}"
        );
    }
    server.stop().await;
}
