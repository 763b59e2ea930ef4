//! One call, from its beginning to its one end.

use crate::answering::{self, Identity};
use crate::classify::{ErrorType, Fault, Head};
use crate::clock::Moment as Time;
use crate::flags::Flags;
use crate::handle::CallHandle;
use crate::labels::{Carrier, Moment, RequestHead, Values};
use crate::recorder::{
    CallSlot, Common, FreeSlots, Key, Measured, Outcome, Own, RESPONSE_BYTES, RESPONSE_MESSAGES,
    ROOT, SetIndex, with, with_free_slots, with_slots,
};
use crate::trace::TraceContext;
use crate::watch::Unwound;
use std::any::Any;
use std::fmt;
use std::mem;
use std::ptr;

/// The one place that knows how a call goes.
///
/// It begins with the request and is handed on, from the service to the future to the
/// response, until it is dropped: that is when the call ends, and all that is counted at the end
/// is recorded. How it ends is decided by what it was told:
///
/// 1. the first [`fault`](Self::fault) that it, or a [`CallHandle`] of it, was told of,
/// 2. else it is complete if it was [completed](Self::complete), or dropped when
///    nothing more was [owed](Self::owes_nothing),
/// 3. else the caller went away before the end: it is cancelled.
#[must_use = "a call that is dropped has ended"]
pub struct Call {
    slot: &'static CallSlot,
}

const UNKNOWN: SetIndex = SetIndex::MAX;

// === impl Call ===

impl Call {
    /// A call begins, unless its request has to be looked at before: see [`begin_asking`](Self::begin_asking).
    #[inline]
    pub(crate) fn begin(key: Key) -> Option<Self> {
        let begun = with_slots(key, move |own, free| match own.asks_requests() {
            true => None,
            false => Some(Self::at(key, own, free, ROOT)),
        });
        begun.unwrap_or_else(|| Some(Self::nowhere()))
    }

    #[inline]
    fn at(key: Key, own: &mut Own, free: &mut FreeSlots, begin: SetIndex) -> Self {
        let flags = own.asks();
        let head = match own.asks_head_labels() {
            true => UNKNOWN,
            false => begin,
        };
        let began = own.begin(begin);
        Self {
            slot: free.open(key, [begin, head], began, flags),
        }
    }

    /// One that is counted nowhere.
    #[cold]
    fn nowhere() -> Self {
        let open =
            |free: &mut FreeSlots| free.open(Key::NONE, [ROOT; 2], Time::default(), Flags::NONE);
        Self {
            slot: with_free_slots(open),
        }
    }

