//! Services that respond with a stream of items.

use super::streaming;
use super::streams_support::Step::{self, Item, Panic, Pause};
use super::streams_support::{Numbers, SECOND, Script, Stage, all, next, now, panics};
use futures_core::Stream;
use futures_util::StreamExt;
use std::any::Any;
use std::future::{Ready, pending};
use std::pin::{Pin, pin};
use tokio_test::{assert_pending, task};
use tower::load_shed::error::Overloaded;
use tower::timeout::error::Elapsed;
use tower::{BoxError, Layer, Service, service_fn};
use tower_openmetrics::classify::{Classify, Fault, Phase};
use tower_openmetrics::{MetricsLayer, ResponseStream, message};

type Token = Result<&'static str, BoxError>;
type Answer = ResponseStream<Script<Token>>;

/// How much of the response the caller takes before dropping it.
#[derive(Clone, Copy, Debug)]
enum Take {
    Items(usize),
    /// One poll that is pending.
    UntilPause,
    ToEnd,
    /// Polls after the end, which callers should not do.
    PastEnd,
}

use Take::{Items, PastEnd, ToEnd, UntilPause};

impl Take {
    fn from(self, mut stream: Pin<&mut Answer>) {
        match self {
            Items(count) => {
                for _ in 0..count {
                    assert!(next(stream.as_mut()).is_some());
                }
            }
            UntilPause => {
                let mut task = task::spawn(());
                assert_pending!(task.enter(|cx, _| stream.poll_next(cx)));
            }
            ToEnd => drop(all(stream)),
            PastEnd => {
                drop(all(stream.as_mut()));
                drop(all(stream));
            }
        }
    }
}

fn item(text: &'static str) -> Step<Token> {
    Item(Ok(text))
}

fn error() -> Step<Token> {
    Item(Err("broken".into()))
}

fn fail(error: impl Into<BoxError>) -> Step<Token> {
    Item(Err(error.into()))
}

/// The response comes after a second, each item takes another, and the caller keeps the stream for
/// one more. So the duration distinguishes an end from a drop.
#[track_caller]
fn check(steps: impl IntoIterator<Item = Step<Token>>, take: Take, expected: Numbers) {
    let stage = streaming();
    let script = stage.steps(steps);
    let row = format!("{script:?}, {take:?}");
    let Ok(answer) = stage.call("abc", |_| Ok::<_, BoxError>(script)) else {
        unreachable!()
    };
    let mut answer = Box::pin(answer);
    take.from(answer.as_mut());
    stage.clock.advance(SECOND);
    drop(answer);
    stage.expect(&row, &expected.request(3, 1).head_after(1));
}

#[test]
fn a_stream_read_to_its_end_completes_the_call() {
    check([], ToEnd, Numbers::completed(1));
    check([Pause], ToEnd, Numbers::completed(1));
    check([], PastEnd, Numbers::completed(1));
    for take in [ToEnd, PastEnd] {
        let items = [item("de"), Pause, item(""), item("f")];
        let expected = Numbers::completed(4).response(3, 3).first_byte_after(2);
        check(items, take, expected);
    }
}

#[test]
fn an_item_that_is_an_error_fails_the_call() {
    let first = || Numbers::failed("response_stream", 2);
    check([error()], ToEnd, first());
    check([Pause, error()], ToEnd, first());
    check([error()], Items(1), first());
    let later = |seconds| {
        Numbers::failed("publish_response", seconds)
            .response(2, 1)
            .first_byte_after(2)
    };
    check([item("de"), error()], ToEnd, later(3));
    check([item("de"), error()], Items(2), later(3));
    let empty = Numbers::failed("publish_response", 3).response(0, 1);
    check([item(""), error()], ToEnd, empty.first_byte_after(2));
}

#[test]
fn items_after_an_error_do_not_count() {
    let steps = || [error(), item("de"), error(), item("f"), Panic];
    for take in [Items(1), Items(2), Items(4)] {
        check(steps(), take, Numbers::failed("response_stream", 2));
    }
    let steps = || [item("de"), error(), item("f"), error()];
    let expected = || Numbers::failed("publish_response", 3).response(2, 1);
    for take in [Items(2), Items(3), ToEnd, PastEnd] {
        check(steps(), take, expected().first_byte_after(2));
    }
}

