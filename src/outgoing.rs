//! The items of a response that is a stream, on their way to the caller or into a sink.

use crate::call::Call;
use crate::classify::{Classify, Phase};
use crate::handle::CallHandle;
use crate::message::Measure;
use crate::panic_guard::{OnPanic, PanicGuard};
use std::any::Any;

/// The call of a response that is a stream, and what judges its items.
pub(crate) struct Outgoing<M, C> {
    call: Option<Call>,
    measure: M,
    classifier: C,
    began: bool,
}

// === impl Outgoing ===

impl<M, C> Outgoing<M, C> {
    pub(crate) fn new(call: Call, measure: M, classifier: C) -> Self {
        Self {
            call: Some(call),
            measure,
            classifier,
            began: false,
        }
    }

    /// None if the response has ended.
    pub(crate) fn call(&self) -> &Option<Call> {
        &self.call
    }

    pub(crate) fn into_call(self) -> Option<Call> {
        self.call
    }

    /// A way to reach the call from elsewhere. None if the response has ended.
    pub(crate) fn handle(&mut self) -> Option<CallHandle> {
        self.call.as_mut().map(Call::handle)
    }

    /// The size of an item; or none if it is an error, and the call has failed.
    pub(crate) fn weigh<T>(&mut self, item: &T) -> Option<u64>
    where
        M: Measure<T>,
        C: Classify,
    {
        let Some(error) = self.measure.error(item) else {
            return Some(self.measure.size(item));
        };
        let phase = if self.began {
            Phase::PublishResponse
        } else {
            Phase::ResponseStream
        };
        self.fault(error, phase);
        None
    }

    /// An item that is no error is with the caller, or on its way.
    #[inline]
    pub(crate) fn begin(&mut self) {
        self.began = true;
    }

    /// So many items, of so many bytes together, are out.
    #[inline]
    pub(crate) fn sent(&mut self, items: u64, bytes: u64) {
        self.begin();
        if let Some(call) = &mut self.call {
            call.response_messages(items, bytes);
        }
    }

    /// The transport has failed.
    #[cold]
    pub(crate) fn refused<E: 'static>(&mut self, error: &E, phase: Phase)
    where
        C: Classify,
    {
        let mut outgoing = PanicGuard::new(self);
        outgoing.fault(error, phase);
        outgoing.disarm();
        self.end();
    }

    #[cold]
    fn fault(&mut self, error: &dyn Any, phase: Phase)
    where
        C: Classify,
    {
        if let Some(call) = &mut self.call {
            call.fault(self.classifier.error(error, phase));
        }
    }

    /// Ends the call as what it has come to.
    #[inline]
    pub(crate) fn end(&mut self) {
        self.call = None;
    }

    /// All is out.
    #[inline]
    pub(crate) fn complete(&mut self) {
        if let Some(call) = &mut self.call {
            call.owes_nothing();
        }
        // Where it is: taken out it would be copied.
        self.end();
    }
}

impl<M, C> OnPanic for Outgoing<M, C> {
    fn on_panic(&mut self) {
        self.call.on_panic();
    }
}
