//! Metrics of the runtime, of the build and of the target.

mod support;

use prometheus_client::registry::Registry;
use std::time::Duration;
use support::{Page, page_of};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;
use tower_openmetrics::collectors::TokioCollector;
use tower_openmetrics::testing::Snapshot;
use tower_openmetrics::{MetricsRegistry, assert_metrics};

const OPEN_METRICS: &str = "application/openmetrics-text";

/// Returns the page without the registry's own metric.
fn families(registry: &MetricsRegistry) -> String {
    let page = page_of(registry.exporter(), OPEN_METRICS);
    let lines = page.split_inclusive('\n');
    lines
        .filter(|line| !line.contains("uptime_seconds"))
        .collect()
}

// === infos ===

#[test]
fn infos_are_families_of_one_sample() {
    let registry = MetricsRegistry::new();
    registry
        .build_info([("version", "1.2.3"), ("revision", "a\"b\\c")])
        .unwrap();
    registry.target_info([("service.name", "cart")]).unwrap();
    assert_eq!(
        families(&registry),
        r#"# HELP target Information about the target, in the labels
# TYPE target info
target_info{service_name="cart"} 1
# HELP build Information about the build, in the labels
# TYPE build info
build_info{revision="a\"b\\c",version="1.2.3"} 1
# EOF
"#
    );
    let text = page_of(registry.exporter(), "text/plain");
    assert!(text.contains("# TYPE target_info gauge\ntarget_info{service_name=\"cart\"} 1\n"));
}

