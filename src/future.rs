use crate::call::Call;
use crate::protocol::Answer;
use crate::watch::Watch;
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

pin_project! {
    /// The response future of [`Metrics`](crate::Metrics).
    ///
    /// Dropped before it is ready, its call was cancelled.
    pub struct ResponseFuture<F, P> {
        #[pin]
        inner: F,
        call: Option<Call>,
        protocol: P,
    }
}

impl<F, P> ResponseFuture<F, P> {
    pub(crate) fn new(inner: F, call: Call, protocol: P) -> Self {
        Self {
            inner,
            call: Some(call),
            protocol,
        }
    }
}

impl<F, P, Res, E> Future for ResponseFuture<F, P>
where
    F: Future<Output = Result<Res, E>>,
    P: Answer<Res, E>,
{
    type Output = Result<P::Response, E>;

    /// # Panics
    ///
    /// If it is polled after it was ready, as futures may.
    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let watch = Watch::over(this.call);
        let polled = this.inner.poll(cx);
        watch.done();
        match polled {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(response)) => {
                Poll::Ready(Ok(this.protocol.answer(taken(this.call), response)))
            }
            Poll::Ready(Err(error)) => {
                this.protocol.failed(taken(this.call), &error);
                Poll::Ready(Err(error))
            }
        }
    }
}

impl<F, P> fmt::Debug for ResponseFuture<F, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("call", &self.call)
            .finish_non_exhaustive()
    }
}

fn taken(call: &mut Option<Call>) -> Call {
    call.take()
        .expect("`ResponseFuture` polled after it was ready")
}
