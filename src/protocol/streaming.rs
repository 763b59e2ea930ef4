use super::incoming::{Incoming, One};
use super::{Answer, Protocol};
use crate::call::Call;
use crate::classify::{Classify, HttpStatus, Phase};
use crate::message::{Measure, Own};
use crate::panic_guard::PanicGuard;
use crate::stream::ResponseStream;
use futures_core::Stream;

/// A stream of items that answers a request.
///
/// `I` measures requests, `A` items, and `C` [classifies](crate::classify) errors. The service gets
/// requests as they are; its stream comes out as a [`ResponseStream`].
#[derive(Clone, Copy, Debug)]
pub struct Streaming<I = One, A = Own, C = HttpStatus> {
    pub(crate) incoming: I,
    pub(crate) measure: A,
    pub(crate) classifier: C,
}

impl<I: Default, A: Default> Default for Streaming<I, A> {
    /// By [`HttpStatus`]. A builder takes other classifiers, to show their error types.
    fn default() -> Self {
        Self {
            incoming: I::default(),
            measure: A::default(),
            classifier: HttpStatus,
        }
    }
}

impl<Req, I, A, C> Protocol<Req> for Streaming<I, A, C>
where
    I: Incoming<Req>,
    A: Clone,
    C: Clone,
{
    type Request = I::Request;

    #[inline]
    fn open(&self, call: &mut Call, request: Req) -> I::Request {
        self.incoming.open(call, request)
    }
}

impl<Res, E, I, A, C> Answer<Res, E> for Streaming<I, A, C>
where
    Res: Stream,
    E: 'static,
    I: Clone,
    A: Measure<Res::Item>,
    C: Classify,
{
    type Response = ResponseStream<Res, A, C>;

    const HEARS_OF_PANICS: bool = true;

    #[inline]
    fn answer(&self, mut call: Call, response: Res) -> Self::Response {
        call.head();
        let guard = PanicGuard::new(&mut call);
        let (measure, classifier) = (self.measure.clone(), self.classifier.clone());
        guard.disarm();
        ResponseStream::new(response, call, measure, classifier)
    }

    #[cold]
    fn failed(&self, mut call: Call, error: &E) {
        let mut guard = PanicGuard::new(&mut call);
        guard.fault(self.classifier.error(error, Phase::Generate));
        guard.disarm();
    }
}
