//! What comes to a gRPC service and is not gRPC, is measured as HTTP.

use super::Ending::{Cancelled, Completed, Failed};
use super::support::Step::Bytes;
use super::support::{take_frames, take_to_end};
use super::{STATUS, Seen, call_with, layer, message, request_of, script};
use bytes::Bytes as Data;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{Empty, Full};
use std::pin::pin;

fn page(status: u16) -> Response<super::Script> {
    let mut response = Response::new(script([Bytes(message("abc"))]));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

#[test]
fn probes_and_preflights() {
    let methods = [Method::GET, Method::OPTIONS, Method::PUT];
    let endings = [
        (200, Completed),
        (204, Completed),
        (404, Completed),
        (503, Failed("overloaded")),
    ];
    for method in methods {
        for (status, ending) in endings {
            let layer = layer();
            let request = Request::builder().method(method.clone());
            let request = request.body(Empty::<Data>::new()).unwrap();
            let response = call_with(&layer, request, |_| Ok(page(status)));
            take_to_end(pin!(response.unwrap().into_body()));
            let expected = ending.with_response(8, 0);
            assert_eq!(Seen::of(&layer), expected, "{method} {status}");
        }
    }
}

#[test]
fn requests_of_another_type() {
    let layer = layer();
    let request = request_of("application/json", Full::<Data>::from(message("")));
    let response = call_with(&layer, request, |request| {
        take_to_end(pin!(request.into_body()));
        Ok(page(415))
    });
    take_to_end(pin!(response.unwrap().into_body()));
    let expected = Failed("invalid_message").with_response(8, 0);
    assert_eq!(Seen::of(&layer), expected.request(5, 0));
}

#[test]
fn their_promised_length_counts() {
    for (length, ending) in [(8, Completed), (9, Cancelled)] {
        let layer = layer();
        let request = Request::new(Empty::<Data>::new());
        let response = call_with(&layer, request, |_| {
            let mut response = page(200);
            response
                .headers_mut()
                .insert("content-length", length.into());
            Ok(response)
        });
        take_frames(pin!(response.unwrap().into_body()), 1);
        assert_eq!(Seen::of(&layer), ending.with_response(8, 0));
    }
}

#[test]
fn unless_a_status_answers_them() {
    let layer = layer();
    let response = call_with(&layer, Request::new(Empty::<Data>::new()), |_| {
        let mut response = page(200);
        response.headers_mut().insert(STATUS, 12.into());
        Ok(response)
    });
    take_to_end(pin!(response.unwrap().into_body()));
    let expected = Failed("invalid_message").with_response(8, 1);
    assert_eq!(Seen::of(&layer), expected);
}

/// A request that does not say its type is taken for what the layer is for.
#[test]
fn requests_without_a_type_are_of_grpc() {
    let layer = layer();
    let mut request = request_of("", Full::<Data>::default());
    request.headers_mut().clear();
    let response = call_with(&layer, request, |_| Ok(page(200)));
    take_to_end(pin!(response.unwrap().into_body()));
    let expected = Failed("publish_final").with_response(8, 1);
    assert_eq!(Seen::of(&layer), expected);
}
