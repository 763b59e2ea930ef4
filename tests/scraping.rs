//! Scrapes leave the service alone: limits, deadlines, slow readers, and the turns of other tasks.

use bytes::Bytes;
use futures_util::FutureExt;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, VARY};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use prometheus_client::metrics::gauge::Gauge;
use std::any::Any;
use std::fmt::Write as _;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::Duration;
use tokio::io::DuplexStream;
use tokio::sync::mpsc as tasks;
use tokio::task::JoinHandle;
use tokio_test::assert_pending;
use tower::ServiceExt;
use tower_openmetrics::exporter::Body;
use tower_openmetrics::{Clock, MetricsExporter, MetricsRegistry};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// The time after which a test that hangs fails.
const LONG: Duration = Duration::from_secs(20);

/// Returns a registry whose page has several pieces.
fn large() -> MetricsRegistry {
    cells(5_000)
}

/// Returns a registry whose page exceeds the buffers of a server.
fn vast() -> MetricsRegistry {
    cells(20_000)
}

fn cells(count: u64) -> MetricsRegistry {
    let registry = MetricsRegistry::with_clock(Clock::manual());
    let mut text = "# HELP cells Readings\n# TYPE cells gauge\n".to_owned();
    for cell in 0..count {
        let reading = cell.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        writeln!(text, "cells{{place=\"{reading:x}\"}} {cell}").unwrap();
    }
    registry
        .include_with(move |page| page.write_str(&text))
        .unwrap();
    registry
}

/// A registry whose page is not ready until the test calls `end`.
struct Held {
    registry: MetricsRegistry,
    begun: tasks::UnboundedReceiver<usize>,
    end: mpsc::Sender<()>,
}

impl Held {
    /// The metric `renderings` counts how often the page was rendered.
    fn new() -> Self {
        let registry = MetricsRegistry::with_clock(Clock::manual());
        let (tell, begun) = tasks::unbounded_channel();
        let (end, ends) = mpsc::channel();
        let ends = Mutex::new(ends);
        let renderings = AtomicUsize::new(0);
        let collector = move |page: &mut String| {
            let rendering = renderings.fetch_add(1, Ordering::Relaxed);
            // The first rendering is part of the registration.
            if rendering > 0 {
                tell.send(rendering).unwrap();
                ends.lock().unwrap().recv_timeout(LONG).unwrap();
            }
            write!(page, "# TYPE renderings gauge\nrenderings {rendering}\n")
        };
        let with_help = move |page: &mut String| {
            page.push_str("# HELP renderings So many\n");
            collector(page)
        };
        registry.include_with(with_help).unwrap();
        Self {
            registry,
            begun,
            end,
        }
    }

    /// Waits until a rendering has begun, and returns its number.
    async fn begun(&mut self) -> usize {
        self.begun.recv().await.unwrap()
    }

    fn end(&self) {
        self.end.send(()).unwrap();
    }
}

fn get() -> Request<()> {
    Request::get("/metrics").body(()).unwrap()
}

async fn scrape(exporter: &MetricsExporter) -> Response<Body> {
    exporter.clone().oneshot(get()).await.unwrap()
}

async fn status(exporter: &MetricsExporter) -> StatusCode {
    scrape(exporter).await.status()
}

async fn text(response: Response<Body>) -> String {
    let body = response.into_body().collect().await.unwrap();
    String::from_utf8(body.to_bytes().into()).unwrap()
}

/// Asserts that the response is a 503 whose text contains `named`.
async fn assert_unavailable(response: Response<Body>, named: &str) {
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        response.headers()[CONTENT_TYPE],
        "text/plain; charset=utf-8"
    );
    assert_eq!(response.headers()[VARY], "Accept, Accept-Encoding");
    let length = response.headers()[CONTENT_LENGTH].clone();
    let text = text(response).await;
    assert_eq!(length, text.len().to_string());
    assert!(text.contains(named), "{text}");
}

// === limits ===

