use super::failed::failed;
use super::incoming::{Incoming, One};
use super::messages::protocol_of_messages;
use super::{Answer, Protocol};
use crate::call::Call;
use crate::classify::{Classify, HttpStatus, Phase};
use crate::message::{Measure, Own};
use crate::outgoing::passed;
use crate::panic_guard::PanicGuard;
use std::any::Any;

protocol_of_messages! {
    /// The protocol of services that respond with a value.
    ///
    /// `I` measures requests, `A` measures responses, and `C` [classifies](crate::classify) errors.
    /// Requests and responses pass through unchanged. The call ends with the response future.
    Unary
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
