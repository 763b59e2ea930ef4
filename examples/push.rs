//! A worker that ends before Prometheus could scrape it.
//!
//! It pushes its page to a [Pushgateway] in intervals, and once more when its work is done or it is asked to stop.
//! Prometheus scrapes the gateway.
//!
//! ```text
//! $ docker run -p 9091:9091 prom/pushgateway
//! $ cargo run --release --example push
//! $ curl http://127.0.0.1:9091/metrics
//! ```
//!
//! A push that fails is retried, unless the gateway rejects the page. Pushes are made one after another: with two at once,
//! the older page might replace the newer one. If the last push fails, the process fails, because its numbers are lost.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `PUSHGATEWAY` | where the gateway is | http://localhost:9091 |
//! | `PUSH_JOB` | the label `job` of all series | example_push |
//! | `PUSH_INTERVAL_MS` | how long to wait between pushes | 10000 |
//! | `WORK_ITEMS` | how much work there is | 10 |
//! | `WORK_ITEM_MS` | how long each piece of it takes | 100 |
//!
//! Scrape services, and everything else that runs for minutes: see `system_server`. The gateway keeps pages for ever, and
//! doesn't know whether a process still runs.
//!
//! [Pushgateway]: https://github.com/prometheus/pushgateway

mod process;
pub(crate) mod pushgateway;

use self::process::Stop;
use self::pushgateway::{Pushgateway, Retry};
use std::convert::Infallible;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_openmetrics::MetricsLayer;

const RETRY: Retry = Retry {
    attempts: 5,
    pause: Duration::from_millis(200),
    timeout: Duration::from_secs(5),
};

/// The time for a running push and the last push after the work has ended. It is less than the 30 seconds after which
/// most supervisors kill a process.
const GRACE: Duration = Duration::from_secs(25);

// === the work, without any metrics ===

pub(crate) async fn work(item: String, takes: Duration) -> Result<String, Infallible> {
    sleep(takes).await;
    Ok(item.to_uppercase())
}

/// Calls the service for each item, one after another.
pub(crate) async fn work_through<S>(
    mut service: S,
    items: impl IntoIterator<Item = String>,
) -> Result<(), S::Error>
where
    S: Service<String>,
{
    for item in items {
        service.ready().await?.call(item).await?;
    }
    Ok(())
}

// === the pushing ===

/// Pushes while the `work` runs, and once more when it has ended or was told to `stop`.
pub(crate) async fn push_while<F: Future>(
    work: F,
    gateway: &Pushgateway,
    interval: Duration,
    stop: CancellationToken,
) -> Result<(), BoxError> {
    let over = CancellationToken::new();
    let mut pushing = pin!(push_until(&over, gateway, interval));
    tokio::select! {
        _ = work => {}
        () = stop.cancelled() => {}
        pushed = &mut pushing => return pushed,
    }
    // The work has been dropped by now, which has ended its current call.
    over.cancel();
    match timeout(GRACE, pushing).await {
        Ok(pushed) => pushed,
        Err(_elapsed) => Err(format!("the last push took longer than {GRACE:?}").into()),
    }
}

/// Pushes in intervals until the work is `over`, and then once more.
async fn push_until(
    over: &CancellationToken,
    gateway: &Pushgateway,
    interval: Duration,
) -> Result<(), BoxError> {
    while timeout(interval, over.cancelled()).await.is_err() {
        if let Err(error) = gateway.push().await {
            eprintln!("{error}");
        }
    }
    gateway.push().await
}

// === the process ===

#[tokio::main]
async fn main() -> ExitCode {
    process::report(run()).await
}

async fn run() -> Result<(), BoxError> {
    let stop = Stop::on_signals()?;
    let url = process::variable("PUSHGATEWAY")?;
    let job = process::variable("PUSH_JOB")?;
    let interval = process::variable("PUSH_INTERVAL_MS")?.unwrap_or(10_000);
    let items = process::variable("WORK_ITEMS")?.unwrap_or(10_u64);
    let takes = Duration::from_millis(process::variable("WORK_ITEM_MS")?.unwrap_or(100));

    let metrics = MetricsLayer::unary([("endpoint", "work")]);
    let url: String = url.unwrap_or_else(|| "http://localhost:9091".to_owned());
    let job: String = job.unwrap_or_else(|| "example_push".to_owned());
    // Several such processes at once each need a label `instance`, and old pages must be deleted.
    let gateway = Pushgateway::new(metrics.registry(), &url, &[("job", &job)], RETRY)?;
    let service = ServiceBuilder::new()
        .layer(metrics)
        .service(service_fn(move |item| work(item, takes)));

    let work = work_through(service, (0..items).map(|number| format!("item {number}")));
    push_while(work, &gateway, Duration::from_millis(interval), stop.asked).await?;
    println!("pushed to {url}");
    Ok(())
}
