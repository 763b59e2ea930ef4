//! Memory of layers, label sets and threads is released when they end. The allocator counts it for the whole process.

#[allow(dead_code, reason = "it uses a part")]
#[path = "recorder/raw.rs"]
mod raw;
mod support;
#[path = "recorder/worker.rs"]
mod worker;

use self::raw::{Done, begin, builder, call, group, name};
use self::support::{Page, now, take_to_end};
use self::worker::Worker;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::alloc::System;
use std::cell::RefCell;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;
use tower::{Layer, ServiceExt, service_fn};
use tower_openmetrics::labels::{Label, is_long_lived};
use tower_openmetrics::{Call, CallHandle, Clock, MetricsLayer, TraceContext};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Bytes that the test harness may allocate meanwhile.
const NOISE: isize = 16 << 10;

/// Lets one test run at a time, because memory is counted for the whole process.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn in_use() -> isize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated as isize - stats.bytes_deallocated as isize
}

fn allocations() -> usize {
    ALLOCATOR.stats().allocations
}

/// Checks that `pass` leaks nothing in `times` runs, after as many runs to warm up.
#[track_caller]
fn assert_flat(times: usize, mut pass: impl FnMut(usize)) {
    (0..times).for_each(&mut pass);
    let before = in_use();
    (times..2 * times).for_each(&mut pass);
    let grown = in_use() - before;
    assert!(grown < NOISE, "{times} times have left {grown} bytes");
}

fn join(run: impl FnOnce() + Send) {
    thread::scope(|scope| scope.spawn(run).join()).expect("it does not panic");
}

/// Makes an HTTP call with a request body, which reports to its call.
fn upload(layer: &MetricsLayer) {
    let service = layer.layer(service_fn(async |request: Request<_>| {
        take_to_end(pin!(request.into_body()));
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("hello")))
    }));
    let Ok(answer) = now(service.oneshot(Request::new(Full::<Bytes>::from("hello"))));
    take_to_end(pin!(answer.into_body()));
}

#[test]
fn layers_with_different_closures_are_released() {
    const LAYERS: usize = 5_000;
    let _alone = alone();
    let pass = |number: usize| {
        let layer = MetricsLayer::builder()
            .filter(move |head| head.uri.path().len() != number + 10)
            .label(Label::method())
            .label(Label::route(move |head| head.uri.path().get(number & 1..)))
            .label(Label::status())
            .exemplars(move |_| Some(TraceContext::new(number as u128 + 1, 1)))
            .stream_duration_seconds(move |head| head.headers.len() > number || is_long_lived(head))
            .build([("endpoint", "a")])
            .unwrap();
        upload(&layer);
    };
    const SOME: usize = 100;
    let costs = |numbers: std::ops::Range<usize>| {
        let before = allocations();
        numbers.for_each(pass);
        allocations() - before
    };
    costs(0..SOME);
    let before = in_use();
    let first = costs(SOME..2 * SOME);
    costs(2 * SOME..LAYERS - SOME);
    let last = costs(LAYERS - SOME..LAYERS);
    let grown = in_use() - before;
    assert!(grown < NOISE, "{LAYERS} layers have left {grown} bytes");
    let few = SOME / 2;
    assert!(
        last <= first + few,
        "{first} allocations at first, {last} at last"
    );
}

/// The layers come from clones of one builder.
#[test]
fn layers_on_many_threads_are_released() {
    let _alone = alone();
    let builder = builder().label(name()).label(Label::status());
    assert_flat(100, |_| {
        thread::scope(|scope| {
            let threads = [(); 4].map(|()| {
                let builder = builder.clone();
                scope.spawn(move || {
                    for _ in 0..10 {
                        let layer = builder.clone().build(()).unwrap();
                        call(&layer.layer(Done), "/a");
                    }
                })
            });
            threads
                .into_iter()
                .for_each(|thread| thread.join().unwrap());
        });
    });
}

