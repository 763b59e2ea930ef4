//! Assertions about metrics, and what they say when they fail.

mod support;

use self::support::{now, panic_of};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use std::convert::Infallible;
use std::future::{Future, pending, ready};
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;
use tokio::time::sleep;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_openmetrics::labels::Label;
use tower_openmetrics::protocol::Unary;
use tower_openmetrics::testing::{ABSENT, Pattern, Snapshot, wait_until_idle};
use tower_openmetrics::{
    Clock, MetricsLayer, MetricsLayerBuilder, MetricsRegistry, assert_metrics,
};

const BOUND: Duration = Duration::from_secs(20);

/// A layer with the label `word`, and its clock.
struct Stage {
    clock: Clock,
    layer: MetricsLayer<Unary>,
}

impl Stage {
    fn new() -> Self {
        Self::with(|builder| builder.buckets([0.1, 1.0]))
    }

    fn with(set: impl FnOnce(MetricsLayerBuilder<Unary>) -> MetricsLayerBuilder<Unary>) -> Self {
        let clock = Clock::manual();
        let word = Label::from_message("word", |word: &String| Some(word.as_str().into()));
        let builder = MetricsLayer::unary_builder().clock(clock).label(word);
        let layer = set(builder).build([("endpoint", "a")]);
        let layer = layer.unwrap();
        Self { clock, layer }
    }

    /// Makes a call of this duration.
    fn call(&self, word: &str, millis: u64) {
        let mut service = self.layer.layer(service_fn(async |word: String| {
            self.clock.advance(Duration::from_millis(millis));
            Ok::<_, Infallible>(word)
        }));
        let Ok(_) = now(service.call(word.to_owned()));
    }

    fn found(&self) -> Snapshot {
        Snapshot::of(self.layer.registry())
    }
}

/// Returns the lines of a failure below its first one.
fn differences(failing: impl FnOnce()) -> String {
    let message = panic_of(failing);
    let lines = message.strip_prefix("the metrics differ:\n");
    lines.unwrap_or_else(|| panic!("{message}")).to_owned()
}

// === numbers ===

#[test]
fn a_label_that_is_listed_twice_is_refused() {
    let twice = || {
        Pattern::new("requests_total")
            .label("a", "1")
            .label("a", "2")
    };
    let message = panic_of(|| drop(twice()));
    assert!(message.contains("`a` is listed twice"), "{message}");
}

#[test]
fn a_failure_shows_each_number_that_differs() {
    let stage = Stage::new();
    stage.call("x", 250);
    let found = stage.found();
    let lines = differences(|| {
        assert_metrics!(found, {
            "requests_total" {endpoint = "a", word = "x"} => 2,
            "concurrent_requests" {endpoint = "a", word = "x"} => 0,
            "request_duration_seconds_sum" {endpoint = "a", word = "x"} => 0.5,
        });
    });
    let expected = "  requests_total{endpoint=\"a\",word=\"x\"}: expected 2, found 1\n  \
         request_duration_seconds_sum{endpoint=\"a\",word=\"x\"}: expected 0.5, found 0.25";
    assert_eq!(lines, expected);
}

#[test]
fn labels_are_all_of_a_series_unless_others_are_allowed() {
    let stage = Stage::new();
    stage.call("x", 1);
    stage.call("y", 1);
    let found = stage.found();
    assert_metrics!(found, {
        "requests_total" {word = "x", endpoint = "a"} => 1,
        "requests_total" {word = "x", ..} => 1,
        "requests_total" {endpoint = "a", ..} => 2,
        "requests_total" {..} => 2,
        "requests_total" => 2,
        "requests_total" {word = "x"} => ABSENT,
        "requests_total" {} => ABSENT,
        "requests_total" {word = "z", ..} => ABSENT,
        "none" => ABSENT,
    });
}

#[test]
fn a_name_and_a_value_may_be_expressions() {
    let stage = Stage::new();
    stage.call("x", 1);
    let (name, words) = ("requests", ["x", "y"]);
    assert_metrics!(stage.found(), {
        (format!("{name}_total")) {word = words[0].to_lowercase(), ..} => words.len() - 1,
    });
}

#[test]
fn a_failed_sum_shows_its_parts() {
    let stage = Stage::new();
    stage.call("x", 1);
    stage.call("y", 1);
    let found = stage.found();
    let lines = differences(|| assert_metrics!(found, { "requests_total" => 3 }));
    let expected = "  requests_total{..}: expected 3, found 2\n    \
         requests_total{endpoint=\"a\",word=\"x\"} 1\n    \
         requests_total{endpoint=\"a\",word=\"y\"} 1";
    assert_eq!(lines, expected);
    (0..10).for_each(|word| stage.call(&word.to_string(), 1));
    let found = stage.found();
    let lines = differences(|| assert_metrics!(found, { "requests_total" => 3 }));
    assert!(lines.ends_with("\n    and 4 more"), "{lines}");
}

