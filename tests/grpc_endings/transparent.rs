//! Requests and responses pass through unchanged.

use super::support::Step::{self, Bytes, Field};
use super::support::{Page, Script, poll_frame};
use super::{STATUS, call, call_with, frame, layer, message, request_of, response_of, script};
use http::{Request, Response};
use http_body::{Body, Frame};
use std::pin::pin;
use tower_openmetrics::MetricsLayer;

/// The frames of a body, with `is_end_stream` and `size_hint` before each one and after the last.
fn seen<B: Body<Data = bytes::Bytes>>(body: B) -> Vec<(bool, Option<u64>, String)> {
    let mut body = pin!(body);
    let mut all = Vec::new();
    loop {
        let (ended, hint) = (body.is_end_stream(), body.size_hint().exact());
        let frame = poll_frame(body.as_mut()).map(|frame| frame.unwrap_or_else(|_| panic!()));
        let over = frame.is_none();
        all.push((ended, hint, format!("{:?}", frame.map(Frame::into_data))));
        if over {
            return all;
        }
    }
}

fn bodies() -> Vec<fn() -> Script> {
    vec![
        || script(steps()),
        || script(steps()).hint(20).knows_its_end(true),
        || script([]).knows_its_end(true),
        || script([Field(STATUS, "0")]).hint(0),
    ]
}

fn steps() -> [Step; 4] {
    [
        Bytes(message("abc")),
        Step::Pending,
        Bytes(frame(9, "malformed")),
        Field(STATUS, "5"),
    ]
}

#[test]
fn bodies_pass_through_unchanged() {
    let types = [
        "application/grpc",
        "application/grpc-web",
        "application/grpc-web-text",
        "text/plain",
    ];
    for content_type in types {
        for body in bodies() {
            let layer = layer();
            let expected = seen(body());
            let request = request_of(content_type, body());
            let response = call_with(&layer, request, |request| {
                assert_eq!(seen(request.into_body()), expected);
                Ok(response_of(content_type, []).map(|_| body()))
            });
            assert_eq!(seen(response.unwrap().into_body()), expected);
        }
    }
}

#[test]
fn heads_pass_through_unchanged() {
    let layer = layer();
    let request = Request::post("http://a/shop.Cart/Add?b").header("grpc-timeout", "1S");
    let request = request.body(script([])).unwrap();
    let response = call_with(&layer, request, |request| {
        assert_eq!(request.uri(), "http://a/shop.Cart/Add?b");
        assert_eq!(request.headers()["grpc-timeout"], "1S");
        let response = Response::builder().status(203).header(STATUS, "0");
        Ok(response.body(script([])).unwrap())
    });
    let response = response.unwrap();
    assert_eq!(response.status(), 203);
    assert_eq!(response.headers().len(), 1);
    assert_eq!(response.headers()[STATUS], "0");
}

#[test]
fn the_inner_body_is_accessible() {
    let layer = layer();
    for content_type in ["application/grpc", "text/plain"] {
        let request = request_of(content_type, script([]));
        let response = call_with(&layer, request, |request| {
            let mut body = request.into_body();
            let _: &Script = body.get_ref();
            let _: &mut Script = body.get_mut();
            let _: Script = body.into_inner();
            Ok(response_of(content_type, []))
        });
        let mut body = response.unwrap().into_body();
        let _: &Script = body.get_ref();
        let _: &mut Script = body.get_mut();
        assert!(format!("{body:?}").starts_with("ResponseBody"));
        let _: Script = body.into_inner();
    }
}

#[test]
fn messages_total_defaults_to_true() {
    let name = |layer: &MetricsLayer<_>| {
        let response = response_of("application/grpc", [Field(STATUS, "0")]);
        let _ = call(layer, Ok(response));
        let page = Page::read(layer.exporter());
        page.all("request_messages_total").count() + page.all("response_messages_total").count()
    };
    assert_eq!(name(&MetricsLayer::grpc([("endpoint", "a")])), 2);
    let without = MetricsLayer::grpc_builder().messages_total(false);
    assert_eq!(name(&without.build([("endpoint", "a")]).unwrap()), 0);
}

#[test]
#[should_panic(expected = "`MetricsLayer::grpc`: label name `le`")]
fn invalid_labels_panic() {
    let _ = MetricsLayer::grpc([("le", "1")]);
}
