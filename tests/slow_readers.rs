//! Many slow readers, and readers that hang up.

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::join_all;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tower::{Layer, ServiceExt, service_fn};
use tower_openmetrics::exporter::Body;
use tower_openmetrics::{Clock, MetricsExporter, MetricsLayer, MetricsRegistry};

const READERS: usize = 1_000;

/// The buffer size of a connection, and how much a slow reader reads at once.
const NARROW: usize = 1_024;

/// Far longer than any test takes.
const LONG: Duration = Duration::from_secs(600);

/// Returns a registry whose page has two pieces, so that a reader with one piece has not finished.
fn page_of_two_pieces() -> MetricsRegistry {
    let registry = MetricsRegistry::with_clock(Clock::manual());
    let mut text = "# HELP cells Readings\n# TYPE cells gauge\n".to_owned();
    for cell in 0..2_500 {
        writeln!(text, "cells{{place=\"row {cell:>12}\"}} {cell}").unwrap();
    }
    registry
        .include_with(move |page| page.write_str(&text))
        .unwrap();
    registry
}

fn scrape() -> Request<()> {
    Request::get("/metrics").body(()).unwrap()
}

async fn status(exporter: MetricsExporter) -> StatusCode {
    exporter.oneshot(scrape()).await.unwrap().status()
}

// === over connections ===

/// Opens a connection, sends a request and waits until the response begins.
async fn begin(exporter: MetricsExporter) -> (DuplexStream, JoinHandle<()>) {
    let (mut client, server) = tokio::io::duplex(NARROW);
    let serving = tokio::spawn(async move {
        let service = TowerToHyperService::new(exporter);
        let connection = http1::Builder::new()
            // Less than a piece, so that the server does not buffer a whole page.
            .max_buf_size(16 * NARROW)
            .serve_connection(TokioIo::new(server), service);
        let _ = connection.await;
    });
    let request = b"GET /metrics HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n";
    client.write_all(request).await.unwrap();
    let mut status = [0; 12];
    client.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 200");
    (client, serving)
}

/// Reads the rest of the response in small pieces, and yields to other tasks after each piece.
async fn read_slowly(mut client: DuplexStream) -> Vec<u8> {
    let mut answer = Vec::new();
    let mut some = [0; NARROW];
    loop {
        match client.read(&mut some).await.unwrap() {
            0 => return answer,
            length => answer.extend_from_slice(&some[..length]),
        }
        tokio::task::yield_now().await;
    }
}

/// Makes calls and reads their responses.
async fn call(layer: &MetricsLayer, calls: usize) {
    let service = layer.layer(service_fn(async |_: Request<_>| {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("answer")))
    }));
    for _ in 0..calls {
        let request = Request::new(Full::<Bytes>::default());
        let response = service.clone().oneshot(request).await.unwrap();
        response.into_body().collect().await.unwrap();
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn slow_readers_and_readers_that_hang_up_leave_nothing_behind() {
    let registry = page_of_two_pieces();
    let layer = MetricsLayer::builder().registry(&registry);
    let layer = layer.build([("endpoint", "a")]).unwrap();
    let exporter = registry
        .exporter()
        .concurrent_scrapes(READERS)
        .deadline(LONG);

    let mut readers = join_all((0..READERS).map(|_| begin(exporter.clone()))).await;
    assert_eq!(
        status(exporter.clone()).await,
        StatusCode::SERVICE_UNAVAILABLE
    );

    // Calls in the meantime are counted and don't wait for the readers.
    call(&layer, 50).await;
    let hang_up = readers.split_off(READERS / 2);
    let (hung_up, hang_up_of): (Vec<_>, Vec<_>) = hang_up.into_iter().unzip();
    drop(hung_up);
    let (clients, serving): (Vec<_>, Vec<_>) = readers.into_iter().unzip();
    let (answers, ()) = tokio::join!(
        join_all(clients.into_iter().map(read_slowly)),
        call(&layer, 50)
    );
    for answer in answers {
        assert!(answer.ends_with(b"\nuptime_seconds 0.0\n"), "a whole page");
    }
    for served in join_all(serving.into_iter().chain(hang_up_of)).await {
        served.unwrap();
    }

    assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
    // At a limit of one, this works only if all permits have been released.
    let alone = exporter.concurrent_scrapes(1);
    let page = alone.oneshot(scrape()).await.unwrap().into_body();
    let page = page.collect().await.unwrap().to_bytes();
    let page = String::from_utf8_lossy(&page);
    for number in [
        r#"requests_total{endpoint="a"} 100"#,
        r#"response_bytes_total{endpoint="a"} 600"#,
        r#"concurrent_requests{endpoint="a"} 0"#,
        r#"cancellations_total{endpoint="a"} 0"#,
    ] {
        assert!(page.contains(&format!("\n{number}\n")), "{number}");
    }
}

// === in memory ===

/// Returns the next piece, after the end of a turn if there is one.
fn next(body: &mut Body) -> Option<Bytes> {
    for _ in 0..2 {
        if let Some(frame) = body.frame().now_or_never() {
            return frame.map(|frame| frame.unwrap().into_data().unwrap());
        }
    }
    panic!("a body is pending only once between pieces");
}

/// Without a runtime everything runs on this thread, whose allocations are counted.
#[test]
fn memory_is_at_most_one_page_per_permit() {
    const PLACES: usize = 20;
    let registry = page_of_two_pieces();
    let exporter = registry
        .exporter()
        .concurrent_scrapes(PLACES)
        .deadline(LONG);
    let scraped = || {
        let response = exporter.clone().oneshot(scrape()).now_or_never();
        response.expect("there at once").unwrap()
    };
    let length = http_body::Body::size_hint(scraped().body())
        .exact()
        .unwrap();

    let in_making = allocation_counter::measure(|| drop(scraped())).bytes_max;
    let memory = allocation_counter::measure(|| {
        let mut responses: Vec<_> = (0..READERS).map(|_| scraped()).collect();
        let served = |response: &&mut Response<Body>| response.status() == StatusCode::OK;
        assert_eq!(responses.iter_mut().filter(served).count(), PLACES);
        // All readers read one piece, and half of them hang up.
        let pieces = responses.iter_mut().filter(served);
        let pieces: Vec<_> = pieces.map(|response| next(response.body_mut())).collect();
        assert!(pieces.iter().all(Option::is_some));
        drop(pieces);
        responses.truncate(READERS / 2);
        assert_eq!(scraped().status(), StatusCode::SERVICE_UNAVAILABLE);
        responses.clear();
        assert_eq!(scraped().status(), StatusCode::OK);
    });
    // One page and one piece per permit; one page that is being written; one head and, for refused
    // scrapes, one line of text per response.
    let most = 2 * PLACES as u64 * length + in_making + READERS as u64 * 2_048;
    assert!(memory.bytes_max <= most, "{} of {most}", memory.bytes_max);
    assert!(
        most < READERS as u64 * length / 5,
        "the limit is far below one page per reader"
    );
    // Only the list of permits has grown.
    assert!(
        memory.bytes_current <= 16 * PLACES as i64,
        "nothing is left"
    );
}
