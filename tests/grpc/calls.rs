//! The four kinds of calls with each code, at the server and at the client.

use crate::bounded;
use crate::example::Text;
use crate::numbers::Numbers;
use crate::service::{ANSWER, End, Order};
use crate::transports::{Client, Server, Transport};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use http::uri::PathAndQuery;
use std::time::Duration;
use tonic::{Code, Request, Response, Status, Streaming};
use tower_openmetrics::MetricsLayer;
use tower_openmetrics::protocol::Grpc;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Unary,
    ClientStreaming,
    ServerStreaming,
    Streaming,
}

use Kind::{ClientStreaming, ServerStreaming, Unary};

/// A layer around the server, and one around the client.
pub(crate) struct Layers {
    pub(crate) server: MetricsLayer<Grpc>,
    pub(crate) client: MetricsLayer<Grpc>,
}

const CODES: std::ops::RangeInclusive<i32> = 0..=16;

// === impl Kind ===

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Unary, ClientStreaming, ServerStreaming, Self::Streaming];

    pub(crate) fn method(self) -> &'static str {
        match self {
            Unary => "Unary",
            ClientStreaming => "ClientStreaming",
            ServerStreaming => "ServerStreaming",
            Self::Streaming => "Streaming",
        }
    }

    fn path(self) -> PathAndQuery {
        let path = format!("/test.Obedient/{}", self.method());
        path.parse().unwrap()
    }

    /// The messages of a request with this order. Streams have more messages, one of them empty.
    pub(crate) fn request(self, order: Order) -> Vec<String> {
        let more = match self {
            Unary | ServerStreaming => &[][..],
            ClientStreaming | Self::Streaming => &["", "another"],
        };
        let more = more.iter().copied().map(str::to_owned);
        [order.text()].into_iter().chain(more).collect()
    }

    /// The messages of the response to `request`.
    fn response(self, request: &[String], order: Order) -> Vec<String> {
        let is_ok = matches!(order.end, End::With(Code::Ok));
        let answers = match self {
            // One message, or none if the call fails.
            Unary | ClientStreaming if !is_ok => 0,
            _ => order.messages,
        };
        let echo = match self {
            Self::Streaming => request,
            _ => &[],
        };
        let answers = std::iter::repeat_n(ANSWER.to_owned(), answers);
        echo.iter().cloned().chain(answers).collect()
    }
}

/// Makes a call with an optional deadline and waits for its end.
pub(crate) async fn call(
    client: Client,
    server: &Server,
    kind: Kind,
    messages: Vec<String>,
    deadline: Option<Duration>,
) -> Result<Vec<String>, Status> {
    match begin(client, server, kind, messages, deadline).await? {
        Begun::Over(answer) => Ok(vec![answer]),
        Begun::Stream(answers) => answers.try_collect().await,
    }
}

/// A call with its response head.
pub(crate) enum Begun {
    Over(String),
    Stream(Box<Streaming<String>>),
}

pub(crate) async fn begin(
    client: Client,
    server: &Server,
    kind: Kind,
    messages: Vec<String>,
    deadline: Option<Duration>,
) -> Result<Begun, Status> {
    let all = stream::iter(messages.clone());
    let mut grpc = tonic::client::Grpc::with_origin(client, server.origin());
    grpc.ready().await.unwrap();
    let one = with_deadline(messages[0].clone(), deadline);
    let over = |response: Response<String>| Begun::Over(response.into_inner());
    let stream = |response: Response<_>| Begun::Stream(Box::new(response.into_inner()));
    let path = kind.path();
    match kind {
        Unary => grpc.unary(one, path, Text).await.map(over),
        ServerStreaming => grpc.server_streaming(one, path, Text).await.map(stream),
        // A request without an end stays open.
        ClientStreaming if messages.len() == 1 => {
            let many = with_deadline(all.chain(stream::pending()), deadline);
            grpc.client_streaming(many, path, Text).await.map(over)
        }
        ClientStreaming => {
            let many = with_deadline(all, deadline);
            grpc.client_streaming(many, path, Text).await.map(over)
        }
        Kind::Streaming => {
            let many = with_deadline(all, deadline);
            grpc.streaming(many, path, Text).await.map(stream)
        }
    }
}

