//! What others' layers cost beside ours, around the same inner service.
//!
//! ```text
//! cargo bench -p peers --bench layers
//! ```
//!
//! How to read it: `beyond` is what a layer adds to the bare call, in nanoseconds, and the last column how many times what
//! ours adds that is. Compare rows of one table, never two runs. The others do less: they stop at the head of the
//! response, or don't count bytes, or not the calls that were cancelled.

#[path = "../../harness/mod.rs"]
mod harness;

use axum_prometheus::{PrometheusMetricLayer, PrometheusMetricLayerBuilder};
use harness::layers::{built, measured};
use harness::{Plan, Reading, compare};
use peers::ByHand;
use tower::Layer;
use tower_http::trace::TraceLayer;
use tower_openmetrics::MetricsLayer;

fn main() {
    // axum-prometheus starts a task that tidies up its histograms.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let _inside = runtime.enter();
    let (axum_prometheus, _page) = PrometheusMetricLayer::pair();
    let with_sizes = PrometheusMetricLayerBuilder::new()
        .with_prefix("sized")
        .enable_response_body_size(true)
        .build();
    let traced = TraceLayer::new_for_http();
    let contenders = [
        measured("bare", Reading),
        measured(
            "tower-openmetrics",
            built(MetricsLayer::builder()).layer(Reading),
        ),
        measured("by hand over prometheus-client", ByHand::new(Reading)),
        measured(
            "tower-http TraceLayer, no subscriber",
            traced.layer(Reading),
        ),
        measured("axum-prometheus", axum_prometheus.layer(Reading)),
        measured("axum-prometheus, body sizes", with_sizes.layer(Reading)),
    ];
    for (title, threads) in [("one thread", 1), ("two threads", 2)] {
        let plan = Plan {
            title,
            threads,
            calls: 10_000,
            floors: &["tower-openmetrics"],
            ..Plan::default()
        };
        compare(plan, &contenders);
    }
}
