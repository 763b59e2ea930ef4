//! Whole connections: several calls on one, large bodies, shutdown.

use crate::wire_support::{
    BOUND, Handler, Handlers, Http1, Http2, Numbers, Scripted, Server, bounded, data,
};
use crate::{promising, status};
use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use std::convert::Infallible;
use std::future::ready;
use tokio::sync::mpsc;
use tower::{Service, ServiceBuilder, service_fn};
use tower_http::catch_panic::CatchPanicLayer;
use tower_layer::Layer;
use tower_openmetrics::testing::wait_until_idle;
use tower_openmetrics::{ErrorType, MetricsLayer, RequestBody};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const LAST_GET: &str = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

fn abc() -> Scripted {
    Scripted::new([data("abc")])
}

#[tokio::test]
async fn calls_on_one_connection_count_separately() {
    let handlers = Handlers::from_iter([
        Handler::sends(abc()),
        Handler::answers(promising(3, abc())),
        Handler::answers(status(204, Scripted::default())),
        Handler::answers(status(500, abc())),
        Handler::sends(abc()).reads_all(),
    ]);
    #[rustfmt::skip] // a table: the request, and the end of the response
    let calls = [
        ("GET /0 HTTP/1.1\r\nhost: a\r\n\r\n", "\r\nabc\r\n0\r\n\r\n"),
        ("GET /1 HTTP/1.1\r\nhost: a\r\n\r\n", "\r\n\r\nabc"),
        ("GET /2 HTTP/1.1\r\nhost: a\r\n\r\n", "\r\n\r\n"),
        ("HEAD /0 HTTP/1.1\r\nhost: a\r\n\r\n", "\r\n\r\n"),
        ("GET /3 HTTP/1.1\r\nhost: a\r\n\r\n", "\r\nabc\r\n0\r\n\r\n"),
        ("POST /4 HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nab", "\r\nabc\r\n0\r\n\r\n"),
        ("POST /0 HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nab", "\r\nabc\r\n0\r\n\r\n"),
        ("GET /1 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", "\r\n\r\nabc"),
    ];
    let numbers = Numbers::completed() * 7
        + Numbers::failed(ErrorType::GENERATE)
        + Numbers::default().read(2).taken(3 * 6);
    for pipelined in [false, true] {
        let layer = MetricsLayer::default();
        let server = Server::start(layer.layer(handlers.clone())).await;
        let mut client = Http1::connect(&server).await;
        if pipelined {
            client.send(calls.map(|(call, _)| call).concat()).await;
            let answers = client.receive_all().await;
            let answers = String::from_utf8_lossy(&answers);
            assert_eq!(
                answers.matches("HTTP/1.1 ").count(),
                calls.len(),
                "{answers}"
            );
        } else {
            for (call, end) in calls {
                client.send(call).await;
                client.receive_until(end).await;
            }
        }
        numbers.clone().expect(&layer, "all calls").await;
        server.stop().await;
        assert_eq!(Numbers::of(&layer).await, numbers);
    }
}

/// Echoes the request's body.
async fn echo<B: Body>(request: Request<B>) -> Result<Response<B>, Infallible> {
    Ok(Response::new(request.into_body()))
}

/// A body of `chunks` chunks without a length.
fn chunked(
    chunk: &'static [u8],
    times: usize,
) -> impl Body<Data = Bytes, Error = Infallible> + Unpin + Send {
    let frame = move || Ok(Frame::data(Bytes::from_static(chunk)));
    StreamBody::new(stream::iter(std::iter::repeat_with(frame).take(times)))
}

#[tokio::test]
async fn large_bodies_are_counted_completely() {
    const CHUNK: &[u8] = &[b'x'; 10_007];
    const CHUNKS: usize = 150;
    let total = (CHUNK.len() * CHUNKS) as u64;
    let layer = MetricsLayer::default();
    let server = Server::start(layer.layer(service_fn(echo::<RequestBody<Incoming>>))).await;
    let uri = format!("http://{}/", server.address());
    for http2_only in [false, true] {
        let client = Client::builder(TokioExecutor::new())
            .http2_only(http2_only)
            .build_http();
        let request = Request::post(&uri).body(chunked(CHUNK, CHUNKS)).unwrap();
        let answer = bounded("an answer", client.request(request)).await.unwrap();
        let received = bounded("its body", answer.into_body().collect()).await;
        assert_eq!(received.unwrap().to_bytes().len() as u64, total);
    }
    let numbers = (Numbers::completed() * 2).read(2 * total).taken(2 * total);
    numbers.clone().expect(&layer, "two echoes").await;
    server.stop().await;
    assert_eq!(Numbers::of(&layer).await, numbers);
}

#[tokio::test]
async fn a_caller_that_stops_reading_and_leaves_cancels_the_call() {
    const CHUNK: &[u8] = &[b'x'; 100_000];
    let layer = MetricsLayer::default();
    let service = service_fn(move |_| async move {
        Ok::<_, Infallible>(Response::new(chunked(CHUNK, usize::MAX)))
    });
    let server = Server::start(layer.layer(service)).await;

    let mut http1 = Http1::connect(&server).await;
    http1.send(GET).await;
    http1.receive_some().await;
    let mut http2 = Http2::connect(&server).await;
    let mut stream = http2.send(Request::new(()), true).await;
    stream.receive_up_to(1).await;
    let before = Numbers::of(&layer).await;
    assert_eq!(before, (Numbers::open() * 2).taken(before.response_bytes()));

    http1.reset();
    stream.reset();
    // The socket buffers decide how much hyper has taken.
    wait_until_idle(layer.registry(), BOUND).await;
    let seen = Numbers::of(&layer).await;
    assert_eq!(
        seen,
        (Numbers::cancelled() * 2).taken(seen.response_bytes())
    );
    http2.close();
    server.stop().await;
    assert_eq!(Numbers::of(&layer).await, seen);
}