fn with_deadline<T>(message: T, deadline: Option<Duration>) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(deadline) = deadline {
        request.set_timeout(deadline);
    }
    request
}

// === impl Layers ===

impl Layers {
    pub(crate) fn new() -> Self {
        Self {
            server: MetricsLayer::grpc([("side", "server")]),
            client: MetricsLayer::grpc([("side", "client")]),
        }
    }

    pub(crate) async fn expect(&self, numbers: &Numbers, row: &str) {
        numbers
            .expect(&self.server, &format!("{row}: server"))
            .await;
        numbers
            .expect(&self.client, &format!("{row}: client"))
            .await;
    }
}

/// Follows the table in the documentation of `GrpcCode`.
fn expected(kind: Kind, code: Code) -> Numbers {
    let method = kind.method();
    let (name, error_type) = match code {
        Code::Ok => return Numbers::completed(method),
        Code::Cancelled => return Numbers::cancelled(method, "CANCELLED"),
        Code::Unknown => ("UNKNOWN", "generate"),
        Code::InvalidArgument => ("INVALID_ARGUMENT", "deserialization"),
        Code::DeadlineExceeded => ("DEADLINE_EXCEEDED", "timeout"),
        Code::NotFound => ("NOT_FOUND", "generate"),
        Code::AlreadyExists => ("ALREADY_EXISTS", "generate"),
        Code::PermissionDenied => ("PERMISSION_DENIED", "generate"),
        Code::ResourceExhausted => ("RESOURCE_EXHAUSTED", "overloaded"),
        Code::FailedPrecondition => ("FAILED_PRECONDITION", "generate"),
        Code::Aborted => ("ABORTED", "generate"),
        Code::OutOfRange => ("OUT_OF_RANGE", "invalid_message"),
        Code::Unimplemented => ("UNIMPLEMENTED", "invalid_message"),
        Code::Internal => ("INTERNAL", "generate"),
        Code::Unavailable => ("UNAVAILABLE", "overloaded"),
        Code::DataLoss => ("DATA_LOSS", "generate"),
        Code::Unauthenticated => ("UNAUTHENTICATED", "generate"),
    };
    Numbers::failed(method, name, error_type)
}

/// Server streams fail after two messages.
#[tokio::test]
async fn every_kind_of_call_is_counted_with_every_code() {
    for transport in Transport::ALL {
        for kind in Kind::ALL {
            for code in CODES.map(Code::from_i32) {
                let row = format!("{transport:?}, {kind:?}, {code:?}");
                let messages = if kind == Unary || kind == ClientStreaming {
                    usize::from(code == Code::Ok)
                } else {
                    2
                };
                let end = End::With(code);
                let order = Order { messages, end };
                let request = kind.request(order);
                let response = kind.response(&request, order);

                let layers = Layers::new();
                let server = transport.serve(&layers.server).await;
                let client = transport.connect(&server, &layers.client).await;
                let made = call(client, &server, kind, request.clone(), None);
                match bounded(&row, made).await {
                    Ok(answers) => assert_eq!((code, &answers), (Code::Ok, &response), "{row}"),
                    Err(status) => assert_eq!(status.code(), code, "{row}"),
                }
                let numbers = expected(kind, code).request(&request).response(&response);
                layers.expect(&numbers, &row).await;
                server.stop().await;
                layers.expect(&numbers, &row).await;
            }
        }
    }
}

/// The message spans many HTTP/2 frames.
#[tokio::test]
async fn messages_longer_than_a_frame_are_counted() {
    let order = Order {
        messages: 0,
        end: End::With(Code::Ok),
    };
    let long = "x".repeat(100_000);
    let request = vec![order.text(), long, String::new()];
    for transport in Transport::ALL {
        let layers = Layers::new();
        let server = transport.serve(&layers.server).await;
        let client = transport.connect(&server, &layers.client).await;
        let made = call(client, &server, Kind::Streaming, request.clone(), None);
        assert_eq!(bounded("a call", made).await.unwrap(), request);
        let numbers = Numbers::completed("Streaming");
        let numbers = numbers.request(&request).response(&request);
        layers.expect(&numbers, &format!("{transport:?}")).await;
        server.stop().await;
    }
}