    /// One at whose request users' functions have to look.
    pub(crate) fn begin_asking<'a>(
        key: Key,
        request: impl FnOnce() -> (Option<RequestHead<'a>>, Option<&'a dyn Any>),
    ) -> Self {
        let Some(common) = with(key, |own| own.lend()) else {
            return Self::nowhere();
        };
        let settings = &common.settings;
        let unlooked = Unlooked {
            key,
            common: &common,
        };
        let texts;
        let mut values = Values::NONE;
        let mut trace = None;
        let mut is_stream = false;
        let (head, message) = request();
        match &head {
            Some(head) => {
                if let Some(is_measured) = &settings.filter
                    && !(**is_measured)(head)
                {
                    mem::forget(unlooked);
                    return Self::nowhere();
                }
                trace = settings.exemplars.as_ref().and_then(|of| (**of)(head));
                let streams = settings.streams.as_ref();
                is_stream = streams.is_some_and(|streams| streams.is_requested(head));
                if message.is_none() {
                    settings.schema.of_request(head, &mut values);
                }
            }
            None if message.is_none() => settings.schema.of_no_request(&mut values),
            None => {}
        }
        if let Some(message) = message {
            if let Some(is_measured) = &settings.filter_messages
                && !(**is_measured)(message)
            {
                mem::forget(unlooked);
                return Self::nowhere();
            }
            texts = settings.schema.texts_of(message);
            let head = head.as_ref();
            settings.schema.of_message(head, &texts, &mut values);
        }
        mem::forget(unlooked);
        let mut call = Self::labelled(key, &values, trace);
        if is_stream {
            call.time_as_stream();
        }
        call
    }

    fn labelled(key: Key, values: &Values<'_>, trace: Option<TraceContext>) -> Self {
        let begun = with_slots(key, |own, free| {
            let begin = own.find(Moment::Begin, ROOT, values);
            Self::at(key, own, free, begin)
        });
        let Some(call) = begun else {
            return Self::nowhere();
        };
        if call.slot.flags().has(Flags::ASKS_SIZES) {
            call.slot.measure();
        }
        if let Some(trace) = trace {
            call.tell(Flags::TRACED);
            call.slot.set_trace(trace);
        }
        call
    }

    #[inline]
    fn tell(&self, flags: Flags) {
        self.slot.set_flags(self.slot.flags().with(flags));
    }

    /// Counts bytes of the request that the service has been given.
    #[inline]
    pub fn request_bytes(&self, bytes: u64) {
        self.request(0, bytes);
    }

    /// Counts a message of the request, and its bytes, that the service has
    /// been given.
    #[inline]
    pub fn request_message(&self, bytes: u64) {
        self.request(1, bytes);
    }

    #[inline]
    fn request(&self, messages: u64, bytes: u64) {
        self.handle_of().request_messages(messages, bytes);
    }

    /// A way to reach this call from elsewhere.
    #[inline]
    pub fn handle(&mut self) -> CallHandle {
        self.handle_of()
    }

    #[inline]
    fn handle_of(&self) -> CallHandle {
        CallHandle::new(self.slot.key(), self.slot.begin_set(), self.slot.reporter())
    }

    /// The head of the response is there.
    #[inline]
    pub fn head(&mut self) {
        if self.asks_head() {
            self.ask_head(None);
        }
    }

    /// As [`head`](Self::head), for responses that have one as HTTP's do: the labels of
    /// the response are read from it.
    #[inline]
    pub fn response_head(&mut self, head: &Head<'_>) {
        if self.asks_head() {
            self.ask_head(Some(head));
        }
    }

    /// Whether the head of the response has to be looked at.
    #[inline]
    pub(crate) fn asks_head(&self) -> bool {
        self.slot.flags().has(Flags::ASKS_HEAD)
    }

    #[inline(never)]
    fn ask_head(&mut self, head: Option<&Head<'_>>) {
        let Some(common) = with(self.slot.key(), |own| own.lend()) else {
            return;
        };
        let settings = &common.settings;
        let mut values = Values::NONE;
        match head {
            Some(head) => {
                settings.schema.of_response(head, &mut values);
                let streams = settings.streams.as_ref();
                if streams.is_some_and(|streams| streams.is_answered(head)) {
                    self.time_as_stream();
                }
            }
            None => settings.schema.of_no_response(&mut values),
        }
        let slot = self.slot;
        with(slot.key(), |own| {
            if slot.head_set() == UNKNOWN {
                slot.set_head_set(own.find(Moment::Head, slot.begin_set(), &values));
            }
            if settings.response_head.is_some() {
                let nanos = common.clock.nanos_since(slot.began());
                own.observe(slot.head_set(), Measured::ResponseHead, nanos, traced(slot));
            }
        });
    }

    /// Counts bytes of the response that the caller has taken.
    #[inline]
    pub fn response_bytes(&mut self, bytes: u64) {
        if bytes > 0 {
            self.response_messages(0, bytes);
        }
    }

    /// Counts a message of the response, and its bytes, that the caller has taken.
    #[inline]
    pub fn response_message(&mut self, bytes: u64) {
        self.response_messages(1, bytes);
    }

    /// As [`response_message`](Self::response_message), for several at once.
    #[inline]
    pub(crate) fn response_messages(&mut self, messages: u64, bytes: u64) {
        let slot = self.slot;
        with(slot.key(), move |own| {
            Self::count_response(slot, own, messages, bytes);
        });
    }

    const MEASURES_RESPONSE: Flags = Flags::ASKS_SIZES.with(Flags::ASKS_FIRST_BYTE);

    #[inline]
    fn count_response(slot: &CallSlot, own: &mut Own, messages: u64, bytes: u64) {
        if slot.head_set() == UNKNOWN {
            Self::find_no_head(slot, own);
        }
        let block = own.block(slot.head_set(), Carrier::Head);
        block.add(RESPONSE_BYTES, bytes);
        if messages > 0 {
            block.add(RESPONSE_MESSAGES, messages);
        }
        if bytes + messages > 0 && slot.flags().has(Self::MEASURES_RESPONSE) {
            Self::measure_response(slot, own, bytes);
        }
    }

    #[cold]
    fn measure_response(slot: &CallSlot, own: &mut Own, bytes: u64) {
        let flags = slot.flags();
        if flags.has(Flags::ASKS_SIZES) {
            slot.add_response_bytes(bytes);
        }
        if flags.has(Flags::ASKS_FIRST_BYTE) {
            slot.set_flags(flags.without(Flags::ASKS_FIRST_BYTE));
            let nanos = own.common().clock.nanos_since(slot.began());
            own.observe(slot.head_set(), Measured::FirstByte, nanos, traced(slot));
        }
    }

    /// Something went wrong. Only the first fault of a call counts.
    #[cold]
    pub fn fault(&mut self, fault: impl Into<Fault>) {
        let (slot, fault) = (self.slot, fault.into());
        let own = || with(slot.key(), |own| own.common().outcome(fault));
        if let Some(first) = slot.told().or_else(own) {
            slot.set_fault(first);
        }
    }

    /// All that was promised is out: if the caller goes away from now on, the
    /// call is complete all the same.
    #[inline]
    pub fn owes_nothing(&mut self) {
        self.tell(Flags::OWES_NOTHING);
    }

    /// Ends the call well, if it had no fault.
    #[inline]
    pub fn complete(mut self) {
        self.owes_nothing();
    }

    /// Ends the call with a fault, if it had none before.
    pub fn fail(mut self, fault: impl Into<Fault>) {
        self.fault(fault);
    }

    /// It stays open by intent.
    pub(crate) fn time_as_stream(&mut self) {
        let flags = self.slot.flags().without(Flags::UNTIMED);
        self.slot.set_flags(flags.with(Flags::STREAM));
    }

    /// Its connection becomes something else. Unless somebody follows that, nobody knows how long it takes.
    pub(crate) fn upgraded(&mut self) {
        self.tell(Flags::UNTIMED);
    }

    /// Keeps a number of the protocol's own until the response comes: what it
    /// has seen in the request and needs to know then.
    #[inline]
    pub fn set_note(&mut self, note: u32) {
        self.slot.set_note(note);
    }

    /// The number kept; 0 if there is none.
    #[inline]
    pub fn note(&self) -> u32 {
        self.slot.note()
    }

    /// What the protocol itself calls the outcome: its place among the names that were given to the label
    /// [`code`](crate::labels::Label::code). The last word stands.
    #[inline]
    pub fn set_code(&mut self, code: u8) {
        self.slot.set_code(code);
    }

    /// No head has come: that of a call without one.
    #[cold]
    fn find_no_head(slot: &CallSlot, own: &mut Own) {
        let common = own.lend();
        let mut values = Values::NONE;
        common.settings.schema.of_no_response(&mut values);
        let head = own.find(Moment::Head, slot.begin_set(), &values);
        slot.set_head_set(head);
    }

    #[inline]
    fn outcome(&self) -> Outcome {
        let unhindered = match self.slot.flags().has(Flags::OWES_NOTHING) {
            true => Outcome::COMPLETED,
            false => Outcome::CANCELLED,
        };
        self.slot.told().unwrap_or(unhindered)
    }

    /// Ends the call, whose last messages and bytes these are.
    #[inline]
    pub(crate) fn end(self, messages: u64, bytes: u64) {
        self.count_end(messages, bytes);
        mem::forget(self);
    }

    #[inline]
    fn count_end(&self, messages: u64, bytes: u64) {
        let slot = self.slot;
        let ended = with_slots(slot.key(), move |own, free| {
            // Most calls: straight on, and in few registers. (90 instructions of a call with constant labels.)
            if own.is_plain()
                && slot.flags() == Flags::OWES_NOTHING
                && slot.told().is_none()
                && !answering::panicked(|| identity(slot))
            {
                own.end_plainly([messages, bytes], slot.began());
            } else {
                Self::end_otherwise(slot, own, [messages, bytes]);
            }
            free.close(slot);
        });
        if ended.is_none() {
            with_free_slots(|free| free.close(slot));
        }
    }

    #[inline(never)]
    fn end_otherwise(slot: &CallSlot, own: &mut Own, last: [u64; 2]) {
        if slot.head_set() == UNKNOWN {
            Self::find_no_head(slot, own);
        }
        let flags = slot.flags();
        if last != [0, 0] && flags.has(Self::MEASURES_RESPONSE) {
            let [_, bytes] = last;
            Self::measure_response(slot, own, bytes);
        }
        let outcome = match slot.told() {
            Some(told) => told,
            None if answering::panicked(|| identity(slot)) => {
                own.common().outcome(ErrorType::PANIC.into())
            }
            None if flags.has(Flags::OWES_NOTHING) => Outcome::COMPLETED,
            None => Outcome::CANCELLED,
        };
        let end = match flags.has(Flags::ASKS_END) {
            true => Self::end_set(slot, own, outcome),
            false => slot.head_set(),
        };
        let sets = [slot.begin_set(), slot.head_set(), end];
        own.end(sets, last, outcome, slot);
    }

    /// What tells it from all others that are open.
    pub(crate) fn identity(&self) -> Identity {
        identity(self.slot)
    }

    #[inline(never)]
    fn end_set(slot: &CallSlot, own: &mut Own, outcome: Outcome) -> SetIndex {
        let common = own.lend();
        let mut values = Values::NONE;
        let schema = &common.settings.schema;
        schema.of_end(slot.code(), common.failure(outcome), &mut values);
        own.find(Moment::End, slot.head_set(), &values)
    }
}

