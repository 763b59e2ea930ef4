//! Call handles used by handlers and transports.

use super::streaming;
use super::streams_support::{Numbers, SECOND, Stage, all, next, now};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use std::pin::pin;
use std::thread;
use tower::{BoxError, Layer, ServiceExt, service_fn};
use tower_openmetrics::classify::Fault;
use tower_openmetrics::protocol::{Http, PassHandle, Unary};
use tower_openmetrics::{CallHandle, ErrorType, Message, MetricsLayer, RequestBody};

const QUOTA: ErrorType = ErrorType::from_static("quota");

/// A request with a field for a handle.
#[derive(Debug, Default)]
struct Job {
    call: Option<CallHandle>,
}

impl Message for Job {
    fn size(&self) -> u64 {
        7
    }
}

type PassJob = PassHandle<Unary, fn(&mut Job, CallHandle)>;

fn jobs() -> Stage<PassJob> {
    let pass: fn(&mut Job, CallHandle) = |job, call| job.call = Some(call);
    Stage::new(MetricsLayer::unary_builder()).pass_handle(pass)
}

/// One job whose handler uses its handle.
fn run<T>(stage: &Stage<PassJob>, handler: impl FnOnce(CallHandle) -> T) -> T {
    let mut outcome = None;
    let answer = stage.call(Job::default(), |job| {
        outcome = Some(handler(job.call.expect("a handle")));
        Ok::<_, BoxError>("xy")
    });
    assert_eq!(answer.unwrap(), "xy");
    outcome.unwrap()
}

fn ran(numbers: Numbers) -> Numbers {
    numbers
        .request(7, 1)
        .response(2, 1)
        .head_after(1)
        .first_byte_after(1)
}

#[test]
fn a_handler_decides_the_outcome() {
    type Handler = fn(CallHandle);
    let cases: [(_, Handler, _); 5] = [
        ("nothing", drop, Numbers::completed(1)),
        (
            "a failure",
            |call| call.fault(ErrorType::DESERIALIZATION),
            Numbers::failed("deserialization", 1),
        ),
        (
            "a cancellation",
            |call| call.fault(Fault::Cancelled),
            Numbers::cancelled(1),
        ),
        (
            "the first of two",
            |call| {
                call.clone().fault(ErrorType::TIMEOUT);
                call.fault(Fault::Cancelled);
            },
            Numbers::failed("timeout", 1),
        ),
        (
            "a type that nobody has declared",
            |call| call.fault(QUOTA),
            Numbers::failed("quota", 1),
        ),
    ];
    for (row, handler, expected) in cases {
        let stage = jobs();
        run(&stage, handler);
        stage.expect(row, &ran(expected));
    }
}

#[test]
fn a_handle_works_on_another_thread() {
    let stage = jobs();
    run(&stage, |call| {
        let reporter = thread::spawn(move || call.fault(QUOTA));
        reporter.join().unwrap();
    });
    stage.expect("elsewhere", &ran(Numbers::failed("quota", 1)));
}

#[test]
fn a_reported_fault_precedes_a_later_error() {
    let stage = jobs();
    let refused = stage.call(Job::default(), |job| {
        job.call.unwrap().fault(QUOTA);
        Err::<&str, BoxError>("refused".into())
    });
    assert!(refused.is_err());
    stage.expect("quota", &Numbers::failed("quota", 1).request(7, 1));
}

#[test]
fn a_handle_of_an_ended_call_does_not_reach_a_later_one() {
    let stage = jobs();
    let mut stale = vec![];
    for later in 1..=50 {
        stale.push(run(&stage, |call| {
            // The later call may reuse the memory of the earlier one.
            for old in &stale {
                CallHandle::fault(old, ErrorType::PANIC);
            }
            call
        }));
        for old in &stale {
            old.fault(Fault::Cancelled);
        }
        let numbers = stage.numbers();
        assert_eq!((numbers.requests, numbers.cancellations), (later, 0));
        assert_eq!(numbers.errors["panic"], 0);
    }
}

