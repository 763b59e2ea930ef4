//! Sums are exact while many threads come and go.

use crate::raw::{
    Measured, all, answer, assert_all, begin, builder, built, call, group, name, sum,
};
use crate::support::Page;
use std::cell::RefCell;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use tower_openmetrics::labels::Label;
use tower_openmetrics::{Call, ErrorType, TraceContext};

const NAMES: usize = 7;

/// Ends a call in a way that depends on its number.
fn end(mut call: Call, number: usize) {
    call.request_message(3);
    answer(&mut call, [200, 404][number % 2]);
    call.response_message(5);
    match number % 3 {
        0 => call.complete(),
        1 => call.fail(ErrorType::GENERATE),
        _ => drop(call),
    }
}

fn path(number: usize) -> String {
    format!("/{}", number % NAMES)
}

/// Checks that exactly the calls from 0 to `count` are on the page, each under its labels.
#[track_caller]
fn assert_counted(layer: &tower_openmetrics::MetricsLayer<crate::raw::Raw>, count: usize) {
    let of = |is: &dyn Fn(usize) -> bool| (0..count).filter(|call| is(*call)).count() as i64;
    let status = |number: usize| [200, 404][number % 2];
    let requests = all(layer, "requests_total");
    let mut sets = 0;
    for name in 0..NAMES {
        for code in [200, 404] {
            let expected = of(&|call| call % NAMES == name && status(call) == code);
            let labels = format!("{{name=\"{name}\",status=\"{code}\"}}");
            assert_eq!(requests.get(&labels), Some(&expected), "{labels}");
            sets += 1;
        }
    }
    assert_eq!(requests.len(), sets);
    let failed = of(&|call| call % 3 == 1);
    for (metric, expected) in [
        ("requests_total", count as i64),
        ("request_duration_seconds_count", count as i64),
        ("errors_total", failed),
        ("cancellations_total", of(&|call| call % 3 == 2)),
        ("request_bytes_total", 3 * count as i64),
        ("response_bytes_total", 5 * count as i64),
        ("concurrent_requests", 0),
        ("label_overflow_total", 0),
    ] {
        assert_eq!(sum(layer, metric), expected, "{metric}");
    }
}

#[test]
fn ten_thousand_short_lived_threads() {
    const THREADS: usize = 10_000;
    let (layer, service) = built(builder().label(name()).label(Label::status()));
    let numbers: Vec<usize> = (0..THREADS).collect();
    let mut seen = 0;
    for some in numbers.chunks(100) {
        thread::scope(|scope| {
            for &number in some {
                scope.spawn(move || end(begin(service, &path(number)), number));
            }
        });
        let requests = sum(&layer, "requests_total");
        assert!(seen < requests, "{seen}, then {requests}");
        seen = requests;
    }
    assert_counted(&layer, THREADS);
}

#[test]
fn five_hundred_threads_at_once() {
    const THREADS: usize = 500;
    let (layer, service) = built(builder().label(name()).label(Label::status()));
    let all_begun = Barrier::new(THREADS + 1);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let all_begun = &all_begun;
            scope.spawn(move || {
                let calls: Vec<_> = (0..10)
                    .map(|call| 10 * thread + call)
                    .map(|number| (begin(service, &path(number)), number))
                    .collect();
                all_begun.wait();
                all_begun.wait();
                calls
                    .into_iter()
                    .for_each(|(call, number)| end(call, number));
                all_begun.wait();
            });
        }
        all_begun.wait();
        assert_eq!(sum(&layer, "concurrent_requests"), 10 * THREADS as i64);
        assert_eq!(sum(&layer, "requests_total"), 0);
        all_begun.wait();
        all_begun.wait();
        assert_counted(&layer, 10 * THREADS);
    });
    assert_counted(&layer, 10 * THREADS);
}

/// Each step of a call runs on a new thread, which ends after the step.
#[test]
fn each_moment_on_another_thread() {
    const CALLS: usize = 300;
    let (layer, service) = built(builder().label(name()).label(Label::status()));
    fn on_thread<R: Send>(step: impl FnOnce() -> R + Send) -> R {
        thread::scope(|scope| scope.spawn(step).join()).expect("it does not panic")
    }
    for number in 0..CALLS {
        let mut call = on_thread(|| begin(service, &path(number)));
        let handle = call.handle();
        on_thread(move || {
            handle.request_bytes(3);
            if number % 3 == 1 {
                handle.fault(ErrorType::GENERATE);
            }
        });
        let mut call = on_thread(move || {
            answer(&mut call, [200, 404][number % 2]);
            call
        });
        call = on_thread(move || {
            call.response_message(5);
            call
        });
        on_thread(move || match number % 3 {
            0 | 1 => call.complete(),
            _ => drop(call),
        });
    }
    assert_counted(&layer, CALLS);
}