#[tokio::test]
async fn an_upload_abandoned_before_it_is_read_cancels_the_call() {
    let handler = Handler::sends(abc()).reads_all().when_told();
    let layer = MetricsLayer::default();
    let server = Server::start(layer.layer(handler.clone())).await;
    let mut client = Http1::connect(&server).await;
    client
        .send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nabc")
        .await;
    Numbers::open().expect(&layer, "waiting").await;
    client.close();
    handler.tell();
    server.begin_to_stop();
    wait_until_idle(layer.registry(), BOUND).await;
    let numbers = Numbers::of(&layer).await;
    // hyper reads the response only if the client is still connected.
    assert_eq!(
        numbers,
        Numbers::cancelled().read(3).taken(numbers.response_bytes())
    );
    server.stop().await;
}

/// Responds at once. A task reads the upload and reports how it ended.
fn reads_on(
    ended: mpsc::UnboundedSender<Result<(), hyper::Error>>,
) -> impl Service<
    Request<RequestBody<Incoming>>,
    Response = Response<Scripted>,
    Error = Infallible,
    Future: Send,
> + Clone
+ Send
+ 'static {
    service_fn(move |request: Request<RequestBody<Incoming>>| {
        let ended = ended.clone();
        tokio::spawn(async move {
            let read = request.into_body().collect().await;
            ended.send(read.map(drop)).unwrap();
        });
        ready(Ok(Response::new(abc())))
    })
}

#[tokio::test]
async fn an_upload_after_the_end_of_its_call_only_counts_bytes() {
    let (ended, mut how) = mpsc::unbounded_channel();
    let layer = MetricsLayer::default();
    let server = Server::start(layer.layer(reads_on(ended))).await;

    let mut http2 = Http2::connect(&server).await;
    let mut stream = http2
        .send(Request::post("http://a/").body(()).unwrap(), false)
        .await;
    stream.upload(b"abc", false);
    stream.receive().await;
    let completed = Numbers::completed().taken(3);
    completed.clone().read(3).expect(&layer, "answered").await;
    stream.upload(b"de", false);
    completed.clone().read(5).expect(&layer, "going on").await;
    stream.reset();
    let how = bounded("its end", how.recv()).await;
    how.expect("an end").expect_err("a reset");
    http2.close();
    server.stop().await;
    assert_eq!(Numbers::of(&layer).await, completed.read(5));
}

#[test]
fn dropping_the_runtime_cancels_open_calls() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap()
    };
    let layer = MetricsLayer::default();
    let serving = runtime();
    let _clients = serving.block_on(async {
        let server = Server::start(layer.layer(Handler::hangs())).await;
        let mut http1 = Http1::connect(&server).await;
        http1.send(GET).await;
        let mut http2 = Http2::connect(&server).await;
        let stream = http2.send(Request::new(()), true).await;
        (Numbers::open() * 2).expect(&layer, "begun").await;
        (http1, http2, stream)
    });
    drop(serving);
    let numbers = runtime().block_on(Numbers::of(&layer));
    assert_eq!(numbers, Numbers::cancelled() * 2);
}

#[tokio::test]
async fn a_client_that_half_closes_is_gone_for_hyper() {
    let layer = MetricsLayer::default();
    let server = Server::start(layer.layer(Handler::hangs())).await;
    let mut client = Http1::connect(&server).await;
    client.send(GET).await;
    Numbers::open().expect(&layer, "begun").await;
    client.stop_sending().await;
    Numbers::cancelled().expect(&layer, "half-closed").await;
    server.stop().await;
}

#[tokio::test]
async fn panics_caught_outside_the_layer_are_counted() {
    let layer = MetricsLayer::default();
    let service = ServiceBuilder::new()
        .layer(CatchPanicLayer::new())
        .layer(&layer)
        .service(Handler::panics());
    let server = Server::start(service).await;
    let mut client = Http1::connect(&server).await;
    client.send(LAST_GET).await;
    let answer = client.receive_all().await;
    assert!(answer.starts_with(b"HTTP/1.1 500 "));
    Numbers::failed(ErrorType::PANIC)
        .expect(&layer, "caught")
        .await;
    server.stop().await;
}

#[tokio::test]
async fn shutdown_loses_no_call() {
    let handler = Handler::answers(promising(3, abc())).when_told();
    let layer = MetricsLayer::default();
    let server = Server::start(layer.layer(handler.clone())).await;
    let mut http1 = Http1::connect(&server).await;
    http1.send(GET).await;
    let mut http2 = Http2::connect(&server).await;
    let mut stream = http2.send(Request::new(()), true).await;
    let idle = Http1::connect(&server).await;
    (Numbers::open() * 2).expect(&layer, "begun").await;

    server.begin_to_stop();
    (Numbers::open() * 2).expect(&layer, "stopping").await;
    handler.tell();
    handler.tell();
    let (answer, received) = tokio::join!(http1.receive_all(), stream.receive());
    assert!(answer.ends_with(b"\r\n\r\nabc"));
    assert_eq!(received.data, b"abc");
    drop((idle, stream));
    server.stop().await;
    let numbers = (Numbers::completed() * 2).taken(6);
    assert_eq!(Numbers::of(&layer).await, numbers);
}
