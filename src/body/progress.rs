use crate::call::Call;
use crate::classify::{Classify, Phase};
use bytes::Buf;
use http::HeaderMap;
use http_body::Body;

/// How far a response has come, and what it lacks.
pub trait Progress {
    /// Tells the call what `data` completes. Returns the number of messages that end in it.
    fn data(&mut self, call: &mut Call, classifier: &impl Classify, data: &impl Buf) -> u64;

    /// Tells the call what the trailers say.
    fn trailers(&mut self, call: &mut Call, classifier: &impl Classify, trailers: &HeaderMap) {
        let _ = (call, classifier, trailers);
    }

    /// Tells the call that the response has ended, and what is missing. If nothing is, the call is complete when it is
    /// dropped.
    fn end(&mut self, call: &mut Call, classifier: &impl Classify);

    /// Returns the phase of an error that occurs now.
    fn phase(&self) -> Phase;

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
