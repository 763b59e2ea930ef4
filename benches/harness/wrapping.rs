//! The least that a layer can cost: a future and two bodies that only forward.

use super::floors::CLOCK;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use std::hint::black_box;
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, ready};
use tower::{Layer, Service};

/// Wraps a service's future and both bodies, and counts nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wrapping {
    clock: Option<&'static quanta::Clock>,
}

/// The service that [`Wrapping`] makes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wrapped<S> {
    inner: S,
    clock: Option<&'static quanta::Clock>,
}

/// The clock, and when a call began.
#[derive(Clone, Copy, Debug)]
struct Began(Option<(&'static quanta::Clock, u64)>);

pin_project! {
    /// The future of [`Wrapped`].
    pub(crate) struct WrappedFuture<F> {
        #[pin]
        inner: F,
        began: Began,
    }
}

pin_project! {
    /// A body that forwards everything. The response's body reads the clock at its end, if there is a clock.
    pub(crate) struct WrappedBody<B> {
        #[pin]
        inner: B,
        began: Began,
    }
}

// === impl Wrapping ===

impl Wrapping {
    pub(crate) fn alone() -> Self {
        Self { clock: None }
    }

    /// Reads the clock at the beginning of a call and at its end.
    pub(crate) fn with_clock() -> Self {
        let clock = Some(LazyLock::force(&CLOCK));
        Self { clock }
    }
}

impl<S> Layer<S> for Wrapping {
    type Service = Wrapped<S>;

    fn layer(&self, inner: S) -> Wrapped<S> {
        let Self { clock } = *self;
        Wrapped { inner, clock }
    }
}

// === impl Wrapped ===

impl<S, B, R> Service<Request<B>> for Wrapped<S>
where
    S: Service<Request<WrappedBody<B>>, Response = Response<R>>,
{
    type Response = Response<WrappedBody<R>>;
    type Error = S::Error;
    type Future = WrappedFuture<S::Future>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Request<B>) -> Self::Future {
        let began = Began(self.clock.map(|clock| (clock, clock.raw())));
        let request = request.map(|inner| WrappedBody {
            inner,
            began: Began(None),
        });
        WrappedFuture {
            inner: self.inner.call(request),
            began,
        }
    }
}

// === impl WrappedFuture ===

impl<F, B, E> Future for WrappedFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<WrappedBody<B>>, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.inner.poll(cx))?;
        let began = *this.began;
        Poll::Ready(Ok(response.map(|inner| WrappedBody { inner, began })))
    }
}

// === impl WrappedBody ===

impl<B: Body> Body for WrappedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    #[inline]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let frame = ready!(this.inner.poll_frame(cx));
        if frame.is_none()
            && let Began(Some((clock, began))) = *this.began
        {
            black_box(clock.raw() - began);
        }
        Poll::Ready(frame)
    }

    #[inline]
    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    #[inline]
    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
