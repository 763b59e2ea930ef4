//! That scraping never hurts: limits, deadlines, slow readers, and who gets to work meanwhile.

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

/// For what must not take long but has no other way to fail than not to end.
const LONG: Duration = Duration::from_secs(20);

/// A page of several slices.
fn large() -> MetricsRegistry {
    cells(5_000)
}

/// A page of more than what a server buffers for a reader that reads nothing.
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

/// A registry whose page takes until it is told to be ready, and how to tell it.
struct Held {
    registry: MetricsRegistry,
    begun: tasks::UnboundedReceiver<usize>,
    end: mpsc::Sender<()>,
}

impl Held {
    /// It shows in `renderings` how often it was rendered.
    fn new() -> Self {
        let registry = MetricsRegistry::with_clock(Clock::manual());
        let (tell, begun) = tasks::unbounded_channel();
        let (end, ends) = mpsc::channel();
        let ends = Mutex::new(ends);
        let renderings = AtomicUsize::new(0);
        let collector = move |page: &mut String| {
            let rendering = renderings.fetch_add(1, Ordering::Relaxed);
            // The first one is that of the registration.
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

    /// Waits until a rendering is at it.
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

/// That it is a 503 whose text holds this.
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

// === a limit ===

#[tokio::test(start_paused = true)]
async fn scrapes_in_flight_are_limited() {
    let exporter = large().exporter().concurrent_scrapes(2);
    let mut read = scrape(&exporter).await;
    let dropped = scrape(&exporter).await;
    assert_unavailable(scrape(&exporter).await, "limit of 2").await;

    // Still ready, and other methods are told as ever.
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

    // Its body is not dropped, but there is nothing left in it.
    while read.body_mut().frame().await.is_some() {}
    assert_eq!(status(&exporter).await, StatusCode::OK);
    drop(next);
}

#[tokio::test(start_paused = true)]
async fn there_are_eight_places_unless_told_otherwise_and_one_at_least() {
    for (exporter, places) in [
        (large().exporter(), 8),
        (large().exporter().concurrent_scrapes(0), 1),
    ] {
        let mut in_flight = Vec::new();
        for _ in 0..places {
            let response = scrape(&exporter).await;
            assert_eq!(response.status(), StatusCode::OK);
            in_flight.push(response);
        }
        assert_unavailable(scrape(&exporter).await, &format!("limit of {places}")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn head_and_what_is_no_page_keep_no_place() {
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
async fn a_cancelled_scrape_gives_up_its_place() {
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
    // The next one that is in time works.
    held.end();
    assert_eq!(status(&exporter).await, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_page_that_takes_too_long_to_read_breaks_off() {
    let exporter = large().exporter().deadline(10 * SECOND);
    for coding in ["identity", "gzip"] {
        let request = Request::get("/metrics").header(ACCEPT_ENCODING, coding);
        let request = request.body(()).unwrap();
        let response = exporter.clone().oneshot(request).await.unwrap();
        let mut body = response.into_body();
        body.frame().await.unwrap().unwrap();
        tokio::time::advance(10 * SECOND).await;
        let error = loop {
            // What was compressed before may be read yet.
            match body.frame().await.expect("no end") {
                Ok(_) => {}
                Err(error) => break error.to_string(),
            }
        };
        assert!(error.contains("deadline of 10s"), "{coding}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_late_does_not_keep_others_from_scraping() {
    let exporter = cells(10_000)
        .exporter()
        .concurrent_scrapes(1)
        .deadline(10 * SECOND);
    let mut late = scrape(&exporter).await.into_body();
    // It reads, if slowly.
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
    // The place is that of the other one now.
    drop(late);
    assert_eq!(status(&exporter).await, StatusCode::SERVICE_UNAVAILABLE);
    text(in_time).await;
    assert_eq!(status(&exporter).await, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn who_takes_nothing_does_not_keep_others_from_scraping() {
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
    // One had to go: the one that had taken nothing for the longest time.
    for (reader, body) in stalled.into_iter().enumerate() {
        let read = body.collect().await;
        assert_eq!(read.is_err(), reader == 1, "{reader}");
        if let Err(error) = read {
            assert!(error.to_string().contains("nothing was taken for 5s"));
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
    // These come too late for that one, and want the same, or something else.
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
async fn what_nobody_waits_for_is_not_rendered() {
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

#[tokio::test]
async fn a_rendering_keeps_no_task_from_its_turn() {
    // There is one thread for all tasks, and the page is done only once another task has run.
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
        // A scrape that the runtime leaves undone.
        let left = exporter.clone();
        runtime.spawn(async move { status(&left).await });
    }
    // Nothing runs on one that has been shut down.
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

/// A connection that holds no more than this between its ends.
const NARROW: usize = 1024;

/// Serves one connection, and tells when that is over.
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

/// The answer, and who drives the client's end.
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

    // One that reads nothing holds the place, but nothing else.
    let (client, serving) = serve(&exporter);
    let (stalled, driving) = connect(client).await;
    assert_eq!(stalled.status(), StatusCode::OK);
    let (client, _) = serve(&exporter);
    let (refused, _) = connect(client).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    registry
        .register("more", "One more", Gauge::<i64>::default())
        .unwrap();

    // It hangs up.
    driving.abort();
    drop(stalled);
    serving.await.unwrap();
    let (client, _) = serve(&exporter);
    let (in_time, _) = connect(client).await;
    assert_eq!(in_time.status(), StatusCode::OK);
    let page = in_time.into_body().collect().await.unwrap().to_bytes();
    assert!(page.ends_with(b"uptime_seconds 0.0\n"), "the whole page");

    // One that stalls past its deadline loses the place, and gets no whole page any more.
    let (client, _) = serve(&exporter);
    let (stalled, _) = connect(client).await;
    tokio::time::advance(10 * SECOND).await;
    let (client, _) = serve(&exporter);
    let (in_time, _) = connect(client).await;
    assert_eq!(in_time.status(), StatusCode::OK);
    assert!(stalled.into_body().collect().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_over_http1_holds_a_place_and_nothing_else() {
    check_slow_reader(http1).await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_over_http2_holds_a_place_and_nothing_else() {
    check_slow_reader(http2).await;
}

/// Those that ask and then take nothing, over both protocols.
#[tokio::test(start_paused = true)]
async fn readers_that_stall_do_not_keep_others_from_scraping() {
    let registry = vast();
    let exporter = registry.exporter().concurrent_scrapes(4).deadline(HOUR);
    let mut stalled: Vec<Pin<Box<dyn Any>>> = Vec::new();
    for _ in 0..2 {
        let (client, _) = serve(&exporter);
        let handshake = conn::http1::handshake(TokioIo::new(client));
        let (mut send, connection) = handshake.await.unwrap();
        stalled.push(begun(send.send_request(request()), connection).await);

        // A client that takes no more of a body unless it is read.
        let (client, _) = serve(&exporter);
        let handshake = conn::http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(1_024)
            .handshake(TokioIo::new(client));
        let (mut send, connection) = handshake.await.unwrap();
        stalled.push(begun(send.send_request(request()), connection).await);
    }
    // The servers put what they can into their buffers.
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
        _ = &mut connection => panic!("there is an answer to come"),
    };
    assert_eq!(response.status(), StatusCode::OK);
    Box::pin((response, connection))
}
