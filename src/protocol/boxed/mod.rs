//! Layers that keep the type of bodies.

#[cfg(feature = "axum")]
mod axum;
mod from_body;
#[cfg(feature = "tonic")]
mod tonic;

pub use self::from_body::FromBody;

use super::{Answer, Protocol};
use crate::call::Call;
use crate::labels::RequestHead;
use http::{Request, Response};
use std::any::Any;
use std::fmt;
use std::marker::PhantomData;

/// A protocol whose requests and responses all have a body of type `B`.
///
/// [`Http`](super::Http) and [`Grpc`](super::Grpc) wrap each body in one that counts. `Boxed` converts the wrapped body into a `B`
/// with [`FromBody`]. So it composes with services and layers that only accept `B`. Made by
/// [`MetricsLayer::boxed`](crate::MetricsLayer::boxed), which says when to use it.
pub struct Boxed<P, B> {
    protocol: P,
    body: PhantomData<fn() -> B>,
}

// === impl Boxed ===

impl<P, B> Boxed<P, B> {
    pub(crate) fn new(protocol: P) -> Self {
        Self {
            protocol,
            body: PhantomData,
        }
    }
}

impl<A, W, P, B> Protocol<Request<A>> for Boxed<P, B>
where
    P: Protocol<Request<A>, Request = Request<W>>,
    B: FromBody<W>,
{
    type Request = Request<B>;

    #[inline]
    fn head<'a>(&self, request: &'a Request<A>) -> Option<RequestHead<'a>> {
        self.protocol.head(request)
    }

    #[inline]
    fn message<'a>(&self, request: &'a Request<A>) -> Option<&'a dyn Any> {
        self.protocol.message(request)
    }

    #[inline]
    fn open(&mut self, call: &mut Call, request: Request<A>) -> Request<B> {
        self.protocol.open(call, request).map(B::from_body)
    }
}

impl<A, W, E, P, B> Answer<Response<A>, E> for Boxed<P, B>
where
    P: Answer<Response<A>, E, Response = Response<W>>,
    B: FromBody<W>,
{
    type Response = Response<B>;

    #[inline]
    fn answer(&self, call: Call, response: Response<A>) -> Response<B> {
        self.protocol.answer(call, response).map(B::from_body)
    }

    #[inline]
    fn failed(&self, call: Call, error: &E) {
        self.protocol.failed(call, error);
    }
}

impl<P: Clone, B> Clone for Boxed<P, B> {
    fn clone(&self) -> Self {
        Self::new(self.protocol.clone())
    }
}

impl<P: Copy, B> Copy for Boxed<P, B> {}

impl<P: fmt::Debug, B> fmt::Debug for Boxed<P, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Boxed").field(&self.protocol).finish()
    }
}
