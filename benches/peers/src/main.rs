//! What others' layers cost beside ours, around the same inner service.
//!
//! ```text
//! cargo run --release -p peers
//! ```
//!
//! Compare rows of one run, never two runs. The others do less: they stop at the head of the response,
//! or don't count bytes, or not the calls that were cancelled.

mod by_hand;
#[path = "../../harness/mod.rs"]
mod harness;

use axum_prometheus::PrometheusMetricLayer;
use by_hand::ByHand;
use harness::{Row, answering, call, compare, get, post};
use tower::Layer;
use tower_http::trace::TraceLayer;
use tower_openmetrics::MetricsLayer;

fn main() {
    let ours = MetricsLayer::new([("endpoint", "a")]).layer(answering());
    let uploading = MetricsLayer::new([("endpoint", "b")]).layer(answering());
    let by_hand = ByHand::new(answering());
    let traced = TraceLayer::new_for_http().layer(answering());
    // It starts a task that tidies up its histograms.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let _inside = runtime.enter();
    let (axum_prometheus, _page) = PrometheusMetricLayer::pair();
    let axum_prometheus = axum_prometheus.layer(answering());
    for threads in [1, 2] {
        let rows: [Row<'_>; 6] = [
            ("without a layer", &|| call(&answering(), get())),
            ("tower-openmetrics", &|| call(&ours, get())),
            ("tower-openmetrics, uploading", &|| call(&uploading, post())),
            ("by hand over prometheus-client", &|| call(&by_hand, get())),
            ("tower-http TraceLayer, no subscriber", &|| {
                call(&traced, get())
            }),
            ("axum-prometheus", &|| call(&axum_prometheus, get())),
        ];
        compare(threads, &rows, 1);
    }
}
