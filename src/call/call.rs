//! What a service, its protocol and its bodies tell a call.

use crate::classify::{Fault, Head};
use crate::clock::Time;
use crate::error_types::Outcome;
use crate::flags::Flags;
use crate::handle::CallHandle;
use crate::labels::{Carrier, Code, Moment, Values};
use crate::measured::Measured;
use crate::open_call::{BodyReport, OpenCall};
use crate::recorder::{
    LocalRecorder, Optional, RESPONSE_BYTES, RESPONSE_MESSAGES, SetIndex, with_recorder,
};
use crate::trace::TraceContext;
use std::fmt;

/// One call, from its beginning to its one end.
///
/// A call begins with the request. It moves from the service to the future and on to the response. It ends when it is
/// dropped. Its outcome is
///
/// 1. the first [`fault`](Self::fault) of the call or of a [`CallHandle`] of it,
/// 2. else completed, if it was [completed](Self::complete), or dropped when it [owed nothing](Self::owes_nothing) more,
/// 3. else cancelled: the caller went away before the end.
#[must_use = "a call ends when it is dropped"]
pub struct Call {
    pub(super) slot: &'static OpenCall,
}

/// What has passed to the caller.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passed {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    pub(crate) items: u64,
}

/// The label set of the head, until the head is there.
pub(super) const UNKNOWN: SetIndex = SetIndex::MAX;

// === impl Call ===

impl Call {
    #[inline]
    pub(super) fn set(&self, flags: Flags) {
        self.slot.set_flags(self.slot.flags().with(flags));
    }

    /// Counts bytes of the request that the service has read.
    #[inline]
    pub fn request_bytes(&self, bytes: u64) {
        self.request(0, bytes);
    }

    /// Counts a message of the request that the service has read, and its bytes.
    #[inline]
    pub fn request_message(&self, bytes: u64) {
        self.request(1, bytes);
    }

    #[inline]
    fn request(&self, messages: u64, bytes: u64) {
        self.handle_of().request_messages(messages, bytes);
    }

    /// Returns a handle that reaches this call from elsewhere.
    #[inline]
    pub fn handle(&mut self) -> CallHandle {
        self.handle_of()
    }

    #[inline]
    fn handle_of(&self) -> CallHandle {
        let slot = self.slot;
        CallHandle::new(slot.key(), slot.begin_set(), BodyReport::new(slot))
    }

    /// Tells the call that the head of the response is there.
    ///
    /// For responses with a head as HTTP has it there is [`response_head`](Self::response_head).
    #[inline]
    pub fn head(&mut self) {
        if self.measures_head() {
            self.measure_head(None);
        }
    }

    /// Tells the call the head of the response, which has the labels of the response.
    #[inline]
    pub fn response_head(&mut self, head: &Head<'_>) {
        if self.measures_head() {
            self.measure_head(Some(head));
        }
    }

    #[inline]
    fn measures_head(&self) -> bool {
        self.slot.flags().has(Flags::HEAD)
    }

    #[inline(never)]
    fn measure_head(&mut self, head: Option<&Head<'_>>) {
        let Some(shared) = with_recorder(self.slot.key(), |local| local.lend()) else {
            return;
        };
        let settings = &shared.settings;
        let mut values = Values::NONE;
        match head {
            Some(head) => {
                settings.schema.response_values(head, &mut values);
                let responses = settings.stream_responses.as_ref();
                if responses.is_some_and(|is_stream| (**is_stream)(head)) {
                    self.time_as_stream();
                }
            }
            None => settings.schema.absent_values(Moment::Head, &mut values),
        }
        let slot = self.slot;
        with_recorder(slot.key(), |local| {
            if slot.head_set() == UNKNOWN {
                slot.set_head_set(local.find(Moment::Head, slot.begin_set(), &values));
            }
            if settings.histograms.has(Measured::ResponseHead) {
                let (nanos, traced) = Self::elapsed(slot, local);
                local.observe(slot.head_set(), Measured::ResponseHead, nanos, traced);
            }
        });
    }

    /// Counts bytes of the response that the caller has taken.
    #[inline]
    pub fn response_bytes(&mut self, bytes: u64) {
        if bytes > 0 {
            self.responded(Passed::bytes(bytes));
        }
    }

    /// Counts a message of the response that the caller has taken, and its bytes. It is also an
    /// [item](crate::MetricsLayerBuilder::items_total).
    #[inline]
    pub fn response_message(&mut self, bytes: u64) {
        self.responded(Passed::messages(1, bytes));
    }

    /// Counts items of the response that the caller has taken, such as tokens, in addition to
    /// [messages](Self::response_message) and [bytes](Self::response_bytes).
    ///
    /// Does nothing unless the layer [counts](crate::MetricsLayerBuilder::items_total) or times items.
    pub fn items(&mut self, items: u64) {
        self.responded(Passed::NOTHING.with_items(items));
    }

    /// Counts what the caller has taken of the response.
    #[inline]
    pub(crate) fn responded(&mut self, passed: Passed) {
        let slot = self.slot;
        with_recorder(slot.key(), move |local| {
            Self::count_response(slot, local, passed);
        });
    }

    pub(super) const MEASURES_RESPONSE: Flags =
        Flags::SIZES.with(Flags::FIRST_BYTE).with(Flags::ITEMS);

