//! Random clients: the number of label sets stays bounded, and sums stay exact.

use super::{all, call, get};
use http::Request;
use http_body_util::Full;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use tower_openmetrics::MetricsLayer;
use tower_openmetrics::labels::Label;

const REQUESTS: u64 = 100_000;
const LIMIT: usize = 50;

/// A cheap random number generator.
fn noise(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

fn random_request(state: &mut u64) -> Request<Full<bytes::Bytes>> {
    let method = format!("M{}", noise(state) % 1_000);
    let method = match noise(state) % 4 {
        0 => "GET",
        1 => "POST",
        _ => &method,
    };
    let path = format!("/{:x}", noise(state));
    let host = format!("{:x}.example", noise(state));
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", host);
    request.body(Full::from("1234567")).unwrap()
}

fn by_everything(label_sets: usize) -> MetricsLayer {
    MetricsLayer::builder()
        .label(Label::method())
        .label(Label::from_request("path", |head| Some(head.uri.path())))
        .label(Label::from_request("host", |head| {
            head.headers.get("host")?.to_str().ok()
        }))
        .label(Label::status())
        .cardinality_limit(label_sets)
        .build([("a", "1")])
        .unwrap()
}

#[test]
fn random_requests_never_exceed_the_limit() {
    let layer = by_everything(LIMIT);
    let mut state = 0x9e37_79b9_7f4a_7c15;
    for _ in 0..1_000 {
        call(&layer, random_request(&mut state));
    }
    let series = all(&layer, "requests_total").len();
    // All memory for label sets is allocated by now.
    let grown = allocation_counter::measure(|| {
        for _ in 0..REQUESTS - 1_000 {
            call(&layer, random_request(&mut state));
        }
    });
    assert_eq!(series, LIMIT + 1);
    for metric in [
        "requests_total",
        "response_bytes_total",
        "concurrent_requests",
        "request_duration_seconds_count",
    ] {
        assert_eq!(all(&layer, metric).len(), LIMIT + 1, "{metric}");
    }
    assert_eq!(grown.bytes_current, 0, "memory is flat");
    let sum = |metric| -> u64 { all(&layer, metric).iter().map(|(_, value)| value).sum() };
    assert_eq!(sum("requests_total"), REQUESTS);
    assert_eq!(sum("request_duration_seconds_count"), REQUESTS);
    assert_eq!(sum("request_bytes_total"), 7 * REQUESTS);
    assert_eq!(sum("response_bytes_total"), 5 * REQUESTS);
    assert_eq!(sum("concurrent_requests"), 0);
    assert_eq!(sum("label_overflow_total"), REQUESTS - LIMIT as u64);
}

/// Threads meet the same new label sets at the same time, more than there is room for, while pages are read.
#[test]
fn threads_that_race_for_room_agree_on_the_label_sets() {
    const THREADS: u64 = 8;
    const ROUNDS: u64 = 300;
    for _ in 0..5 {
        let layer = by_everything(200);
        let done = AtomicU64::new(0);
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for path in 0..ROUNDS {
                        call(&layer, get(&format!("/{path}")));
                    }
                    done.fetch_add(1, Ordering::Release);
                });
            }
            let mut before = 0;
            while done.load(Ordering::Acquire) < THREADS {
                let requests = all(&layer, "requests_total");
                assert!(requests.len() <= 201, "{}", requests.len());
                let sum = requests.iter().map(|(_, value)| value).sum();
                assert!(before <= sum, "{before}, then {sum}");
                before = sum;
            }
        });
        let requests = all(&layer, "requests_total");
        assert_eq!(requests.len(), 201);
        let (_, overflow) = requests
            .iter()
            .find(|(labels, _)| labels.contains("path=\"_OTHER\""))
            .unwrap();
        // Any 200 paths found room. The calls of all others are under one label set.
        let found: u64 = requests.iter().map(|(_, value)| value).sum::<u64>() - overflow;
        assert_eq!(found, 200 * THREADS);
        assert_eq!(*overflow, 100 * THREADS);
        assert_eq!(all(&layer, "label_overflow_total")[0].1, *overflow);
    }
}

/// Other label sets fight for the rest.
#[test]
fn declared_label_sets_keep_their_room_in_a_race() {
    const THREADS: u64 = 8;
    const ROUNDS: u64 = 500;
    let layer = MetricsLayer::builder()
        .label(Label::from_request("path", |head| Some(head.uri.path())))
        .declare([("path", "/kept")])
        .cardinality_limit(10)
        .build([("a", "1")])
        .unwrap();
    thread::scope(|scope| {
        for seed in 1..=THREADS {
            let layer = &layer;
            scope.spawn(move || {
                let mut state = seed;
                for _ in 0..ROUNDS {
                    call(layer, get(&format!("/{:x}", noise(&mut state))));
                    call(layer, get("/kept"));
                }
            });
        }
    });
    let requests = all(&layer, "requests_total");
    assert_eq!(requests.len(), 10 + 1);
    let of = |path: &str| {
        let label = format!("path=\"{path}\"");
        let mut found = requests
            .iter()
            .filter(|(labels, _)| labels.contains(&label));
        found.next().unwrap().1
    };
    assert_eq!(of("/kept"), THREADS * ROUNDS);
    // Nine others found room. Each has one call, because no two paths are the same.
    assert_eq!(of("_OTHER"), THREADS * ROUNDS - 9);
}