#[test]
fn a_series_that_is_not_there_differs_even_from_0() {
    let stage = Stage::new();
    stage.call("x", 1);
    let found = stage.found();
    for (failing, nearest) in [
        (
            differences(|| {
                assert_metrics!(found, {
                    "errors_total" {error_type = "timeuot", word = "x", ..} => 0,
                });
            }),
            "errors_total{endpoint=\"a\",error_type=\"timeout\",word=\"x\"} 0",
        ),
        (
            differences(|| assert_metrics!(found, { "request_total" {word = "x", ..} => 0 })),
            "requests_total{endpoint=\"a\",word=\"x\"} 1",
        ),
        (
            differences(|| assert_metrics!(found, { "requests_total" {wort = "x", ..} => 0 })),
            "requests_total{endpoint=\"a\",word=\"x\"} 1",
        ),
        (
            differences(|| assert_metrics!(found, { "requests_total" {word = "x"} => 1 })),
            "requests_total{endpoint=\"a\",word=\"x\"} 1",
        ),
    ] {
        let end = format!("found no such series\n    nearest: {nearest}");
        assert!(failing.ends_with(&end), "{failing}");
    }
}

#[test]
fn a_series_that_is_there_is_not_absent() {
    let stage = Stage::new();
    stage.call("x", 1);
    let found = stage.found();
    let lines = differences(|| assert_metrics!(found, { "requests_total" => ABSENT }));
    assert_eq!(
        lines,
        "  requests_total{..}: expected no such series, found 1"
    );
}

#[test]
fn values_of_labels_have_no_escapes() {
    let stage = Stage::new();
    stage.call("a \"\\\n", 1);
    assert_metrics!(stage.found(), { "requests_total" {endpoint = "a", word = "a \"\\\n"} => 1 });
}

// === changes ===

#[test]
fn counters_have_grown_and_gauges_are_as_they_are() {
    let stage = Stage::new();
    let registry = stage.layer.registry();
    let gauge = registry.register("queued", "Queued", Gauge::<i64>::default());
    let gauge = gauge.unwrap();
    gauge.set(7);
    stage.call("x", 250);
    let before = Snapshot::of(registry);
    stage.call("x", 2_000);
    stage.call("x", 50);
    stage.call("y", 50);
    assert_metrics!(registry.since(&before), {
        "requests_total" {endpoint = "a", word = "x"} => 2,
        "requests_total" {endpoint = "a", word = "y"} => 1,
        "request_duration_seconds_bucket" {endpoint = "a", word = "x", le = "0.1"} => 1,
        "request_duration_seconds_count" {endpoint = "a", word = "x"} => 2,
        "request_duration_seconds_sum" {endpoint = "a", word = "x"} => 2.05,
        "queued" {} => 7,
        "uptime_seconds" {} => 2.35,
    });
}

#[test]
fn nothing_else_has_counted() {
    let stage = Stage::new();
    stage.call("x", 250);
    let registry = stage.layer.registry();
    let before = Snapshot::of(registry);
    stage.call("x", 250);
    let growth = registry.since(&before);
    assert_metrics!(growth, {
        "requests_total" => 1,
        "request_bytes_total" => 1,
        "response_bytes_total" => 1,
        // For all parts of the histogram.
        "request_duration_seconds_count" {endpoint = "a", word = "x"} => 1,
        _ => 0,
    });
    let lines = differences(|| {
        assert_metrics!(growth, {
            "requests_total" => 1,
            "request_bytes_total" {word = "y", ..} => ABSENT,
            "request_duration_seconds" {..} => [0.25],
            _ => 0,
        });
    });
    let expected = "  request_bytes_total{endpoint=\"a\",word=\"x\"}: not listed, found 1\n  \
         response_bytes_total{endpoint=\"a\",word=\"x\"}: not listed, found 1";
    assert_eq!(lines, expected);
}

// === histograms ===

#[test]
fn observations_are_compared_by_bucket() {
    let stage = Stage::new();
    stage.call("x", 100);
    stage.call("x", 2_000);
    let found = stage.found();
    assert_metrics!(found, {
        "request_duration_seconds" {..} => [1.5, 0.1],
    });
    let lines =
        differences(|| assert_metrics!(found, { "request_duration_seconds" => [0.1, 0.5] }));
    let expected = "  request_duration_seconds{..}: expected [0.1, 0.5], 1 up to 0.1, 1 up to 1.0\n    \
         found 1 up to 0.1, 1 above all bounds";
    assert_eq!(lines, expected);
    let lines = differences(|| assert_metrics!(found, { "request_duration_seconds" => [] }));
    assert!(lines.contains("expected [], nothing\n"), "{lines}");
}

