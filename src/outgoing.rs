//! The call of a response stream, which the stream and its publication share.

use crate::call::{Call, MeasuredPoll, Passed};
use crate::classify::{Classify, Phase};
use crate::handle::CallHandle;
use crate::message::Measure;
use crate::panic_guard::{OnPanic, PanicGuard};
use std::any::Any;

/// The call of a response stream, and what measures and classifies its items.
pub(crate) struct Outgoing<M, C> {
    /// `None` once the response has ended.
    call: Option<Call>,
    measure: M,
    classifier: C,
    has_begun: bool,
}

// === impl Outgoing ===

impl<M, C> Outgoing<M, C> {
    pub(crate) fn new(call: Call, measure: M, classifier: C) -> Self {
        Self {
            call: Some(call),
            measure,
            classifier,
            has_begun: false,
        }
    }

    pub(crate) fn call(&self) -> &Option<Call> {
        &self.call
    }

    pub(crate) fn into_call(self) -> Option<Call> {
        self.call
    }

    /// Returns a handle to the call, or `None` if the response has ended.
    pub(crate) fn handle(&mut self) -> Option<CallHandle> {
        self.call.as_mut().map(Call::handle)
    }

    /// Returns what `item` counts as. If it is an error, fails the call and returns `None`.
    pub(crate) fn measure<T>(&mut self, item: &T) -> Option<Passed>
    where
        M: Measure<T>,
        C: Classify,
    {
        let Some(error) = self.measure.error(item) else {
            return Some(passed(&self.measure, item));
        };
        let phase = if self.has_begun {
            Phase::PublishResponse
        } else {
            Phase::ResponseStream
        };
        self.fault(error, phase);
        None
    }

    /// A poll of the stream begins.
    #[inline]
    pub(crate) fn begin_poll(&self) -> MeasuredPoll {
        MeasuredPoll::begin(&self.call)
    }

    /// Records that an item without an error has been sent, or is about to be.
    #[inline]
    pub(crate) fn begin(&mut self) {
        self.has_begun = true;
    }

    /// Counts items that have been sent.
    #[inline]
    pub(crate) fn sent(&mut self, passed: Passed) {
        self.begin();
        if let Some(call) = &mut self.call {
            call.responded(passed);
        }
    }

    /// Ends the call with an error of the transport.
    #[cold]
    pub(crate) fn fail<E: 'static>(&mut self, error: &E, phase: Phase)
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

    /// Ends the call with its outcome so far.
    #[inline]
    pub(crate) fn end(&mut self) {
        self.call = None;
    }

    /// Completes the call.
    #[inline]
    pub(crate) fn complete(&mut self) {
        if let Some(call) = &mut self.call {
            call.owes_nothing();
        }
        // Dropped in place: `take` would copy it.
        self.end();
    }
}

/// Returns what a message of a response counts as.
#[inline]
pub(crate) fn passed<T>(measure: &impl Measure<T>, message: &T) -> Passed {
    Passed::messages(1, measure.size(message)).with_items(measure.items(message))
}

impl<M, C> OnPanic for Outgoing<M, C> {
    fn on_panic(&mut self) {
        self.call.on_panic();
    }
}
