//! Compressed pages, as a service and on the wire.

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use futures_util::FutureExt;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, DATE,
    TRANSFER_ENCODING, VARY,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use std::fmt::Write as _;
use std::io::Read;
use std::net::SocketAddr;
use std::task::Poll;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tower::{Layer, ServiceExt};
use tower_http::compression::CompressionLayer;
use tower_openmetrics::exporter::Body;
use tower_openmetrics::{Clock, MetricsExporter, MetricsRegistry};

const OPEN_METRICS: &str = "application/openmetrics-text";

/// The most bytes that are sent in one turn.
const PIECE: usize = 64 * 1024;

/// Returns an exporter whose page has only the uptime.
fn small() -> MetricsExporter {
    MetricsRegistry::with_clock(Clock::manual()).exporter()
}

/// Returns an exporter whose page takes several turns, compressed or not.
fn large() -> MetricsExporter {
    let registry = MetricsRegistry::with_clock(Clock::manual());
    let mut text = "# HELP cells Readings\n# TYPE cells gauge\n".to_owned();
    for cell in 0..5_000_u64 {
        let reading = cell.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        writeln!(
            text,
            "cells{{cell=\"{cell}\",place=\"{reading:x}\"}} {cell}"
        )
        .unwrap();
    }
    registry
        .include_with(move |page| page.write_str(&text))
        .unwrap();
    registry.exporter()
}

fn request<B>(method: Method, accept: &str, coding: &str, body: B) -> Request<B> {
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = "/metrics".parse().unwrap();
    let headers = request.headers_mut();
    headers.insert(ACCEPT, accept.parse().unwrap());
    for line in coding.lines() {
        headers.append(ACCEPT_ENCODING, line.parse().unwrap());
    }
    request
}

async fn call(exporter: MetricsExporter, method: Method, coding: &str) -> Response<Body> {
    let request = request(method, OPEN_METRICS, coding, ());
    exporter.oneshot(request).await.unwrap()
}

async fn content<B>(response: Response<B>) -> Bytes
where
    B: http_body::Body<Data = Bytes, Error: std::fmt::Debug>,
{
    response.into_body().collect().await.unwrap().to_bytes()
}

/// Returns how many turns the page takes in this coding.
async fn turns(exporter: &MetricsExporter, coding: &str) -> usize {
    let response = call(exporter.clone(), Method::HEAD, coding).await;
    let length = response.headers()[CONTENT_LENGTH].to_str().unwrap();
    length.parse::<usize>().unwrap().div_ceil(PIECE)
}

fn gunzip(compressed: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    MultiGzDecoder::new(compressed)
        .read_to_end(&mut plain)
        .expect("gzip");
    plain
}

/// Returns all headers but the date, which may change between responses.
fn comparable(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    headers.remove(DATE);
    headers
}

async fn bounded<F: Future>(test: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(20), test)
        .await
        .expect("the test ends in time")
}

async fn serve(exporter: MetricsExporter) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = TowerToHyperService::new(exporter);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let service = service.clone();
            tokio::spawn(async move {
                let server = auto::Builder::new(TokioExecutor::new());
                let _ = server.serve_connection(TokioIo::new(socket), service).await;
            });
        }
    });
    address
}

async fn http1(address: SocketAddr, method: Method, coding: &str) -> Response<Incoming> {
    let socket = TcpStream::connect(address).await.unwrap();
    let (mut client, connection) = conn::http1::handshake(TokioIo::new(socket)).await.unwrap();
    tokio::spawn(connection);
    let request = request(method, OPEN_METRICS, coding, Empty::<Bytes>::new());
    client.send_request(request).await.unwrap()
}

async fn http2(address: SocketAddr, method: Method, coding: &str) -> Response<Incoming> {
    let socket = TcpStream::connect(address).await.unwrap();
    let (mut client, connection) =
        conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket))
            .await
            .unwrap();
    tokio::spawn(connection);
    let mut request = request(method, OPEN_METRICS, coding, Empty::<Bytes>::new());
    *request.uri_mut() = format!("http://{address}/metrics").parse().unwrap();
    client.send_request(request).await.unwrap()
}

// === as a service ===

