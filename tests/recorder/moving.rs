//! Endpoints that are removed and added again, and layers that are dropped, while calls are in flight.

use crate::raw::{Done, all, answer, assert_all, begin, builder, built, call, code_at, name, sum};
use crate::support::Page;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use tower::Layer;
use tower_openmetrics::labels::Label;
use tower_openmetrics::{ErrorType, MetricsLayer, MetricsLayerBuilder, MetricsRegistry};

type Settings = fn() -> MetricsLayerBuilder<crate::raw::Raw>;

const SETTINGS: [Settings; 3] = [
    || builder().label(name()),
    || {
        builder()
            .label(name())
            .label(Label::status())
            .label(Label::code(&["OK"]))
    },
    || {
        builder()
            .label(name())
            .series_idle_timeout(Duration::from_secs(60))
    },
];

/// Returns what the page shows of the label set `name="x"`.
fn x<P>(layer: &MetricsLayer<P>, metric: &str) -> i64 {
    let all = all(layer, metric);
    let of_x = all
        .iter()
        .filter(|(labels, _)| labels.contains(r#"name="x""#));
    of_x.map(|(_, value)| value).sum()
}

#[test]
fn an_endpoint_that_comes_back_starts_from_0() {
    for settings in SETTINGS {
        let registry = MetricsRegistry::new();
        let build = || settings().registry(&registry).build(()).unwrap();
        let first = build();
        let service = first.layer(Done);
        for _ in 0..5 {
            call(&service, "/x");
        }
        let mut open = begin(&service, "/x");
        let handle = open.handle();
        assert_eq!(
            (
                x(&first, "requests_total"),
                x(&first, "concurrent_requests")
            ),
            (5, 1)
        );

        assert!(first.remove());
        let page = Page::read(registry.exporter());
        assert_eq!(page.all("requests_total").count(), 0);
        // Calls continue after the endpoint is removed.
        call(&service, "/x");
        let another = begin(&service, "/x");

        let again = build();
        let again_service = again.layer(Done);
        assert_eq!(all(&again, "requests_total").len(), 0);
        call(&again_service, "/x");
        handle.request_bytes(7);
        handle.fault(ErrorType::GENERATE);
        answer(&mut open, 500);
        open.response_message(9);
        open.complete();
        assert_eq!(sum(&again, "requests_total"), 1);

        drop((first, service));
        another.complete();
        handle.request_bytes(7);
        for metric in [
            "concurrent_requests",
            "request_bytes_total",
            "response_bytes_total",
            "errors_total",
        ] {
            assert_eq!(sum(&again, metric), 0, "{metric}");
        }
        assert_all(
            &again,
            "request_duration_seconds_count",
            &[(r#"name="x""#, 1)],
        );
    }
}

/// The calls end on this thread, which still holds its part of the layer, and on threads that have released it or never had
/// one.
#[test]
fn calls_of_dropped_layers_end_without_effect() {
    for settings in SETTINGS {
        let (layer, service) = built(settings());
        let begun = || {
            let mut call = begin(service, "/x");
            let handle = call.handle();
            (call, handle)
        };
        let calls: Vec<_> = (0..12).map(|_| begun()).collect();
        assert_eq!(sum(&layer, "concurrent_requests"), 12);
        drop(layer);
        // Other layers take the slot. They must not see these calls.
        let (next, next_service) = built(settings());
        let mut calls = calls.into_iter();
        let mut some = || calls.by_ref().take(4).collect::<Vec<_>>();
        let end = move |some: Vec<(tower_openmetrics::Call, tower_openmetrics::CallHandle)>| {
            for (number, (mut call, handle)) in some.into_iter().enumerate() {
                handle.request_message(7);
                call.request_bytes(7);
                if number == 1 {
                    handle.fault(ErrorType::from_static("new"));
                    call.fault(ErrorType::PANIC);
                }
                answer(&mut call, 200);
                call.response_message(9);
                call.set_code(code_at(0));
                match number {
                    0 => call.complete(),
                    _ => drop(call),
                }
                handle.request_message(7);
                handle.fault(ErrorType::PANIC);
            }
        };
        end(some());
        thread::spawn({
            let some = some();
            move || end(some)
        })
        .join()
        .unwrap();
        call(next_service, "/y");
        // The thread has released its part by now.
        end(some());
        // The service still works.
        for _ in 0..3 {
            end(vec![begun(), begun()]);
        }
        assert_eq!(all(&next, "requests_total").len(), 1);
        assert_eq!(
            (sum(&next, "requests_total"), x(&next, "requests_total")),
            (1, 0)
        );
        for metric in [
            "concurrent_requests",
            "request_bytes_total",
            "response_bytes_total",
            "errors_total",
        ] {
            assert_eq!(sum(&next, metric), 0, "{metric}");
        }
    }
}

/// A thread that outlives layers and has had blocks of each.
#[test]
fn a_thread_may_outlive_layers() {
    let (jobs, todo) = mpsc::channel::<Box<dyn FnOnce() + Send>>();
    let (told, done) = mpsc::channel();
    let worker = thread::spawn(move || {
        for job in todo {
            job();
            told.send(()).unwrap();
        }
    });
    let run = |job: Box<dyn FnOnce() + Send>| {
        jobs.send(job).unwrap();
        done.recv().unwrap();
    };
    let mut gone = Vec::new();
    for round in 1..=200 {
        let (layer, service) = built(builder().label(name()));
        run(Box::new(move || call(service, "/x")));
        let open = begin(service, "/x");
        assert_all(&layer, "requests_total", &[(r#"name="x""#, 1)]);
        assert_all(&layer, "concurrent_requests", &[(r#"name="x""#, 1)]);
        if round % 2 == 0 {
            run(Box::new(move || open.complete()));
            assert_all(&layer, "requests_total", &[(r#"name="x""#, 2)]);
        } else {
            gone.push((open, service));
        }
    }
    for (open, service) in gone {
        run(Box::new(move || {
            open.complete();
            call(service, "/x");
        }));
    }
    drop(jobs);
    worker.join().unwrap();
}
