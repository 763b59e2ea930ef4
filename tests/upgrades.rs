//! Upgraded calls: who follows them, until when, and what is counted.

#[path = "support/mod.rs"]
mod support;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use std::convert::Infallible;
use support::{Page, SECOND, errors, now, panic_of};
use tower::{Layer, Service, ServiceBuilder, service_fn};
use tower_openmetrics::classify::{Fault, HttpClient};
use tower_openmetrics::protocol::Http;
use tower_openmetrics::upgrade::UpgradeGuard;
use tower_openmetrics::{
    Clock, ErrorType, MetricsLayer, MetricsLayerBuilder, RequestBody, UpgradedCall,
};

/// What a layer shows: calls, open ones, those that were cancelled or failed, and how long both histograms say that they took.
#[derive(Debug, PartialEq)]
struct Seen {
    requests: u64,
    concurrent: i64,
    failed: u64,
    cancelled: u64,
    durations: u64,
    streams: (u64, String),
}

fn seen<P>(layer: &MetricsLayer<P>) -> Seen {
    let page = Page::read(layer.exporter());
    let numbers = page.numbers();
    Seen {
        requests: numbers.requests,
        concurrent: numbers.concurrent,
        failed: numbers.failed(),
        cancelled: numbers.cancellations,
        durations: numbers.durations,
        streams: (
            page.integer("stream_duration_seconds_count"),
            page.one("stream_duration_seconds_sum").to_owned(),
        ),
    }
}

fn open() -> Seen {
    Seen {
        requests: 0,
        concurrent: 1,
        ..untimed()
    }
}

/// It has ended well, and nobody knows how long it took.
fn untimed() -> Seen {
    Seen {
        requests: 1,
        concurrent: 0,
        failed: 0,
        cancelled: 0,
        durations: 0,
        streams: (0, "0.0".to_owned()),
    }
}

/// It has ended well, after so long.
fn stream(seconds: &str) -> Seen {
    Seen {
        streams: (1, seconds.to_owned()),
        ..untimed()
    }
}

/// No answer is a stream by its head.
fn builder(clock: Clock) -> MetricsLayerBuilder {
    let builder = MetricsLayer::builder().clock(clock);
    builder.stream_duration_seconds(|_| false)
}

fn layer() -> (Clock, MetricsLayer) {
    let clock = Clock::manual();
    (clock, builder(clock).build([("a", "1")]).unwrap())
}

fn upgrade() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response
}

/// A call that is answered like this, of which the answer's head and body are gone.
fn answer(
    layer: &MetricsLayer,
    request: Request<Full<Bytes>>,
    response: Response<Full<Bytes>>,
    call: &UpgradedCall,
) {
    let mut response = response;
    response.extensions_mut().insert(call.clone());
    let clock = Clock::manual(); // Not the layer's: the answer takes no time.
    drop(support::call(layer, clock, request, |_| {
        Ok::<_, Infallible>(response)
    }));
}

fn followed(layer: &MetricsLayer) -> UpgradeGuard {
    let call = UpgradedCall::new();
    let guard = call.guard();
    answer(layer, Request::new(Full::default()), upgrade(), &call);
    guard
}

#[test]
fn a_guard_follows_its_call() {
    let (clock, layer) = layer();
    let guard = followed(&layer);
    clock.advance(SECOND);
    assert_eq!(seen(&layer), open());
    clock.advance(99 * SECOND);
    drop(guard);
    assert_eq!(seen(&layer), stream("100.0"));
}

#[test]
fn without_a_metric_for_streams_it_is_in_flight_and_not_timed() {
    let layer = MetricsLayer::default();
    let guard = followed(&layer);
    assert_eq!(Page::read(layer.exporter()).numbers().concurrent, 1);
    drop(guard);
    let numbers = Page::read(layer.exporter()).numbers();
    let counted = (numbers.requests, numbers.durations, numbers.concurrent);
    assert_eq!(counted, (1, 0, 0));
}

