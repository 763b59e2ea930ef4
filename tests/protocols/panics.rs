//! Panics of custom protocols. Each one fails the call for which the protocol ran.

use super::streams_support::{Numbers, Stage, now, panics};
use std::sync::Mutex;
use tower::{BoxError, Layer, ServiceExt, service_fn};
use tower_openmetrics::labels::RequestHead;
use tower_openmetrics::protocol::{Answer, Protocol};
use tower_openmetrics::{Call, CallHandle, ErrorType, MetricsLayer};

/// A protocol that panics in one place.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Touchy {
    Head,
    Open,
    Answer,
    /// After it has completed the call.
    AnswerThatOwesNothing,
    /// After it has ended the call.
    AnswerThatIsComplete,
    /// After it has reported a fault.
    AnswerThatFailed,
    /// After it has moved the call into the response.
    Response,
    Failed,
}

/// The response of a touchy protocol.
struct Answered {
    _call: Call,
}

impl Protocol<()> for Touchy {
    type Request = ();

    fn head<'a>(&self, (): &'a ()) -> Option<RequestHead<'a>> {
        assert!(*self != Self::Head, "touchy");
        None
    }

    fn open(&mut self, _: &mut Call, (): ()) {
        assert!(*self != Self::Open, "touchy");
    }
}

impl<E> Answer<(), E> for Touchy {
    type Response = Answered;

    fn answer(&self, mut call: Call, (): ()) -> Answered {
        match self {
            Self::Answer => panic!("touchy"),
            Self::AnswerThatOwesNothing => {
                call.owes_nothing();
                panic!("touchy");
            }
            Self::AnswerThatIsComplete => {
                call.complete();
                panic!("touchy");
            }
            Self::AnswerThatFailed => {
                call.fault(ErrorType::OVERLOADED);
                panic!("touchy");
            }
            Self::Response => {
                let _answered = Answered { _call: call };
                panic!("touchy");
            }
            _ => Answered { _call: call },
        }
    }

    fn failed(&self, call: Call, _: &E) {
        assert!(*self != Self::Failed, "touchy");
        call.fail(ErrorType::GENERATE);
    }
}

#[track_caller]
fn expect_touchy(touchy: Touchy, answer: Result<(), BoxError>, expected: &Numbers) {
    let with_handle = |_: &mut (), _: CallHandle| ();
    // With a filter, so that the layer calls `head`.
    let builder = || {
        let builder = MetricsLayer::protocol_builder(touchy);
        builder.filter(|_| true)
    };
    let stage = Stage::new(builder());
    assert!(panics(|| drop(stage.call((), |()| answer))));
    stage.expect(&format!("{touchy:?}"), expected);

    let stage = Stage::new(builder()).pass_handle(with_handle);
    let answer = match touchy {
        Touchy::Failed => Err("broken".into()),
        _ => Ok(()),
    };
    assert!(panics(|| drop(
        stage.call((), |()| -> Result<(), BoxError> { answer })
    )));
    stage.expect(&format!("{touchy:?}, with a handle"), expected);
}

#[test]
fn a_panicking_protocol_fails_the_call() {
    let panic = Numbers::failed("panic", 1);
    expect_touchy(Touchy::Head, Ok(()), &Numbers::failed("panic", 0));
    expect_touchy(Touchy::Open, Ok(()), &Numbers::failed("panic", 0));
    expect_touchy(Touchy::Answer, Ok(()), &panic);
    expect_touchy(Touchy::AnswerThatOwesNothing, Ok(()), &panic);
    expect_touchy(Touchy::Response, Ok(()), &panic);
    expect_touchy(Touchy::Failed, Err("broken".into()), &panic);
    // A fault reported earlier counts.
    let complete = Numbers::completed(1);
    expect_touchy(Touchy::AnswerThatIsComplete, Ok(()), &complete);
    let overloaded = Numbers::failed("overloaded", 1);
    expect_touchy(Touchy::AnswerThatFailed, Ok(()), &overloaded);
}

/// One protocol around another. A response dropped while the outer protocol unwinds has not panicked.
#[test]
fn a_panic_of_an_outer_protocol_does_not_fail_the_inner_response() {
    #[derive(Clone, Copy)]
    struct Outer;
    impl Protocol<()> for Outer {
        type Request = ();
        fn open(&mut self, _: &mut Call, (): ()) {}
    }
    impl<E> Answer<Answered, E> for Outer {
        type Response = ();
        fn answer(&self, _call: Call, _inner: Answered) {
            panic!("touchy")
        }
        fn failed(&self, _: Call, _: &E) {}
    }

    let inner = Stage::new(MetricsLayer::protocol_builder(Touchy::Failed));
    let outer = Stage::timed_by(inner.clock, MetricsLayer::protocol_builder(Outer));
    let service = inner
        .layer
        .layer(service_fn(async |()| Ok::<_, BoxError>(())));
    let service = outer.layer.layer(service);
    assert!(panics(|| drop(now(service.oneshot(())))));
    outer.expect("outer", &Numbers::failed("panic", 0));
    inner.expect("inner", &Numbers::cancelled(0));
}

/// A panic in `answer` of one call does not fail another call that it drops.
#[test]
fn a_panic_does_not_fail_calls_that_the_protocol_keeps() {
    static KEPT: Mutex<Vec<Answered>> = Mutex::new(Vec::new());
    #[derive(Clone, Copy, Default)]
    struct Keeps {
        number: u8,
    }
    impl Protocol<u8> for Keeps {
        type Request = u8;
        fn open(&mut self, _: &mut Call, number: u8) -> u8 {
            self.number = number;
            number
        }
    }
    impl<E> Answer<(), E> for Keeps {
        type Response = ();
        fn answer(&self, call: Call, (): ()) {
            if self.number == 0 {
                KEPT.lock().unwrap().push(Answered { _call: call });
            } else {
                let _kept = std::mem::take(&mut *KEPT.lock().unwrap());
                let _call = call;
                panic!("touchy");
            }
        }
        fn failed(&self, _: Call, _: &E) {}
    }
    let stage = Stage::new(MetricsLayer::protocol_builder(Keeps::default()));
    let _ = stage.call(0, |_| Ok::<_, BoxError>(()));
    assert!(panics(|| drop(stage.call(1, |_| Ok::<_, BoxError>(())))));
    let numbers = stage.numbers();
    assert_eq!((numbers.requests, numbers.cancellations), (2, 1));
    assert_eq!((numbers.errors["panic"], numbers.concurrent), (1, 0));
}
