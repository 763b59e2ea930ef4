//! Requests: how their messages count, and how they fail.

use super::Ending::{self, Cancelled, Completed, Failed};
use super::support::Step::{self, Bytes, Fail, Trailers};
use super::support::{Script, take_frames, take_to_end};
use super::{
    STATUS, Seen, base64, built, call_with, frame, layer, message, request_of, response_of, script,
};
use http::Version;
use std::io::{self, ErrorKind};
use std::pin::pin;
use tower::BoxError;
use tower_openmetrics::classify::{Classify, HttpClient, HttpStatus, by_error};
use tower_openmetrics::protocol::Grpc;
use tower_openmetrics::{Clock, ErrorType, MetricsLayer, MetricsLayerBuilder};

/// One call that reads `frames` of its request and gets a response with `OK`.
#[track_caller]
fn expect(row: &str, content_type: &str, steps: Vec<Step>, frames: usize, expected: Seen) {
    let layer = layer();
    let response = call_with(&layer, request_of(content_type, script(steps)), |request| {
        take_frames(pin!(request.into_body()), frames);
        Ok(response_of("application/grpc", [Step::Field(STATUS, "0")]))
    });
    take_to_end(pin!(response.unwrap().into_body()));
    assert_eq!(Seen::of(&layer), expected, "{row}");
}

const ALL: usize = usize::MAX;
const GRPC: &str = "application/grpc+proto";

#[test]
fn messages_are_counted_as_the_service_reads_them() {
    let steps = || {
        vec![
            Bytes([message("abc"), message("")].concat()),
            Bytes(message("compressed")[..9].into()),
            Bytes(message("compressed")[9..].into()),
            Trailers,
        ]
    };
    let cases = [(0, (0, 0)), (1, (13, 2)), (2, (22, 2)), (ALL, (28, 3))];
    for (frames, (bytes, messages)) in cases {
        let expected = Completed.of_nothing().request(bytes, messages);
        expect("gRPC", GRPC, steps(), frames, expected);
        expect(
            "gRPC-Web",
            "application/grpc-web",
            steps(),
            frames,
            expected,
        );
    }
}

#[test]
fn grpc_web_text_is_decoded() {
    let text = base64(&message("abc").repeat(5));
    let bytes = text.len() as u64;
    for length in 1..=text.len() {
        let steps = text.as_bytes().chunks(length);
        let steps = steps.map(|piece| Bytes(piece.into())).collect();
        let expected = Completed.of_nothing().request(bytes, 5);
        expect("text", "application/grpc-web-text", steps, ALL, expected);
    }
}

#[test]
fn nothing_counts_after_an_invalid_message() {
    let steps = vec![Bytes(frame(0x42, "abc")), Bytes(message("d"))];
    let expected = Completed.of_nothing().request(14, 0);
    expect("an unknown flag", GRPC, steps, ALL, expected);
}

#[test]
fn a_failing_request_decides_the_outcome() {
    let gone: fn() -> BoxError = || io::Error::from(ErrorKind::ConnectionReset).into();
    for (error, ending) in [
        (gone, Cancelled),
        ((|| "malformed".into()) as _, Failed("invalid_message")),
    ] {
        let steps = vec![Bytes(message("abc")), Fail(error)];
        expect(
            "broken off",
            GRPC,
            steps,
            ALL,
            ending.of_nothing().request(8, 1),
        );
    }
}

/// tonic's bodies fail with tonic's own type, for example.
#[test]
fn an_error_of_an_unknown_type_cancels_the_call() {
    struct Unknown;
    let layer = layer();
    let steps = [Bytes(message("abc")), Fail(|| Unknown)];
    let body = Script::new(Clock::manual(), steps);
    let response = call_with(&layer, request_of(GRPC, body), |request| {
        take_to_end(pin!(request.into_body()));
        Ok(response_of("application/grpc", [Step::Field(STATUS, "0")]))
    });
    take_to_end(pin!(response.unwrap().into_body()));
    assert_eq!(Seen::of(&layer), Cancelled.of_nothing().request(8, 1));
}