#[tokio::test(start_paused = true)]
async fn scrapes_in_flight_are_limited() {
    let exporter = large().exporter().concurrent_scrapes(2);
    let mut read = scrape(&exporter).await;
    let dropped = scrape(&exporter).await;
    assert_unavailable(scrape(&exporter).await, "limit of 2").await;

    // The exporter is still ready, and other methods are still answered.
    let mut other = exporter.clone();
    let ready = ServiceExt::<Request<()>>::ready(&mut other).now_or_never();
    assert!(ready.is_some());
    let post = Request::post("/metrics").body(()).unwrap();
    let response = exporter.clone().oneshot(post).await.unwrap();
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);

    drop(dropped);
    let next = scrape(&exporter).await;
    assert_eq!(next.status(), StatusCode::OK);
    assert_eq!(status(&exporter).await, StatusCode::SERVICE_UNAVAILABLE);

    // A body that has ended need not be dropped.
    while read.body_mut().frame().await.is_some() {}
    assert_eq!(status(&exporter).await, StatusCode::OK);
    drop(next);
}

#[tokio::test(start_paused = true)]
async fn the_limit_defaults_to_eight_and_is_at_least_one() {
    for (exporter, limit) in [
        (large().exporter(), 8),
        (large().exporter().concurrent_scrapes(0), 1),
    ] {
        let mut in_flight = Vec::new();
        for _ in 0..limit {
            let response = scrape(&exporter).await;
            assert_eq!(response.status(), StatusCode::OK);
            in_flight.push(response);
        }
        assert_unavailable(scrape(&exporter).await, &format!("limit of {limit}")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn head_and_error_responses_keep_no_permit() {
    let exporter = large().exporter().concurrent_scrapes(1);
    let mut kept = Vec::new();
    for coding in ["gzip", "identity"] {
        let request = Request::head("/metrics").header(ACCEPT_ENCODING, coding);
        let request = request.body(()).unwrap();
        let response = exporter.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        kept.push(response);
    }
    kept.push(scrape(&exporter).await);
    let full = scrape(&exporter).await;
    kept.remove(2);
    assert_eq!(full.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(status(&exporter).await, StatusCode::OK);
}

#[tokio::test]
async fn a_cancelled_scrape_releases_its_permit() {
    let mut held = Held::new();
    let exporter = held.registry.exporter().concurrent_scrapes(1);
    let unpolled = exporter.clone().oneshot(get());
    let mut waiting = tokio_test::task::spawn(exporter.clone().oneshot(get()));
    assert_pending!(waiting.poll());
    assert_eq!(held.begun().await, 1);
    assert_unavailable(scrape(&exporter).await, "limit of 1").await;
    drop(waiting);

    let mut next = tokio_test::task::spawn(exporter.clone().oneshot(get()));
    assert_pending!(next.poll());
    held.end();
    held.end();
    let response = next.await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    drop((response, unpolled));
}

// === deadlines ===

#[tokio::test(start_paused = true)]
async fn a_page_that_takes_too_long_to_write_is_a_503() {
    let mut held = Held::new();
    let exporter = held.registry.exporter().deadline(10 * SECOND);
    for (header, deadline) in [("2.5", 2.5), ("11", 10.0), ("now", 10.0)] {
        let request =
            Request::get("/metrics").header("X-Prometheus-Scrape-Timeout-Seconds", header);
        let request = request.body(()).unwrap();
        let mut waiting = tokio_test::task::spawn(exporter.clone().oneshot(request));
        assert_pending!(waiting.poll());
        held.begun().await;
        let deadline = Duration::from_secs_f64(deadline);
        tokio::time::advance(deadline - Duration::from_millis(1)).await;
        assert_pending!(waiting.poll());
        tokio::time::advance(Duration::from_millis(1)).await;
        let response = waiting.await.unwrap();
        assert_unavailable(response, &format!("deadline of {deadline:?}")).await;
        held.end();
    }
    // The next scrape is in time and works.
    held.end();
    assert_eq!(status(&exporter).await, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn the_body_of_a_page_that_takes_too_long_to_read_fails() {
    let exporter = cells(10_000).exporter().deadline(10 * SECOND);
    for coding in ["identity", "gzip"] {
        let request = Request::get("/metrics").header(ACCEPT_ENCODING, coding);
        let request = request.body(()).unwrap();
        let response = exporter.clone().oneshot(request).await.unwrap();
        let mut body = response.into_body();
        body.frame().await.unwrap().unwrap();
        tokio::time::advance(10 * SECOND).await;
        let error = body.frame().await.unwrap().unwrap_err().to_string();
        assert!(error.contains("deadline of 10s"), "{coding}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_scrape_past_its_deadline_does_not_block_others() {
    let exporter = cells(10_000)
        .exporter()
        .concurrent_scrapes(1)
        .deadline(10 * SECOND);
    let mut late = scrape(&exporter).await.into_body();
    // The reader is slow, but reads.
    for _ in 0..4 {
        late.frame().await.unwrap().unwrap();
        tokio::time::advance(5 * SECOND / 2 - Duration::from_millis(1)).await;
        assert_eq!(status(&exporter).await, StatusCode::SERVICE_UNAVAILABLE);
    }
    tokio::time::advance(Duration::from_millis(4)).await;
    let in_time = scrape(&exporter).await;
    assert_eq!(in_time.status(), StatusCode::OK);
    let error = late.frame().await.unwrap().unwrap_err().to_string();
    assert!(error.contains("deadline of 10s"), "{error}");
    // The other scrape has the permit now.
    drop(late);
    assert_eq!(status(&exporter).await, StatusCode::SERVICE_UNAVAILABLE);
    text(in_time).await;
    assert_eq!(status(&exporter).await, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_stalled_body_does_not_block_others() {
    let exporter = large().exporter().deadline(HOUR);
    let mut stalled = Vec::new();
    for _ in 0..8 {
        stalled.push(scrape(&exporter).await.into_body());
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    assert_eq!(status(&exporter).await, StatusCode::SERVICE_UNAVAILABLE);
    stalled[0].frame().await.unwrap().unwrap();
    tokio::time::advance(5 * SECOND).await;
    let response = scrape(&exporter).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(text(response).await.ends_with("\nuptime_seconds 0.0\n"));
    // Only the body that had stalled longest lost its permit.
    for (reader, body) in stalled.into_iter().enumerate() {
        let read = body.collect().await;
        assert_eq!(read.is_err(), reader == 1, "{reader}");
        if let Err(error) = read {
            assert!(error.to_string().contains("took nothing for 5s"));
        }
    }
}

// === one rendering at a time ===

#[tokio::test]
async fn scrapes_share_a_rendering_that_has_not_begun() {
    let mut held = Held::new();
    let exporter = held.registry.exporter();
    let scrape = |accept: &str, query: &str| {
        let request = Request::get(format!("/metrics{query}")).header(ACCEPT, accept);
        let request = request.body(()).unwrap();
        let mut scrape = tokio_test::task::spawn(exporter.clone().oneshot(request));
        assert_pending!(scrape.poll());
        scrape
    };
    let first = scrape("text/plain", "");
    assert_eq!(held.begun().await, 1);
    // These scrapes come after the rendering has begun. Some want the same page, some another one.
    let waiting = [
        first,
        scrape("text/plain", ""),
        scrape("application/openmetrics-text", ""),
        scrape("text/plain", ""),
        scrape("text/plain", "?name[]=renderings"),
        scrape("*/*", "?name=none"),
        scrape("text/html", "?name[]=renderings"),
    ];
    (0..4).for_each(|_| held.end());

    let mut shown = Vec::new();
    for scrape in waiting {
        let page = text(scrape.await.unwrap()).await;
        let line = page.lines().find(|line| line.starts_with("renderings "));
        shown.push(line.expect("the count").to_owned());
    }
    let expected = [1, 2, 3, 2, 4, 2, 4].map(|rendering| format!("renderings {rendering}"));
    assert_eq!(shown, expected);
}

#[tokio::test]
async fn a_page_that_no_scrape_waits_for_is_not_rendered() {
    let mut held = Held::new();
    let exporter = held.registry.exporter();
    let mut first = tokio_test::task::spawn(exporter.clone().oneshot(get()));
    assert_pending!(first.poll());
    assert_eq!(held.begun().await, 1);
    let mut dropped = tokio_test::task::spawn(exporter.clone().oneshot(get()));
    assert_pending!(dropped.poll());
    drop(dropped);
    held.end();
    first.await.unwrap();

    held.end();
    let page = text(scrape(&exporter).await).await;
    assert!(page.contains("\nrenderings 2\n"), "{page}");
}

/// Scrapes when it is dropped.
struct LastScrape(MetricsExporter, tasks::UnboundedSender<()>);

impl Drop for LastScrape {
    fn drop(&mut self) {
        let scraped = scrape(&self.0).now_or_never();
        assert!(scraped.is_none());
        self.1.send(()).unwrap();
    }
}

#[tokio::test]
async fn a_function_of_users_is_dropped_while_no_lock_is_held() {
    let mut held = Held::new();
    let exporter = held.registry.exporter();
    let (tell, mut dropped) = tasks::unbounded_channel();
    let last = LastScrape(exporter.clone(), tell);
    let reporting = exporter.clone().continue_on_error(move |_| {
        let _owned = &last;
    });
    let mut first = tokio_test::task::spawn(exporter.oneshot(get()));
    assert_pending!(first.poll());
    assert_eq!(held.begun().await, 1);
    // The queue of renderings is all that still has the function.
    let mut left = tokio_test::task::spawn(reporting.oneshot(get()));
    assert_pending!(left.poll());
    drop(left);
    held.end();
    let dropped = tokio::time::timeout(LONG, dropped.recv()).await;
    dropped.expect("no thread waits for itself").unwrap();
    first.await.unwrap();
}

#[tokio::test]
async fn a_rendering_does_not_block_tasks() {
    // All tasks share one thread, and the page is ready only once another task has run.
    let mut held = Held::new();
    let exporter = held.registry.exporter();
    let scraping = tokio::spawn(async move { status(&exporter).await });
    held.begun().await;
    tokio::spawn(async move { held.end() }).await.unwrap();
    assert_eq!(scraping.await.unwrap(), StatusCode::OK);
}

#[test]
fn it_works_without_a_runtime() {
    let exporter = large().exporter().deadline(LONG);
    let response = exporter.clone().oneshot(get()).now_or_never();
    let response = response.expect("there at once").unwrap();
    assert_eq!(response.status(), StatusCode::OK);

    let late = exporter.deadline(Duration::ZERO);
    let response = late.oneshot(get()).now_or_never();
    let response = response.expect("there at once").unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[test]
fn an_exporter_outlives_its_runtime() {
    let exporter = large().exporter();
    for _ in 0..2 {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        assert_eq!(runtime.block_on(status(&exporter)), StatusCode::OK);
        // The runtime is dropped before this scrape runs.
        let left = exporter.clone();
        runtime.spawn(async move { status(&left).await });
    }
    // Nothing runs on a runtime that has been shut down.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let handle = runtime.handle().clone();
    drop(runtime);
    let within = handle.enter();
    let response = exporter.clone().oneshot(get()).now_or_never();
    let status = response.expect("there at once").unwrap().status();
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    drop(within);
    let response = exporter.oneshot(get()).now_or_never();
    let status = response.expect("there at once").unwrap().status();
    assert_eq!(status, StatusCode::OK);
}

// === over a connection ===

/// The buffer size of a connection.
const NARROW: usize = 1024;

/// Serves one connection. Returns the client's end and the server's task.
fn serve(exporter: &MetricsExporter) -> (DuplexStream, JoinHandle<()>) {
    let (client, server) = tokio::io::duplex(NARROW);
    let service = TowerToHyperService::new(exporter.clone());
    let serving = tokio::spawn(async move {
        let server_builder = auto::Builder::new(TokioExecutor::new());
        let connection = server_builder.serve_connection(TokioIo::new(server), service);
        let _ = connection.await;
    });
    (client, serving)
}

fn request() -> Request<Empty<Bytes>> {
    Request::get("http://test/metrics")
        .body(Empty::new())
        .unwrap()
}

/// Returns the response and the task of the client's connection.
async fn http1(client: DuplexStream) -> (Response<Incoming>, JoinHandle<()>) {
    let (mut send, connection) = conn::http1::handshake(TokioIo::new(client)).await.unwrap();
    let driving = tokio::spawn(async move { drop(connection.await) });
    (send.send_request(request()).await.unwrap(), driving)
}

async fn http2(client: DuplexStream) -> (Response<Incoming>, JoinHandle<()>) {
    let (mut send, connection) = conn::http2::handshake(TokioExecutor::new(), TokioIo::new(client))
        .await
        .unwrap();
    let driving = tokio::spawn(async move { drop(connection.await) });
    (send.send_request(request()).await.unwrap(), driving)
}

async fn check_slow_reader<F>(connect: impl Fn(DuplexStream) -> F)
where
    F: Future<Output = (Response<Incoming>, JoinHandle<()>)>,
{
    let registry = vast();
    let exporter = registry
        .exporter()
        .concurrent_scrapes(1)
        .deadline(10 * SECOND);

    // A reader that reads nothing keeps the permit, but blocks nothing else.
    let (client, serving) = serve(&exporter);
    let (stalled, driving) = connect(client).await;
    assert_eq!(stalled.status(), StatusCode::OK);
    let (client, _) = serve(&exporter);
    let (refused, _) = connect(client).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    registry
        .register("more", "One more", Gauge::<i64>::default())
        .unwrap();

    // The reader hangs up.
    driving.abort();
    drop(stalled);
    serving.await.unwrap();
    let (client, _) = serve(&exporter);
    let (in_time, _) = connect(client).await;
    assert_eq!(in_time.status(), StatusCode::OK);
    let page = in_time.into_body().collect().await.unwrap().to_bytes();
    assert!(page.ends_with(b"uptime_seconds 0.0\n"), "the whole page");

    // A reader that stalls past its deadline loses the permit, and its body fails.
    let (client, _) = serve(&exporter);
    let (stalled, _) = connect(client).await;
    tokio::time::advance(10 * SECOND).await;
    let (client, _) = serve(&exporter);
    let (in_time, _) = connect(client).await;
    assert_eq!(in_time.status(), StatusCode::OK);
    assert!(stalled.into_body().collect().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_over_http1_keeps_only_its_permit() {
    check_slow_reader(http1).await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_over_http2_keeps_only_its_permit() {
    check_slow_reader(http2).await;
}

/// The readers send a request and then read nothing, over both protocols.
#[tokio::test(start_paused = true)]
async fn stalled_connections_do_not_block_others() {
    let registry = vast();
    let exporter = registry.exporter().concurrent_scrapes(4).deadline(HOUR);
    let mut stalled: Vec<Pin<Box<dyn Any>>> = Vec::new();
    for _ in 0..2 {
        let (client, _) = serve(&exporter);
        let handshake = conn::http1::handshake(TokioIo::new(client));
        let (mut send, connection) = handshake.await.unwrap();
        stalled.push(begun(send.send_request(request()), connection).await);

        // The window keeps the client from buffering a body that is not read.
        let (client, _) = serve(&exporter);
        let handshake = conn::http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(1_024)
            .handshake(TokioIo::new(client));
        let (mut send, connection) = handshake.await.unwrap();
        stalled.push(begun(send.send_request(request()), connection).await);
    }
    // The servers fill their buffers.
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(status(&exporter).await, StatusCode::SERVICE_UNAVAILABLE);
    tokio::time::advance(5 * SECOND).await;
    for _ in 0..2 {
        let (client, _) = serve(&exporter);
        let (in_time, _) = http1(client).await;
        assert_eq!(in_time.status(), StatusCode::OK);
        let page = in_time.into_body().collect().await.unwrap().to_bytes();
        assert!(page.ends_with(b"uptime_seconds 0.0\n"), "the whole page");
    }
}

/// Drives the connection until the answer has begun, and returns both.
async fn begun<C>(
    response: impl Future<Output = hyper::Result<Response<Incoming>>>,
    connection: C,
) -> Pin<Box<dyn Any>>
where
    C: Future<Output = hyper::Result<()>> + 'static,
{
    let mut connection = Box::pin(connection);
    let response = tokio::select! {
        response = response => response.unwrap(),
        _ = &mut connection => panic!("the connection ended before the response"),
    };
    assert_eq!(response.status(), StatusCode::OK);
    Box::pin((response, connection))
}
