use crate::call::Call;
use crate::message::{Measure, Own};
use crate::stream::RequestStream;
use futures_core::Stream;

// The note on a call whose request is sent from here, not received.
pub(super) const CLIENT: u32 = 1;

/// What goes into a service that is not HTTP: [`One`] message, or [`Many`].
pub trait Incoming<Req>: Clone {
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
        let is_client = call.note() == CLIENT;
        RequestStream::new(request, call, self.0.clone(), is_client)
    }
}
