use super::Body;
use http::Response;
use std::convert::Infallible;
use std::future::{self, Future, Ready};
use std::pin::Pin;
use std::task::{Context, Poll};

/// The future of [`MetricsExporter`](super::MetricsExporter): an answer that never fails.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture {
    inner: Ready<Result<Response<Body>, Infallible>>,
}

// === impl ResponseFuture ===

impl ResponseFuture {
    pub(super) fn new(response: Response<Body>) -> Self {
        Self {
            inner: future::ready(Ok(response)),
        }
    }
}

impl Future for ResponseFuture {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.inner).poll(cx)
    }
}
