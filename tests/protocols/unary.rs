//! Services that respond with a value.

use super::streams_support::{Numbers, SECOND, Stage, now, panics};
use super::unary;
use std::any::Any;
use std::future::{Ready, pending};
use std::pin::pin;
use tokio_test::{assert_pending, task};
use tower::load_shed::error::Overloaded;
use tower::timeout::error::Elapsed;
use tower::{BoxError, Layer, Service, service_fn};
use tower_openmetrics::classify::{Classify, Fault, Phase};
use tower_openmetrics::{MetricsLayer, message};

/// An error that this crate does not know.
#[derive(Debug, PartialEq)]
struct Refused;

type Answered = Result<String, Refused>;

/// Adds the request "abc".
fn asked(numbers: Numbers) -> Numbers {
    numbers.request(3, 1)
}

fn answered(numbers: Numbers) -> Numbers {
    asked(numbers).head_after(1)
}

#[test]
fn a_value_completes_the_call() {
    for (response, bytes) in [("de", 2), ("", 0)] {
        let stage = unary();
        let value = stage.call("abc", |_| Ok::<_, Refused>(response));
        stage.clock.advance(SECOND); // the call has ended with the future
        assert_eq!(value, Ok(response));
        let expected = answered(Numbers::completed(1)).response(bytes, 1);
        stage.expect(response, &expected.first_byte_after(1));
    }
}

#[test]
fn an_error_fails_the_call() {
    let stage = unary();
    let refused = stage.call("abc", |_| Err::<(), _>(Refused));
    assert_eq!(refused, Err(Refused));
    stage.expect("its own", &asked(Numbers::failed("generate", 1)));
}

#[test]
fn a_known_error_has_its_own_type() {
    let cases: [(fn() -> BoxError, _); 3] = [
        (|| Elapsed::new().into(), "timeout"),
        (|| Overloaded::new().into(), "overloaded"),
        (|| "timeout".into(), "generate"),
    ];
    for (error, error_type) in cases {
        let stage = unary();
        let _ = stage.call("abc", |_| Err::<(), _>(error()));
        let expected = asked(Numbers::failed(error_type, 1));
        stage.expect(error_type, &expected);

        let stage = unary();
        let _ = stage.call("abc", |_| Ok::<_, Refused>(Err::<(), _>(error())));
        let expected = answered(Numbers::failed(error_type, 1));
        stage.expect("as a response", &expected);
    }
}

#[test]
fn a_response_that_is_an_err_fails_the_call() {
    let stage = unary();
    let response: Result<Answered, BoxError> = stage.call("abc", |_| Ok(Err(Refused)));
    assert_eq!(response.unwrap(), Err(Refused));
    stage.expect("failed", &answered(Numbers::failed("generate", 1)));

    let stage = unary();
    let response: Result<Answered, BoxError> = stage.call("abc", |_| Ok(Ok("de".into())));
    assert_eq!(response.unwrap().as_deref(), Ok("de"));
    let expected = answered(Numbers::completed(1)).response(2, 1);
    stage.expect("went well", &expected.first_byte_after(1));
}

#[test]
fn a_dropped_future_cancels_the_call() {
    for polls in [0, 1, 5] {
        let stage = unary();
        let mut service = stage
            .layer
            .layer(service_fn(async |_| pending::<Answered>().await));
        let mut future = task::spawn(service.call("abc"));
        for _ in 0..polls {
            assert_pending!(future.poll());
        }
        stage.clock.advance(SECOND);
        stage.expect("before", &asked(Numbers::open()));
        drop(future);
        stage.expect("after", &asked(Numbers::cancelled(1)));
    }
}

#[test]
fn a_panic_in_call_fails_the_call() {
    let stage = unary();
    let mut service = stage
        .layer
        .layer(service_fn(|_| -> Ready<Answered> { panic!("in call") }));
    assert!(panics(|| drop(service.call("abc"))));
    stage.expect("in call", &asked(Numbers::failed("panic", 0)));
}

#[test]
fn a_panicking_future_fails_the_call() {
    let stage = unary();
    let mut service = stage.layer.layer(service_fn(async |_| -> Answered {
        panic!("in the future")
    }));
    let mut future = pin!(service.call("abc"));
    assert!(panics(|| drop(now(future.as_mut()))));
    stage.expect("not dropped yet", &asked(Numbers::failed("panic", 0)));
}

#[test]
fn a_panicking_measure_fails_the_call() {
    let touchy = |_: &&str| -> u64 { panic!("touchy") };
    let stage = Stage::new(MetricsLayer::unary_builder().measure_requests(touchy));
    assert!(panics(|| drop(stage.call("abc", Ok::<_, Refused>))));
    stage.expect("the request", &Numbers::failed("panic", 0));

    let stage = Stage::new(MetricsLayer::unary_builder().measure_responses(touchy));
    assert!(panics(|| drop(stage.call("abc", Ok::<_, Refused>))));
    stage.expect("the response", &answered(Numbers::failed("panic", 1)));
}

#[test]
fn a_panicking_classifier_fails_the_call() {
    #[derive(Clone)]
    struct Touchy;
    impl Classify for Touchy {
        fn error(&self, _: &dyn Any, _: Phase) -> Fault {
            panic!("touchy")
        }
    }
    let stage = || Stage::new(MetricsLayer::unary_builder().classifier(Touchy));

    let failed = stage();
    assert!(panics(|| drop(
        failed.call("abc", |_| Err::<(), _>(Refused))
    )));
    failed.expect("an error", &asked(Numbers::failed("panic", 1)));

    let answered_so = stage();
    assert!(panics(|| drop(answered_so.call("abc", |_| Ok::<
        Answered,
        Refused,
    >(Err(
        Refused
    ))))));
    let expected = answered(Numbers::failed("panic", 1));
    answered_so.expect("a response", &expected);
}

/// A call that is dropped while other code unwinds is cancelled.
#[test]
fn a_call_dropped_during_another_panic_is_cancelled() {
    let stage = unary();
    let mut service = stage
        .layer
        .layer(service_fn(async |_| pending::<Answered>().await));
    let future = service.call("abc");
    assert!(panics(move || {
        let _dropped_by_unwinding = future;
        panic!("elsewhere")
    }));
    stage.expect("elsewhere", &asked(Numbers::cancelled(0)));
}

#[test]
fn closures_measure_other_types() {
    struct Opaque(u64);

    let builder = MetricsLayer::unary_builder()
        .measure_requests(|request: &Opaque| request.0)
        .measure_responses(message::ok(|response: &Opaque| response.0 * 10));
    let stage = Stage::new(builder.clone());
    let _ = stage.call(Opaque(3), |request| Ok::<_, ()>(Ok::<_, Refused>(request)));
    let expected = answered(Numbers::completed(1)).response(30, 1);
    stage.expect("measured", &expected.first_byte_after(1));

    let stage = Stage::new(builder);
    let _ = stage.call(Opaque(3), |_| Ok::<_, ()>(Err::<Opaque, _>(Refused)));
    stage.expect("failed", &answered(Numbers::failed("generate", 1)));
}

#[test]
fn messages_total_defaults_to_false() {
    let layer = MetricsLayer::unary([("endpoint", "quiet")]);
    let page = crate::support::page_of(layer.exporter(), "application/openmetrics-text");
    for absent in ["messages", "response_head", "first_byte"] {
        assert!(!page.contains(absent), "{absent}\n{page}");
    }
}
