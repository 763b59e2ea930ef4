//! Responses: where their status is, how they fail, and when the caller leaves.

use super::Ending::{self, Cancelled, Completed, Failed};
use super::support::Step::{self, Bytes, Fail, Field, Pending, Trailers};
use super::support::{
    Numbers, Page, SECOND, Script, rows, take_as_http2, take_frames, take_to_end,
};
use super::{STATUS, Seen, call, frame, layer, message, request};
use http::{Response, StatusCode};
use std::pin::pin;
use tower::BoxError;
use tower_openmetrics::classify::GrpcCode;
use tower_openmetrics::{Clock, ErrorType, MetricsLayer};

/// How the caller reads the response body.
#[derive(Clone, Copy, Debug)]
enum Take {
    Frames(usize),
    ToEnd,
    AsHttp2,
}

use Take::{AsHttp2, Frames, ToEnd};

const TAKES: [Take; 2] = [ToEnd, AsHttp2];

/// The outcome by the table at [`GrpcCode`].
fn ending(code: GrpcCode) -> Ending {
    match code {
        GrpcCode::Ok => Completed,
        GrpcCode::Cancelled => Cancelled,
        GrpcCode::InvalidArgument => Failed("deserialization"),
        GrpcCode::OutOfRange | GrpcCode::Unimplemented => Failed("invalid_message"),
        GrpcCode::DeadlineExceeded => Failed("timeout"),
        GrpcCode::ResourceExhausted | GrpcCode::Unavailable => Failed("overloaded"),
        _ => Failed("generate"),
    }
}

/// The code as decimal digits.
fn digits(code: GrpcCode) -> &'static str {
    (code as u32).to_string().leak()
}

fn fails() -> Step {
    Fail(|| BoxError::from("lost"))
}

fn answer(steps: impl IntoIterator<Item = Step>) -> Response<Script> {
    super::response_of("application/grpc", steps)
}

#[track_caller]
fn expect(row: &str, response: Response<Script>, take: Take, expected: Seen) {
    let layer = layer();
    let body = call(&layer, Ok(response)).unwrap().into_body();
    take.from(body);
    assert_eq!(Seen::of(&layer), expected, "{row}, {take:?}");
}

impl Take {
    fn from<B: http_body::Body>(self, body: B) {
        let body = pin!(body);
        match self {
            Frames(most) => assert_eq!(take_frames(body, most).frames, most),
            ToEnd => drop(take_to_end(body)),
            AsHttp2 => take_as_http2(body),
        }
    }
}

#[test]
fn a_code_in_trailers_decides_the_outcome() {
    for code in GrpcCode::ALL {
        for take in TAKES {
            let response = answer([Bytes(message("abc")), Field(STATUS, digits(code))]);
            let expected = ending(code).with_response(8, 1);
            expect(code.as_str(), response, take, expected);

            let response = answer([Field(STATUS, digits(code))]);
            expect(code.as_str(), response, take, ending(code).of_nothing());
        }
    }
}

/// Whether or not the caller reads the empty body.
#[test]
fn a_code_in_headers_decides_the_outcome() {
    for code in GrpcCode::ALL {
        for knows_its_end in [true, false] {
            for take in [Frames(0), ToEnd, AsHttp2] {
                let mut response = answer([]).map(|body| body.knows_its_end(knows_its_end));
                let digits = digits(code).parse().unwrap();
                response.headers_mut().insert(STATUS, digits);
                expect(code.as_str(), response, take, ending(code).of_nothing());
            }
        }
    }
}

#[test]
fn an_invalid_status_is_unknown() {
    for status in ["17", "nonsense", ""] {
        let response = answer([Field(STATUS, status)]);
        expect(status, response, ToEnd, Failed("generate").of_nothing());
    }
}

