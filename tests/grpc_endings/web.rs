//! gRPC-Web, whose status is in the body.

use super::Ending::{Cancelled, Completed, Failed};
use super::support::Step::{Bytes, Fail, Field, Pending};
use super::support::{take_frames, take_to_end};
use super::{STATUS, Seen, base64, call_with, frame, layer, message, request_of, response_of};
use bytes::Bytes as Data;
use http_body_util::Full;
use std::pin::pin;
use tower::BoxError;

const WEB: [&str; 2] = ["application/grpc-web", "application/grpc-web+proto"];
const TEXT: [&str; 2] = [
    "application/grpc-web-text",
    "application/grpc-web-text+proto",
];

const TRAILERS: u8 = 0x80;

/// One call whose response has these pieces. The caller reads `frames` of them.
#[track_caller]
fn expect<'a>(
    row: &str,
    content_type: &str,
    pieces: impl IntoIterator<Item = &'a [u8]>,
    frames: usize,
    expected: Seen,
) {
    let layer = layer();
    let pieces = pieces.into_iter().map(|piece| Bytes(piece.into()));
    let request = request_of(content_type, Full::<Data>::default());
    let response = call_with(&layer, request, |_| {
        Ok(response_of(content_type, pieces.chain([Pending])))
    });
    take_frames(pin!(response.unwrap().into_body()), frames);
    assert_eq!(Seen::of(&layer), expected, "{row}, {content_type}");
}

const ALL: usize = usize::MAX;

#[test]
fn the_last_frame_has_the_status() {
    let cases = [
        ("grpc-status:0\r\n", Completed),
        ("grpc-status: 0\r\ngrpc-message: fine\r\n", Completed),
        ("grpc-message:x\r\nGrpc-Status:4", Failed("timeout")),
        ("grpc-status:1\r\n", Cancelled),
        ("grpc-status:77\r\n", Failed("generate")),
        ("grpc-message:x\r\n", Failed("publish_final")),
        ("", Failed("publish_final")),
    ];
    for (trailers, ending) in cases {
        let body = [message("abc"), message(""), frame(TRAILERS, trailers)].concat();
        for length in 1..=body.len() {
            let expected = ending.with_response(body.len() as u64, 2);
            for content_type in WEB {
                expect(trailers, content_type, body.chunks(length), ALL, expected);
            }
        }
        let text = base64(&body);
        for length in 1..=text.len() {
            let expected = ending.with_response(text.len() as u64, 2);
            for content_type in TEXT {
                let pieces = text.as_bytes().chunks(length);
                expect(trailers, content_type, pieces, ALL, expected);
            }
        }
    }
}

#[test]
fn grpc_web_text_may_be_padded_within_or_not_at_all() {
    let frames = [
        message("ab"),
        message("c"),
        frame(TRAILERS, "grpc-status:5"),
    ];
    let padded: String = frames.iter().map(|one| base64(one)).collect();
    assert!(
        !padded.ends_with('=') && padded.contains('='),
        "padded within"
    );
    let whole = base64(&frames.concat());
    let bare = whole.trim_end_matches('=');
    assert_ne!(bare, whole, "not padded");
    for text in [&*padded, bare] {
        let expected = Failed("generate").with_response(text.len() as u64, 2);
        expect(text, TEXT[0], [text.as_bytes()], ALL, expected);
    }
}

/// Over HTTP/1 a body may be dropped after its last byte.
#[test]
fn a_caller_that_leaves_after_the_status_completes_the_call() {
    let (data, last) = (message("abc"), frame(TRAILERS, "grpc-status:0\r\n"));
    let cut = last.len() - 1;
    let pieces = || [&data[..], &last[..cut], &last[cut..]];
    let cases = [
        (1, Cancelled.with_response(8, 1)),
        (2, Cancelled.with_response(27, 1)),
        (3, Completed.with_response(28, 1)),
    ];
    for (frames, expected) in cases {
        expect("dropped", WEB[0], pieces(), frames, expected);
    }
}

#[test]
fn an_error_after_the_status_is_publish_final() {
    let layer = layer();
    let request = request_of(WEB[0], Full::<Data>::default());
    let response = call_with(&layer, request, |_| {
        let status = Bytes(frame(TRAILERS, "grpc-status:0\r\n"));
        let fails = Fail(|| BoxError::from("lost"));
        Ok(response_of(WEB[0], [status, fails]))
    });
    take_to_end(pin!(response.unwrap().into_body()));
    let expected = Failed("publish_final").with_response(20, 0);
    assert_eq!(Seen::of(&layer), expected);
}

/// Like gRPC itself.
#[test]
fn a_status_in_headers_or_trailers_counts_too() {
    for content_type in WEB.into_iter().chain(TEXT) {
        let layer = layer();
        let request = request_of(content_type, Full::<Data>::default());
        let response = call_with(&layer, request, |_| {
            Ok(response_of(content_type, [Field(STATUS, "8")]))
        });
        take_to_end(pin!(response.unwrap().into_body()));
        assert_eq!(Seen::of(&layer), Failed("overloaded").of_nothing());

        let layer = super::layer();
        let request = request_of(content_type, Full::<Data>::default());
        let response = call_with(&layer, request, |_| {
            let mut response = response_of(content_type, []);
            response.headers_mut().insert(STATUS, 8.into());
            Ok(response)
        });
        drop(response);
        assert_eq!(Seen::of(&layer), Failed("overloaded").of_nothing());
    }
}
