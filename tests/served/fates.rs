//! Calls that end as they are told to, at the endpoints of a shop, for the live page to draw.
//!
//! A request to `/{endpoint}/{fate}` takes one of the [fates](fate); who asks is what the header `x-who` says, and becomes
//! a label.

mod fate;
#[path = "../../examples/process/mod.rs"]
mod process;
#[path = "../../examples/serving/mod.rs"]
mod serving;
#[path = "../../examples/status/mod.rs"]
mod status;

use self::process::Stop;
use axum::body::Bytes;
use axum::extract::Path;
use axum::routing::{Router, any};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use std::net::Ipv4Addr;
use std::process::ExitCode;
use tower::BoxError;
use tower_openmetrics::labels::Label;
use tower_openmetrics::{MetricsLayer, MetricsRegistry, TraceContext};

const ENDPOINTS: [&str; 4] = ["cart", "checkout", "search", "stock"];

#[tokio::main]
async fn main() -> ExitCode {
    process::report(run()).await
}

async fn run() -> Result<(), BoxError> {
    let stop = Stop::on_signals()?;
    let registry = MetricsRegistry::new();
    let sold = Family::<Vec<(String, String)>, Counter>::default();
    registry.register("shop_sold", "Things sold, by kind", sold.clone())?;
    let mut app = Router::new();
    for endpoint in ENDPOINTS {
        let metrics = MetricsLayer::builder()
            .registry(&registry)
            .first_byte_seconds(true)
            .exemplars(TraceContext::from_traceparent)
            .label(Label::from_request("who", |head| {
                head.headers.get("x-who")?.to_str().ok()
            }))
            .build([("component", "shop"), ("endpoint", endpoint)])?;
        let sold = sold.clone();
        let handler = any(async move |Path(fate): Path<String>, _upload: Bytes| {
            let kind = ("kind".to_owned(), format!("<b>{endpoint}</b>"));
            sold.get_or_create(&vec![kind]).inc();
            fate::answer(&fate).await
        });
        app = app.route(&format!("/{endpoint}/{{fate}}"), handler.layer(metrics));
    }

    let listener = process::listen(Ipv4Addr::LOCALHOST, "DYN_WORKER_PORT", 8090).await?;
    println!("work handler:  http://{}/", listener.local_addr()?);
    let status = status::serve(registry.exporter(), "shop", &stop.asked).await?;
    serving::serve(listener, app, stop.closing).await;
    if let Some(status) = status {
        status.shutdown().await;
    }
    Ok(())
}
