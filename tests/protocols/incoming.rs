//! Requests that are streams of messages.

use super::streams_support::Step::{Item, Panic, Pause};
use super::streams_support::{Numbers, SECOND, Script, Stage, all, next, panics};
use futures_core::Stream;
use std::io::{self, ErrorKind};
use std::pin::{Pin, pin};
use std::thread;
use tower::{BoxError, Layer, ServiceExt, service_fn};
use tower_openmetrics::classify::{HttpClient, by_error};
use tower_openmetrics::message::Own;
use tower_openmetrics::protocol::{Answer, Many, Protocol, Streaming, Unary};
use tower_openmetrics::{ErrorType, MetricsLayer, MetricsLayerBuilder, RequestStream};

type Chunk = Result<&'static str, io::Error>;
type Upload = RequestStream<Script<Chunk>>;

fn unary() -> Stage<Unary<Many>> {
    Stage::new(MetricsLayer::unary_builder().request_streams(Own))
}

fn streaming() -> Stage<Streaming<Many>> {
    Stage::new(MetricsLayer::streaming_builder().request_streams(Own))
}

fn upload<P>(stage: &Stage<P>) -> Script<Chunk> {
    stage.script([Ok("ab"), Ok("cde"), Ok("")])
}

fn broken<P>(stage: &Stage<P>, kind: ErrorKind) -> Script<Chunk> {
    stage.script([Ok("ab"), Err(kind.into()), Ok("cde")])
}

/// Adds the response "xy" and a duration in seconds.
fn answered(numbers: Numbers, seconds: u32) -> Numbers {
    numbers
        .response(2, 1)
        .head_after(seconds)
        .first_byte_after(seconds)
}

#[test]
fn messages_count_when_they_are_read() {
    for (read, bytes, messages) in [(0, 0, 0), (1, 2, 1), (2, 5, 2), (3, 5, 3), (4, 5, 3)] {
        let stage = unary();
        let _ = stage.call(upload(&stage), |request| {
            let mut request = pin!(request);
            for _ in 0..read {
                next(request.as_mut());
            }
            Ok::<_, BoxError>("xy") // abandons the rest of the request
        });
        let seconds = 1 + messages as u32;
        let expected = answered(Numbers::completed(seconds), seconds);
        stage.expect("read", &expected.request(bytes, messages));
    }
}

/// A failing request stream decides the outcome, whatever the handler responds.
#[test]
fn a_failing_request_stream_decides_the_outcome() {
    for (kind, error_type) in [
        (ErrorKind::UnexpectedEof, None),
        (ErrorKind::ConnectionReset, None),
        (ErrorKind::ConnectionAborted, None),
        (ErrorKind::BrokenPipe, None),
        (ErrorKind::InvalidData, Some("invalid_message")),
        (ErrorKind::TimedOut, Some("timeout")),
        (ErrorKind::Other, Some("invalid_message")),
    ] {
        let ending = |seconds| match error_type {
            None => Numbers::cancelled(seconds),
            Some(error_type) => Numbers::failed(error_type, seconds),
        };
        let stage = unary();
        let _ = stage.call(broken(&stage, kind), |request| {
            let read = all(pin!(request));
            assert_eq!(read[1].as_ref().unwrap_err().kind(), kind);
            Ok::<_, BoxError>("xy")
        });
        // Messages read after the error still count.
        let expected = answered(ending(4), 4).request(5, 2);
        stage.expect("the handler answers", &expected);

        let stage = unary();
        let _ = stage.call(broken(&stage, kind), |request| {
            let mut request = pin!(request);
            next(request.as_mut());
            Err::<&str, BoxError>(next(request).unwrap().unwrap_err().into())
        });
        let expected = ending(3).request(2, 1);
        stage.expect("the handler fails by it", &expected);

        let stage = streaming();
        let answer = stage.call(broken(&stage, kind), Ok::<_, BoxError>);
        drop(all(pin!(answer.unwrap())));
        // The error is also an item of the response, after it has decided the outcome.
        let expected = ending(3).request(2, 1).response(2, 1);
        let expected = expected.head_after(1).first_byte_after(2);
        stage.expect("the handler echoes it", &late(expected));
    }
}

/// The echo continues to read after the end of the call.
fn late(mut numbers: Numbers) -> Numbers {
    numbers.request.bytes += 3;
    numbers.request.messages += 1;
    numbers
}

