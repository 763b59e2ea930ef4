//! Boxed layers with everything that needs axum's own body.

use crate::wire_support::{BOUND, Http1, Http2, Numbers, Server, bounded};
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Request};
use axum::handler::Handler;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{any, get, post};
use axum::{Router, ServiceExt};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::future::IntoFuture;
use std::task::{Context, Poll};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tower::util::Either;
use tower::{Layer, Service, ServiceBuilder};
use tower_http::limit::RequestBodyLimitLayer;
use tower_openmetrics::protocol::{Boxed, Http};
use tower_openmetrics::testing::wait_until_idle;
use tower_openmetrics::{ErrorType, MetricsLayer};

const POST: &str =
    "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 5\r\n\r\nabcde";

/// A middleware for `axum::middleware::from_fn`.
async fn pass(request: Request, next: Next) -> Response {
    next.run(request).await
}

/// A middleware with a type of its own, like axum layers of other crates.
#[derive(Clone, Debug)]
struct Typed<S>(S);

impl<S> Service<Request> for Typed<S>
where
    S: Service<Request, Response = Response>,
{
    type Response = Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> S::Future {
        self.0.call(request)
    }
}

#[derive(Clone, Copy, Debug)]
struct TypedLayer;

impl<S> Layer<S> for TypedLayer {
    type Service = Typed<S>;

    fn layer(&self, inner: S) -> Typed<S> {
        Typed(inner)
    }
}

async fn read(bytes: Bytes) -> Bytes {
    bytes
}

fn router() -> Router {
    Router::new().route("/", post(read))
}

fn metrics() -> MetricsLayer<Boxed<Http, Body>> {
    MetricsLayer::default().boxed()
}

/// Checks that the layer counts a request.
async fn expect<P>(layer: &MetricsLayer<P>, shape: &str, app: Router) {
    let server = Server::start(app).await;
    let mut client = Http1::connect(&server).await;
    client.send(POST).await;
    let answer = client.receive_all().await;
    assert!(answer.ends_with(b"\r\n\r\nabcde"), "{shape}");
    server.stop().await;
    let numbers = Numbers::completed().read(5).taken(5);
    assert_eq!(Numbers::of(layer).await, numbers, "{shape}");
}

#[tokio::test]
async fn a_boxed_layer_works_outside_of_middleware_for_axums_body() {
    let layer = metrics();
    let stack = ServiceBuilder::new()
        .layer(layer.clone())
        .layer(middleware::from_fn(pass));
    expect(&layer, "from_fn", router().layer(stack)).await;

    let layer = metrics();
    let stack = ServiceBuilder::new()
        .layer(layer.clone())
        .layer(middleware::map_request(async |request: Request| request))
        .layer(middleware::map_response(async |response: Response| {
            response
        }))
        .layer(TypedLayer);
    expect(&layer, "map_request", router().layer(stack)).await;

    let layer = metrics();
    let stack = ServiceBuilder::new()
        .layer(middleware::from_fn(pass))
        .layer(TypedLayer)
        .layer(layer.clone())
        .layer(TypedLayer);
    expect(&layer, "both sides", router().layer(stack)).await;
}

#[tokio::test]
async fn a_boxed_layer_works_wherever_axum_takes_a_layer_or_a_service() {
    let inside = || {
        let layer = metrics();
        (layer.clone(), (layer, TypedLayer))
    };
    let (layer, stack) = inside();
    expect(&layer, "route_layer", router().route_layer(stack)).await;

    let (layer, stack) = inside();
    let route = post(read).layer(stack);
    expect(
        &layer,
        "MethodRouter::layer",
        Router::new().route("/", route),
    )
    .await;

    let (layer, stack) = inside();
    let handler = read.layer(stack);
    expect(
        &layer,
        "Handler::layer",
        Router::new().route("/", post(handler)),
    )
    .await;

    let (layer, stack) = inside();
    let service = stack.layer(router());
    expect(
        &layer,
        "fallback_service",
        Router::new().fallback_service(service),
    )
    .await;

    let (layer, stack) = inside();
    let service = stack.layer(post(read));
    expect(
        &layer,
        "route_service",
        Router::new().route_service("/", service),
    )
    .await;
}

#[tokio::test]
async fn an_optional_layer() {
    let layer = metrics();
    let there = ServiceBuilder::new()
        .option_layer(Some(layer.clone()))
        .layer(middleware::from_fn(pass));
    expect(&layer, "option_layer", router().layer(there)).await;

    let layer = metrics();
    let either: Either<_, tower::layer::util::Identity> = Either::Left(layer.clone());
    expect(&layer, "Either", router().layer(either)).await;

    let absent: Option<MetricsLayer<Boxed<Http, Body>>> = None;
    let server = Server::start(router().layer(ServiceBuilder::new().option_layer(absent))).await;
    let mut client = Http1::connect(&server).await;
    client.send(POST).await;
    assert!(client.receive_all().await.ends_with(b"abcde"));
    server.stop().await;
}

