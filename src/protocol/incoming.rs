use crate::call::Call;
use crate::message::{Measure, Own};
use crate::stream::RequestStream;
use futures_core::Stream;

/// What goes into a service that is not HTTP: [`One`] message, or [`Many`].
///
/// The trait is sealed: nothing else implements it. For traffic of another kind there is [`Protocol`](super::Protocol).
pub trait Incoming<Req>: Clone + sealed::Sealed {
    /// What the service is called with.
    type Request;

    /// A call begins with `request`.
    fn open(&self, call: &mut Call, request: Req) -> Self::Request;
}

/// One message, which the service gets as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct One<M = Own>(pub(crate) M);

/// A stream of messages, counted one by one as the service reads them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Many<M = Own>(pub(crate) M);

mod sealed {
    #[allow(unnameable_types, reason = "so that nothing else implements it")]
    pub trait Sealed {}
}

impl<M> sealed::Sealed for One<M> {}

impl<M> sealed::Sealed for Many<M> {}

impl<Req, M: Measure<Req>> Incoming<Req> for One<M> {
    type Request = Req;

    #[inline]
    fn open(&self, call: &mut Call, request: Req) -> Req {
        call.request_message(self.0.size(&request));
        request
    }
}

impl<Req, M> Incoming<Req> for Many<M>
where
    Req: Stream,
    M: Measure<Req::Item>,
{
    type Request = RequestStream<Req, M>;

    #[inline]
    fn open(&self, call: &mut Call, request: Req) -> Self::Request {
        RequestStream::new(request, call, self.0.clone())
    }
}