#[tokio::test]
async fn an_accepted_coding_is_used_and_no_header_fails_a_scrape() {
    let exporter = large();
    let zstd = |or| {
        if cfg!(feature = "zstd") {
            Some("zstd")
        } else {
            or
        }
    };
    for (accept, expected) in [
        ("", None),
        ("identity", None),
        ("identity;q=0", None),
        ("gzip;q=0, identity;q=0, *;q=0", None),
        ("br, deflate", None),
        (";;,=\",q=1", None),
        ("gzip", Some("gzip")),
        ("gzip, deflate, br, zstd", Some("gzip")),
        ("br\nidentity;q=1, gzip;q=0.1", Some("gzip")),
        ("*", Some("gzip")),
        ("zstd, gzip", zstd(Some("gzip"))),
        ("zstd", zstd(None)),
    ] {
        let response = call(exporter.clone(), Method::GET, accept).await;
        assert_eq!(response.status(), StatusCode::OK, "{accept:?}");
        let headers = response.headers();
        let used = headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes);
        assert_eq!(used, expected.map(str::as_bytes), "{accept:?}");
        let vary: Vec<_> = headers.get_all(VARY).iter().collect();
        assert_eq!(vary, ["Accept, Accept-Encoding"], "{accept:?}");
        let length = headers[CONTENT_LENGTH].clone();
        assert_eq!(length, content(response).await.len().to_string());
    }
}

#[tokio::test]
async fn decoded_gzip_is_the_plain_page() {
    let exporter = large();
    for accept in [OPEN_METRICS, "text/plain"] {
        let scrape = |coding| {
            exporter
                .clone()
                .oneshot(request(Method::GET, accept, coding, ()))
        };
        let plain = scrape("").await.unwrap();
        let compressed = scrape("gzip").await.unwrap();
        assert_eq!(
            compressed.headers()[CONTENT_TYPE],
            plain.headers()[CONTENT_TYPE]
        );
        let (plain, compressed) = (content(plain).await, content(compressed).await);
        assert!(plain.len() > 3 * PIECE);
        assert!(compressed.len() < plain.len() / 2);
        assert!(gunzip(&compressed) == plain, "the same page");
    }
}

#[cfg(feature = "zstd")]
#[tokio::test]
async fn decoded_zstd_is_the_plain_page() {
    let exporter = large();
    let plain = content(call(exporter.clone(), Method::GET, "").await).await;
    let compressed = content(call(exporter, Method::GET, "zstd").await).await;
    assert!(compressed.len() < plain.len() / 2);
    let mut decoded = Vec::new();
    ruzstd::decoding::StreamingDecoder::new(&*compressed)
        .expect("zstd")
        .read_to_end(&mut decoded)
        .expect("zstd");
    assert!(decoded == plain, "the same page");
}

#[tokio::test]
async fn a_small_page_is_not_compressed() {
    for method in [Method::GET, Method::POST] {
        let response = call(small(), method, "gzip").await;
        assert!(!response.headers().contains_key(CONTENT_ENCODING));
        let length = response.headers()[CONTENT_LENGTH].clone();
        assert_eq!(content(response).await.len().to_string(), length);
    }
}

#[tokio::test]
async fn head_has_the_headers_of_get() {
    for (exporter, coding) in [(small(), "gzip"), (large(), "gzip"), (large(), "")] {
        let get = call(exporter.clone(), Method::GET, coding).await;
        let head = call(exporter, Method::HEAD, coding).await;
        assert_eq!(head.headers(), get.headers());
        assert!(content(head).await.is_empty());
    }
}

#[tokio::test]
async fn scrapes_of_different_codings_do_not_share_a_page() {
    let exporter = large();
    let scrape = |coding| call(exporter.clone(), Method::GET, coding);
    let (plain, compressed) = tokio::join!(scrape(""), scrape("gzip"));
    assert!(!plain.headers().contains_key(CONTENT_ENCODING));
    assert_eq!(compressed.headers()[CONTENT_ENCODING], "gzip");
    let (plain, compressed) = (content(plain).await, content(compressed).await);
    assert!(gunzip(&compressed) == plain, "the same page");
}

