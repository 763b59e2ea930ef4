//! A handwritten service that does what the request orders.

use crate::example::Text;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use std::convert::Infallible;
use std::future::{pending, ready};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tonic::server::{Grpc, NamedService};
use tonic::{Code, Request, Response, Status, Streaming};
use tower::{BoxError, Service, service_fn};

/// A service with one method per kind of call, named after it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Obedient;

/// The first message of a request: how many messages to respond with, and how to end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    pub(crate) messages: usize,
    pub(crate) end: End,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    With(Code),
    Never,
    /// With `DEADLINE_EXCEEDED` once the request's deadline has passed.
    AtTheDeadline,
}

/// The text of each response message.
pub(crate) const ANSWER: &str = "an answer";

type Answers = BoxStream<'static, Result<String, Status>>;

// === impl Order ===

impl Order {
    pub(crate) fn text(self) -> String {
        let Self { messages, end } = self;
        match end {
            End::With(code) => format!("{messages} {}", i32::from(code)),
            End::Never => format!("{messages} never"),
            End::AtTheDeadline => format!("{messages} deadline"),
        }
    }

    fn of(text: &str) -> Self {
        let (messages, end) = text.split_once(' ').expect("an order");
        Self {
            messages: messages.parse().expect("a number"),
            end: match end {
                "never" => End::Never,
                "deadline" => End::AtTheDeadline,
                code => End::With(Code::from_bytes(code.as_bytes())),
            },
        }
    }

    /// The ordered messages, then the end.
    fn answers(self, deadline: Option<Duration>) -> Answers {
        let answers = stream::iter((0..self.messages).map(|_| Ok(ANSWER.to_owned())));
        answers.chain(self.end.last(deadline)).boxed()
    }
}

impl End {
    fn last(self, deadline: Option<Duration>) -> Answers {
        match self {
            Self::With(Code::Ok) => stream::empty().boxed(),
            Self::With(code) => stream::once(ready(Err(Status::new(code, "as ordered")))).boxed(),
            Self::Never => stream::once(pending()).boxed(),
            Self::AtTheDeadline => stream::once(async move {
                tokio::time::sleep(deadline.expect("a deadline")).await;
                Err(Status::deadline_exceeded("too late"))
            })
            .boxed(),
        }
    }
}

// === impl Obedient ===

impl NamedService for Obedient {
    const NAME: &'static str = "test.Obedient";
}

impl<B> Service<http::Request<B>> for Obedient
where
    B: http_body::Body<Error: Into<BoxError> + Send> + Send + 'static,
{
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        Box::pin(async move {
            let method = request.uri().path().rsplit('/').next().unwrap_or_default();
            let mut grpc = Grpc::new(Text);
            Ok(match method {
                "Unary" => grpc.unary(service_fn(unary), request).await,
                "ClientStreaming" => {
                    let method = service_fn(client_streaming);
                    grpc.client_streaming(method, request).await
                }
                "ServerStreaming" => {
                    let method = service_fn(server_streaming);
                    grpc.server_streaming(method, request).await
                }
                "Streaming" => grpc.streaming(service_fn(streaming), request).await,
                _ => Status::unimplemented("no such method").into_http(),
            })
        })
    }
}

async fn unary(request: Request<String>) -> Result<Response<String>, Status> {
    let deadline = deadline_of(&request);
    let order = Order::of(request.get_ref());
    only(order.answers(deadline)).await
}

/// Reads the whole request before it responds.
async fn client_streaming(request: Request<Streaming<String>>) -> Result<Response<String>, Status> {
    let deadline = deadline_of(&request);
    let messages: Vec<String> = request.into_inner().try_collect().await?;
    only(Order::of(&messages[0]).answers(deadline)).await
}

async fn server_streaming(request: Request<String>) -> Result<Response<Answers>, Status> {
    let deadline = deadline_of(&request);
    let order = Order::of(request.get_ref());
    Ok(Response::new(order.answers(deadline)))
}

/// Echoes each message, then sends what is ordered.
async fn streaming(request: Request<Streaming<String>>) -> Result<Response<Answers>, Status> {
    let deadline = deadline_of(&request);
    let mut messages = request.into_inner();
    let first = messages.try_next().await?.expect("an order");
    let last = Order::of(&first).answers(deadline);
    let echo = stream::once(ready(Ok(first))).chain(messages);
    Ok(Response::new(echo.chain(last).boxed()))
}

/// Returns the only message.
async fn only(mut answers: Answers) -> Result<Response<String>, Status> {
    let only = answers.try_next().await?;
    Ok(Response::new(only.expect("an answer")))
}

/// Parses `grpc-timeout`, which these clients write in milliseconds.
fn deadline_of<T>(request: &Request<T>) -> Option<Duration> {
    let timeout = request.metadata().get("grpc-timeout")?.to_str().unwrap();
    let (number, unit) = timeout.split_at(timeout.len() - 1);
    let number = number.parse().unwrap();
    Some(match unit {
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        other => panic!("a timeout in {other}"),
    })
}
