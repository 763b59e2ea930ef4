//! What scrapes cost requests: how long other tasks wait while a large page is scraped, and while a thousand slow readers
//! read one.
//!
//! ```text
//! cargo bench --bench scraping
//! ```
//!
//! Compare figures of one run, never two runs. Run it on an idle machine.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1 as client;
use hyper::server::conn::http1 as server;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, yield_now};
use tower::{Layer, ServiceExt, service_fn};
use tower_openmetrics::{MetricsExporter, MetricsLayer, MetricsRegistry};

const SAMPLES: usize = 100_000;
const READERS: usize = 1_000;
const REQUESTS: usize = 100_000;
const MOST_TURNS: usize = 2_000_000;

/// The longest that a task may wait because of a scrape.
const LONG: Duration = Duration::from_millis(5);

fn main() {
    // Not under `cargo test`, which would wait for minutes.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let registry = registry();
    println!("turns of a task on a current-thread runtime, ms");
    for coding in [None, Some("identity"), Some("gzip")] {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let turns = run(runtime, turns(registry.exporter(), coding));
        print(
            coding.map_or("no scrapes".to_owned(), |coding| {
                format!("scrapes, {coding}")
            }),
            turns,
        );
    }
    println!("requests over loopback, ms");
    let without = run(threads(), requests(&registry, 0));
    let with = run(threads(), requests(&registry, READERS));
    let ratio = percentile(&with, 99.0) / percentile(&without, 99.0);
    print("no readers".to_owned(), without);
    print(
        format!("{READERS} slow readers, half of whom hang up"),
        with,
    );
    println!("the 99th percentile with them is {ratio:.2} times that without");
}

fn threads() -> tokio::runtime::Builder {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2);
    builder
}

fn run<F: Future>(mut runtime: tokio::runtime::Builder, future: F) -> F::Output {
    runtime
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(future)
}

fn print(name: String, mut times: Vec<Duration>) {
    times.sort();
    let [half, most, all] = [50.0, 99.0, 100.0].map(|p| percentile(&times, p) * 1e3);
    let long = times.iter().filter(|time| **time > LONG).count();
    println!(
        "  {name:40} p50 {half:8.3}   p99 {most:8.3}   longest {all:8.3}   over {LONG:?} {long}"
    );
}

fn percentile(times: &[Duration], percent: f64) -> f64 {
    let mut times = times.to_vec();
    times.sort();
    let last = times.len() - 1;
    times[(last as f64 * percent / 100.0) as usize].as_secs_f64()
}

/// Returns a registry whose page has `SAMPLES` samples.
fn registry() -> MetricsRegistry {
    let registry = MetricsRegistry::new();
    let mut text = "# HELP cells Readings\n# TYPE cells gauge\n".to_owned();
    for cell in 0..SAMPLES {
        let _ = writeln!(
            text,
            "cells{{column=\"{}\",row=\"{}\"}} {cell}",
            cell % 100,
            cell / 100
        );
    }
    let included = registry.include_with(move |page| page.write_str(&text));
    included.expect("it can be shown");
    registry
}

// === turns ===

/// Measures how long an idle task waits for each of its turns, while pages are scraped one after another and read at once.
///
/// It is the task that the runtime blocks on. That task is polled together with timers and sockets, less often than a
/// spawned one. Time in which other work had the processor doesn't count. Time that a hypervisor takes does, and shows
/// without scrapes too.
async fn turns(exporter: MetricsExporter, coding: Option<&'static str>) -> Vec<Duration> {
    let done = Arc::new(AtomicBool::new(false));
    let scraping = tokio::spawn(scrape(exporter, coding, done.clone()));
    // Touches the memory in advance: a page fault might wait for other work of the kernel.
    let mut turns = vec![Duration::MAX; MOST_TURNS];
    let mut turn = 0;
    let (mut before, mut kept) = now();
    while !done.load(Ordering::Relaxed) && turn < MOST_TURNS {
        yield_now().await;
        let (after, still) = now();
        turns[turn] = (after - before).saturating_sub(still - kept);
        turn += 1;
        (before, kept) = (after, still);
    }
    turns.truncate(turn);
    scraping.await.expect("it scrapes");
    turns
}

