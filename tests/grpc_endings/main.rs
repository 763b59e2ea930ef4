//! Every ending that a gRPC call can have, through scripted bodies: one row each, and for each
//! row what was counted.

mod answers;
mod classifiers;
mod labels;
mod made_up;
mod other;
mod requests;
#[path = "../support/mod.rs"]
mod support;
mod transparent;
mod web;

use self::support::{Page, Script, Step, now};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use tower::{BoxError, Layer, ServiceExt, service_fn};
use tower_openmetrics::classify::Classify;
use tower_openmetrics::grpc::{RequestBody, ResponseBody};
use tower_openmetrics::protocol::Grpc;
use tower_openmetrics::{Clock, MetricsLayer, MetricsLayerBuilder};

/// How a call ended, and what went in and out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    ending: Ending,
    request: Volume,
    response: Volume,
}

/// The three ways in which a call can end, and that it has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Open,
    Completed,
    Cancelled,
    Failed(&'static str),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Volume {
    bytes: u64,
    messages: u64,
}

const STATUS: &str = "grpc-status";

/// A message with its prefix: five bytes more than `payload`.
fn message(payload: &str) -> Vec<u8> {
    frame(0, payload)
}

fn frame(flag: u8, payload: &str) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&[flag], &length[..], payload.as_bytes()].concat()
}

/// In base64, padded at its end (RFC 4648, section 4).
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |bytes: &[u8]| {
        let bits = (0..3).fold(0, |bits, at| {
            bits << 8 | u32::from(*bytes.get(at).unwrap_or(&0))
        });
        [18, 12, 6, 0].map(|shift| DIGITS[(bits >> shift) as usize % 64] as char)
    };
    let mut text: String = bytes.chunks(3).flat_map(group).collect();
    let missing = (3 - bytes.len() % 3) % 3;
    text.truncate(text.len() - missing);
    text + &"=".repeat(missing)
}

fn script(steps: impl IntoIterator<Item = Step>) -> Script {
    Script::new(Clock::manual(), steps)
}

/// A request of gRPC's with one empty message, five bytes long.
fn request() -> Request<Full<Bytes>> {
    request_of("application/grpc", Full::from(message("")))
}

fn request_of<B>(content_type: &str, body: B) -> Request<B> {
    let request = Request::post("/shop.Cart/Add").header("content-type", content_type);
    request.body(body).unwrap()
}

fn response_of(content_type: &str, steps: impl IntoIterator<Item = Step>) -> Response<Script> {
    let response = Response::builder().header("content-type", content_type);
    response.body(script(steps)).unwrap()
}

/// One call on a layer of its own, whose request is not read.
fn call<C: Classify>(
    layer: &MetricsLayer<Grpc<C>>,
    response: Result<Response<Script>, BoxError>,
) -> Result<Response<ResponseBody<Script, C>>, BoxError> {
    call_with(layer, request(), |_| response)
}

fn call_with<C, B>(
    layer: &MetricsLayer<Grpc<C>>,
    request: Request<B>,
    handler: impl FnOnce(Request<RequestBody<B>>) -> Result<Response<Script>, BoxError>,
) -> Result<Response<ResponseBody<Script, C>>, BoxError>
where
    C: Classify,
    B: Body<Error: 'static>,
{
    let mut handler = Some(handler);
    let service = layer.layer(service_fn(move |request| {
        let handler = handler.take().expect("one call");
        std::future::ready(handler(request))
    }));
    now(service.oneshot(request))
}

fn layer() -> MetricsLayer<Grpc> {
    built(MetricsLayer::grpc_builder())
}

fn built<C>(builder: MetricsLayerBuilder<Grpc<C>>) -> MetricsLayer<Grpc<C>> {
    builder.build([("endpoint", "stage")]).unwrap()
}

// === impl Seen ===

impl Seen {
    /// All that a layer shows, which has had one call.
    #[track_caller]
    fn of<C>(layer: &MetricsLayer<Grpc<C>>) -> Self {
        let page = Page::read(layer.exporter());
        let volume = |way| Volume {
            bytes: page.integer(&format!("{way}_bytes_total")),
            messages: page.integer(&format!("{way}_messages_total")),
        };
        Self {
            ending: Ending::on(&page),
            request: volume("request"),
            response: volume("response"),
        }
    }

    fn request(self, bytes: u64, messages: u64) -> Self {
        let request = Volume { bytes, messages };
        Self { request, ..self }
    }

    fn response(self, bytes: u64, messages: u64) -> Self {
        let response = Volume { bytes, messages };
        Self { response, ..self }
    }
}

// === impl Ending ===

impl Ending {
    #[track_caller]
    fn on(page: &Page) -> Self {
        let numbers = page.numbers();
        assert_eq!(numbers.durations, numbers.requests);
        assert_eq!(numbers.concurrent, 1 - numbers.requests as i64);
        let failed = numbers.errors.iter().find(|(_, count)| **count > 0);
        match (numbers.requests, numbers.cancellations, failed) {
            (0, 0, None) => Self::Open,
            (1, 0, None) => Self::Completed,
            (1, 1, None) => Self::Cancelled,
            (1, 0, Some((error_type, 1))) if numbers.failed() == 1 => {
                Self::Failed(error_type.clone().leak())
            }
            _ => panic!("not one ending: {numbers:?}"),
        }
    }

    /// Nothing went in or out.
    fn of_nothing(self) -> Seen {
        Seen {
            ending: self,
            request: Volume::default(),
            response: Volume::default(),
        }
    }

    fn with_response(self, bytes: u64, messages: u64) -> Seen {
        self.of_nothing().response(bytes, messages)
    }
}