#[test]
fn a_guard_that_gives_up_before_the_answer_follows_nothing() {
    let (_, layer) = layer();
    let call = UpgradedCall::new();
    drop(call.guard());
    answer(&layer, Request::new(Full::default()), upgrade(), &call);
    assert_eq!(
        seen(&layer),
        untimed(),
        "while the answer's extensions are there"
    );
}

#[test]
fn a_fault_reported_before_the_answer_is_the_calls() {
    let (_, layer) = layer();
    let call = UpgradedCall::new();
    let guard = call.guard();
    guard.fault(ErrorType::TIMEOUT);
    drop(guard);
    answer(&layer, Request::new(Full::default()), upgrade(), &call);
    let numbers = Page::read(layer.exporter()).numbers();
    assert_eq!(numbers.errors, errors([("timeout", 1)]));
}

#[test]
fn a_call_without_a_guard_ends_with_its_answer() {
    let (_, layer) = layer();
    let call = UpgradedCall::new();
    answer(&layer, Request::new(Full::default()), upgrade(), &call);
    drop(call);
    assert_eq!(seen(&layer), untimed());
}

#[test]
fn the_last_of_several_guards_ends_the_call() {
    let (clock, layer) = layer();
    let call = UpgradedCall::new();
    let guards = [call.guard(), call.guard()];
    answer(&layer, Request::new(Full::default()), upgrade(), &call);
    let [reader, writer] = guards;
    drop(reader);
    clock.advance(SECOND);
    assert_eq!(seen(&layer), open());
    drop(writer);
    assert_eq!(seen(&layer), stream("1.0"));
}

/// `call` stays in extensions that somebody keeps.
#[test]
fn nothing_else_keeps_the_call_open() {
    let (_, layer) = layer();
    let call = UpgradedCall::new();
    let guard = call.guard();
    answer(&layer, Request::new(Full::default()), upgrade(), &call);
    drop(guard);
    assert_eq!(seen(&layer), stream("0.0"));
    drop(call);
    assert_eq!(seen(&layer), stream("0.0"));
}

#[test]
fn a_panic_that_drops_the_guard_is_the_calls() {
    let (_, layer) = layer();
    let guard = followed(&layer);
    panic_of(move || {
        let _guard = guard;
        panic!("in the task that has the socket");
    });
    let numbers = Page::read(layer.exporter()).numbers();
    assert_eq!(numbers.errors, errors([("panic", 1)]));
    assert_eq!(
        seen(&layer),
        Seen {
            failed: 1,
            ..stream("0.0")
        }
    );
}

#[test]
fn a_guard_can_name_a_fault() {
    let (_, layer) = layer();
    let guard = followed(&layer);
    guard.fault(ErrorType::PUBLISH_RESPONSE);
    guard.fault(ErrorType::TIMEOUT);
    drop(guard);
    let numbers = Page::read(layer.exporter()).numbers();
    assert_eq!(numbers.errors, errors([("publish_response", 1)]));

    let (_, layer) = self::layer();
    let guard = followed(&layer);
    guard.fault(Fault::Cancelled);
    drop(guard);
    assert_eq!(
        seen(&layer),
        Seen {
            cancelled: 1,
            ..stream("0.0")
        }
    );
}

#[test]
fn what_the_head_says_comes_first() {
    let (_, layer) = layer();
    let call = UpgradedCall::new();
    let guard = call.guard();
    let mut response = upgrade();
    response.extensions_mut().insert(ErrorType::OVERLOADED);
    answer(&layer, Request::new(Full::default()), response, &call);
    guard.fault(ErrorType::PUBLISH_RESPONSE);
    drop(guard);
    let numbers = Page::read(layer.exporter()).numbers();
    assert_eq!(numbers.errors, errors([("overloaded", 1)]));
}

/// Over HTTP/2 a WebSocket is a CONNECT that is answered 200, with a body that nobody takes.
#[test]
fn a_tunnel_is_followed_in_place_of_its_body() {
    for status in [200, 204, 299] {
        let (clock, layer) = layer();
        let call = UpgradedCall::new();
        let guard = call.guard();
        let mut request = Request::new(Full::default());
        *request.method_mut() = Method::CONNECT;
        let mut response = Response::new(Full::from("never taken"));
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        answer(&layer, request, response, &call);
        assert_eq!(seen(&layer), open());
        clock.advance(SECOND);
        drop(guard);
        assert_eq!(seen(&layer), stream("1.0"));
    }
}

