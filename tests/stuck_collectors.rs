//! Collectors that never return delay neither the runtime nor other scrapes.

use futures_util::FutureExt;
use http::{Request, Response, StatusCode};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt;
use tower_openmetrics::exporter::Body;
use tower_openmetrics::{MetricsExporter, MetricsRegistry};

/// The time after which a test that hangs fails.
const LONG: Duration = Duration::from_secs(60);

/// Returns a registry whose collector never returns once it is registered, and a receiver of each
/// time that it begins.
fn stuck() -> (MetricsRegistry, mpsc::Receiver<()>) {
    let registry = MetricsRegistry::new();
    let (tell, begun) = mpsc::channel();
    let is_registered = Arc::new(AtomicBool::new(false));
    let sticks = is_registered.clone();
    let collector = move |_: &mut String| -> fmt::Result {
        if sticks.load(Ordering::Relaxed) {
            tell.send(()).unwrap();
            loop {
                std::thread::park();
            }
        }
        Ok(())
    };
    registry.include_with(collector).unwrap();
    is_registered.store(true, Ordering::Relaxed);
    (registry, begun)
}

async fn scrape(exporter: MetricsExporter) -> Response<Body> {
    let request = Request::get("/metrics").body(()).unwrap();
    exporter.oneshot(request).await.unwrap()
}

/// Shuts the runtime down. Panics if that takes longer than [`LONG`].
fn shut_down(runtime: Runtime) {
    let (tell, is_down) = mpsc::channel();
    std::thread::spawn(move || {
        drop(runtime);
        tell.send(()).unwrap();
    });
    let message = "the runtime waits for the collector";
    is_down.recv_timeout(LONG).expect(message);
}

fn runtimes() -> [Runtime; 2] {
    [
        Builder::new_current_thread().enable_all().build().unwrap(),
        Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap(),
    ]
}

#[test]
fn a_stuck_collector_does_not_delay_the_runtimes_shutdown() {
    for runtime in runtimes() {
        let (registry, begun) = stuck();
        for _ in 0..3 {
            runtime.spawn(scrape(registry.exporter()));
        }
        runtime.block_on(async {
            let begun = tokio::task::spawn_blocking(move || begun.recv_timeout(LONG));
            begun.await.unwrap().unwrap();
        });
        shut_down(runtime);
    }
}

/// The future is not a task of the runtime, so the runtime can't drop it.
#[test]
fn a_scrape_that_outlives_the_runtime_does_not_delay_its_shutdown() {
    let [_, runtime] = runtimes();
    let (registry, begun) = stuck();
    let mut scrape = Box::pin(scrape(registry.exporter()));
    let polled = runtime.block_on(async { (&mut scrape).now_or_never() });
    assert!(polled.is_none());
    begun.recv_timeout(LONG).unwrap();
    shut_down(runtime);
}

#[test]
fn a_scrape_of_a_stuck_collector_ends_at_its_deadline_and_blocks_no_other() {
    for runtime in runtimes() {
        let (registry, _begun) = stuck();
        let exporter = registry.exporter().deadline(Duration::from_millis(50));
        runtime.block_on(async {
            for _ in 0..10 {
                let status = scrape(exporter.clone()).await.status();
                assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
                let other = MetricsRegistry::new().exporter();
                assert_eq!(scrape(other).await.status(), StatusCode::OK);
            }
        });
        shut_down(runtime);
    }
}

#[test]
fn at_most_64_threads_render_pages() {
    // Runs in a process of its own, because it leaves no threads for other tests.
    const NAME: &str = "at_most_64_threads_render_pages";
    if std::env::var_os("STUCK_CHILD").is_none() {
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", NAME])
            .env("STUCK_CHILD", "")
            .status();
        assert!(status.unwrap().success());
        return;
    }
    let [_, runtime] = runtimes();
    runtime.block_on(async {
        let (registry, _begun) = stuck();
        for made in 0.. {
            let exporter = registry.exporter().deadline(Duration::from_millis(200));
            let response = scrape(exporter).await;
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
            let text = http_body_util::BodyExt::collect(response.into_body()).await;
            let text = text.unwrap().to_bytes();
            let text = String::from_utf8_lossy(&text);
            if text.contains("no thread") {
                assert_eq!(made, 64);
                break;
            }
            assert!(text.contains("deadline"), "{text}");
        }
    });
    shut_down(runtime);
}