/// A million label sets over time. Idle ones are removed by a scrape or when space is needed.
#[test]
fn idle_label_sets_are_released() {
    const NAMES: usize = 1_000_000;
    const AT_ONCE: usize = 1_000;
    let _alone = alone();
    let clock = Clock::manual();
    let settings = builder().clock(clock).label(name()).buckets([1.0]);
    let settings = settings
        .series_idle_timeout(Duration::from_secs(1))
        .cardinality_limit(2 * AT_ONCE);
    let layer = settings.build(()).unwrap();
    let service = layer.layer(Done);
    let worker = Worker::new();
    let pass = |round: usize| {
        for number in 0..AT_ONCE {
            call(&service, &format!("/{round}-{number}"));
        }
        clock.advance(Duration::from_secs(1));
        // Every other pass has no scrape, so label sets are removed when space is needed.
        if round.is_multiple_of(2) {
            let page = Page::read(layer.exporter());
            let own = page
                .all("requests_total")
                .filter(|(labels, _)| !labels.contains("_OTHER"));
            assert_eq!(own.count(), 0);
        }
        if round.is_multiple_of(100) {
            let service = service.clone();
            worker.run(move || call(&service, &format!("/worker-{round}")));
        }
    };
    assert_flat(NAMES / AT_ONCE / 2, pass);
    assert_eq!(
        Page::read(layer.exporter()).integer("label_overflow_total"),
        0
    );
}

/// Tables of label sets grow in steps, so that each new set does not move all others.
#[test]
fn a_new_label_set_moves_no_table() {
    const NAMES: usize = 1_500;
    let _alone = alone();
    let layer = builder().label(name()).buckets([1.0]).build(()).unwrap();
    let service = layer.layer(Done);
    let paths: Vec<String> = (0..NAMES).map(|number| format!("/{number}")).collect();
    let before = ALLOCATOR.stats().reallocations;
    paths.iter().for_each(|path| call(&service, path));
    let moved = ALLOCATOR.stats().reallocations - before;
    // One for each is that of its own labels.
    assert!(moved < 2 * NAMES, "{NAMES} label sets, and {moved} moves");
}

/// Shared series are removed with their last label set.
#[test]
fn idle_label_sets_that_share_series_are_released() {
    let _alone = alone();
    let clock = Clock::manual();
    let shared = |label: Label| label.on_begin(false).on_duration(false).on_errors(false);
    let settings = builder().clock(clock).label(group()).label(shared(name()));
    let layer = settings
        .series_idle_timeout(Duration::from_secs(2))
        .build(())
        .unwrap();
    let service = layer.layer(Done);
    let scrape = || {
        clock.advance(Duration::from_secs(1));
        Page::read(layer.exporter());
    };
    assert_flat(500, |round| {
        for name in 0..3 {
            call(&service, &format!("/{round}/{name}"));
            scrape();
        }
        for _ in 0..3 {
            scrape();
        }
    });
}

#[test]
fn threads_that_make_calls_are_released() {
    let _alone = alone();
    let settings = || builder().label(name()).label(Label::status());
    let layers = [
        settings().build(()).unwrap(),
        settings()
            .series_idle_timeout(Duration::from_secs(60))
            .build(())
            .unwrap(),
        settings()
            .exemplars(|_| Some(TraceContext::new(1, 1)))
            .native_histograms(true)
            .build(())
            .unwrap(),
    ];
    let services: Vec<_> = layers.iter().map(|layer| layer.layer(Done)).collect();
    assert_flat(1_000, |_| {
        join(|| {
            for service in &services {
                call(service, "/a");
                drop(begin(service, "/b"));
            }
        });
    });
}

/// Request bodies report to their calls.
#[test]
fn threads_that_make_calls_with_bodies_are_released() {
    let _alone = alone();
    let layer = MetricsLayer::new(());
    assert_flat(1_000, |_| join(|| upload(&layer)));
}