#[test]
fn a_response_without_a_status_fails() {
    let data = || Bytes(message("abc"));
    let ended = Failed("generate").of_nothing();
    let after = |bytes, messages| Failed("publish_final").with_response(bytes, messages);
    let cases = rows! {
        "nothing": vec![] => ended;
        "no data": vec![Bytes(vec![])] => ended;
        "trailers without it": vec![Trailers] => ended;
        "data": vec![data()] => after(8, 1);
        "data, and trailers without it": vec![data(), Trailers] => after(8, 1);
        "half of a message": vec![Bytes(message("abc")[..6].into())] => after(6, 0);
        "a frame of gRPC-Web": vec![Bytes(frame(0x80, "grpc-status:0\r\n"))] => after(20, 0);
    };
    for take in TAKES {
        for (row, steps, expected) in &cases {
            for knows_its_end in [true, false] {
                let steps = steps.iter().map(copy);
                let response = answer(steps).map(|body| body.knows_its_end(knows_its_end));
                expect(row, response, take, *expected);
            }
        }
    }
}

fn copy(step: &Step) -> Step {
    match step {
        Bytes(bytes) => Bytes(bytes.clone()),
        Trailers => Trailers,
        _ => unreachable!(),
    }
}

#[test]
fn a_failing_http_status_decides_without_a_grpc_status() {
    let cases = [
        (204, Failed("generate")),
        (400, Failed("generate")),
        (401, Failed("generate")),
        (403, Failed("generate")),
        (404, Failed("invalid_message")),
        (415, Failed("generate")),
        (429, Failed("overloaded")),
        (500, Failed("generate")),
        (502, Failed("overloaded")),
        (503, Failed("overloaded")),
        (504, Failed("overloaded")),
    ];
    for (status, ending) in cases {
        for take in [Frames(0), ToEnd, AsHttp2] {
            let mut response = super::response_of("text/html", [Bytes(b"<html>".to_vec())]);
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            let bytes = if matches!(take, Frames(0)) { 0 } else { 6 };
            let expected = ending.with_response(bytes, 0);
            expect(&status.to_string(), response, take, expected);
        }
    }
}

#[test]
fn a_grpc_status_takes_precedence_over_the_http_status() {
    let mut response = answer([]);
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response.headers_mut().insert(STATUS, 3.into());
    expect(
        "headers",
        response,
        ToEnd,
        ending(GrpcCode::InvalidArgument).of_nothing(),
    );
}

#[test]
fn a_caller_that_leaves_before_the_status_cancels_the_call() {
    let steps = || [Bytes(message("abc")), Bytes(message("")), Pending];
    let cases = [
        (0, Cancelled.of_nothing()),
        (1, Cancelled.with_response(8, 1)),
        (2, Cancelled.with_response(13, 2)),
    ];
    for (frames, expected) in cases {
        expect(
            "before the status",
            answer(steps()),
            Frames(frames),
            expected,
        );
    }
    let response = answer([Bytes(message("abc")), Field(STATUS, "0")]);
    expect(
        "after it",
        response,
        Frames(2),
        Completed.with_response(8, 1),
    );

    let mut response = answer([Field("x", "y"), Pending]);
    response.headers_mut().insert(STATUS, 0.into());
    expect(
        "after headers with it",
        response,
        Frames(0),
        Completed.of_nothing(),
    );
}

#[test]
fn a_failing_body_fails_the_call_by_its_phase() {
    let cases = rows! {
        "at once": vec![fails()] => Failed("response_stream").of_nothing();
        "after nothing": vec![Bytes(vec![]), fails()] => Failed("response_stream").of_nothing();
        "half-way": vec![Bytes(message("abc")), fails()] => Failed("publish_response").with_response(8, 1);
        "in the middle of a message": vec![Bytes(vec![0]), fails()] => Failed("publish_response").with_response(1, 0);
    };
    for (row, steps, expected) in cases {
        expect(row, answer(steps), ToEnd, expected);
    }
    let mut response = answer([fails()]);
    response.headers_mut().insert(STATUS, 0.into());
    expect(
        "after the status",
        response,
        ToEnd,
        Failed("publish_final").of_nothing(),
    );
}

