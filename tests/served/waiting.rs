//! Calls that wait, each kind at an endpoint of its own, with all metrics that tell where calls spend their time.
//!
//! | path | the call |
//! |---|---|
//! | `/hang` | never ends |
//! | `/idle` | answers at once |
//! | `/block/{milliseconds}` | blocks its thread, then answers |
//! | `/sleep/{milliseconds}` | sleeps, then answers |
//! | `/limited` | never ends, and is the only one at a time |

mod server;

use axum::extract::Path;
use axum::routing::{Router, get};
use std::future::pending;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;
use tower::ServiceBuilder;
use tower::limit::GlobalConcurrencyLimitLayer;
use tower_openmetrics::{Error, MetricsLayer, MetricsRegistry};

/// From here on a poll is slow.
const SLOW: Duration = Duration::from_millis(250);

#[tokio::main]
async fn main() -> ExitCode {
    let registry = MetricsRegistry::new();
    match app(&registry) {
        Ok(app) => server::run("waiting", &registry, app).await,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn app(registry: &MetricsRegistry) -> Result<Router, Error> {
    let metrics = |endpoint| {
        MetricsLayer::builder()
            .registry(registry)
            .ready_wait_seconds(true)
            .queue_wait_seconds(true)
            .oldest_request_age_seconds(true)
            .requests_longest_seconds(true)
            .handler_poll_seconds(true)
            .slow_polls_total(SLOW)
            .build([("endpoint", endpoint)])
    };
    let block = async |Path(millis)| thread::sleep(Duration::from_millis(millis));
    let sleep = async |Path(millis)| tokio::time::sleep(Duration::from_millis(millis)).await;
    let limited = ServiceBuilder::new()
        .layer(metrics("limited")?)
        .layer(GlobalConcurrencyLimitLayer::new(1));
    Ok(Router::new()
        .route("/hang", get(pending::<()>).layer(metrics("hang")?))
        .route("/idle", get(async || ()).layer(metrics("idle")?))
        .route("/block/{milliseconds}", get(block).layer(metrics("block")?))
        .route("/sleep/{milliseconds}", get(sleep).layer(metrics("sleep")?))
        .route("/limited", get(pending::<()>).layer(limited)))
}
