//! Threads and label sets come and go concurrently with scrapes.

use crate::raw::{Measured, Raw, all_of, answer, begin, builder, built, group, name, sum};
use crate::support::Page;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Duration;
use tower_openmetrics::labels::Label;
use tower_openmetrics::{Call, Clock, MetricsLayer, MetricsLayerBuilder};

const TICK: Duration = Duration::from_millis(1);
/// A label set is removed after this time without a call. A scrape takes one [`TICK`].
const IDLE: Duration = Duration::from_millis(3);
const STATUSES: [u16; 2] = [200, 404];

fn settings(clock: Clock) -> MetricsLayerBuilder<Raw> {
    // All label sets share one series of durations.
    let by = |label: Label| label.on_duration(false);
    let settings = builder()
        .clock(clock)
        .buckets([1.0])
        .series_idle_timeout(IDLE);
    settings
        .label(by(name()))
        .label(by(Label::status()))
        .label(by(group().on_begin(false)))
}

/// Sends calls to a thread that ends them in order.
type Ender = mpsc::Sender<Call>;

/// The counts of each label set, one for each time it was on the page.
type Ledger = BTreeMap<String, Vec<i64>>;

/// Returns the labels of `requests_total`.
fn labels(name: &str, status: u16) -> String {
    format!(r#"{{group="g",name="{name}",status="{status}"}}"#)
}

/// Makes calls with a name, which stays in use from the first to the last call. Returns the number of calls by status.
fn burst(service: Measured, name: &str, seed: usize, ender: &Ender) -> [i64; 2] {
    let path = format!("/g/{name}");
    let answered = |status: u16| {
        let mut call = begin(service, &path);
        answer(&mut call, status);
        call
    };
    // These calls stay open meanwhile.
    let kept = STATUSES.map(answered);
    let mut counts = [1, 1];
    for number in 0..40 {
        let status = (seed + number) % 2;
        let call = answered(STATUSES[status]);
        counts[status] += 1;
        match (seed + number) % 5 {
            0 => ender.send(call).unwrap(),
            1 if number < 10 => thread::spawn(move || drop(call)).join().unwrap(),
            2 => drop(call),
            _ => call.complete(),
        }
    }
    // Ends after all calls that were sent before.
    for call in kept {
        ender.send(call).unwrap();
    }
    counts
}

/// Counts a running thread until it is dropped.
struct Running<'a>(&'a AtomicUsize);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}

/// Reads pages until `is_over`. Records the last counts of each label set before it is removed.
struct Scraper<'a> {
    layer: &'a MetricsLayer<Raw>,
    clock: Clock,
    last: BTreeMap<String, i64>,
    durations: i64,
    seen: Ledger,
    gone: &'a Mutex<BTreeSet<String>>,
}

impl Scraper<'_> {
    fn scrape(&mut self) {
        let page = Page::read(self.layer.exporter());
        for (labels, calls) in all_of(&page, "concurrent_requests") {
            assert!(calls >= 0, "{labels}: {calls}");
        }
        let requests = all_of(&page, "requests_total");
        for (labels, calls) in &self.last {
            match requests.get(labels) {
                Some(now) => assert!(now >= calls, "{labels}: {calls}, then {now}"),
                None => {
                    self.seen.entry(labels.clone()).or_default().push(*calls);
                    self.gone.lock().unwrap().insert(labels.clone());
                }
            }
        }
        let durations = page.integer("request_duration_seconds_count") as i64;
        assert!(
            durations >= self.durations,
            "{durations} after {}",
            self.durations
        );
        self.durations = durations;
        self.last = requests;
        self.clock.advance(TICK);
    }
}

