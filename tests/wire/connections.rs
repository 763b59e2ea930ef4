//! Whole connections: several calls on one, large bodies, shutdown.

use crate::wire_support::{
    Handler, Handlers, Http1, Http2, Numbers, Scripted, Server, bounded, data,
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
use tower_openmetrics::{ErrorType, MetricsLayer, RequestBody};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const LAST_GET: &str = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

fn abc() -> Scripted {
    Scripted::new([data("abc")])
}

#[tokio::test]
async fn one_connection_carries_many_calls() {
    let handlers = Handlers::from_iter([
        Handler::sends(abc()),
        Handler::answers(promising(3, abc())),
        Handler::answers(status(204, Scripted::default())),
        Handler::answers(status(500, abc())),
        Handler::sends(abc()).reads_all(),
    ]);
    #[rustfmt::skip] // a table: what is sent, and how the answer ends
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

/// Reads the request's body and sends it back, as it comes.
async fn echo<B: Body>(request: Request<B>) -> Result<Response<B>, Infallible> {
    Ok(Response::new(request.into_body()))
}

/// A body of so many chunks, of unknown length.
fn chunked(
    chunk: &'static [u8],
    times: usize,
) -> impl Body<Data = Bytes, Error = Infallible> + Unpin + Send {
    let frame = move || Ok(Frame::data(Bytes::from_static(chunk)));
    StreamBody::new(stream::iter(std::iter::repeat_with(frame).take(times)))
}

#[tokio::test]
async fn every_byte_of_large_bodies_is_counted() {
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
async fn callers_that_stop_reading_and_then_leave() {
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
    // How much of it hyper took depends on the sockets' buffers.
    let seen = Numbers::at_rest(&layer).await;
    assert_eq!(
        seen,
        (Numbers::cancelled() * 2).taken(seen.response_bytes())
    );
    http2.close();
    server.stop().await;
    assert_eq!(Numbers::of(&layer).await, seen);
}

#[tokio::test]
async fn an_upload_abandoned_before_it_is_read() {
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
    let numbers = Numbers::at_rest(&layer).await;
    // The answer is taken only if there is somebody to write it to by then.
    assert_eq!(
        numbers,
        Numbers::cancelled().read(3).taken(numbers.response_bytes())
    );
    server.stop().await;
}

/// Answers at once, and has the upload read by a task that says how that ended.
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
async fn an_upload_that_outlives_its_call_moves_bytes_only() {
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
fn a_runtime_that_is_dropped_cancels_what_it_held() {
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
async fn who_stops_sending_is_gone_to_hyper() {
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
async fn panics_caught_outside_are_counted_inside() {
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
