use crate::call::Call;
use crate::future::ResponseFuture;
use crate::panic_guard::PanicGuard;
use crate::protocol::{Answer, Http, Protocol};
use crate::recorder::Key;
use std::task::{Context, Poll};
use tower_service::Service;

/// A service with metrics. Made by [`MetricsLayer`](crate::MetricsLayer).
///
/// Readiness and errors are those of the inner service. Cloning clones the inner service and writes to
/// no shared memory.
#[derive(Clone, Debug)]
pub struct Metrics<S, P = Http> {
    inner: S,
    key: Key,
    protocol: P,
}

impl<S, P> Metrics<S, P> {
    pub(crate) fn new(inner: S, key: Key, protocol: P) -> Self {
        Self {
            inner,
            key,
            protocol,
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
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Req) -> Self::Future {
        match Call::begin(self.key) {
            Some(call) => self.call_begun(call, request),
            None => self.call_asking(request),
        }
    }
}

impl<S, P> Metrics<S, P> {
    /// Does the same as `call` if users' functions read the request.
    // A separate function: a request that is borrowed can only be moved with a copy, which would add 130 instructions to
    // every call.
    #[inline(never)]
    fn call_asking<Req>(&mut self, request: Req) -> ResponseFuture<S::Future, P>
    where
        P: Protocol<Req>,
        S: Service<P::Request>,
    {
        let call = Call::begin_with_head(self.key, || {
            let message = self.protocol.message(&request);
            (self.protocol.head(&request), message)
        });
        self.call_begun(call, request)
    }

    #[inline(always)]
    fn call_begun<Req>(&mut self, call: Call, request: Req) -> ResponseFuture<S::Future, P>
    where
        P: Protocol<Req>,
        S: Service<P::Request>,
    {
        let mut begun = None;
        let mut guard = PanicGuard::new(&mut begun);
        let call = guard.insert(call);
        let protocol = self.protocol.clone();
        let request = self.protocol.open(call, request);
        // Takes the call. From now on the future's own guard reports panics.
        ResponseFuture::of(&mut self.inner, request, &mut guard, protocol)
    }
}
