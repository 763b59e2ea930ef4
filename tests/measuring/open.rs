use super::support::{Step, take_to_end};
use super::{Stage, seconds};
use std::pin::pin;
use std::thread;
use tower_openmetrics::assert_metrics;
use tower_openmetrics::labels::Label;
use tower_openmetrics::testing::ABSENT;

fn oldest() -> Stage {
    Stage::new(|builder| builder.oldest_request_age_seconds(true))
}

#[test]
fn the_age_is_that_of_the_oldest_call_in_flight() {
    let stage = oldest();
    let age = |expected: f64| {
        assert_metrics!(stage.numbers(), { "oldest_request_age_seconds" => expected });
    };
    age(0.0);
    let first = stage.call([]);
    age(1.0);
    let second = stage.call([]);
    age(2.0);
    stage.clock.advance(seconds(5));
    age(7.0);
    drop(first);
    age(6.0);
    take_to_end(pin!(second));
    age(0.0);
}

/// However a call ends, its slot is free for the next one.
#[test]
fn calls_that_have_ended_have_no_age() {
    let stage = oldest();
    take_to_end(pin!(stage.call([Step::Data("a")])));
    take_to_end(pin!(stage.call([Step::Fail(|| "no".into())])));
    super::support::panic_of(|| take_to_end(pin!(stage.call([Step::Panic]))));
    drop(stage.call([]));
    stage.clock.advance(seconds(5));
    assert_metrics!(stage.numbers(), {
        "oldest_request_age_seconds" => 0,
        "requests_total" => 4,
    });
}

#[test]
fn each_label_set_has_an_age_of_its_own() {
    let stage = Stage::new(|builder| {
        let builder = builder.label(Label::method()).label(Label::status());
        builder.oldest_request_age_seconds(true)
    });
    let get = stage.call([]);
    stage.clock.advance(seconds(3));
    assert_metrics!(stage.numbers(), { "oldest_request_age_seconds" {method = "GET"} => 4 });
    drop(get);
    assert_metrics!(stage.numbers(), { "oldest_request_age_seconds" {method = "GET"} => 0 });
}

/// Layers that do not ask for ages show none, and do not mix with those that do.
#[test]
fn layers_see_their_own_calls_only() {
    let (shown, other) = (oldest(), oldest());
    let hidden = Stage::new(|builder| builder);
    let _open = (other.call([]), hidden.call([]));
    let _own = shown.call([]);
    shown.clock.advance(seconds(1));
    assert_metrics!(shown.numbers(), { "oldest_request_age_seconds" => 2 });
    assert_metrics!(other.numbers(), { "oldest_request_age_seconds" => 1 });
    assert_metrics!(hidden.numbers(), { "oldest_request_age_seconds" => ABSENT });
}

#[test]
fn a_call_of_another_thread_is_seen() {
    let stage = oldest();
    let body = thread::scope(|scope| scope.spawn(|| stage.call([])).join().unwrap());
    assert_metrics!(stage.numbers(), { "oldest_request_age_seconds" => 1 });
    thread::scope(|scope| scope.spawn(|| drop(body)).join().unwrap());
    assert_metrics!(stage.numbers(), { "oldest_request_age_seconds" => 0 });
}

/// They are open for as long as their readers like.
#[test]
fn streams_that_are_open_by_intent_have_no_age() {
    let stage = Stage::new(|builder| {
        builder
            .oldest_request_age_seconds(true)
            .stream_duration_seconds(|_| true)
    });
    let _stream = stage.call([]);
    stage.clock.advance(seconds(100));
    assert_metrics!(stage.numbers(), {
        "oldest_request_age_seconds" => 0,
        "concurrent_requests" => 1,
    });
}

fn longest() -> Stage {
    Stage::new(|builder| builder.requests_longest_seconds(true))
}

#[test]
fn the_longest_call_is_shown_on_two_pages() {
    let stage = longest();
    let longest = |expected: u64| {
        assert_metrics!(stage.numbers(), { "requests_longest_seconds" => expected });
    };
    longest(0);
    let call = |length: u64| {
        let body = stage.call([]);
        stage.clock.advance(seconds(length - 1));
        drop(body);
    };
    call(5);
    call(90);
    call(7);
    longest(90);
    call(8);
    longest(90);
    longest(8);
    longest(0);
    call(2);
    longest(2);
    longest(2);
    longest(0);
}

#[test]
fn threads_that_have_ended_leave_their_longest_call() {
    let stage = longest();
    for length in [3, 9, 4] {
        thread::scope(|scope| {
            scope.spawn(|| {
                let body = stage.call([]);
                stage.clock.advance(seconds(length - 1));
                drop(body);
            });
        });
    }
    assert_metrics!(stage.numbers(), { "requests_longest_seconds" => 9 });
    assert_metrics!(stage.numbers(), { "requests_longest_seconds" => 9 });
    assert_metrics!(stage.numbers(), { "requests_longest_seconds" => 0 });
}
