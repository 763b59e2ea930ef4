//! Every outcome of a gRPC call, with scripted bodies: one row each, with the expected numbers.

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
use tower::BoxError;
use tower_openmetrics::classify::Classify;
use tower_openmetrics::grpc::{RequestBody, ResponseBody};
use tower_openmetrics::protocol::Grpc;
use tower_openmetrics::{Clock, MetricsLayer, MetricsLayerBuilder};

/// The outcome of a call, and its bytes and messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    ending: Ending,
    request: Volume,
    response: Volume,
}

/// The three outcomes of a call, or an open call.
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

/// Encodes as base64 with padding (RFC 4648, section 4).
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

/// A gRPC request with one empty message of five bytes.
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

/// One call whose request is not read.
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
    support::call(layer, Clock::manual(), request, handler)
}

fn layer() -> MetricsLayer<Grpc> {
    built(MetricsLayer::grpc_builder())
}

fn built<C>(builder: MetricsLayerBuilder<Grpc<C>>) -> MetricsLayer<Grpc<C>> {
    builder.build([("endpoint", "stage")]).unwrap()
}

// === impl Seen ===

impl Seen {
    /// The numbers of a layer with one call.
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

    /// This outcome without bytes or messages.
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
