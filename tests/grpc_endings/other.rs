//! Traffic of a gRPC service that is not gRPC is measured as HTTP.

use super::Ending::{Cancelled, Completed, Failed};
use super::support::Step::Bytes;
use super::support::{Page, take_frames, take_to_end};
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
fn other_methods_are_measured_as_http() {
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
fn other_content_types_are_measured_as_http() {
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
fn the_content_length_counts_for_other_traffic() {
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
fn a_response_with_a_grpc_status_is_grpc() {
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

/// The content type of the response decides.
#[test]
fn requests_without_a_content_type() {
    let answered = |status, content_type: Option<&'static str>, expected: Seen| {
        let layer = layer();
        let request = Request::post("/api/items").body(Full::<Data>::from("{\"item\": 7}"));
        let response = call_with(&layer, request.unwrap(), |request| {
            take_to_end(pin!(request.into_body()));
            let mut response = page(status);
            if let Some(content_type) = content_type {
                let content_type = content_type.parse().unwrap();
                response.headers_mut().insert("content-type", content_type);
            }
            Ok(response)
        });
        take_to_end(pin!(response.unwrap().into_body()));
        let row = format!("{status} {content_type:?}");
        assert_eq!(Seen::of(&layer), expected.request(11, 0), "{row}");

        // The protocol was unknown when the call began, so it has no service.
        let page = Page::read(layer.exporter());
        for (labels, _) in page.samples().filter(|(name, _)| name.contains("grpc_")) {
            assert!(labels.contains(r#"grpc_method="none""#), "{row}: {labels}");
            assert!(labels.contains(r#"grpc_service="none""#), "{row}: {labels}");
        }
        page.all("requests_total").next().unwrap().0.to_owned()
    };
    for content_type in [Some("application/json"), Some("text/html"), None] {
        for (status, ending) in [
            (200, Completed),
            (201, Completed),
            (204, Completed),
            (303, Completed),
            (404, Completed),
            (422, Failed("deserialization")),
            (500, Failed("generate")),
        ] {
            let labels = answered(status, content_type, ending.with_response(8, 0));
            assert!(labels.contains(r#"grpc_code="none""#), "{labels}");
        }
    }
    let no_status = Failed("publish_final").with_response(8, 1);
    for content_type in ["application/grpc", "application/grpc-web+proto"] {
        answered(200, Some(content_type), no_status);
    }
}

/// REST responses with a length, and empty ones.
#[test]
fn the_content_length_counts_for_requests_without_a_content_type() {
    for (length, frames, ending) in [(8, 1, Completed), (9, 1, Cancelled), (9, 2, PROMISE)] {
        let layer = layer();
        let request = Request::post("/api/items").body(Empty::<Data>::new());
        let response = call_with(&layer, request.unwrap(), |_| {
            let mut response = page(201);
            let headers = response.headers_mut();
            headers.insert("content-type", "application/json".parse().unwrap());
            headers.insert("content-length", length.into());
            Ok(response)
        });
        take_frames(pin!(response.unwrap().into_body()), frames);
        assert_eq!(Seen::of(&layer), ending.with_response(8, 0), "{length}");
    }
    let layer = layer();
    let request = Request::post("/api/log-out").body(Empty::<Data>::new());
    let response = call_with(&layer, request.unwrap(), |_| {
        Ok(Response::new(script([]).knows_its_end(true)))
    });
    drop(response);
    assert_eq!(Seen::of(&layer), Completed.of_nothing());
}

const PROMISE: super::Ending = Failed("publish_final");
