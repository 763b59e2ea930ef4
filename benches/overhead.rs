//! What a request costs: the same ready service with and without the layer, its body of 1 KiB
//! drained to the end, beside the least that shared counters would cost.
//!
//! ```text
//! cargo bench --bench overhead
//! ```
//!
//! Compare rows of one run, never two runs.

mod harness;

use harness::{answering, call, compare, get, post};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tower::Layer;
use tower_openmetrics::MetricsLayer;
use tower_openmetrics::labels::Label;

fn main() {
    let layer = MetricsLayer::new([("endpoint", "a")]);
    let measured = layer.layer(answering());
    let uploading = layer.layer(answering());
    let labelled = by_method_route_and_status().layer(answering());
    for threads in [1, 2] {
        let rows: [harness::Row<'_>; 6] = [
            ("without the layer", &|| call(&answering(), get())),
            ("two clocks, eight shared counters", &by_hand),
            ("with the layer", &|| call(&measured, get())),
            ("by method, route and status", &|| call(&labelled, get())),
            ("the same, uploading", &|| call(&answering(), post())),
            ("with the layer, uploading", &|| call(&uploading, post())),
        ];
        compare(threads, &rows, 1);
    }
}

fn by_method_route_and_status() -> MetricsLayer {
    let layer = MetricsLayer::builder()
        .label(Label::method())
        .label(Label::route(|head| Some(head.uri.path())))
        .label(Label::status());
    layer.build([("endpoint", "a")]).expect("valid settings")
}

/// The floor of all that counts in shared numbers: nothing but two readings of
/// the clock and eight of them.
fn by_hand() {
    static SHARED: [AtomicU64; 8] = [const { AtomicU64::new(0) }; 8];
    let began = Instant::now();
    for counter in &SHARED[..4] {
        counter.fetch_add(1, Ordering::Relaxed);
    }
    call(&answering(), get());
    let nanos = began.elapsed().as_nanos() as u64;
    for counter in &SHARED[4..] {
        counter.fetch_add(nanos, Ordering::Relaxed);
    }
}