    #[inline]
    fn count_response(slot: &OpenCall, local: &mut LocalRecorder, passed: Passed) {
        if slot.head_set() == UNKNOWN {
            Self::find_no_head(slot, local);
        }
        local.count(slot.head_set(), Carrier::Head, |block| {
            block.add(RESPONSE_BYTES, passed.bytes);
            if passed.messages > 0 {
                block.add(RESPONSE_MESSAGES, passed.messages);
            }
        });
        if slot.flags().has(Self::MEASURES_RESPONSE) {
            Self::measure_response(slot, local, passed);
        }
    }

    #[cold]
    pub(super) fn measure_response(slot: &OpenCall, local: &mut LocalRecorder, passed: Passed) {
        let flags = slot.flags();
        if flags.has(Flags::SIZES) {
            slot.add_response_bytes(passed.bytes);
        }
        if flags.has(Flags::FIRST_BYTE) && (passed.bytes > 0 || passed.messages > 0) {
            slot.set_flags(flags.without(Flags::FIRST_BYTE));
            let (nanos, traced) = Self::elapsed(slot, local);
            local.observe(slot.head_set(), Measured::FirstByte, nanos, traced);
        }
        if flags.has(Flags::ITEMS) {
            Self::measure_items(slot, local, passed.items);
        }
    }

    /// The nanoseconds since the call began, and its trace.
    fn elapsed(slot: &OpenCall, local: &LocalRecorder) -> (u64, Option<(TraceContext, Time)>) {
        let now = local.clock().now();
        let nanos = local.clock().nanos_between(slot.began(), now);
        (nanos, slot.traced(now))
    }

    pub(super) fn measure_items(slot: &OpenCall, local: &mut LocalRecorder, items: u64) {
        if items == 0 {
            return;
        }
        // A user's function counts them. A sum of so many never overflows.
        let items = items.min(u32::MAX.into());
        if slot.head_set() == UNKNOWN {
            Self::find_no_head(slot, local);
        }
        let (set, clock) = (slot.head_set(), local.clock());
        let now = clock.now();
        let (measured, since) = match slot.add_items(items, now) {
            None => (Measured::FirstItem, slot.began()),
            Some(last) => (Measured::ItemGap, last),
        };
        let nanos = clock.nanos_between(since, now);
        local.observe(set, measured, nanos, slot.traced(now));
        if let Some((block, at)) = local.optional(set, Optional::Items) {
            block.add(at, items);
        }
    }

    /// Tells the call of a fault. Only the first one counts.
    #[cold]
    pub fn fault(&mut self, fault: impl Into<Fault>) {
        let (slot, fault) = (self.slot, fault.into());
        let outcome = || {
            with_recorder(slot.key(), |local| {
                local.shared().error_types.outcome(fault)
            })
        };
        if let Some(first) = slot.fault().or_else(outcome) {
            slot.set_fault(first);
        }
    }

    /// Tells the call that all that was promised is out. If the caller goes away from now on, the call is complete.
    #[inline]
    pub fn owes_nothing(&mut self) {
        self.set(Flags::COMPLETE_ON_DROP);
    }

    /// Ends the call, as completed if it had no fault.
    #[inline]
    pub fn complete(mut self) {
        self.owes_nothing();
    }

    /// Ends the call with a fault, unless it had one before.
    pub fn fail(mut self, fault: impl Into<Fault>) {
        self.fault(fault);
    }

    /// Counts the duration as that of a stream, which stays open by intent.
    pub(crate) fn time_as_stream(&mut self) {
        let flags = self.slot.flags().without(Flags::UNTIMED.with(Flags::AGE));
        self.slot.set_flags(flags.with(Flags::STREAM));
    }

    /// Leaves the duration out: the connection becomes something else, whose end is unknown.
    pub(crate) fn upgraded(&mut self) {
        let flags = self.slot.flags().without(Flags::AGE);
        self.slot.set_flags(flags.with(Flags::UNTIMED));
    }

    /// Sets the protocol's own code of the outcome, for the label [`code`](crate::labels::Label::code). The last one counts.
    #[inline]
    pub fn set_code(&mut self, code: impl Into<Code>) {
        self.slot.set_code(code.into().index());
    }

    /// Finds the label set of a call without a head.
    #[cold]
    pub(super) fn find_no_head(slot: &OpenCall, local: &mut LocalRecorder) {
        let shared = local.lend();
        let mut values = Values::NONE;
        shared
            .settings
            .schema
            .absent_values(Moment::Head, &mut values);
        let head = local.find(Moment::Head, slot.begin_set(), &values);
        slot.set_head_set(head);
    }

    fn outcome(&self) -> Outcome {
        let unless_fault = match self.slot.flags().has(Flags::COMPLETE_ON_DROP) {
            true => Outcome::COMPLETED,
            false => Outcome::CANCELLED,
        };
        self.slot.fault().unwrap_or(unless_fault)
    }
}

// === impl Passed ===

impl Passed {
    pub(crate) const NOTHING: Self = Self::bytes(0);

    #[inline]
    pub(crate) const fn bytes(bytes: u64) -> Self {
        Self::messages(0, bytes)
    }

    /// Each message is an item.
    #[inline]
    pub(crate) const fn messages(messages: u64, bytes: u64) -> Self {
        Self {
            messages,
            bytes,
            items: messages,
        }
    }

    #[inline]
    pub(crate) fn with_items(self, items: u64) -> Self {
        Self { items, ..self }
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("began", &self.slot.began())
            .field("outcome", &self.outcome())
            .finish_non_exhaustive()
    }
}