#[test]
fn boxed_errors_are_classified_by_their_content() {
    for (kind, expected) in [
        (ErrorKind::BrokenPipe, Numbers::cancelled(2)),
        (
            ErrorKind::InvalidData,
            Numbers::failed("invalid_message", 2),
        ),
    ] {
        let stage = unary();
        let boxed: BoxError = io::Error::from(kind).into();
        let request = stage.script([Err::<&str, _>(boxed)]);
        let _ = stage.call(request, |request| {
            drop(all(pin!(request)));
            Ok::<_, BoxError>("xy")
        });
        stage.expect("boxed", &answered(expected, 2));
    }
}

#[test]
fn the_first_failure_counts() {
    let stage = streaming();
    let request = broken(&stage, ErrorKind::BrokenPipe);
    let mut reader = None;
    let answer = stage.call(request, |request| {
        reader = Some(Box::pin(request));
        let refused: Result<&str, BoxError> = Err("refused".into());
        Ok::<_, BoxError>(stage.script([refused]))
    });
    let mut answer = Box::pin(answer.unwrap());
    drop(next(answer.as_mut()));
    drop(all(reader.unwrap().as_mut()));
    drop(answer);
    let expected = Numbers::failed("response_stream", 2).head_after(1);
    stage.expect("the answer's", &expected.request(5, 2));
}

/// The caller is still there when its request fails.
#[test]
fn a_failing_request_stream_of_a_client_fails_the_call() {
    fn expect<P>(builder: MetricsLayerBuilder<P>, kind: ErrorKind, error_type: &str)
    where
        P: Protocol<Script<Chunk>, Request = Upload> + Answer<&'static str, BoxError>,
    {
        let stage = Stage::new(builder);
        let _ = stage.call(broken(&stage, kind), |request| {
            drop(all(pin!(request)));
            Ok::<_, BoxError>("xy")
        });
        let numbers = stage.numbers();
        assert_eq!((numbers.requests, numbers.cancellations), (1, 0));
        assert_eq!(numbers.errors[error_type], 1, "{kind}");
    }
    for (kind, error_type) in [
        (ErrorKind::BrokenPipe, "invalid_message"),
        (ErrorKind::InvalidData, "invalid_message"),
        (ErrorKind::TimedOut, "timeout"),
    ] {
        let sent = || MetricsLayer::unary_builder().request_streams(Own);
        expect(sent().classifier(HttpClient), kind, error_type);
        let first = MetricsLayer::unary_builder().classifier(HttpClient);
        let in_general = by_error(|_: &u8, _| Some(ErrorType::GENERATE));
        let named = first.request_streams(Own).classifier(in_general);
        expect(named, kind, error_type);
        expect(
            sent().classifier(in_general.or(HttpClient)),
            kind,
            error_type,
        );
    }
    // The same with the other protocol.
    let streaming = MetricsLayer::streaming_builder().classifier(HttpClient);
    let stage = Stage::new(streaming.request_streams(Own));
    let answer = stage.call(broken(&stage, ErrorKind::BrokenPipe), |request| {
        drop(all(pin!(request)));
        Ok::<_, BoxError>(stage.script(["xy"]))
    });
    drop(all(pin!(answer.unwrap())));
    assert_eq!(stage.numbers().errors["invalid_message"], 1);
}

#[test]
fn messages_read_after_the_end_only_count_bytes() {
    for breaks_off in [false, true] {
        let stage = unary();
        let request = match breaks_off {
            false => upload(&stage),
            true => broken(&stage, ErrorKind::BrokenPipe),
        };
        let mut reader = None;
        let _ = stage.call(request, |request| {
            reader = Some(Box::pin(request));
            Ok::<_, BoxError>("xy")
        });
        let expected = answered(Numbers::completed(1), 1);
        stage.expect("ended", &expected);
        let mut reader = reader.unwrap();
        let read = all(reader.as_mut());
        drop(reader);
        let messages = read.iter().flatten().count() as u64;
        stage.expect("read on", &expected.request(5, messages));
    }
}