#[test]
fn a_known_error_has_its_own_type() {
    let first = [
        (fail(Elapsed::new()), "timeout"),
        (fail(Overloaded::new()), "overloaded"),
        (fail("timeout"), "response_stream"),
    ];
    for (step, error_type) in first {
        check([step], ToEnd, Numbers::failed(error_type, 2));
    }
    let expected = Numbers::failed("timeout", 3).response(2, 1);
    let later = [item("de"), fail(Elapsed::new())];
    check(later, ToEnd, expected.first_byte_after(2));
}

#[test]
fn a_dropped_stream_cancels_the_call() {
    check([], Items(0), Numbers::cancelled(2));
    check([item("de")], Items(0), Numbers::cancelled(2));
    check([Pause, item("de")], UntilPause, Numbers::cancelled(2));
    let half_way = || Numbers::cancelled(3).response(2, 1).first_byte_after(2);
    check([item("de"), item("f")], Items(1), half_way());
    // The caller has not seen the end, so more items were possible.
    check([item("de")], Items(1), half_way());
}

#[test]
fn a_panicking_stream_fails_the_call() {
    for (steps, expected) in [
        (vec![Panic], Numbers::failed("panic", 1)),
        (vec![Pause, Panic], Numbers::failed("panic", 1)),
        (
            vec![item("de"), Panic],
            Numbers::failed("panic", 2)
                .response(2, 1)
                .first_byte_after(2),
        ),
        (
            vec![error(), Panic],
            Numbers::failed("response_stream", 2), // the first failure counts
        ),
    ] {
        let stage = streaming();
        let script = stage.steps(steps);
        let answer = stage.call("abc", |_| Ok::<_, BoxError>(script));
        let mut answer = Box::pin(answer.unwrap());
        assert!(panics(|| ToEnd.from(answer.as_mut())));
        let expected = expected.request(3, 1).head_after(1);
        stage.expect("before it is dropped", &expected);
        stage.clock.advance(SECOND);
        drop(answer);
        stage.expect("after it", &expected);
    }
}

#[test]
fn a_panicking_service_fails_the_call() {
    let stage = streaming();
    let mut service =
        stage
            .layer
            .layer(service_fn(|_| -> Ready<Result<Script<Token>, BoxError>> {
                panic!("in call")
            }));
    assert!(panics(|| drop(service.call("abc"))));
    stage.expect("in call", &Numbers::failed("panic", 0).request(3, 1));

    let stage = streaming();
    let panicked = panics(|| {
        let handler = |_| -> Result<Script<Token>, BoxError> { panic!("in the future") };
        drop(stage.call("abc", handler));
    });
    assert!(panicked);
    stage.expect("in the future", &Numbers::failed("panic", 1).request(3, 1));
}

#[test]
fn a_panicking_measure_or_classifier_fails_the_call() {
    #[derive(Clone)]
    struct Touchy;
    impl Classify for Touchy {
        fn error(&self, _: &dyn Any, _: Phase) -> Fault {
            panic!("touchy")
        }
    }
    let touchy = |_: &&str| -> u64 { panic!("touchy") };

    let measured = Stage::new(MetricsLayer::streaming_builder().measure_items(message::ok(touchy)));
    let script = measured.steps([item("de")]);
    let answer = measured.call("abc", |_| Ok::<_, BoxError>(script));
    let mut answer = Box::pin(answer.unwrap());
    assert!(panics(|| drop(next(answer.as_mut()))));
    drop(answer);
    let expected = Numbers::failed("panic", 2).request(3, 1).head_after(1);
    measured.expect("by its measure", &expected);

    let classified = Stage::new(MetricsLayer::streaming_builder().classifier(Touchy));
    let script = classified.steps([error()]);
    let answer = classified.call("abc", |_| Ok::<_, BoxError>(script));
    let mut answer = Box::pin(answer.unwrap());
    assert!(panics(|| drop(next(answer.as_mut()))));
    drop(answer);
    classified.expect("by its classifier", &expected);

    let classified = Stage::new(MetricsLayer::streaming_builder().classifier(Touchy));
    let refuse = |_| Err::<Script<Token>, BoxError>("refused".into());
    assert!(panics(|| drop(classified.call("abc", refuse))));
    classified.expect(
        "by its classifier",
        &Numbers::failed("panic", 1).request(3, 1),
    );
}

