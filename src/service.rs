use crate::call::Call;
use crate::future::ResponseFuture;
use crate::panic_guard::PanicGuard;
use crate::protocol::{Answer, Http, Protocol};
use crate::recorder::Key;
use std::task::{Context, Poll};
use tower_service::Service;

/// A service that is measured. Made by [`MetricsLayer`](crate::MetricsLayer).
///
/// It is ready when the inner service is, and fails as that does. Cloning it clones the inner
/// service and touches nothing that is shared.
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

    /// The service that is measured.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service that is measured.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Unwraps the service.
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
    /// As `call`, where users' functions look at the request.
    // On its own, for what they may look at can't be moved on without a copy: 130 instructions a call.
    #[inline(never)]
    fn call_asking<Req>(&mut self, request: Req) -> ResponseFuture<S::Future, P>
    where
        P: Protocol<Req>,
        S: Service<P::Request>,
    {
        let call = Call::begin_with_head(self.key, || self.protocol.head(&request));
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
        // Takes the call out of the guard, which then has nothing to tell.
        ResponseFuture::of(&mut self.inner, request, &mut guard, protocol)
    }
}