thread_local! {
    static FIRST: AtTheEnd = const { AtTheEnd(RefCell::new(None)) };
    static LAST: AtTheEnd = const { AtTheEnd(RefCell::new(None)) };
}

type Job = Box<dyn FnOnce()>;

/// Runs a job in the destructor of a thread local.
struct AtTheEnd(RefCell<Option<Job>>);

impl AtTheEnd {
    fn set(&self, job: impl FnOnce() + 'static) {
        self.0.replace(Some(Box::new(job)));
    }
}

impl Drop for AtTheEnd {
    fn drop(&mut self) {
        if let Some(job) = self.0.take() {
            job();
        }
    }
}

/// Runs `first` on a thread, and `at_the_end` twice at the thread's end: before and after the recorder's own destructor.
fn on_ending_thread(first: impl FnOnce() + Send, at_the_end: impl Fn() + Clone + Send + 'static) {
    thread::scope(|scope| {
        let jobs = move || {
            // Destructors run in the order of first use, or in reverse.
            FIRST.with(|job| job.set(at_the_end.clone()));
            first();
            LAST.with(|job| job.set(at_the_end));
        };
        // `join` waits for destructors. A scope doesn't.
        scope.spawn(jobs).join().expect("it does not panic");
    });
}

#[test]
fn calls_may_end_in_destructors_of_their_thread() {
    const THREADS: usize = 200;
    let settings = || {
        let builder = builder().label(name()).label(Label::status());
        builder.label(group().on_begin(false))
    };
    for builder in [
        settings(),
        settings().series_idle_timeout(std::time::Duration::from_secs(3_600)),
        settings()
            .exemplars(|_| Some(TraceContext::new(1, 2)))
            .first_byte_seconds(true)
            .response_head_seconds(true)
            .native_histograms(true),
    ] {
        let (layer, service) = built(builder);
        let ended = std::sync::Arc::new(AtomicU64::new(0));
        for number in 0..THREADS {
            let open =
                std::sync::Mutex::new(vec![begin(service, "/g/open"), begin(service, "/g/open")]);
            let (open, ended) = (std::sync::Arc::new(open), ended.clone());
            let at_the_end = move || {
                let mut open = open.lock().unwrap().pop().expect("one for each");
                let handle = open.handle();
                handle.request_bytes(1);
                answer(&mut open, 200);
                open.complete();
                let mut call = begin(service, "/g/late");
                call.response_message(2);
                call.fail(ErrorType::from_static("late"));
                ended.fetch_add(1, Ordering::Relaxed);
            };
            match number % 2 {
                0 => on_ending_thread(|| call(service, "/g/first"), at_the_end),
                _ => on_ending_thread(|| (), at_the_end),
            }
        }
        let count = ended.load(Ordering::Relaxed) as i64;
        assert_eq!(count, 2 * THREADS as i64);
        assert_all(
            &layer,
            "requests_total",
            &[
                (r#"group="g",name="first",status="none""#, count / 4),
                (r#"group="g",name="late",status="none""#, count),
                (r#"group="g",name="open",status="200""#, count),
            ],
        );
        assert_eq!(
            sum(&layer, "request_duration_seconds_count"),
            2 * count + count / 4
        );
        assert_eq!(sum(&layer, "request_bytes_total"), count);
        assert_eq!(sum(&layer, "response_bytes_total"), 2 * count);
        let late = r#"{error_type="late",group="g",name="late"}"#;
        assert_eq!(all(&layer, "errors_total")[late], count);
        assert_eq!(sum(&layer, "concurrent_requests"), 0);
    }
}

/// Destructors may also build, scrape and drop layers.
#[test]
fn layers_may_come_and_go_in_destructors_of_a_thread() {
    let (layer, service) = built(builder().label(name()));
    let count = std::sync::Arc::new(AtomicU64::new(0));
    for _ in 0..50 {
        let count = count.clone();
        let (own_layer, own): (_, Measured) = built(builder().label(name()));
        let own_layer = std::sync::Arc::new(own_layer);
        let at_the_end = move || {
            call(own, "/own");
            assert!(sum(&own_layer, "requests_total") > 0);
            call(service, "/other");
            let (new_layer, new) = built(builder().label(name()));
            call(new, "/new");
            assert_all(&new_layer, "requests_total", &[(r#"name="new""#, 1)]);
            drop(new_layer);
            call(new, "/gone");
            count.fetch_add(1, Ordering::Relaxed);
        };
        on_ending_thread(move || call(own, "/own"), at_the_end);
    }
    assert_eq!(count.load(Ordering::Relaxed), 100);
    assert_all(&layer, "requests_total", &[(r#"name="other""#, 100)]);
    let _ = Page::read(layer.exporter());
}
