//! The inner services, and one call through whatever is around them.

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use pin_project_lite::pin_project;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};
use tower::Service;

static PAYLOAD: [u8; 1024] = [7; 1024];

/// Answers at once with 1 KiB, and asks nothing of the request's body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answering;

/// Reads the request's body to its end, then answers with 1 KiB.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading;

pin_project! {
    /// The future of [`Reading`].
    pub(crate) struct ReadingFuture<B> {
        #[pin]
        body: B,
    }
}

/// A body of so many frames, which allocates nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frames(u32);

/// One call, from the clone that a server makes of its service to the end of the response's body.
///
/// Where it is inlined for one contender and not for another, requests are moved once more.
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

pub(crate) fn frames(count: u32) -> Frames {
    Frames(count)
}

// === impl Answering ===

impl<B> Service<Request<B>> for Answering {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    #[inline]
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn call(&mut self, request: Request<B>) -> Self::Future {
        black_box(&request);
        ready(Ok(Response::new(payload())))
    }
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

// === impl Frames ===

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    #[inline]
    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(left) = self.0.checked_sub(1) else {
            return Poll::Ready(None);
        };
        self.0 = left;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&PAYLOAD)))))
    }

    #[inline]
    fn is_end_stream(&self) -> bool {
        self.0 == 0
    }

    #[inline]
    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