/// The handler has made one before it knew.
#[test]
fn an_answer_that_upgrades_nothing_is_as_any_other() {
    for (method, status) in [
        (Method::GET, 200),
        (Method::GET, 400),
        (Method::CONNECT, 403),
    ] {
        let (_, layer) = layer();
        let call = UpgradedCall::new();
        let guard = call.guard();
        let mut request = Request::new(Full::default());
        *request.method_mut() = method;
        let mut response = Response::new(Full::from("hello"));
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        answer(&layer, request, response, &call);
        let at_rest = seen(&layer);
        assert_eq!(
            (at_rest.requests, at_rest.durations, at_rest.concurrent),
            (1, 1, 0)
        );
        drop(guard);
        assert_eq!(seen(&layer), at_rest);
    }
}

#[test]
fn nested_layers_all_hear_of_the_end() {
    let (clock, outer) = layer();
    let inner = builder(clock).build([("a", "2")]).unwrap();
    let call = UpgradedCall::new();
    let guard = call.guard();
    let service = ServiceBuilder::new()
        .layer(outer.clone())
        .layer(inner.clone())
        .service(service_fn(move |_: Request<_>| {
            let mut response = upgrade();
            response.extensions_mut().insert(call.clone());
            std::future::ready(Ok::<_, Infallible>(response))
        }));
    let mut service = service;
    drop(now(service.call(Request::new(Full::<Bytes>::default()))));
    assert_eq!((seen(&outer), seen(&inner)), (open(), open()));
    clock.advance(SECOND);
    drop(guard);
    assert_eq!((seen(&outer), seen(&inner)), (stream("1.0"), stream("1.0")));
}

#[test]
fn bodies_that_keep_their_type_do_not_matter() {
    let (_, layer) = layer();
    let call = UpgradedCall::new();
    let guard = call.guard();
    type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, Infallible>;
    let mut service = layer
        .clone()
        .boxed::<Body>()
        .layer(service_fn(move |_: Request<Body>| {
            let mut response = upgrade().map(Full::boxed_unsync);
            response.extensions_mut().insert(call.clone());
            std::future::ready(Ok::<_, Infallible>(response))
        }));
    drop(now(service.call(Request::new(Full::<Bytes>::default()))));
    assert_eq!(seen(&layer), open());
    drop((guard, service));
    assert_eq!(seen(&layer), stream("0.0"));
}

#[test]
fn a_client_takes_its_guard_from_the_answer() {
    let clock = Clock::manual();
    let client = || -> MetricsLayer<Http<HttpClient>> {
        let builder = MetricsLayer::client_builder().clock(clock);
        builder
            .stream_duration_seconds(|_| false)
            .build([("a", "1")])
            .unwrap()
    };
    let call = |layer: &MetricsLayer<Http<HttpClient>>| {
        let mut service = layer.layer(service_fn(async |_: Request<RequestBody<_>>| {
            Ok::<_, Infallible>(upgrade())
        }));
        let Ok(response) = now(service.call(Request::new(Full::<Bytes>::default())));
        response
    };
    let layer = client();
    drop(call(&layer));
    assert_eq!(seen(&layer), untimed());

    let layer = client();
    let response = call(&layer);
    let guard = response
        .extensions()
        .get::<UpgradedCall>()
        .expect("a call")
        .guard();
    drop(response);
    clock.advance(SECOND);
    assert_eq!(seen(&layer), open());
    drop(guard);
    assert_eq!(seen(&layer), stream("1.0"));
}

/// Their registry has no page any more; the guard does no harm.
#[test]
fn a_guard_may_outlive_its_layer() {
    let (_, layer) = layer();
    let guard = followed(&layer);
    drop(layer);
    drop(guard);
}
