use crate::call::{Call, Passed};
use crate::classify::{Classify, Phase};
use bytes::Buf;
use http::HeaderMap;
use http_body::Body;

/// How far a response has come, and what it lacks.
pub trait Progress {
    /// Tells the call what `event` completes, and at the end what is missing. Returns the number of messages that end here.
    fn record<D: Buf>(
        &mut self,
        call: &mut Call,
        classifier: &impl Classify,
        event: Event<'_, D>,
    ) -> u64;

    /// Returns the phase of an error that occurs now.
    fn phase(&self) -> Phase;

    /// Records that the response has ended. A drop of the call completes it, unless something is missing.
    #[inline]
    fn end(&mut self, call: &mut Call, classifier: &impl Classify) {
        let messages = self.record::<&[u8]>(call, classifier, Event::End);
        if messages > 0 {
            call.responded(Passed::messages(messages, 0));
        }
        call.owes_nothing();
    }

    /// Returns whether the body is empty from the start, which ends the response.
    #[inline]
    fn is_over(&mut self, call: &mut Call, classifier: &impl Classify, body: &impl Body) -> bool {
        let is_over = body.is_end_stream();
        if is_over {
            self.end(call, classifier);
        }
        is_over
    }
}

/// What happens to a body while the caller reads it.
#[derive(Debug)]
pub enum Event<'a, D> {
    Data(&'a D),
    Trailers(&'a HeaderMap),
    End,
}
