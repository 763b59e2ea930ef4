//! How a call begins.

use super::call::{Call, UNKNOWN};
use crate::classify::ErrorType;
use crate::clock::Time;
use crate::flags::Flags;
use crate::labels::{Moment, RequestHead, Values};
use crate::measured::Measured;
use crate::open_call::FreeSlots;
use crate::recorder::{
    Key, Lent, LocalRecorder, ROOT, SetIndex, Shared, with_recorder, with_recorder_and_slots,
    with_slots,
};
use crate::request_start::since_request_start;
use crate::trace::TraceContext;
use std::any::Any;
use std::mem;

impl Call {
    /// Begins a call.
    ///
    /// # Errors
    ///
    /// Users' functions have to read its request before: see [`begin_with_head`](Self::begin_with_head).
    #[inline]
    pub(crate) fn begin(key: Key) -> Result<Self, Lent> {
        let begun = with_recorder_and_slots(key, move |local, free| match local.needs().request {
            true => Err(local.lend()),
            // Without labels, of requests or of responses.
            false => Ok(Self::at(key, local, free, [ROOT; 2])),
        });
        begun.unwrap_or_else(|| Ok(Self::uncounted()))
    }

    #[inline]
    fn at(key: Key, local: &mut LocalRecorder, free: &mut FreeSlots, sets: [SetIndex; 2]) -> Self {
        let flags = local.needs().flags;
        let [begin, _] = sets;
        let began = local.begin(begin);
        Self {
            slot: free.open(key, sets, began, flags),
        }
    }

    /// A call that is not counted.
    #[cold]
    fn uncounted() -> Self {
        let open =
            |free: &mut FreeSlots| free.open(Key::NONE, [ROOT; 2], Time::default(), Flags::NONE);
        Self {
            slot: with_slots(open),
        }
    }

    /// Begins a call after users' functions have read the head of its request, or its message.
    pub(crate) fn begin_with_head<'a>(
        key: Key,
        shared: Lent,
        request: impl FnOnce() -> (Option<RequestHead<'a>>, Option<&'a dyn Any>),
    ) -> Self {
        let settings = &shared.settings;
        let guard = HeadGuard {
            key,
            shared: &shared,
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
                    mem::forget(guard);
                    return Self::uncounted();
                }
                trace = settings.exemplars.as_ref().and_then(|of| (**of)(head));
                let requests = settings.stream_requests.as_ref();
                is_stream = requests.is_some_and(|is_stream| (**is_stream)(head));
                if message.is_none() {
                    settings.schema.request_values(head, &mut values);
                }
            }
            None if message.is_none() => settings.schema.absent_values(Moment::Begin, &mut values),
            None => {}
        }
        if let Some(message) = message {
            if let Some(is_measured) = &settings.filter_messages
                && !(**is_measured)(message)
            {
                mem::forget(guard);
                return Self::uncounted();
            }
            texts = settings.schema.message_texts(message);
            let head = head.as_ref();
            settings.schema.message_values(head, &texts, &mut values);
        }
        mem::forget(guard);
        let mut call = Self::labelled(key, &values, trace);
        if is_stream {
            call.time_as_stream();
        }
        if let Some(head) = &head
            && settings.histograms.has(Measured::QueueWait)
        {
            call.time_queue_wait(head);
        }
        call
    }

    #[cold]
    fn time_queue_wait(&self, head: &RequestHead<'_>) {
        let slot = self.slot;
        if let Some(wait) = since_request_start(head.headers) {
            with_recorder(slot.key(), |local| {
                let nanos = wait.as_nanos() as u64;
                let traced = slot.traced(local.clock().now());
                local.observe(slot.begin_set(), Measured::QueueWait, nanos, traced);
            });
        }
    }

    fn labelled(key: Key, values: &Values<'_>, trace: Option<TraceContext>) -> Self {
        let begun = with_recorder_and_slots(key, |local, free| {
            let begin = local.find(Moment::Begin, ROOT, values);
            let head = match local.needs().head_labels {
                true => UNKNOWN,
                false => begin,
            };
            Self::at(key, local, free, [begin, head])
        });
        let Some(call) = begun else {
            return Self::uncounted();
        };
        if call.slot.flags().has(Flags::SIZES) {
            call.slot.measure();
        }
        if let Some(trace) = trace {
            call.set(Flags::TRACED);
            call.slot.set_trace(trace);
        }
        call
    }
}

/// A panic guard for a call that has not begun. If users' functions panic, it counts a call that has panicked, without
/// values for its labels.
struct HeadGuard<'a> {
    key: Key,
    shared: &'a Shared,
}

impl Drop for HeadGuard<'_> {
    fn drop(&mut self) {
        let mut values = Values::NONE;
        self.shared
            .settings
            .schema
            .absent_values(Moment::Begin, &mut values);
        Call::labelled(self.key, &values, None).fail(ErrorType::PANIC);
    }
}