/// A request that is read after the end of its call, during another call.
#[test]
fn a_late_error_does_not_reach_the_next_call() {
    let stage = unary();
    let mut reader = None;
    let _ = stage.call(broken(&stage, ErrorKind::BrokenPipe), |request| {
        reader = Some(Box::pin(request));
        Ok::<_, BoxError>("xy")
    });
    let _ = stage.call(upload(&stage), |_: Upload| {
        drop(all(reader.take().unwrap().as_mut()));
        Ok::<_, BoxError>("xy")
    });
    let numbers = stage.numbers();
    assert_eq!((numbers.requests, numbers.cancellations), (2, 0));
    assert_eq!((numbers.request.bytes, numbers.concurrent), (5, 0));
}

#[test]
fn a_panicking_request_stream_fails_the_call() {
    let stage = unary();
    let request = stage.steps([Item("ab"), Pause, Panic]);
    let panicked = panics(|| {
        drop(stage.call(request, |request| {
            drop(all(pin!(request)));
            Ok::<_, BoxError>("xy")
        }));
    });
    assert!(panicked);
    let expected = Numbers::failed("panic", 2).request(2, 1);
    stage.expect("in the handler", &expected);

    let stage = unary();
    let request = stage.steps([Item("ab"), Panic]);
    let _ = stage.call(request, |request| {
        let reader = thread::spawn(move || drop(all(pin!(request))));
        assert!(reader.join().is_err());
        Ok::<_, BoxError>("xy")
    });
    let expected = answered(Numbers::failed("panic", 2), 2).request(2, 1);
    stage.expect("in another thread", &expected);
}

#[test]
fn a_panicking_measure_fails_the_call() {
    let touchy = |_: &&str| -> u64 { panic!("touchy") };
    let stage = Stage::new(MetricsLayer::unary_builder().request_streams(touchy));
    let request = stage.script(["ab"]);
    let panicked = panics(|| {
        drop(stage.call(request, |request| {
            drop(all(pin!(request)));
            Ok::<_, BoxError>("xy")
        }));
    });
    assert!(panicked);
    stage.expect("measured", &Numbers::failed("panic", 2));
}

#[test]
fn closures_measure_messages() {
    let builder = MetricsLayer::streaming_builder().request_streams(|n: &u8| u64::from(*n));
    let stage = Stage::new(builder.measure_items(|n: &u8| u64::from(*n) * 10));
    let request = stage.script([1u8, 2]);
    let answer = stage.call(request, Ok::<_, BoxError>).unwrap();
    assert_eq!(all(pin!(answer)), [1, 2]);
    let expected = Numbers::completed(3).request(3, 2).response(30, 2);
    stage.expect("both ways", &expected.head_after(1).first_byte_after(2));
}

#[test]
fn the_request_stream_passes_through_unchanged() {
    let stage = unary();
    let request = stage.steps([Item("ab"), Pause, Item("c")]);
    let inner = request.size_hint();
    let _ = stage.call(request, |mut request: RequestStream<_>| {
        assert_eq!((request.size_hint(), inner), (inner, (2, Some(3))));
        assert_eq!(request.get_ref().size_hint(), inner);
        assert_eq!(request.get_mut().size_hint(), inner);
        let pinned: Pin<&mut _> = pin!(request.into_inner());
        assert_eq!(all(pinned), ["ab", "c"]);
        Ok::<_, BoxError>("xy")
    });
    let expected = answered(Numbers::completed(3), 3);
    stage.expect("nothing is counted of what is unwrapped", &expected);
}

/// The request fails first, so a later failure of the response does not count.
#[test]
fn a_request_that_fails_during_the_response_decides_the_outcome() {
    let stage = streaming();
    let service = stage.layer.layer(service_fn(async |request: Upload| {
        let chunk = |chunk: Chunk| chunk.unwrap_or("gone");
        Ok::<_, BoxError>(futures_util::StreamExt::map(request, chunk))
    }));
    let request = broken(&stage, ErrorKind::InvalidInput);
    let answer = super::streams_support::now(service.oneshot(request)).unwrap();
    let mut answer = Box::pin(answer);
    assert_eq!(all(answer.as_mut()), ["ab", "gone", "cde"]);
    stage.clock.advance(SECOND);
    drop(answer);
    let error_type = ErrorType::INVALID_MESSAGE.as_str();
    let expected = Numbers::failed(error_type, 3).request(5, 2).response(9, 3);
    stage.expect("on", &expected.head_after(0).first_byte_after(1));
}
