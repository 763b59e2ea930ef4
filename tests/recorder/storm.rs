//! A million calls from several threads during scrapes. Some calls end on another thread.

use crate::raw::{Measured, Raw, all_of, answer, begin, builder, built, group, name};
use crate::support::{Page, page_of};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;
use tower_openmetrics::labels::Label;
use tower_openmetrics::{Call, ErrorType, MetricsLayer, TraceContext};

const THREADS: usize = 4;
const CALLS: usize = 250_000;
const NAMES: usize = 11;
const STATUSES: [u16; 3] = [200, 404, 500];

/// Returns the path of a thread's call.
fn path(number: usize) -> String {
    format!("/g{}/{}", number % 2, number % NAMES)
}

fn end(mut call: Call, number: usize) {
    answer(&mut call, STATUSES[number % 3]);
    call.response_message(2);
    match number % 4 {
        0 | 1 => call.complete(),
        2 => call.fail(ErrorType::GENERATE),
        _ => drop(call),
    }
}

fn live(service: Measured, next: &SyncSender<(Call, usize)>, own: &Receiver<(Call, usize)>) {
    for number in 0..CALLS {
        let call = begin(service, &path(number));
        call.request_bytes(3);
        match number % 8 {
            // A full queue returns the call.
            0 => match next.try_send((call, number)) {
                Ok(()) => {}
                Err(error) => {
                    let (mpsc::TrySendError::Full((call, number))
                    | mpsc::TrySendError::Disconnected((call, number))) = error;
                    end(call, number);
                }
            },
            _ => end(call, number),
        }
        own.try_iter().for_each(|(call, number)| end(call, number));
    }
}

/// Checks that no counter has decreased, and that the numbers of a page are consistent.
fn assert_went_on(before: &Page, after: &Page) {
    let later: BTreeMap<_, _> = after.samples().collect();
    for (series, text) in before.samples() {
        let now: f64 = later[series].parse().unwrap();
        if series.starts_with("concurrent_requests") {
            assert!(now >= 0.0, "{series} is {now}");
        } else {
            assert!(
                now >= text.parse().unwrap(),
                "{series} went from {text} to {now}"
            );
        }
    }
    let counts = after.all("request_duration_seconds_count");
    let bucket = |labels: &str| {
        let labels = labels.replace(r#",name="#, r#",le="+Inf",name="#);
        format!("request_duration_seconds_bucket{labels}")
    };
    for (labels, count) in counts {
        assert_eq!(later[&*bucket(labels)], count, "{labels}");
    }
}

/// Returns the page without exemplars, which differ between pages.
fn read(layer: &MetricsLayer<Raw>) -> Page {
    let page = page_of(layer.exporter(), "text/plain");
    Page::parse(&format!("{page}# EOF\n"))
}

#[test]
fn a_million_calls_are_counted_exactly() {
    let settings = builder()
        .label(name())
        .label(group())
        .label(Label::status());
    let settings = settings.exemplars(|_| Some(TraceContext::new(3, 4)));
    let (layer, service) = built(settings.native_histograms(true));
    let running = AtomicUsize::new(THREADS);
    thread::scope(|scope| {
        let (senders, receivers): (Vec<_>, Vec<_>) =
            (0..THREADS).map(|_| mpsc::sync_channel(64)).unzip();
        for (thread, own) in receivers.into_iter().enumerate() {
            let next = senders[(thread + 1) % THREADS].clone();
            let running = &running;
            scope.spawn(move || {
                live(service, &next, &own);
                drop(next);
                running.fetch_sub(1, Ordering::Release);
                // Ends when all senders are gone.
                own.iter().for_each(|(call, number)| end(call, number));
            });
        }
        drop(senders);
        let mut last = read(&layer);
        while running.load(Ordering::Acquire) > 0 {
            let page = read(&layer);
            assert_went_on(&last, &page);
            last = page;
        }
    });
    let page = read(&layer);
    let count = |is: &dyn Fn(usize) -> bool| {
        let calls = (0..CALLS).filter(|number| is(*number)).count();
        (THREADS * calls) as i64
    };
    let requests = all_of(&page, "requests_total");
    let mut expected = BTreeMap::new();
    for set in 0..2 * 3 * NAMES {
        let is = |number: usize| number % (2 * 3 * NAMES) == set;
        let (group, name, status) = (set % 2, set % NAMES, STATUSES[set % 3]);
        let labels = format!(r#"{{group="g{group}",name="{name}",status="{status}"}}"#);
        *expected.entry(labels).or_insert(0) += count(&is);
    }
    assert_eq!(requests, expected);
    let sum = |metric: &str| all_of(&page, metric).values().sum::<i64>();
    let calls = (THREADS * CALLS) as i64;
    assert_eq!(calls, 1_000_000);
    for (metric, expected) in [
        ("request_duration_seconds_count", calls),
        ("request_bytes_total", 3 * calls),
        ("response_bytes_total", 2 * calls),
        ("errors_total", count(&|number| number % 4 == 2)),
        ("cancellations_total", count(&|number| number % 4 == 3)),
        ("concurrent_requests", 0),
    ] {
        assert_eq!(sum(metric), expected, "{metric}");
    }
}