#[test]
fn observations_are_compared_by_native_bucket() {
    for classic in [true, false] {
        let stage = Stage::with(|builder| {
            let native = builder.native_histograms(true);
            native.classic_histograms(classic)
        });
        stage.call("x", 500);
        let registry = stage.layer.registry();
        let before = Snapshot::of(registry);
        stage.call("x", 250);
        stage.call("x", 0);
        let growth = registry.since(&before);
        // The bounds of eight buckets lie between 0.125 and 0.25: the last but one is 0.25 / 2^(1/8) = 0.2293.
        assert_metrics!(growth, { "request_duration_seconds" => [0.23, 0.0] });
        let lines =
            differences(|| assert_metrics!(growth, { "request_duration_seconds" => [0.0, 0.2] }));
        let found = "\n    found 1 up to 9.5367431640625e-7, 1 up to 0.25";
        assert!(lines.ends_with(found), "{lines}");
    }
}

#[test]
fn observations_are_those_of_one_histogram() {
    let stage = Stage::new();
    stage.call("x", 100);
    stage.call("y", 100);
    let found = stage.found();
    let lines = differences(|| {
        assert_metrics!(found, {
            "request_duration_seconds" => [0.1, 0.1],
            "request_duration_seconds" {word = "x"} => [0.1],
        });
    });
    let expected = "  request_duration_seconds{..}: expected [0.1, 0.1], found 2 histograms: list more labels\n  \
         request_duration_seconds{word=\"x\"}: expected [0.1], found no such histogram\n    \
         nearest: request_duration_seconds{endpoint=\"a\",word=\"x\"}";
    assert_eq!(lines, expected);
}

#[test]
fn metrics_of_your_own_are_compared_as_well() {
    let registry = MetricsRegistry::new();
    let sold = Family::<[(&str, &str); 1], Counter<u64>>::default();
    let sold = registry.register("sold", "Sold", sold).unwrap();
    sold.get_or_create(&[("fruit", "apple")]).inc_by(3);
    let before = Snapshot::of(&registry);
    sold.get_or_create(&[("fruit", "apple")]).inc();
    assert_metrics!(registry.since(&before), { "sold_total" {fruit = "apple"} => 1, _ => 0 });
}

// === waiting ===

/// A runtime that only waits to be woken.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Arc::new(Unpark(thread::current())).into();
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        thread::park();
    }
}

#[test]
fn it_waits_for_a_call_in_any_runtime() {
    let layer = MetricsLayer::unary(());
    let ((begin, begun), (end, ended)) = (channel(), channel());
    let mut service = layer.layer(service_fn(move |word: String| {
        begin.send(()).unwrap();
        ended.recv().unwrap();
        ready(Ok::<_, Infallible>(word))
    }));
    let registry = layer.registry();
    let call = thread::spawn(move || now(service.call("x".to_owned())));
    begun.recv().unwrap();
    let mut waiting = pin!(wait_until_idle(registry, BOUND));
    let mut context = Context::from_waker(Waker::noop());
    assert!(waiting.as_mut().poll(&mut context).is_pending());
    end.send(()).unwrap();
    block_on(waiting);
    assert_metrics!(Snapshot::of(registry), { "requests_total" {} => 1 });
    call.join().unwrap().unwrap();
}

/// The call waits for a paused clock.
#[tokio::test(start_paused = true)]
async fn a_paused_clock_goes_on_while_it_waits() {
    let layer = MetricsLayer::unary(());
    let service = layer.layer(service_fn(async |word: String| {
        sleep(Duration::from_secs(3600)).await;
        Ok::<_, Infallible>(word)
    }));
    let call = tokio::spawn(service.oneshot("x".to_owned()));
    tokio::task::yield_now().await;
    assert_metrics!(Snapshot::of(layer.registry()), { "concurrent_requests" {} => 1 });
    wait_until_idle(layer.registry(), BOUND).await;
    assert_metrics!(Snapshot::of(layer.registry()), { "requests_total" {} => 1 });
    call.await.unwrap().unwrap();
}

#[test]
fn a_wait_that_takes_too_long_says_how_many_calls_are_left() {
    let layer = MetricsLayer::unary(());
    let mut service = layer.layer(service_fn(async |_: String| {
        pending::<Result<String, Infallible>>().await
    }));
    let calls = ["x", "y"].map(|word| Box::pin(service.call(word.to_owned())));
    let timeout = Duration::from_millis(20);
    let message = panic_of(|| block_on(wait_until_idle(layer.registry(), timeout)));
    assert_eq!(message, "2 calls are still in flight after 20ms");
    drop(calls);
    block_on(wait_until_idle(layer.registry(), timeout));
}