#[test]
fn an_info_that_is_repeated_or_has_invalid_labels_is_refused() {
    let registry = MetricsRegistry::new();
    for (labels, named) in [
        (vec![("service\n", "cart")], r#""service\n""#),
        (vec![("version", "1"), ("version", "2")], "`version`"),
    ] {
        let error = registry.target_info(labels).unwrap_err().to_string();
        assert!(error.contains(named), "{error}");
    }
    registry.build_info([("version", "1")]).unwrap();
    let error = registry.build_info([("version", "2")]).unwrap_err();
    assert!(error.to_string().contains("`build`"), "{error}");
}

// === tokio ===

fn registry_of(runtime: &Handle) -> MetricsRegistry {
    let registry = MetricsRegistry::new();
    registry
        .register_collector(TokioCollector::new(runtime))
        .unwrap();
    registry
}

#[test]
fn the_whole_page_of_a_new_runtime() {
    let runtime = Builder::new_current_thread().build().unwrap();
    assert_eq!(
        families(&registry_of(runtime.handle())),
        r#"# HELP tokio_alive_tasks Tasks that have been spawned and have not ended
# TYPE tokio_alive_tasks gauge
tokio_alive_tasks 0
# HELP tokio_global_queue_depth Tasks in the queue shared by all workers
# TYPE tokio_global_queue_depth gauge
tokio_global_queue_depth 0
# HELP tokio_worker_busy_seconds Time a worker has spent running tasks and drivers
# TYPE tokio_worker_busy_seconds counter
# UNIT tokio_worker_busy_seconds seconds
tokio_worker_busy_seconds_total{worker="0"} 0.0
# HELP tokio_worker_parks How often a worker went to sleep with nothing to do
# TYPE tokio_worker_parks counter
tokio_worker_parks_total{worker="0"} 0
# HELP tokio_workers Worker threads of the runtime
# TYPE tokio_workers gauge
tokio_workers 1
# EOF
"#
    );
}

#[test]
fn tasks_are_alive_until_they_end() {
    let runtime = Builder::new_current_thread().build().unwrap();
    let registry = registry_of(runtime.handle());
    let (end, ended) = oneshot::channel::<()>();
    let task = runtime.spawn(ended);
    assert_metrics!(Snapshot::of(&registry), { "tokio_alive_tasks" {} => 1 });
    end.send(()).unwrap();
    runtime.block_on(task).unwrap().unwrap();
    assert_metrics!(Snapshot::of(&registry), { "tokio_alive_tasks" {} => 0 });
}

/// The clock is stopped, so that all delays are known.
#[tokio::test(start_paused = true)]
async fn a_task_that_does_not_yield_delays_others() {
    let registry = MetricsRegistry::new();
    let interval = Duration::from_millis(100);
    let collector = TokioCollector::new(&Handle::current()).event_loop_delay(interval);
    registry.register_collector(collector).unwrap();
    // In time, again and again.
    tokio::time::sleep(10 * interval + interval / 2).await;
    let before = Snapshot::of(&registry);
    assert_metrics!(before, {
        "tokio_event_loop_delay_seconds_count" {} => 10,
        "tokio_event_loop_delay_seconds_sum" {} => 0,
    });
    // Its timer is due after 50 ms, and it runs after 200 ms.
    tokio::time::advance(Duration::from_millis(200)).await;
    tokio::task::yield_now().await;
    let delay = registry.since(&before);
    assert_metrics!(delay, { "tokio_event_loop_delay_seconds_count" {} => 1 });
    let page = Page::read(registry.exporter());
    assert_eq!(page.one("tokio_event_loop_delay_seconds_sum"), "0.15");

    // The task ends with its collector.
    let tasks = || Handle::current().metrics().num_alive_tasks();
    assert_eq!(tasks(), 1);
    drop((registry, page));
    tokio::task::yield_now().await;
    assert_eq!(tasks(), 0);
}

#[test]
fn every_worker_has_its_series() {
    let runtime = Builder::new_multi_thread().worker_threads(3).build();
    let registry = registry_of(runtime.unwrap().handle());
    // The runtime has been shut down, but its numbers can still be read.
    let page = Page::read(registry.exporter());
    assert_eq!(page.integer("tokio_workers"), 3);
    for name in [
        "tokio_worker_busy_seconds_total",
        "tokio_worker_parks_total",
    ] {
        let labels: Vec<_> = page.all(name).map(|(labels, _)| labels).collect();
        assert_eq!(
            labels,
            ["{worker=\"0\"}", "{worker=\"1\"}", "{worker=\"2\"}"]
        );
    }
}

#[test]
fn a_worker_with_nothing_to_do_parks() {
    let runtime = Builder::new_current_thread().build().unwrap();
    let registry = registry_of(runtime.handle());
    let (wake, woken) = oneshot::channel();
    let waker = std::thread::spawn(move || {
        // Sent only after the page has shown that the worker sleeps.
        while Page::read(registry.exporter()).integer("tokio_worker_parks_total{worker=\"0\"}") == 0
        {
            std::thread::yield_now();
        }
        wake.send(()).unwrap();
    });
    runtime.block_on(woken).unwrap();
    waker.join().unwrap();
}

#[test]
fn several_runtimes_are_distinguished_by_name() {
    let registry = MetricsRegistry::new();
    let runtimes = [(); 2].map(|()| Runtime::new().unwrap());
    for (runtime, name) in runtimes.iter().zip(["requests", "background"]) {
        registry
            .register_collector(TokioCollector::new(runtime.handle()).runtime(name))
            .unwrap();
    }
    let workers = |runtime: &Runtime| runtime.metrics().num_workers();
    assert_metrics!(Snapshot::of(&registry), {
        "tokio_workers" {runtime = "requests"} => workers(&runtimes[0]),
        "tokio_workers" {runtime = "background"} => workers(&runtimes[1]),
    });

    // Without names, both collectors would show the same series.
    let registry = registry_of(runtimes[0].handle());
    let error = registry
        .register_collector(TokioCollector::new(runtimes[1].handle()))
        .unwrap_err();
    assert!(error.to_string().contains("`tokio_"), "{error}");
}

#[test]
fn a_prometheus_client_registry_accepts_the_collector() {
    let runtime = Builder::new_current_thread().build().unwrap();
    let mut theirs = Registry::default();
    let collector = TokioCollector::new(runtime.handle()).runtime("requests");
    theirs.register_collector(Box::new(collector));
    let mut page = String::new();
    prometheus_client::encoding::text::encode(&mut page, &theirs).unwrap();
    assert!(
        page.contains("tokio_workers{runtime=\"requests\"} 1\n"),
        "{page}"
    );
}
