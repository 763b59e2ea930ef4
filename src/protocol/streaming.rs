use super::failed::failed;
use super::incoming::{Incoming, One};
use super::messages::protocol_of_messages;
use super::{Answer, Protocol};
use crate::call::Call;
use crate::classify::{Classify, HttpStatus};
use crate::message::{Measure, Own};
use crate::panic_guard::PanicGuard;
use crate::stream::ResponseStream;
use futures_core::Stream;
use std::any::Any;

protocol_of_messages! {
    /// The protocol of services that respond with a stream of items.
    ///
    /// `I` measures requests, `A` measures items, and `C` [classifies](crate::classify) errors. The
    /// service gets requests unchanged. Its stream is wrapped in a [`ResponseStream`].
    Streaming
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
