//! Contenders for streaming: calls with many frames or items, so that their beginning and end hardly count.

use super::layers::{built, with_options};
use super::service::{Answering, Frames, GRPC_MESSAGE, GRPC_MESSAGES, Items, PAYLOAD};
use super::{Contender, Reading, Table, call};
use bytes::Bytes;
use futures_core::Stream;
use http::header::CONTENT_TYPE;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use tower::{Layer, Service, service_fn};
use tower_openmetrics::MetricsLayer;
use tower_openmetrics::message::Own;

/// The number of frames, items or messages in a call.
pub(crate) const COUNT: u32 = 1_000;

const RESPONSE_BYTES: &str = "response_bytes_total";
const REQUEST_MESSAGES: &str = "request_messages_total";
const RESPONSE_MESSAGES: &str = "response_messages_total";

pub(crate) fn tables() -> Vec<Table> {
    let (one, ten) = (GRPC_MESSAGE.as_slice(), GRPC_MESSAGES.as_slice());
    vec![
        frames_of_responses(),
        frames_of_requests(),
        items_of_responses(),
        items_of_requests(),
        grpc_responses("a gRPC message of a response", "grpc", one, COUNT),
        grpc_responses(
            "the same of a response, ten a frame",
            "grpc-ten",
            ten,
            COUNT / 10,
        ),
        grpc_requests("a gRPC message of a request", "grpc", one, COUNT),
        grpc_requests(
            "the same of a request, ten a frame",
            "grpc-ten",
            ten,
            COUNT / 10,
        ),
    ]
}

fn frames_of_responses() -> Table {
    let answering = || Answering(Frames::of(&PAYLOAD, COUNT));
    let layer = built(MetricsLayer::builder());
    let options = built(with_options(MetricsLayer::builder()));
    let bytes = COUNT * PAYLOAD.len() as u32;
    let contenders = vec![
        calls("response-frame-bare", answering(), empty),
        calls("response-frame", layer.layer(answering()), empty).counting(
            &layer,
            RESPONSE_BYTES,
            bytes,
        ),
        calls("response-frame-options", options.layer(answering()), empty).counting(
            &options,
            RESPONSE_BYTES,
            bytes,
        ),
    ];
    ("a frame of a response", contenders)
}

fn frames_of_requests() -> Table {
    let request = || Request::new(Frames::of(&PAYLOAD, COUNT));
    let bytes = COUNT * PAYLOAD.len() as u32;
    let layer = built(MetricsLayer::builder());
    let contenders = vec![
        calls("request-frame-bare", Reading, request),
        calls("request-frame", layer.layer(Reading), request).counting(
            &layer,
            "request_bytes_total",
            bytes,
        ),
    ];
    ("a frame of a request", contenders)
}

/// Calls with one message per frame, or several.
fn grpc_responses(title: &'static str, name: &str, frame: &'static [u8], count: u32) -> Table {
    let answering = Answering(Frames::of(frame, count).with_grpc_status());
    let layer = built(MetricsLayer::grpc_builder());
    let request = || grpc(empty().into_body());
    let contenders = vec![
        calls(&format!("response-{name}-bare"), answering, request),
        calls(&format!("response-{name}"), layer.layer(answering), request).counting(
            &layer,
            RESPONSE_MESSAGES,
            COUNT,
        ),
    ];
    (title, contenders)
}

fn grpc_requests(title: &'static str, name: &str, frame: &'static [u8], count: u32) -> Table {
    let request = move || grpc(Frames::of(frame, count));
    let layer = built(MetricsLayer::grpc_builder());
    let contenders = vec![
        calls(&format!("request-{name}-bare"), Reading, request),
        calls(&format!("request-{name}"), layer.layer(Reading), request).counting(
            &layer,
            REQUEST_MESSAGES,
            COUNT,
        ),
    ];
    (title, contenders)
}

/// Other requests are measured as HTTP, even by a gRPC layer.
fn grpc<B>(body: B) -> Request<B> {
    let request = Request::post("/bench.Service/Method").header(CONTENT_TYPE, "application/grpc");
    request.body(body).expect("a valid request")
}

fn items_of_responses() -> Table {
    let answering = || service_fn(|_: Bytes| ready(Ok::<_, Infallible>(items())));
    let layer = built(MetricsLayer::streaming_builder());
    let counting = built(MetricsLayer::streaming_builder().messages_total(true));
    let contenders = vec![
        streamed("response-item-bare", answering(), Bytes::new),
        streamed("response-item", layer.layer(answering()), Bytes::new),
        streamed(
            "response-item-messages",
            counting.layer(answering()),
            Bytes::new,
        )
        .counting(&counting, RESPONSE_MESSAGES, COUNT),
    ];
    ("an item of a response", contenders)
}

fn items_of_requests() -> Table {
    let layer = built(MetricsLayer::streaming_builder().request_streams(Own));
    let counting = MetricsLayer::streaming_builder().messages_total(true);
    let counting = built(counting.request_streams(Own));
    let contenders = vec![
        streamed("request-item-bare", service_fn(read), items),
        streamed("request-item", layer.layer(service_fn(read)), items),
        streamed(
            "request-item-messages",
            counting.layer(service_fn(read)),
            items,
        )
        .counting(&counting, REQUEST_MESSAGES, COUNT),
    ];
    ("an item of a request", contenders)
}

/// Calls with a body, whose responses are read to their end.
pub(crate) fn calls<S, B, R>(
    name: &str,
    service: S,
    request: impl Fn() -> Request<B> + Send + Sync + 'static,
) -> Contender
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + Sync + 'static,
    R: Body,
{
    Contender::new(name, move || call(&service, request())).of_units(COUNT)
}

/// Calls whose responses are streams that are read to their end.
pub(crate) fn streamed<S, R>(name: &str, service: S, request: fn() -> R) -> Contender
where
    S: Service<R, Response: Stream> + Clone + Send + Sync + 'static,
    R: 'static,
{
    let run = move || {
        let mut service = service.clone();
        let mut cx = Context::from_waker(Waker::noop());
        let answer = pin!(service.call(request())).poll(&mut cx);
        let Poll::Ready(Ok(items)) = answer else {
            unreachable!("the service answers at once");
        };
        take(items);
    };
    Contender::new(name, run).of_units(COUNT)
}

fn take(items: impl Stream) {
    let mut cx = Context::from_waker(Waker::noop());
    let mut items = pin!(items);
    while let Poll::Ready(Some(item)) = items.as_mut().poll_next(&mut cx) {
        let _ = black_box(&item);
    }
}

fn items() -> Items {
    Items::of(COUNT)
}

/// Reads a stream to its end, and answers with an empty one.
fn read<S: Stream>(items: S) -> Ready<Result<Items, Infallible>> {
    take(items);
    ready(Ok(Items::of(0)))
}

pub(crate) fn empty() -> Request<Full<Bytes>> {
    Request::new(Full::default())
}