#[test]
fn a_failing_service_fails_the_call() {
    let cases: [(fn() -> BoxError, _); 3] = [
        (|| "lost".into(), "generate"),
        (|| tower::timeout::error::Elapsed::new().into(), "timeout"),
        (
            || tower::load_shed::error::Overloaded::new().into(),
            "overloaded",
        ),
    ];
    for (error, error_type) in cases {
        let layer = layer();
        call(&layer, Err(error())).unwrap_err();
        assert_eq!(Seen::of(&layer), Failed(error_type).of_nothing());
    }
}

/// The first failure of a call counts.
#[test]
fn an_error_type_set_by_the_handler_counts() {
    const OWN: ErrorType = ErrorType::from_static("own");
    for status in ["0", "1", "3"] {
        let mut response = answer([Bytes(message("abc")), Field(STATUS, status)]);
        response.extensions_mut().insert(OWN);
        expect(
            "in extensions",
            response,
            ToEnd,
            Failed("own").with_response(8, 1),
        );
    }
}

#[test]
fn the_first_failing_status_counts() {
    let mut response = answer([Field(STATUS, "3")]);
    response.headers_mut().insert(STATUS, 4.into());
    expect(
        "two statuses",
        response,
        ToEnd,
        Failed("timeout").of_nothing(),
    );

    let mut response = answer([Field(STATUS, "3")]);
    response.headers_mut().insert(STATUS, 0.into());
    let expected = ending(GrpcCode::InvalidArgument).of_nothing();
    expect("one of them a failure", response, ToEnd, expected);
}

#[test]
fn a_panicking_body_fails_the_call() {
    let layer = layer();
    let response = answer([Bytes(message("abc")), Step::Panic]);
    let body = call(&layer, Ok(response)).unwrap().into_body();
    super::support::panic_of(|| take_to_end(pin!(body)));
    assert_eq!(Seen::of(&layer), Failed("panic").with_response(8, 1));
}

#[test]
fn messages_are_counted_however_they_are_split() {
    let all = [
        message("abc"),
        message(""),
        frame(1, "compressed"),
        message(&"long".repeat(100)),
    ]
    .concat();
    for length in 1..=all.len() {
        let pieces = all.chunks(length).map(|piece| Bytes(piece.into()));
        let response = answer(pieces.chain([Field(STATUS, "0")]));
        let bytes = all.len() as u64;
        expect("pieces", response, ToEnd, Completed.with_response(bytes, 4));
    }
}

#[test]
fn invalid_messages_do_not_change_the_outcome() {
    let malformed = [message("abc"), frame(7, "?"), message("d")].concat();
    let bytes = malformed.len() as u64;
    let response = answer([Bytes(malformed), Field(STATUS, "13")]);
    let expected = Failed("generate").with_response(bytes, 1);
    expect("an unknown flag", response, ToEnd, expected);

    let longer = [0, 0xff, 0xff, 0xff, 0xff, b'a'];
    let response = answer([Bytes(longer.into()), Field(STATUS, "0")]);
    expect(
        "a length that isn't met",
        response,
        ToEnd,
        Completed.with_response(6, 0),
    );
}

/// Each frame takes a second.
#[test]
fn the_duration_lasts_until_the_status() {
    let clock = Clock::manual();
    let layer = MetricsLayer::grpc_builder()
        .clock(clock)
        .response_head_seconds(true)
        .first_byte_seconds(true)
        .build([("endpoint", "stage")])
        .unwrap();
    let steps: [Step; 4] = [
        Bytes(vec![]),
        Bytes(message("abc")),
        Bytes(message("d")),
        Field(STATUS, "0"),
    ];
    let response = answer([]).map(|_| Script::new(clock, steps));
    let response = super::support::call(&layer, clock, request(), |_| Ok::<_, BoxError>(response));
    take_to_end(pin!(response.unwrap().into_body()));
    clock.advance(SECOND);

    let page = Page::read(layer.exporter());
    assert_eq!(page.one("response_head_seconds_sum"), "1.0");
    assert_eq!(page.one("first_byte_seconds_sum"), "3.0");
    assert_eq!(Numbers::of(&layer).duration_sum, 5 * SECOND);
}
