//! The inner services, and one call through the layers around them.

use bytes::Bytes;
use futures_core::Stream;
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Response};
use http_body::{Body, Frame};
use http_body_util::Full;
use pin_project_lite::pin_project;
use std::convert::Infallible;
use std::future::{self, Ready};
use std::hint::black_box;
use std::mem;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};
use tower::Service;

const GRPC_MESSAGE_LENGTH: usize = 64;

pub(crate) static PAYLOAD: [u8; 1024] = [7; 1024];

/// A gRPC message with its prefix.
pub(crate) static GRPC_MESSAGE: [u8; GRPC_MESSAGE_LENGTH] = grpc_messages();

/// Ten gRPC messages.
pub(crate) static GRPC_MESSAGES: [u8; 10 * GRPC_MESSAGE_LENGTH] = grpc_messages();

/// Reads the request's body to its end, then answers with 1 KiB.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading;

/// Answers at once with these frames, and doesn't read the request's body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answering(pub(crate) Frames);

pin_project! {
    /// The future of [`Reading`].
    pub(crate) struct ReadingFuture<B> {
        #[pin]
        body: B,
    }
}

/// A body of equal frames, with an optional gRPC status after them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frames {
    frame: &'static [u8],
    left: u32,
    has_status: bool,
}

/// A stream of that many items.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Items(u32);

/// Makes one call, from the clone that a server makes of its service to the end of the response's body.
///
/// If the compiler inlines it for only some contenders, the others move requests once more.
#[inline]
pub(crate) fn call<S, R, B>(service: &S, request: R)
where
    S: Service<R, Response = Response<B>> + Clone,
    B: Body,
{
    let mut cx = Context::from_waker(Waker::noop());
    let mut service = service.clone();
    let mut future = pin!(service.call(request));
    let Poll::Ready(Ok(response)) = future.as_mut().poll(&mut cx) else {
        unreachable!("the service answers at once");
    };
    let mut body = pin!(response.into_body());
    while let Poll::Ready(Some(frame)) = body.as_mut().poll_frame(&mut cx) {
        let _ = black_box(&frame);
    }
}

/// A request without a body.
pub(crate) fn get() -> Request<Full<Bytes>> {
    Request::new(Full::default())
}

/// A request with 1 KiB.
pub(crate) fn post() -> Request<Full<Bytes>> {
    let mut request = Request::new(payload());
    *request.method_mut() = Method::POST;
    request
}

pub(crate) fn payload() -> Full<Bytes> {
    Full::new(Bytes::from_static(&PAYLOAD))
}

// === impl Reading ===

impl<B: Body> Service<Request<B>> for Reading {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = ReadingFuture<B>;

    #[inline]
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn call(&mut self, request: Request<B>) -> ReadingFuture<B> {
        black_box(&request);
        let body = request.into_body();
        ReadingFuture { body }
    }
}

// === impl ReadingFuture ===

impl<B: Body> Future for ReadingFuture<B> {
    type Output = Result<Response<Full<Bytes>>, Infallible>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut body = self.project().body;
        while let Some(frame) = ready!(body.as_mut().poll_frame(cx)) {
            let _ = black_box(&frame);
        }
        Poll::Ready(Ok(Response::new(payload())))
    }
}

// === impl Answering ===

impl<B> Service<Request<B>> for Answering {
    type Response = Response<Frames>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    #[inline]
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn call(&mut self, request: Request<B>) -> Self::Future {
        black_box(&request);
        let Self(frames) = *self;
        future::ready(Ok(Response::new(frames)))
    }
}

// === impl Frames ===

impl Frames {
    pub(crate) fn of(frame: &'static [u8], count: u32) -> Self {
        Self {
            frame,
            left: count,
            has_status: false,
        }
    }

    pub(crate) fn with_grpc_status(self) -> Self {
        Self {
            has_status: true,
            ..self
        }
    }
}

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    #[inline]
    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Some(Frame::data(Bytes::from_static(self.frame)))
            }
            None => mem::take(&mut self.has_status).then(grpc_status),
        };
        Poll::Ready(frame.map(Ok))
    }

    #[inline]
    fn is_end_stream(&self) -> bool {
        self.left == 0 && !self.has_status
    }
}

// === impl Items ===

impl Items {
    pub(crate) fn of(count: u32) -> Self {
        Self(count)
    }
}

impl Stream for Items {
    type Item = Bytes;

    #[inline]
    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let left = self.0.checked_sub(1);
        self.0 = left.unwrap_or(0);
        Poll::Ready(left.map(|_| Bytes::from_static(b"token")))
    }
}

#[cold]
fn grpc_status() -> Frame<Bytes> {
    let name = HeaderName::from_static("grpc-status");
    Frame::trailers(HeaderMap::from_iter([(name, HeaderValue::from(0))]))
}

const fn grpc_messages<const N: usize>() -> [u8; N] {
    let mut messages = [0; N];
    let mut at = 0;
    while at < N {
        // Not compressed, and the length fits into one byte.
        messages[at + 4] = (GRPC_MESSAGE_LENGTH - 5) as u8;
        at += GRPC_MESSAGE_LENGTH;
    }
    messages
}
