//! A worker that is gone before anybody could scrape it.
//!
//! It does what it has to do, pushes its page to a [Pushgateway] every now and then, and once more
//! when all is done or it is asked to stop; Prometheus scrapes the gateway.
//!
//! ```text
//! $ docker run -p 9091:9091 prom/pushgateway
//! $ cargo run --release --example push
//! $ curl http://127.0.0.1:9091/metrics
//! ```
//!
//! A push that fails is tried again, unless the gateway says that it is the page's fault. Pushes are
//! made one after another: were two on their way at once, the older page might be the one to stay. If
//! the last one fails, so does the process, for then its numbers are lost.
//!
//! | variable | says | when unset |
//! |---|---|---|
//! | `PUSHGATEWAY` | where the gateway is | http://localhost:9091 |
//! | `PUSH_JOB` | the label `job` of all series | example_push |
//! | `PUSH_INTERVAL_MS` | how long to wait between pushes | 10000 |
//! | `WORK_ITEMS` | how much work there is | 10 |
//! | `WORK_ITEM_MS` | how long each piece of it takes | 100 |
//!
//! A service, or anything else that runs for minutes, is better scraped: see `system_server`. The
//! gateway keeps what it was given for ever, and knows nothing of whether a process still runs.
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

/// How long a push that is under way, and then the last one, may take in all once the work is over:
/// less than the 30 seconds after which most who ask a process to stop will kill it.
const GRACE: Duration = Duration::from_secs(25);

// === the work, which knows nothing of its measuring ===

pub(crate) async fn work(item: String, takes: Duration) -> Result<String, Infallible> {
    sleep(takes).await;
    Ok(item.to_uppercase())
}

/// Puts the items through the service, one after another.
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

/// Pushes while there is `work`, and once more when it is over or was told to `stop`.
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
    // By now the work was dropped, and with it the call that it was at, which has ended so.
    over.cancel();
    match timeout(GRACE, pushing).await {
        Ok(pushed) => pushed,
        Err(_elapsed) => Err(format!("the last push took longer than {GRACE:?}").into()),
    }
}

/// Pushes again and again until it is `over`, and then once more.
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

// === the process around it ===

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
    // Several of its kind at once would need a label `instance` each, and somebody to clean up.
    let gateway = Pushgateway::new(metrics.registry(), &url, &[("job", &job)], RETRY)?;
    let service = ServiceBuilder::new()
        .layer(metrics)
        .service(service_fn(move |item| work(item, takes)));

    let work = work_through(service, (0..items).map(|number| format!("item {number}")));
    push_while(work, &gateway, Duration::from_millis(interval), stop.asked).await?;
    println!("pushed to {url}");
    Ok(())
}