/// The caller is still there when its request fails, for example at a message that can't be encoded.
#[test]
fn a_failing_request_of_a_client_fails_the_call() {
    fn expect<C: Classify, E: 'static>(
        builder: MetricsLayerBuilder<Grpc<C>>,
        error: fn() -> E,
        error_type: &'static str,
    ) {
        let layer = built(builder);
        let steps = [Bytes(message("abc")), Fail(error)];
        let body = Script::new(Clock::manual(), steps);
        let failed = call_with(&layer, request_of(GRPC, body), |request| {
            take_to_end(pin!(request.into_body()));
            Err("the stream was reset".into())
        });
        assert!(failed.is_err());
        let seen = Seen::of(&layer);
        assert_eq!(seen, Failed(error_type).of_nothing().request(8, 1));
    }
    struct Unknown;
    let in_general = by_error(|_: &io::Error, _| Some(ErrorType::GENERATE));
    let client = MetricsLayer::grpc_client_builder;
    expect(client(), || Unknown, "invalid_message");
    expect(
        client().classifier(in_general),
        || Unknown,
        "invalid_message",
    );
    expect(
        client().classifier(HttpStatus),
        || Unknown,
        "invalid_message",
    );
    let of_clients = MetricsLayer::grpc_builder().classifier(in_general.or(HttpClient));
    expect(of_clients, || Unknown, "invalid_message");
    let timed_out = || -> BoxError { tower::timeout::error::Elapsed::new().into() };
    expect(client(), timed_out, "timeout");
    expect(client(), || BoxError::from("malformed"), "invalid_message");
    expect(
        client(),
        || io::Error::from(ErrorKind::BrokenPipe),
        "invalid_message",
    );
}

/// The request has a `Content-Length`.
#[test]
fn a_request_shorter_than_its_length_is_cancelled_over_http2() {
    fn ending<C: Classify>(builder: MetricsLayerBuilder<Grpc<C>>, version: Version) -> Ending {
        let layer = built(builder);
        let mut request = request_of("application/grpc-web", script([Bytes(message("abc"))]));
        request.headers_mut().insert("content-length", 9.into());
        *request.version_mut() = version;
        let response = call_with(&layer, request, |request| {
            take_to_end(pin!(request.into_body()));
            let status = [Step::Field(STATUS, "0")];
            Ok(response_of("application/grpc-web", status))
        });
        take_to_end(pin!(response.unwrap().into_body()));
        let seen = Seen::of(&layer);
        assert_eq!(seen, seen.ending.of_nothing().request(8, 1));
        seen.ending
    }
    let server = MetricsLayer::grpc_builder;
    assert_eq!(ending(server(), Version::HTTP_2), Cancelled);
    // Over HTTP/1, a body that breaks off has an error.
    assert_eq!(ending(server(), Version::HTTP_11), Completed);
    // A client's connection reports the error.
    let client = MetricsLayer::grpc_client_builder();
    assert_eq!(ending(client, Version::HTTP_2), Completed);
}

/// The hint of the new body decides whether it is complete.
#[test]
fn a_replaced_body_has_its_own_length() {
    for (content_type, hint, ending) in [
        (GRPC, 8, Completed),
        ("application/json", 8, Completed),
        (GRPC, 9, Cancelled),
        ("application/json", 9, Cancelled),
    ] {
        let layer = layer();
        let body = script([Bytes(message("abc"))]).hint(hint);
        let mut request = request_of(content_type, body);
        request.headers_mut().insert("content-length", 9.into());
        *request.version_mut() = Version::HTTP_2;
        let response = call_with(&layer, request, |request| {
            take_to_end(pin!(request.into_body()));
            let mut response = response_of("application/grpc", []);
            response.headers_mut().insert(STATUS, 0.into());
            Ok(response)
        });
        take_to_end(pin!(response.unwrap().into_body()));
        let Seen { ending: seen, .. } = Seen::of(&layer);
        assert_eq!(seen, ending, "{content_type} {hint}");
    }
}

#[test]
fn a_panicking_request_fails_the_call() {
    let layer = layer();
    let request = request_of(GRPC, script([Bytes(message("abc")), Step::Panic]));
    let response = call_with(&layer, request, |request| {
        super::support::panic_of(|| take_to_end(pin!(request.into_body())));
        Ok(response_of("application/grpc", [Step::Field(STATUS, "0")]))
    });
    take_to_end(pin!(response.unwrap().into_body()));
    assert_eq!(Seen::of(&layer), Failed("panic").of_nothing().request(8, 1));
}

#[test]
fn messages_after_into_inner_are_not_counted() {
    let layer = layer();
    let request = request_of(GRPC, script([Bytes(message("abc"))]));
    let response = call_with(&layer, request, |request| {
        take_to_end(pin!(request.into_body().into_inner()));
        Ok(response_of("application/grpc", [Step::Field(STATUS, "0")]))
    });
    take_to_end(pin!(response.unwrap().into_body()));
    assert_eq!(Seen::of(&layer), Completed.of_nothing());
}