#[tokio::test]
async fn a_boxed_layer_around_the_router_works_with_axum_serve() {
    let layer = metrics();
    let app = layer.layer(router());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = axum::serve(listener, ServiceExt::<Request>::into_make_service(app))
        .with_graceful_shutdown(async {
            let _ = stopped.await;
        });
    let server = tokio::spawn(server.into_future());
    let mut client = Http1::connect_to(address).await;
    client.send(POST).await;
    assert!(client.receive_all().await.ends_with(b"abcde"));
    stop.send(()).unwrap();
    bounded("the server", server).await.unwrap().unwrap();
    let numbers = Numbers::completed().read(5).taken(5);
    assert_eq!(Numbers::of(&layer).await, numbers);
}

/// A layer and the boxed layer made from it share their series.
#[tokio::test]
async fn boxed_and_plain_layers_share_their_series() {
    let layer = MetricsLayer::default();
    let app = router()
        .layer(layer.clone().boxed::<Body>())
        .layer(layer.clone())
        .layer(layer.clone().boxed::<Body>());
    let server = Server::start(app).await;
    let mut client = Http1::connect(&server).await;
    client.send(POST).await;
    client.receive_all().await;
    server.stop().await;
    let numbers = Numbers::completed().read(5).taken(5) * 3;
    assert_eq!(Numbers::of(&layer).await, numbers);
}

#[tokio::test]
async fn uploads_that_break_off_are_seen() {
    let layer = metrics();
    let stack = ServiceBuilder::new()
        .layer(layer.clone())
        .layer(middleware::from_fn(pass));
    let server = Server::start(router().layer(stack)).await;
    let mut client = Http1::connect(&server).await;
    client.send(&POST[..POST.len() - 2]).await;
    Numbers::open().read(3).expect(&layer, "begun").await;
    client.close();
    wait_until_idle(layer.registry(), BOUND).await;
    let numbers = Numbers::of(&layer).await;
    // Hyper may still take the text of a 400 that nobody receives.
    let taken = numbers.response_bytes();
    assert_eq!(numbers, Numbers::cancelled().read(3).taken(taken));

    let mut client = Http2::connect(&server).await;
    let request = http::Request::post("http://a/").body(()).unwrap();
    let mut stream = client.send(request, false).await;
    stream.upload(b"abc", false);
    let begun = numbers.clone() + Numbers::open().read(3);
    begun.expect(&layer, "begun over HTTP/2").await;
    stream.reset();
    client.close();
    server.stop().await;
    let numbers = numbers + Numbers::cancelled().read(3);
    assert_eq!(Numbers::of(&layer).await, numbers);
}

/// axum recognizes the error, so no wrapper may hide it.
#[tokio::test]
async fn a_body_beyond_the_limit_gets_a_413() {
    let layers = [metrics(), metrics(), metrics()];
    let [a, b, c] = layers.clone();
    let stack = ServiceBuilder::new()
        .layer(RequestBodyLimitLayer::new(3))
        .layer(a)
        .layer(b)
        .layer(c);
    let app = router().layer(DefaultBodyLimit::disable()).layer(stack);
    let server = Server::start(app).await;
    let mut client = Http1::connect(&server).await;
    // Sends no length. Otherwise the limit would refuse the head.
    let chunked = POST.replace("content-length: 5", "transfer-encoding: chunked");
    let chunked = chunked.replace("abcde", "5\r\nabcde\r\n0\r\n\r\n");
    client.send(chunked).await;
    let answer = client.receive_all().await;
    assert!(
        answer.starts_with(b"HTTP/1.1 413 "),
        "{}",
        answer.escape_ascii()
    );
    server.stop().await;
    for layer in layers {
        let numbers = Numbers::of(&layer).await;
        let invalid = Numbers::failed(ErrorType::INVALID_MESSAGE);
        assert_eq!(numbers, invalid.taken(numbers.response_bytes()));
    }
}

#[tokio::test]
async fn an_upgraded_connection_is_a_tunnel() {
    async fn echo(mut request: Request) -> Result<Response, Infallible> {
        let upgraded = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut io = TokioIo::new(upgraded.await.unwrap());
            let mut buffer = [0; 8];
            while let Ok(bytes @ 1..) = io.read(&mut buffer).await {
                io.write_all(&buffer[..bytes]).await.unwrap();
            }
        });
        let response = Response::builder().status(101);
        let response = response.header("connection", "upgrade");
        let response = response.header("upgrade", "echo").body(Body::empty());
        Ok(response.unwrap())
    }

    let layer = metrics();
    let stack = ServiceBuilder::new()
        .layer(layer.clone())
        .layer(middleware::from_fn(pass));
    let app = Router::new().route("/", any(echo)).layer(stack);
    let server = Server::start(app.route("/else", get(async || "hello"))).await;
    let mut client = Http1::connect(&server).await;
    client
        .send("GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n")
        .await;
    let head = client.receive_until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    client.send("to be").await;
    client.receive_until("to be").await;
    Numbers::upgraded().expect(&layer, "the tunnel").await;
    client.close();
    server.stop().await;
}