/// Returns the time, and how long this thread has waited for the processor until then. Reads both again if it waited between
/// the two: otherwise that wait would be subtracted from one turn and added to the next.
fn now() -> (Instant, Duration) {
    let mut kept = kept_from_processor();
    loop {
        let now = Instant::now();
        let still = kept_from_processor();
        if still == kept {
            return (now, kept);
        }
        kept = still;
    }
}

/// Returns how long this thread was ready to run and did not. Only on Linux.
fn kept_from_processor() -> Duration {
    let spent = fs::read_to_string("/proc/thread-self/schedstat");
    let nanos = spent
        .ok()
        .and_then(|spent| spent.split(' ').nth(1)?.parse().ok());
    nanos.map_or(Duration::ZERO, Duration::from_nanos)
}

async fn scrape(exporter: MetricsExporter, coding: Option<&str>, done: Arc<AtomicBool>) {
    for _ in 0..10 {
        let Some(coding) = coding else {
            // As long as the others may take.
            tokio::time::sleep(Duration::from_millis(250)).await;
            continue;
        };
        let request = Request::get("/metrics").header("accept-encoding", coding);
        let request = request.body(()).expect("a request");
        let Ok(response) = exporter.clone().oneshot(request).await;
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            drop(frame.expect("a page"));
        }
    }
    done.store(true, Ordering::Relaxed);
}

// === requests ===

/// Measures how long each request takes on one connection, while that many readers read a page.
async fn requests(registry: &MetricsRegistry, readers: usize) -> Vec<Duration> {
    let layer = MetricsLayer::builder().registry(registry);
    let layer = layer.build([("endpoint", "a")]).expect("a layer");
    let exporter = registry.exporter().concurrent_scrapes(READERS);
    let scraped = serve_pages(exporter).await;
    let (begins, mut begun) = mpsc::unbounded_channel();
    let reading: Vec<_> = (0..readers)
        .map(|reader| tokio::spawn(read_slowly(scraped, reader, begins.clone())))
        .collect();
    for _ in 0..readers {
        begun.recv().await;
    }
    let times = call(serve(&layer).await).await;
    reading.iter().for_each(JoinHandle::abort);
    times
}

async fn call(address: SocketAddr) -> Vec<Duration> {
    let socket = TcpStream::connect(address).await.expect("a connection");
    let handshake = client::handshake(TokioIo::new(socket)).await;
    let (mut client, connection) = handshake.expect("HTTP/1.1");
    tokio::spawn(connection);
    let mut times = Vec::with_capacity(REQUESTS);
    for _ in 0..REQUESTS {
        let began = Instant::now();
        client.ready().await.expect("a connection");
        let request = Request::new(Full::<Bytes>::default());
        let response = client.send_request(request).await.expect("an answer");
        response.into_body().collect().await.expect("a body");
        times.push(began.elapsed());
    }
    times
}

/// Reads a page slowly, and tells when it has begun. Every other reader hangs up in the middle.
async fn read_slowly(address: SocketAddr, reader: usize, begins: mpsc::UnboundedSender<()>) {
    let mut socket = TcpStream::connect(address).await.expect("a connection");
    let request = b"GET /metrics HTTP/1.1\r\nhost: bench\r\n\r\n";
    socket.write_all(request).await.expect("it reads");
    let reads = match reader % 2 {
        0 => usize::MAX,
        _ => 2 + reader % 10,
    };
    let mut some = vec![0; 4 * 1024];
    for read in 0..reads {
        if !socket.read(&mut some).await.is_ok_and(|length| length > 0) {
            break;
        }
        if read == 0 {
            let _ = begins.send(());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn serve_pages(exporter: MetricsExporter) -> SocketAddr {
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let service = TowerToHyperService::new(exporter.clone());
            tokio::spawn(server::Builder::new().serve_connection(TokioIo::new(socket), service));
        }
    });
    address
}

async fn serve(layer: &MetricsLayer) -> SocketAddr {
    let (listener, address) = listen().await;
    let service = layer.layer(service_fn(async |_: Request<_>| {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("answer")))
    }));
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(server::Builder::new().serve_connection(TokioIo::new(socket), service));
        }
    });
    address
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    (listener, address)
}
