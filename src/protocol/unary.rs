use super::failed::failed;
use super::incoming::{Incoming, One};
use super::{Answer, Protocol};
use crate::call::Call;
use crate::classify::{Classify, HttpStatus, Phase};
use crate::message::{Measure, Own};
use crate::outgoing::passed;
use crate::panic_guard::PanicGuard;
use std::any::Any;

/// The protocol of services that respond with a value.
///
/// `I` measures requests, `A` measures responses, and `C` [classifies](crate::classify) errors.
/// Requests and responses pass through unchanged. The call ends with the response future.
#[derive(Clone, Copy, Debug)]
pub struct Unary<I = One, A = Own, C = HttpStatus> {
    pub(crate) incoming: I,
    pub(crate) measure: A,
    pub(crate) classifier: C,
    pub(crate) is_client: bool,
}

impl Default for Unary {
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

impl<Req, I, A, C> Protocol<Req> for Unary<I, A, C>
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

impl<Res, E, I, A, C> Answer<Res, E> for Unary<I, A, C>
where
    E: 'static,
    A: Measure<Res>,
    C: Classify,
{
    type Response = Res;

    const REPORTS_PANICS: bool = true;

    #[inline]
    fn answer(&self, mut call: Call, response: Res) -> Res {
        call.head();
        let mut guard = PanicGuard::new(&mut call);
        match self.measure.error(&response) {
            Some(error) => guard.fault(self.classifier.error(error, Phase::Generate)),
            None => guard.responded(passed(&self.measure, &response)),
        }
        guard.disarm();
        call.complete();
        response
    }

    #[cold]
    fn failed(&self, call: Call, error: &E) {
        failed(call, &self.classifier, error);
    }
}
