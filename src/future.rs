use crate::answering::Answering;
use crate::call::{Call, MeasuredPoll};
use crate::panic_guard::PanicGuard;
use crate::protocol::Answer;
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use tower_service::Service;

pin_project! {
    /// The response future of [`Metrics`](crate::Metrics).
    ///
    /// Dropping it before it is ready cancels its call.
    pub struct ResponseFuture<F, P> {
        #[pin]
        inner: F,
        call: Option<Call>,
        protocol: P,
    }
}

impl<F, P> ResponseFuture<F, P> {
    /// Calls `service` and returns a future that takes the call out of `call`.
    // This function owns nothing that a panic of the service would drop, so that the service's future is written in place
    // and not copied.
    #[inline]
    pub(crate) fn of<S, Req>(
        service: &mut S,
        request: Req,
        call: &mut Option<Call>,
        protocol: P,
    ) -> Self
    where
        S: Service<Req, Future = F>,
    {
        Self {
            inner: service.call(request),
            call: call.take(),
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
    /// Panics if it is polled after completion.
    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let guard = PanicGuard::new(this.call);
        let poll = MeasuredPoll::begin(&guard);
        let polled = this.inner.poll(cx);
        poll.end();
        guard.disarm();
        match polled {
            Poll::Pending => Poll::Pending,
            Poll::Ready(result) => {
                let call = this.call.take();
                let call = call.expect("`ResponseFuture` polled after completion");
                let _answering = (!P::REPORTS_PANICS).then(|| Answering::of(call.identity()));
                Poll::Ready(match result {
                    Ok(response) => Ok(this.protocol.answer(call, response)),
                    Err(error) => {
                        this.protocol.failed(call, &error);
                        Err(error)
                    }
                })
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