#[test]
fn a_handle_only_reaches_its_own_call() {
    let stage = streaming();
    let answers = [(); 2].map(|()| {
        let script = stage.script(["de"]);
        stage.call("abc", |_| Ok::<_, BoxError>(script)).unwrap()
    });
    let [mut first, second] = answers;
    first.handle().expect("it is open").fault(QUOTA);
    drop(all(pin!(second)));
    let numbers = stage.numbers();
    assert_eq!((numbers.requests, numbers.errors.get("quota")), (1, None));
    drop(all(pin!(first)));
    let numbers = stage.numbers();
    assert_eq!(
        (numbers.requests, numbers.errors.get("quota")),
        (2, Some(&1))
    );
}

#[test]
fn a_late_handle_only_counts_request_bytes() {
    let stage = jobs();
    let call = run(&stage, |call| call);
    stage.expect("ended", &ran(Numbers::completed(1)));
    call.request_bytes(3);
    call.request_message(5);
    call.fault(QUOTA);
    let expected = ran(Numbers::completed(1)).request(15, 2);
    stage.expect("late", &expected);
}

#[test]
fn dropping_a_handle_does_not_end_the_call() {
    let stage = streaming();
    let script = stage.script(["de", "f"]);
    let mut answer = stage.call("abc", |_| Ok::<_, BoxError>(script)).unwrap();
    for _ in 0..100 {
        let handle = answer.handle().expect("it is open");
        let _ = (handle.clone(), handle);
    }
    assert_eq!(stage.numbers().concurrent, 1);
    assert_eq!(all(pin!(answer)), ["de", "f"]);
    let expected = Numbers::completed(3).request(3, 1).response(3, 2);
    stage.expect("once", &expected.head_after(1).first_byte_after(2));
}

#[test]
fn a_transport_decides_the_outcome_of_a_stream() {
    for (fault, expected) in [
        (
            Fault::from(ErrorType::PUBLISH_RESPONSE),
            Numbers::failed("publish_response", 4),
        ),
        (Fault::Cancelled, Numbers::cancelled(4)),
    ] {
        let stage = streaming();
        let script = stage.script(["de", "f"]);
        let mut answer = stage.call("abc", |_| Ok::<_, BoxError>(script)).unwrap();
        let handle = answer.handle().expect("it is open");
        let mut answer = Box::pin(answer);
        assert_eq!(next(answer.as_mut()), Some("de"));
        handle.fault(fault);
        assert_eq!(next(answer.as_mut()), Some("f"));
        assert_eq!(stage.numbers().requests, 0, "the call lasts to its end");
        stage.clock.advance(SECOND);
        assert_eq!(next(answer.as_mut()), None);
        let expected = expected.request(3, 1).response(3, 2);
        let expected = expected.head_after(1).first_byte_after(2);
        stage.expect("the end", &expected);
        handle.fault(QUOTA);
        drop(answer);
        stage.expect("after the end", &expected);
    }
}

#[test]
fn an_ended_stream_has_no_handle() {
    let stage = streaming();
    let answer = stage.call("abc", |_| Ok::<_, BoxError>(futures_util::stream::empty()));
    let mut answer: tower_openmetrics::ResponseStream<futures_util::stream::Empty<&str>> =
        answer.unwrap();
    assert!(answer.handle().is_some());
    assert!(all(pin!(&mut answer)).is_empty());
    assert!(answer.handle().is_none());
    assert!(answer.into_parts().1.is_none());
}

#[test]
fn an_http_handler_gets_its_handle_from_the_extensions() {
    type Asked = Request<RequestBody<Full<Bytes>>>;
    let builder = MetricsLayer::protocol_builder(Http::default()).error_types([QUOTA]);
    let stage = Stage::new(builder).pass_handle(|request: &mut Request<_>, call| {
        request.extensions_mut().insert::<CallHandle>(call);
    });
    let service = stage.layer.layer(service_fn(async |request: Asked| {
        let call = request.extensions().get::<CallHandle>().unwrap().clone();
        let body = request.into_body().collect().await?.to_bytes();
        call.fault(QUOTA); // it is too late for another status
        Ok::<_, BoxError>(Response::new(Full::new(body)))
    }));
    let request = Request::new(Full::<Bytes>::from("abc"));
    let response = now(service.oneshot(request)).unwrap();
    let body = now(response.into_body().collect()).unwrap().to_bytes();
    assert_eq!(body, "abc");
    let expected = Numbers::failed("quota", 0).request(3, 0).response(3, 0);
    stage.expect("quota", &expected.head_after(0).first_byte_after(0));
}