#[test]
fn no_count_is_lost_before_a_scrape_shows_it() {
    const WORKERS: usize = 4;
    const ROUNDS: usize = 60;
    /// The number of names that a worker uses in turn. Each is removed before it is used again.
    const NAMES: usize = 3;

    let clock = Clock::manual();
    let (layer, service) = built(settings(clock));
    // Keeps the series of durations.
    let keeper = begin(service, "/g/keeper");
    let (running, gone) = (AtomicUsize::new(WORKERS), Mutex::new(BTreeSet::new()));
    let mut scraper = Scraper {
        layer: &layer,
        clock,
        last: BTreeMap::new(),
        durations: 0,
        seen: Ledger::new(),
        gone: &gone,
    };
    let scrapes = AtomicUsize::new(0);
    let work = |worker: usize| {
        let _running = Running(&running);
        let mut ledger = Ledger::new();
        let (ender, to_end) = mpsc::channel::<Call>();
        let ending = thread::spawn(move || to_end.into_iter().for_each(Call::complete));
        for round in 0..ROUNDS {
            let name = format!("{worker}-{}", round % NAMES);
            let has_left = |status| gone.lock().unwrap().remove(&labels(&name, status));
            for status in STATUSES.into_iter().filter(|_| round >= NAMES) {
                let before = scrapes.load(Ordering::Relaxed);
                while !has_left(status) {
                    let waited = scrapes.load(Ordering::Relaxed) - before;
                    assert!(waited < 1_000, "{name} does not leave");
                    thread::yield_now();
                }
            }
            // Some bursts run on a new thread.
            let counts = match round % 4 {
                0 => thread::scope(|scope| {
                    let burst = || burst(service, &name, round, &ender);
                    scope.spawn(burst).join().unwrap()
                }),
                _ => burst(service, &name, round, &ender),
            };
            for (status, count) in STATUSES.into_iter().zip(counts) {
                ledger.entry(labels(&name, status)).or_default().push(count);
            }
        }
        drop(ender);
        ending.join().unwrap();
        ledger
    };
    let expected: Ledger = thread::scope(|scope| {
        let work = &work;
        let workers: Vec<_> = (0..WORKERS)
            .map(|worker| scope.spawn(move || work(worker)))
            .collect();
        while running.load(Ordering::Acquire) > 0 {
            scraper.scrape();
            scrapes.fetch_add(1, Ordering::Relaxed);
        }
        let ledgers = workers.into_iter().map(|worker| worker.join().unwrap());
        ledgers.flatten().collect()
    });
    // All sets except the keeper's are removed.
    for _ in 0..5 {
        scraper.scrape();
    }
    assert_eq!(scraper.last, BTreeMap::new());
    assert_eq!(scraper.seen, expected);
    let calls: i64 = expected.values().flatten().sum();
    assert_eq!(scraper.durations, calls);
    assert_eq!(sum(&layer, "concurrent_requests"), 1);
    assert_eq!(sum(&layer, "label_overflow_total"), 0);
    keeper.complete();
    assert_eq!(sum(&layer, "request_duration_seconds_count"), calls + 1);
    assert_eq!(sum(&layer, "concurrent_requests"), 0);
}

/// Under a low limit, calls go to `_OTHER` until sets are removed. All durations are in one series, and none is lost.
#[test]
fn no_call_is_lost_under_a_low_limit() {
    const WORKERS: usize = 4;
    const CALLS: usize = 20_000;

    let clock = Clock::manual();
    let (layer, service) = built(settings(clock).cardinality_limit(6));
    let keeper = begin(service, "/g/keeper");
    let running = AtomicUsize::new(WORKERS);
    thread::scope(|scope| {
        let (ender, to_end) = mpsc::channel::<Call>();
        scope.spawn(move || to_end.into_iter().for_each(Call::complete));
        for worker in 0..WORKERS {
            let (ender, running) = (ender.clone(), &running);
            scope.spawn(move || {
                let _running = Running(running);
                let mut state = worker + 1;
                for number in 0..CALLS {
                    state = state * 1_103_515_245 % 2_147_483_648 + 12_345;
                    let name = state / 65_536 % 3 + number / 100 % 40;
                    let mut call = begin(service, &format!("/g/{name}"));
                    answer(&mut call, STATUSES[number % 2]);
                    match number % 3 {
                        0 => ender.send(call).unwrap(),
                        1 => drop(call),
                        _ => call.complete(),
                    }
                }
            });
        }
        drop(ender);
        let mut before = 0;
        while running.load(Ordering::Acquire) > 0 {
            let page = Page::read(layer.exporter());
            for (labels, calls) in all_of(&page, "concurrent_requests") {
                assert!(calls >= 0, "{labels}: {calls}");
            }
            let durations = page.integer("request_duration_seconds_count");
            assert!(durations >= before, "{durations} after {before}");
            before = durations;
            assert!(all_of(&page, "requests_total").len() <= 7);
            clock.advance(TICK);
        }
    });
    let calls = (WORKERS * CALLS) as i64;
    assert_eq!(sum(&layer, "request_duration_seconds_count"), calls);
    keeper.complete();
    let overflow = sum(&layer, "label_overflow_total");
    assert!(overflow > 0 && overflow < calls, "{overflow}");
    assert_eq!(sum(&layer, "concurrent_requests"), 0);
    clock.advance(IDLE);
    let page = Page::read(layer.exporter());
    let left = all_of(&page, "requests_total");
    assert_eq!(left.into_values().collect::<Vec<_>>(), [overflow]);
}