#[test]
fn a_stream_dropped_during_another_panic_is_cancelled() {
    let stage = streaming();
    let script = stage.steps([item("de")]);
    let answer = stage.call("abc", |_| Ok::<_, BoxError>(script)).unwrap();
    assert!(panics(move || {
        let _dropped_by_unwinding = answer;
        panic!("elsewhere")
    }));
    let expected = Numbers::cancelled(1).request(3, 1).head_after(1);
    stage.expect("elsewhere", &expected);
}

#[test]
fn a_service_that_fails_before_the_stream_fails_the_call() {
    let stage = streaming();
    let refused = stage.call("abc", |_| Err::<Script<Token>, BoxError>("refused".into()));
    assert_eq!(refused.unwrap_err().to_string(), "refused");
    stage.expect("an error", &Numbers::failed("generate", 1).request(3, 1));

    let stage = streaming();
    let mut service = stage.layer.layer(service_fn(async |_| {
        pending::<Result<Script<Token>, BoxError>>().await
    }));
    let mut future = task::spawn(service.call("abc"));
    assert_pending!(future.poll());
    stage.clock.advance(SECOND);
    drop(future);
    stage.expect("dropped", &Numbers::cancelled(1).request(3, 1));
}

#[test]
fn items_count_when_they_are_taken() {
    let stage = streaming();
    let script = stage.script([vec![1u8, 2], vec![3]]); // plain items
    let answer = stage.call("abc", |_| Ok::<_, BoxError>(script)).unwrap();
    let mut answer = pin!(answer);
    let open = || Numbers::open().request(3, 1).head_after(1);
    stage.expect("none", &open());
    assert_eq!(next(answer.as_mut()), Some(vec![1, 2]));
    stage.expect("one", &open().response(2, 1).first_byte_after(2));
    assert_eq!(next(answer.as_mut()), Some(vec![3]));
    stage.expect("both", &open().response(3, 2).first_byte_after(2));
    assert_eq!(next(answer), None);
    let completed = Numbers::completed(3).request(3, 1).response(3, 2);
    let completed = completed.head_after(1).first_byte_after(2);
    stage.expect("the end, and the stream not dropped", &completed);
}

#[test]
fn items_and_size_hint_pass_through_unchanged() {
    let stage = streaming();
    let script = stage.steps([item("de"), Pause, error(), item("f")]);
    let inner = script.size_hint();
    let answer = stage.call("abc", |_| Ok::<_, BoxError>(script)).unwrap();
    assert_eq!(answer.get_ref().size_hint(), inner);
    let mut answer = pin!(answer);
    let mut hints = vec![answer.size_hint()];
    let mut items = vec![];
    while let Some(item) = next(answer.as_mut()) {
        items.push(item.map_err(|error| error.to_string()));
        hints.push(answer.size_hint());
    }
    assert_eq!(items, [Ok("de"), Err("broken".to_owned()), Ok("f")]);
    let expected = [(3, 4), (2, 3), (1, 1), (0, 0)].map(|(low, high)| (low, Some(high)));
    assert_eq!((inner, hints), ((3, Some(4)), expected.to_vec()));
}

#[test]
fn concurrent_streams_are_separate_calls() {
    let stage = streaming();
    let script = || stage.script(["de", "f"]);
    let answers = [(); 2].map(|()| stage.call("abc", |_| Ok::<_, BoxError>(script())).unwrap());
    assert_eq!(stage.numbers().concurrent, 2);
    let [first, second] = answers;
    drop(first);
    assert_eq!(now(second.count()), 2);
    let numbers = stage.numbers();
    assert_eq!((numbers.requests, numbers.cancellations), (2, 1));
    assert_eq!((numbers.concurrent, numbers.response.bytes), (0, 3));
}
