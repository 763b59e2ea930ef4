use super::incoming::{Incoming, One};
use super::{Answer, Protocol};
use crate::call::Call;
use crate::classify::{Classify, HttpStatus, Phase};
use crate::message::{Measure, Own};
use crate::panic_guard::PanicGuard;

/// A value that answers a request.
///
/// `I` measures requests, `A` responses, and `C` [classifies](crate::classify) errors. The
/// service gets requests as they are, and the caller responses; the call ends with the future.
#[derive(Clone, Copy, Debug)]
pub struct Unary<I = One, A = Own, C = HttpStatus> {
    pub(crate) incoming: I,
    pub(crate) measure: A,
    pub(crate) classifier: C,
}

impl<I: Default, A: Default> Default for Unary<I, A> {
    /// By [`HttpStatus`]. A builder takes other classifiers, to show their error types.
    fn default() -> Self {
        Self {
            incoming: I::default(),
            measure: A::default(),
            classifier: HttpStatus,
        }
    }
}

impl<Req, I, A, C> Protocol<Req> for Unary<I, A, C>
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

impl<Res, E, I, A, C> Answer<Res, E> for Unary<I, A, C>
where
    E: 'static,
    I: Clone,
    A: Measure<Res>,
    C: Classify,
{
    type Response = Res;

    const HEARS_OF_PANICS: bool = true;

    #[inline]
    fn answer(&self, mut call: Call, response: Res) -> Res {
        call.head();
        let mut guard = PanicGuard::new(&mut call);
        match self.measure.error(&response) {
            Some(error) => guard.fault(self.classifier.error(error, Phase::Generate)),
            None => guard.response_message(self.measure.size(&response)),
        }
        guard.disarm();
        call.complete();
        response
    }

    #[cold]
    fn failed(&self, mut call: Call, error: &E) {
        let mut guard = PanicGuard::new(&mut call);
        guard.fault(self.classifier.error(error, Phase::Generate));
        guard.disarm();
    }
}
