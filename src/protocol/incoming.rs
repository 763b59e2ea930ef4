use crate::call::Call;
use crate::message::{Measure, Own};
use crate::stream::RequestStream;
use futures_core::Stream;

/// The requests of a service without HTTP: [`One`] message or [`Many`].
///
/// The trait is sealed. For other kinds of traffic, implement [`Protocol`](super::Protocol).
pub trait Incoming<Req>: Clone + sealed::Sealed {
    /// The request that the inner service gets.
    type Request;

    /// Begins a call with `request`. `is_client` says whether this program sends it.
    fn open(&self, call: &mut Call, request: Req, is_client: bool) -> Self::Request;
}

/// Requests that are one message, which the service gets unchanged.
#[derive(Clone, Copy, Debug, Default)]
pub struct One<M = Own>(pub(crate) M);

/// Requests that are a stream of messages. Each one is counted when the service reads it.
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
    fn open(&self, call: &mut Call, request: Req, _: bool) -> Req {
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
    fn open(&self, call: &mut Call, request: Req, is_client: bool) -> Self::Request {
        RequestStream::new(request, call, self.0.clone(), is_client)
    }
}
