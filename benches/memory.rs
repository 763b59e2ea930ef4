//! How many bytes layers, label sets and threads take, and how many stay allocated when they are gone.
//!
//! ```text
//! cargo bench --bench memory
//! ```
//!
//! How to read it: the bytes requested from the allocator, per layer or label set. Each column is what one step adds: building a
//! layer, calling it once under each label set, showing the page once, and making those calls on another thread. *left* is what
//! stays after layers and registry were dropped and each thread has called a new layer; it should be next to nothing. So
//! should what many layers or short-lived threads leave, however many there were. The last hundred of them should take as
//! long as the first. Bytes repeat from run to run, except for maps with a random seed; times are for orientation.

mod harness;

use harness::labels::{VALUES, by_value, each_value};
use harness::layers::{labelled, with_options};
use harness::{Reading, call, is_measuring, post};
use http::Request;
use http_body_util::BodyExt;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::alloc::System;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Instant;
use tokio::runtime;
use tower::{Layer, ServiceExt};
use tower_openmetrics::labels::{Label, is_long_lived};
use tower_openmetrics::{MetricsLayer, MetricsLayerBuilder, MetricsRegistry, TraceContext};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The number of layers, or of label sets.
const COUNT: usize = 1_000;
const FURTHER_THREADS: usize = 7;
/// The number of layers, or of threads, that come and go.
const PASSING: usize = 5_000;
const SOME: usize = 100;

/// Builds layers, and makes a call through each or under each label set.
type Made = (Vec<MetricsLayer>, Arc<dyn Fn() + Send + Sync>);

fn main() {
    let passing = match is_measuring() {
        true => PASSING,
        false => 2 * SOME,
    };
    println!(
        "{:36} {:>8} {:>8} {:>8} {:>8} {:>8}",
        "bytes of", "built", "called", "shown", "thread", "left"
    );
    // The first row includes what a process allocates once.
    of_layers("the first layer", 1, MetricsLayer::builder);
    of_layers("a layer", COUNT, MetricsLayer::builder);
    of_layers("a layer by method, route, status", COUNT, labelled);
    of_layers("the same with all options", COUNT, || {
        with_options(labelled())
    });
    of_label_sets("a set of method, route, status", COUNT, by_value());
    of_label_sets("the same with all options", COUNT, with_options(by_value()));
    let native = by_value().native_histograms(true);
    of_label_sets("the same with native histograms", COUNT, native);

    println!();
    passing_layers(passing);
    passing_threads(passing);
}

fn of_layers(name: &str, count: usize, builder: impl Fn() -> MetricsLayerBuilder) {
    measure(name, count, |registry| {
        let build = |endpoint: &String| {
            let builder = builder().registry(registry);
            let layer = builder.build([("endpoint", endpoint.as_str())]);
            layer.expect("valid settings")
        };
        let layers: Vec<_> = VALUES[..count].iter().map(build).collect();
        let services: Vec<_> = layers.iter().map(|layer| layer.layer(Reading)).collect();
        let calls = move || services.iter().for_each(|service| call(service, post()));
        (layers, Arc::new(calls))
    });
}

fn of_label_sets(name: &str, count: usize, builder: MetricsLayerBuilder) {
    measure(name, count, |registry| {
        let layer = built(builder.cardinality_limit(2 * count).registry(registry));
        let service = layer.layer(Reading);
        let calls = move || each_value(count, || call(&service, post()));
        (vec![layer], Arc::new(calls))
    });
}

fn measure(name: &str, count: usize, make: impl FnOnce(&MetricsRegistry) -> Made) {
    let elsewhere = [(); 2].map(|()| built(MetricsLayer::builder()));
    let meet = |layer: usize| call(&elsewhere[layer].layer(Reading), post());
    meet(0);
    let is_next = Barrier::new(FURTHER_THREADS + 1);

    thread::scope(|scope| {
        let before = in_use();
        let mut last = before;
        let mut added = move || {
            let now = in_use();
            (now - std::mem::replace(&mut last, now)) as f64 / count as f64
        };
        let registry = MetricsRegistry::new();
        let (layers, calls) = make(&registry);
        let when_built = added();
        calls();
        let when_called = added();
        show(&registry);
        let when_shown = added();

        for _ in 0..FURTHER_THREADS {
            let (calls, meet, is_next) = (calls.clone(), &meet, &is_next);
            scope.spawn(move || {
                meet(0);
                is_next.wait();
                is_next.wait();
                calls();
                drop(calls);
                is_next.wait();
                is_next.wait();
                meet(1);
                is_next.wait();
                is_next.wait();
            });
        }
        is_next.wait();
        added();
        is_next.wait();
        is_next.wait();
        let by_threads = added() / FURTHER_THREADS as f64;
        drop((layers, calls, registry));
        meet(1);
        is_next.wait();
        is_next.wait();
        let left = (in_use() - before) as f64 / count as f64;
        is_next.wait();
        println!(
            "{name:36} {when_built:8.0} {when_called:8.0} {when_shown:8.0} {by_threads:8.0} {left:8.0}"
        );
    });
}

/// Builds layers with closures of their own. Each is called once, and dropped before the next.
fn passing_layers(count: usize) {
    let before = in_use();
    let pass = |number: usize| {
        let layer = MetricsLayer::builder()
            .filter(move |head| head.uri.path().len() != number)
            .label(Label::route(move |_| Some(&VALUES[number])))
            .exemplars(move |_| Some(TraceContext::new(number as u128, 1)))
            .stream_duration_seconds(move |head| {
                head.headers.len() > number || is_long_lived(head)
            });
        call(&built(layer).layer(Reading), post());
    };
    // The filter leaves out only the layer whose number is the length of the path.
    come_and_go("layers with closures of their own", count, before, pass);
}

/// Starts threads one after the other. Each makes one call.
fn passing_threads(count: usize) {
    let layer = built(labelled());
    let service = layer.layer(Reading);
    call(&service, post());
    let before = in_use();
    let pass = |_| {
        let one = || call(&service, post());
        thread::scope(|scope| scope.spawn(one).join()).expect("it does not panic");
    };
    come_and_go("threads with a call each", count, before, pass);
}

fn come_and_go(name: &str, count: usize, before: isize, pass: impl Fn(usize)) {
    let several = |numbers: std::ops::Range<usize>| {
        let began = Instant::now();
        numbers.for_each(&pass);
        (
            began.elapsed().as_secs_f64() * 1e6 / SOME as f64,
            in_use() - before,
        )
    };
    let (first, after_first) = several(0..SOME);
    several(SOME..count - SOME);
    let (last, after_all) = several(count - SOME..count);
    println!(
        "{count} {name}: left after {SOME} {after_first} bytes, after all {after_all}; \
         each of the first {SOME} took {first:.1} µs, of the last {last:.1}"
    );
}

/// Runs on a runtime of its own, so that no task outlives it.
fn show(registry: &MetricsRegistry) {
    let mut builder = runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let Ok(page) = registry.exporter().oneshot(Request::new(())).await;
        let page = page.into_body().collect().await;
        assert!(page.is_ok_and(|page| page.to_bytes().len() > 1_000));
    });
}

/// Builds a layer that is not leaked, unlike those of the other benchmarks.
fn built(builder: MetricsLayerBuilder) -> MetricsLayer {
    let layer = builder.build([("endpoint", "a")]);
    layer.expect("valid settings")
}

fn in_use() -> isize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated as isize - stats.bytes_deallocated as isize
}