fn with_handle(service: &tower_openmetrics::Metrics<Done, raw::Raw>) -> (Call, CallHandle) {
    let mut call = begin(service, "/a");
    let handle = call.handle();
    (call, handle)
}

#[test]
fn threads_that_end_calls_of_others_are_released() {
    let _alone = alone();
    let layer = builder().build(()).unwrap();
    let service = layer.layer(Done);
    assert_flat(1_000, |_| {
        let calls = [(); 10].map(|()| with_handle(&service));
        join(move || drop(calls));
    });
    // Threads that begin calls.
    assert_flat(1_000, |_| {
        let mut calls = Vec::new();
        join(|| calls.extend([(); 10].map(|()| with_handle(&service))));
        drop(calls);
    });
}

/// Calls begin and end in destructors of thread locals.
#[test]
fn threads_that_make_calls_in_destructors_are_released() {
    struct AtTheEnd(RefCell<Option<Box<dyn FnOnce()>>>);
    impl Drop for AtTheEnd {
        fn drop(&mut self) {
            if let Some(job) = self.0.take() {
                job();
            }
        }
    }
    thread_local! {
        static FIRST: AtTheEnd = const { AtTheEnd(RefCell::new(None)) };
        static LAST: AtTheEnd = const { AtTheEnd(RefCell::new(None)) };
    }
    let _alone = alone();
    let layer = builder().label(name()).build(()).unwrap();
    let service = layer.layer(Done);
    let gone = builder().build(()).unwrap().layer(Done);
    let job = || {
        let (service, gone) = (service.clone(), gone.clone());
        let open = with_handle(&service);
        let job = move || {
            drop(open);
            drop(with_handle(&service));
            call(&gone, "/a");
        };
        Box::new(job) as Box<dyn FnOnce() + Send>
    };
    assert_flat(1_000, |_| {
        let [first, last] = [(); 2].map(|()| job());
        join(move || {
            FIRST.with(|at_the_end| at_the_end.0.replace(Some(first)));
            drop(job());
            LAST.with(|at_the_end| at_the_end.0.replace(Some(last)));
        });
    });
}

/// A service may outlive its layer.
#[test]
fn threads_that_call_services_of_dropped_layers_are_released() {
    let _alone = alone();
    let gone = || builder().build(()).unwrap().layer(Done);
    let services: Vec<_> = (0..10).map(|_| gone()).collect();
    let layers: Vec<_> = (0..200).map(|_| builder().build(()).unwrap()).collect();
    // The layer has a slot with a high index.
    let far_up = gone();
    drop(layers);
    assert_flat(1_000, |_| {
        join(|| {
            services
                .iter()
                .chain([&far_up])
                .for_each(|gone| call(gone, "/"));
        });
    });
}

/// A thread releases its part of a dropped layer when it uses another layer.
#[test]
fn a_dropped_layer_releases_its_memory() {
    const SETS: usize = 1_000;
    let _alone = alone();
    let worker = Worker::new();
    let meet_another = || {
        let [here, there] = [(); 2].map(|()| builder().build(()).unwrap());
        call(&here.layer(Done), "/");
        let service = there.layer(Done);
        worker.run(move || call(&service, "/"));
    };
    let pass = |_| {
        let before = in_use();
        let layer = builder()
            .label(name())
            .label(Label::status())
            .build(())
            .unwrap();
        let service = layer.layer(Done);
        let calls = move || (0..SETS).for_each(|set| call(&service, &format!("/{set}")));
        calls();
        let one_thread = in_use() - before;
        assert!(one_thread > 500 * SETS as isize, "{one_thread}");
        worker.run(calls);
        drop(layer);
        meet_another();
        let left = in_use() - before;
        assert!(
            left < one_thread / 20,
            "{left} of {one_thread} and as much of the other thread"
        );
    };
    meet_another();
    assert_flat(20, pass);
}
