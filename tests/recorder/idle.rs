//! Idle label sets are removed from the page, and make room for new ones.

use crate::raw::{
    Measured, Raw, all, answer, assert_all, begin, builder, built, call, code_at, group, name, sum,
};
use crate::support::Page;
use crate::worker::Worker;
use std::thread;
use std::time::Duration;
use tower_openmetrics::labels::Label;
use tower_openmetrics::{Clock, ErrorType, MetricsLayer, MetricsLayerBuilder};

const IDLE: Duration = Duration::from_secs(60);
const NEARLY: Duration = IDLE.checked_sub(MOMENT).expect("a minute is longer");
const MOMENT: Duration = Duration::from_nanos(1);

fn idle(clock: Clock) -> MetricsLayerBuilder<Raw> {
    builder().clock(clock).series_idle_timeout(IDLE)
}

fn by_name() -> (Clock, MetricsLayer<Raw>, Measured) {
    let clock = Clock::manual();
    let (layer, service) = built(idle(clock).label(name()));
    (clock, layer, service)
}

fn on_ending_thread(job: impl FnOnce() + Send + 'static) {
    thread::spawn(job).join().unwrap();
}

#[test]
fn an_idle_set_is_removed_at_the_next_scrape_and_starts_again_from_0() {
    let (clock, layer, service) = by_name();
    for _ in 0..3 {
        call(service, "/a");
    }
    clock.advance(NEARLY);
    call(service, "/b");
    let both = [(r#"name="a""#, 3), (r#"name="b""#, 1)];
    assert_all(&layer, "requests_total", &both);
    clock.advance(MOMENT);
    for metric in ["requests_total", "request_duration_seconds_count"] {
        assert_all(&layer, metric, &[(r#"name="b""#, 1)]);
    }
    let page = Page::read(layer.exporter());
    assert!(page.samples().all(|(series, _)| !series.contains("\"a\"")));
    call(service, "/a");
    let both = [(r#"name="a""#, 1), (r#"name="b""#, 1)];
    assert_all(&layer, "requests_total", &both);
    clock.advance(IDLE);
    assert_all(&layer, "requests_total", &[]);
    // The page is the same as before the first call.
    call(service, "/b");
    assert_all(&layer, "requests_total", &[(r#"name="b""#, 1)]);
    assert_all(&layer, "label_overflow_total", &[("", 0)]);
}

#[test]
fn the_beginning_and_the_end_of_a_call_use_its_set() {
    let (clock, layer, service) = by_name();
    call(service, "/a");
    clock.advance(NEARLY);
    let open = begin(service, "/a");
    clock.advance(NEARLY);
    open.complete();
    clock.advance(NEARLY);
    assert_all(&layer, "requests_total", &[(r#"name="a""#, 2)]);
    clock.advance(MOMENT);
    assert_all(&layer, "requests_total", &[]);
}

#[test]
fn a_call_in_flight_keeps_its_set() {
    let (clock, layer, service) = by_name();
    call(service, "/a");
    let mut first = begin(service, "/a");
    let second = begin(service, "/a");
    let handle = first.handle();
    for _ in 0..5 {
        clock.advance(2 * IDLE);
        assert_all(&layer, "concurrent_requests", &[(r#"name="a""#, 2)]);
        assert_all(&layer, "requests_total", &[(r#"name="a""#, 1)]);
    }
    on_ending_thread(move || second.fail(ErrorType::GENERATE));
    clock.advance(2 * IDLE);
    handle.request_bytes(7);
    first.response_bytes(9);
    clock.advance(2 * IDLE);
    assert_all(&layer, "concurrent_requests", &[(r#"name="a""#, 1)]);
    assert_all(&layer, "requests_total", &[(r#"name="a""#, 2)]);
    assert_all(&layer, "request_bytes_total", &[(r#"name="a""#, 7)]);
    first.complete();
    assert_all(&layer, "concurrent_requests", &[(r#"name="a""#, 0)]);
    assert_all(&layer, "requests_total", &[(r#"name="a""#, 3)]);
    clock.advance(IDLE);
    assert_all(&layer, "requests_total", &[]);
    // Later reports of a handle are dropped. They count neither for the set that returns nor for another one in its slot.
    call(service, "/b");
    call(service, "/a");
    handle.request_bytes(7);
    handle.fault(ErrorType::PANIC);
    assert_eq!(sum(&layer, "request_bytes_total"), 0);
}

#[test]
fn declared_sets_are_not_removed() {
    let clock = Clock::manual();
    let settings = idle(clock).label(name()).label(Label::status());
    let settings = settings.declare([("name", "kept")]);
    let (layer, service) = built(settings.declare([("name", "kept"), ("status", "500")]));
    let declared = [
        (r#"name="kept",status="200""#, 0),
        (r#"name="kept",status="500""#, 0),
    ];
    clock.advance(10 * IDLE);
    assert_all(&layer, "requests_total", &declared);
    for (path, status) in [("/kept", 500), ("/kept", 404), ("/other", 500)] {
        let mut call = begin(service, path);
        answer(&mut call, status);
    }
    assert_eq!(all(&layer, "requests_total").len(), 4);
    clock.advance(IDLE);
    let declared = [declared[0], (declared[1].0, 1)];
    assert_all(&layer, "requests_total", &declared);
    assert_all(&layer, "concurrent_requests", &[(r#"name="kept""#, 0)]);
    clock.advance(10 * IDLE);
    assert_all(&layer, "requests_total", &declared);
}

/// A label set of a response or of an end is removed alone. A label set of a request stays as long as one that follows it.
#[test]
fn labels_at_all_three_moments() {
    let clock = Clock::manual();
    let settings = idle(clock).label(name()).label(Label::status());
    let (layer, service) = built(settings.label(Label::code(&["OK", "BAD"])));
    let live = |path, status, code| {
        let mut call = begin(service, path);
        answer(&mut call, status);
        call.response_bytes(1);
        call.set_code(code_at(code));
        call.complete();
    };
    live("/a", 200, 0);
    live("/a", 404, 0);
    clock.advance(NEARLY);
    live("/a", 200, 1);
    let ok = r#"code="OK",name="a",status="200""#;
    let bad = r#"code="BAD",name="a",status="200""#;
    let missing = r#"code="OK",name="a",status="404""#;
    assert_all(&layer, "requests_total", &[(bad, 1), (ok, 1), (missing, 1)]);
    clock.advance(MOMENT);
    assert_all(&layer, "requests_total", &[(bad, 1)]);
    // The label set of the response stays as long as one of its ends, and keeps all their counts.
    assert_all(
        &layer,
        "response_bytes_total",
        &[(r#"name="a",status="200""#, 2)],
    );
    assert_all(&layer, "concurrent_requests", &[(r#"name="a""#, 0)]);
    assert_all(
        &layer,
        "request_duration_seconds_count",
        &[(r#"name="a""#, 3)],
    );
    live("/a", 200, 0);
    assert_all(&layer, "requests_total", &[(bad, 1), (ok, 1)]);
    clock.advance(IDLE);
    for metric in [
        "requests_total",
        "response_bytes_total",
        "concurrent_requests",
    ] {
        assert_all(&layer, metric, &[]);
    }
    live("/a", 200, 0);
    assert_all(&layer, "requests_total", &[(ok, 1)]);
    assert_all(
        &layer,
        "response_bytes_total",
        &[(r#"name="a",status="200""#, 1)],
    );
}

/// A metric without some of the labels has one series for many label sets.
#[test]
fn shared_series_stay_while_any_set_uses_them() {
    let clock = Clock::manual();
    let tenant = name().on_begin(false).on_duration(false).on_errors(false);
    let (layer, service) = built(idle(clock).label(group()).label(tenant));
    let worker = Worker::new();
    let live = move |path: &'static str| {
        let call = begin(service, path);
        call.request_bytes(2);
        call.fail(ErrorType::GENERATE);
    };
    let everywhere = |path| {
        live(path);
        worker.run(move || live(path));
        on_ending_thread(move || live(path));
    };
    let errors = r#"{error_type="generate",group="g"}"#;
    let shared = |expected: i64| {
        assert_all(
            &layer,
            "request_duration_seconds_count",
            &[(r#"group="g""#, expected)],
        );
        assert_all(
            &layer,
            "request_bytes_total",
            &[(r#"group="g""#, 2 * expected)],
        );
        assert_eq!(all(&layer, "errors_total")[errors], expected);
    };
    everywhere("/g/1");
    clock.advance(NEARLY);
    everywhere("/g/2");
    shared(6);
    clock.advance(MOMENT);
    assert_all(&layer, "requests_total", &[(r#"group="g",name="2""#, 3)]);
    shared(6);
    // The threads find their blocks of the series through another label set.
    for round in 1..=5 {
        everywhere("/g/3");
        clock.advance(NEARLY);
        everywhere("/g/2");
        shared(6 + 6 * round);
        clock.advance(MOMENT);
        assert_eq!(all(&layer, "requests_total").len(), 1);
        shared(6 + 6 * round);
    }
    clock.advance(IDLE);
    assert_all(&layer, "request_duration_seconds_count", &[]);
    everywhere("/g/1");
    shared(3);
    worker.run(move || live("/g/1"));
    shared(4);
}

#[test]
fn idle_sets_make_room_without_a_scrape() {
    let clock = Clock::manual();
    for settings in [
        idle(clock).label(name()),
        idle(clock).label(Label::status()),
        idle(clock).label(Label::code(&[
            "0", "1", "2", "3", "4", "5", "6", "7", "8", "9",
        ])),
    ] {
        let (layer, service) = built(settings.cardinality_limit(3));
        let live = |number: u8| {
            let mut call = begin(service, &format!("/{number}"));
            answer(&mut call, 200 + u16::from(number));
            call.set_code(code_at(number.into()));
            call.complete();
        };
        (0..5).for_each(live);
        clock.advance(IDLE - IDLE / 10);
        live(2);
        clock.advance(IDLE / 10);
        // Two label sets were removed, so two new ones fit and the third overflows.
        [5, 6, 7, 5, 6, 7, 2].into_iter().for_each(live);
        let requests = all(&layer, "requests_total");
        let of = |number: u8| {
            let (name, status) = (format!("\"{number}\""), format!("\"20{number}\""));
            let is = |labels: &str| labels.contains(&name) || labels.contains(&status);
            let found = requests.iter().find(|(labels, _)| is(labels));
            found.map(|(_, calls)| *calls)
        };
        let expected = [None, None, Some(3), None, None, Some(2), Some(2), None];
        assert_eq!([0, 1, 2, 3, 4, 5, 6, 7].map(of), expected, "{requests:?}");
        assert_eq!(sum(&layer, "requests_total"), 3 + 2 + 2 + 4);
        assert_all(&layer, "label_overflow_total", &[("", 2 + 2)]);
    }
}

/// Idle sets make room before a call is said to be beyond the limit: `_OTHER` is not on the page unless one was.
#[test]
fn other_is_not_shown_before_a_call_is_beyond_the_limit() {
    for label in [name(), Label::status(), Label::code(&["0", "1", "2"])] {
        let clock = Clock::manual();
        let (layer, service) = built(idle(clock).label(label).cardinality_limit(1));
        let live = |number: u8| {
            let mut call = begin(service, &format!("/{number}"));
            answer(&mut call, 200 + u16::from(number));
            call.set_code(code_at(number.into()));
            call.complete();
        };
        let others = || {
            let page = Page::read(layer.exporter());
            let series = page.samples().map(|(series, _)| series.to_owned());
            series.filter(|series| series.contains("_OTHER\"")).count()
        };
        live(0);
        clock.advance(IDLE);
        live(1);
        assert_eq!(sum(&layer, "requests_total"), 1);
        assert_eq!(others(), 0);
        live(2);
        assert_eq!(sum(&layer, "requests_total"), 2);
        assert!(others() > 0);
        assert_all(&layer, "label_overflow_total", &[("", 1)]);
    }
}

/// Calls beyond the limit are recorded as `_OTHER`, which is never removed.
#[test]
fn the_overflow_set_is_not_removed() {
    let clock = Clock::manual();
    let (layer, service) = built(idle(clock).label(name()).cardinality_limit(1));
    let first = begin(service, "/a");
    let other = begin(service, "/b");
    clock.advance(2 * IDLE);
    first.complete();
    clock.advance(2 * IDLE);
    assert_all(&layer, "concurrent_requests", &[(r#"name="_OTHER""#, 1)]);
    // There is room now. The open call stays in `_OTHER`, where it began.
    call(service, "/b");
    other.complete();
    let both = [(r#"name="_OTHER""#, 1), (r#"name="b""#, 1)];
    assert_all(&layer, "requests_total", &both);
    clock.advance(2 * IDLE);
    assert_all(&layer, "requests_total", &both[..1]);
    assert_all(&layer, "label_overflow_total", &[("", 1)]);
}

/// A thread remembers a label set whose slot another one has taken.
#[test]
fn a_thread_does_not_confuse_a_removed_set_with_its_successor() {
    let (clock, layer, service) = by_name();
    let worker = Worker::new();
    worker.run(move || call(service, "/a"));
    clock.advance(IDLE);
    assert_all(&layer, "requests_total", &[]);
    let mut moves = begin(service, "/b");
    let handle = moves.handle();
    worker.run(move || {
        handle.request_bytes(3);
        moves.complete();
        call(service, "/a");
    });
    let both = [(r#"name="a""#, 1), (r#"name="b""#, 1)];
    assert_all(&layer, "requests_total", &both);
    assert_all(
        &layer,
        "request_bytes_total",
        &[(r#"name="a""#, 0), (r#"name="b""#, 3)],
    );
    clock.advance(IDLE);
    assert_all(&layer, "requests_total", &[]);
    // The other way round, with a label set that has returned meanwhile.
    worker.run(move || call(service, "/b"));
    call(service, "/a");
    call(service, "/b");
    let both = [(r#"name="a""#, 1), (r#"name="b""#, 2)];
    assert_all(&layer, "requests_total", &both);
}

#[test]
fn without_a_timeout_no_set_is_removed() {
    let clock = Clock::manual();
    let (layer, service) = built(builder().clock(clock).label(name()));
    call(service, "/a");
    clock.advance(1_000_000 * IDLE);
    assert_all(&layer, "requests_total", &[(r#"name="a""#, 1)]);
}

/// Such a layer has only one label set.
#[test]
fn a_layer_without_request_labels_has_no_idle_sets() {
    let error = idle(Clock::manual()).build(()).unwrap_err().to_string();
    assert!(
        error.starts_with("`series_idle_timeout` would do nothing"),
        "{error}"
    );
}

#[test]
fn a_timeout_of_0_is_an_error() {
    let error = builder()
        .series_idle_timeout(Duration::ZERO)
        .build(())
        .unwrap_err();
    assert!(error.to_string().contains("series_idle_timeout"), "{error}");
    for idle in [Duration::from_nanos(1), Duration::MAX] {
        let clock = Clock::manual();
        let settings = builder()
            .clock(clock)
            .label(name())
            .series_idle_timeout(idle);
        let (layer, service) = built(settings);
        call(service, "/a");
        assert_all(&layer, "requests_total", &[(r#"name="a""#, 1)]);
        clock.advance(Duration::from_nanos(1));
        let left = idle < Duration::MAX;
        assert_eq!(all(&layer, "requests_total").is_empty(), left);
    }
}