#[tokio::test]
async fn a_compression_layer_does_not_compress_the_page_again() {
    let exporter = large();
    let plain = content(call(exporter.clone(), Method::GET, "").await).await;
    let layered = CompressionLayer::new().layer(exporter);
    let request = request(Method::GET, OPEN_METRICS, "gzip", ());
    let response = layered.oneshot(request).await.unwrap();
    let codings: Vec<_> = response
        .headers()
        .get_all(CONTENT_ENCODING)
        .iter()
        .collect();
    assert_eq!(codings, ["gzip"]);
    assert_eq!(response.headers()[VARY], "Accept, Accept-Encoding");
    assert!(gunzip(&content(response).await) == plain, "the same page");
}

/// Without a runtime everything runs on this thread, whose allocations are counted.
#[test]
fn a_compressed_page_takes_as_much_memory_as_it_is_long() {
    let exporter = large();
    let mut response = None;
    let kept = allocation_counter::measure(|| {
        response = call(exporter, Method::GET, "gzip").now_or_never();
    });
    let response = response.expect("there at once");
    let length = response.body().size_hint().exact().unwrap();
    // The rest is the response's head and the exporter's list of permits.
    let most = length as i64 + 2_048;
    assert!(
        kept.bytes_current <= most,
        "{} of {most}",
        kept.bytes_current
    );
}

/// Without a runtime everything runs on this thread, and a task that yields is woken at once.
#[test]
fn other_tasks_are_polled_between_pieces() {
    let exporter = large();
    for coding in ["", "gzip"] {
        let expected = turns(&exporter, coding).now_or_never();
        let expected = expected.expect("there at once");
        assert!(expected > 1, "{coding:?}");
        let response = call(exporter.clone(), Method::GET, coding).now_or_never();
        let mut body = response.expect("there at once").into_body();
        let mut task = tokio_test::task::spawn(());
        let mut turns = 1;
        loop {
            match task.enter(|cx, _| std::pin::Pin::new(&mut body).poll_frame(cx)) {
                Poll::Ready(Some(frame)) => {
                    let frame = frame.unwrap().into_data().unwrap();
                    assert!(frame.len() <= PIECE, "{coding:?}");
                }
                Poll::Ready(None) => break,
                Poll::Pending => {
                    assert!(task.is_woken(), "{coding:?}");
                    turns += 1;
                }
            }
        }
        assert_eq!(turns, expected, "{coding:?}");
    }
}

/// The future of `block_on` is polled together with the runtime's timers and sockets: after at most 61
/// polls of tasks, or as soon as no task is awake.
#[tokio::test]
async fn timers_and_sockets_are_polled_between_pieces() {
    let exporter = large();
    for coding in ["", "gzip"] {
        let expected = turns(&exporter, coding).await;
        let response = call(exporter.clone(), Method::GET, coding).await;
        let reading = tokio::spawn(content(response));
        let mut turns = 0;
        while !reading.is_finished() {
            turns += 1;
            tokio::task::yield_now().await;
        }
        assert!(turns >= expected, "{coding:?}: {turns} of {expected}");
    }
}

// === on the wire ===

#[tokio::test]
async fn hyper_sends_it_over_http1() {
    bounded(async {
        let address = serve(large()).await;
        let plain = content(http1(address, Method::GET, "").await).await;
        let get = http1(address, Method::GET, "gzip").await;
        let head = http1(address, Method::HEAD, "gzip").await;
        assert_eq!(comparable(head.headers()), comparable(get.headers()));
        assert_eq!(get.headers()[CONTENT_ENCODING], "gzip");
        assert!(!get.headers().contains_key(TRANSFER_ENCODING));
        assert!(get.headers().contains_key(CONTENT_LENGTH));
        assert!(content(head).await.is_empty());
        assert!(gunzip(&content(get).await) == plain, "the same page");
    })
    .await;
}

#[tokio::test]
async fn hyper_sends_it_over_http2() {
    bounded(async {
        let address = serve(large()).await;
        let plain = content(http2(address, Method::GET, "").await).await;
        let get = http2(address, Method::GET, "gzip").await;
        let head = http2(address, Method::HEAD, "gzip").await;
        assert_eq!(comparable(head.headers()), comparable(get.headers()));
        assert_eq!(get.headers()[CONTENT_ENCODING], "gzip");
        assert!(get.headers().contains_key(CONTENT_LENGTH));
        assert!(content(head).await.is_empty());
        assert!(gunzip(&content(get).await) == plain, "the same page");
    })
    .await;
}