/// The slot, if it keeps a trace.
fn traced(slot: &CallSlot) -> Option<&CallSlot> {
    Some(slot).filter(|slot| slot.flags().has(Flags::TRACED))
}

fn identity(slot: &CallSlot) -> Identity {
    ptr::from_ref(slot).addr()
}

impl Drop for Call {
    #[inline]
    fn drop(&mut self) {
        self.count_end(0, 0);
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

impl Unwound for Call {
    /// Its owner is being unwound too, and will drop it.
    #[cold]
    fn unwound(&mut self) {
        self.fault(ErrorType::PANIC);
    }
}

impl Unwound for Option<Call> {
    // Not cold: a watch that is over because the call has moved on comes here too.
    #[inline]
    fn unwound(&mut self) {
        if let Some(call) = self {
            call.unwound();
            *self = None;
        }
    }
}

/// Stands on the stack while users' functions look at a request whose call has not begun. If they
/// panic it is a call that has panicked, with no labels to it.
struct Unlooked<'a> {
    key: Key,
    common: &'a Common,
}

impl Drop for Unlooked<'_> {
    fn drop(&mut self) {
        let mut values = Values::NONE;
        self.common.settings.schema.of_no_request(&mut values);
        Call::labelled(self.key, &values, None).fail(ErrorType::PANIC);
    }
}
