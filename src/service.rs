use crate::call::{Call, MeasuredPoll};
use crate::future::ResponseFuture;
use crate::panic_guard::PanicGuard;
use crate::protocol::{Answer, Http, Protocol};
use crate::recorder::{Key, Lent};
use crate::wait::Wait;
use std::fmt;
use std::task::{Context, Poll};
use tower_service::Service;

/// A service with metrics. Made by [`MetricsLayer`](crate::MetricsLayer).
///
/// Readiness and errors are those of the inner service. Cloning clones the inner service and writes to
/// no shared memory.
pub struct Metrics<S, P = Http> {
    inner: S,
    key: Key,
    protocol: P,
    /// Since the inner service was first found not to be ready, if that is timed.
    wait: Option<Wait>,
}

impl<S, P> Metrics<S, P> {
    pub(crate) fn new(inner: S, key: Key, protocol: P) -> Self {
        Self {
            inner,
            key,
            protocol,
            wait: None,
        }
    }

    /// Returns the inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Returns the inner service.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Returns the inner service.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, P, Req> Service<Req> for Metrics<S, P>
where
    P: Protocol<Req> + Answer<S::Response, S::Error>,
    S: Service<<P as Protocol<Req>>::Request>,
{
    type Response = <P as Answer<S::Response, S::Error>>::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, P>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        let polled = self.inner.poll_ready(cx);
        match &polled {
            Poll::Pending => self.wait_begins(),
            // There will be no call.
            Poll::Ready(Err(_)) => self.wait = None,
            Poll::Ready(Ok(())) => {}
        }
        polled
    }

    #[inline]
    fn call(&mut self, request: Req) -> Self::Future {
        match Call::begin(self.key) {
            Ok(call) => self.call_begun::<false, _>(call, request),
            Err(shared) => self.call_asking(shared, request),
        }
    }
}

impl<S, P> Metrics<S, P> {
    #[cold]
    fn wait_begins(&mut self) {
        if self.wait.is_none() {
            self.wait = Wait::begin(self.key);
        }
    }

    #[cold]
    fn wait_ends(&mut self) {
        if let Some(wait) = self.wait.take() {
            wait.end();
        }
    }

    /// Does the same as `call` if users' functions read the request, or what happens before the future is polled is timed.
    // A separate function: a request that is borrowed can only be moved with a copy, which would add 130 instructions to
    // every call.
    #[inline(never)]
    fn call_asking<Req>(&mut self, shared: Lent, request: Req) -> ResponseFuture<S::Future, P>
    where
        P: Protocol<Req>,
        S: Service<P::Request>,
    {
        if self.wait.is_some() {
            self.wait_ends();
        }
        let call = Call::begin_with_head(self.key, shared, || {
            let message = self.protocol.message(&request);
            (self.protocol.head(&request), message)
        });
        match call.times_polls() {
            false => self.call_begun::<false, _>(call, request),
            true => self.call_timed(call, request),
        }
    }

    // A function of its own: a future that is written before something else happens is copied. (100 instructions a call.)
    #[cold]
    #[inline(never)]
    fn call_timed<Req>(&mut self, call: Call, request: Req) -> ResponseFuture<S::Future, P>
    where
        P: Protocol<Req>,
        S: Service<P::Request>,
    {
        self.call_begun::<true, _>(call, request)
    }

    #[inline(always)]
    fn call_begun<const IS_TIMED: bool, Req>(
        &mut self,
        call: Call,
        request: Req,
    ) -> ResponseFuture<S::Future, P>
    where
        P: Protocol<Req>,
        S: Service<P::Request>,
    {
        let mut begun = None;
        let mut guard = PanicGuard::new(&mut begun);
        let call = guard.insert(call);
        let mut protocol = self.protocol.clone();
        let request = protocol.open(call, request);
        let poll = match IS_TIMED {
            true => MeasuredPoll::begin(&guard),
            false => MeasuredPoll::NONE,
        };
        // Takes the call. From now on the future's own guard reports panics.
        let future = ResponseFuture::of(&mut self.inner, request, &mut guard, protocol);
        poll.end();
        future
    }
}

impl<S: Clone, P: Clone> Clone for Metrics<S, P> {
    /// The clone has not waited.
    #[inline]
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), self.key, self.protocol.clone())
    }
}

impl<S: fmt::Debug, P: fmt::Debug> fmt::Debug for Metrics<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics")
            .field("inner", &self.inner)
            .field("protocol", &self.protocol)
            .finish_non_exhaustive()
    }
}
