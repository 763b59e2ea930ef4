use super::failed::failed;
use super::incoming::{Incoming, One};
use super::{Answer, Protocol};
use crate::call::Call;
use crate::classify::{Classify, HttpStatus};
use crate::message::{Measure, Own};
use crate::panic_guard::PanicGuard;
use crate::stream::ResponseStream;
use futures_core::Stream;
use std::any::Any;

/// The protocol of services that respond with a stream of items.
///
/// `I` measures requests, `A` measures items, and `C` [classifies](crate::classify) errors. The
/// service gets requests unchanged. Its stream is wrapped in a [`ResponseStream`].
#[derive(Clone, Copy, Debug)]
pub struct Streaming<I = One, A = Own, C = HttpStatus> {
    pub(crate) incoming: I,
    pub(crate) measure: A,
    pub(crate) classifier: C,
    pub(crate) is_client: bool,
}

impl Default for Streaming {
    /// Measures messages by [`Own`] and classifies errors by [`HttpStatus`]. Use a builder for others.
    fn default() -> Self {
        Self {
            incoming: One::default(),
            measure: Own,
            classifier: HttpStatus,
            is_client: false,
        }
    }
}

impl<Req, I, A, C> Protocol<Req> for Streaming<I, A, C>
where
    Req: 'static,
    I: Incoming<Req>,
    A: Clone,
    C: Clone,
{
    type Request = I::Request;

    #[inline]
    fn message<'a>(&self, request: &'a Req) -> Option<&'a dyn Any> {
        Some(request)
    }

    #[inline]
    fn open(&mut self, call: &mut Call, request: Req) -> I::Request {
        self.incoming.open(call, request, self.is_client)
    }
}

impl<Res, E, I, A, C> Answer<Res, E> for Streaming<I, A, C>
where
    Res: Stream,
    E: 'static,
    A: Measure<Res::Item>,
    C: Classify,
{
    type Response = ResponseStream<Res, A, C>;

    const REPORTS_PANICS: bool = true;

    #[inline]
    fn answer(&self, mut call: Call, response: Res) -> Self::Response {
        call.head();
        let guard = PanicGuard::new(&mut call);
        let (measure, classifier) = (self.measure.clone(), self.classifier.clone());
        guard.disarm();
        ResponseStream::new(response, call, measure, classifier)
    }

    #[cold]
    fn failed(&self, call: Call, error: &E) {
        failed(call, &self.classifier, error);
    }
}
