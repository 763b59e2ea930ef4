//! How a call ends, and what is counted then.

use super::call::{Call, Passed, UNKNOWN};
use super::hear::Ended;
use crate::answering::{self, Identity};
use crate::classify::{ErrorType, GrpcCode};
use crate::clock::Time;
use crate::error_types::{OTHER_INDEX, Outcome};
use crate::flags::Flags;
use crate::labels::{Carrier, Moment, Values};
use crate::measured::Measured;
use crate::open_call::OpenCall;
use crate::panic_guard::OnPanic;
use crate::recorder::{
    CANCELLATIONS, LocalRecorder, Optional, SetIndex, with_recorder_and_slots, with_slots,
};
use std::mem;
use std::ptr;

/// Calls whose duration is not simply counted, or that measure more.
const RARE: Flags = Flags::STREAM
    .with(Flags::UNTIMED)
    .with(Flags::TRACED)
    .with(Flags::SIZES)
    .with(Flags::ITEMS)
    .with(Flags::ITEMS_IN_FRAMES)
    .with(Flags::POLLS)
    .with(Flags::LONGEST)
    .with(Flags::AGE)
    .with(Flags::ON_END);

impl Call {
    /// Ends the call with its last bytes.
    #[inline]
    pub(crate) fn end(self, bytes: u64) {
        self.count_end(bytes);
        mem::forget(self);
    }

    #[inline]
    fn count_end(&self, bytes: u64) {
        let slot = self.slot;
        let ended = with_recorder_and_slots(slot.key(), move |local, free| {
            // The short way of most calls, in few registers. (90 instructions of a call with constant labels.)
            let ended = if local.is_plain()
                && slot.flags().without(Flags::HAS_CODE) == Flags::COMPLETE_ON_DROP
                && slot.reported().is_none()
                && !answering::panicked(|| identity(slot))
            {
                local.end_plainly(bytes, slot.began());
                None
            } else {
                end_otherwise(slot, local, bytes)
            };
            free.close(slot);
            ended
        });
        match ended {
            Some(None) => {}
            Some(Some(ended)) => ended.tell(),
            None => with_slots(|free| {
                // Pages do not take it for open.
                slot.set_flags(Flags::NONE);
                free.close(slot);
            }),
        }
    }

    /// Tells this call from all others that are open.
    pub(crate) fn identity(&self) -> Identity {
        identity(self.slot)
    }
}

impl Drop for Call {
    #[inline]
    fn drop(&mut self) {
        self.count_end(0);
    }
}

impl OnPanic for Call {
    /// The owner of the call is unwound, too, and drops it.
    #[cold]
    fn on_panic(&mut self) {
        self.fault(ErrorType::PANIC);
    }
}

impl OnPanic for Option<Call> {
    // Not cold: guards whose call has moved on come here, too.
    #[inline]
    fn on_panic(&mut self) {
        if let Some(call) = self {
            call.on_panic();
            *self = None;
        }
    }
}

fn identity(slot: &OpenCall) -> Identity {
    ptr::from_ref(slot).addr()
}

#[inline(never)]
fn end_otherwise(slot: &OpenCall, local: &mut LocalRecorder, bytes: u64) -> Option<Box<Ended>> {
    if slot.head_set() == UNKNOWN {
        Call::find_no_head(slot, local);
    }
    let flags = slot.flags();
    if flags.has(Call::MEASURES_RESPONSE) {
        Call::measure_response(slot, local, Passed::bytes(bytes));
    }
    let outcome = match slot.fault() {
        Some(fault) => fault,
        None if answering::panicked(|| identity(slot)) => {
            local.shared().error_types.outcome(ErrorType::PANIC.into())
        }
        None if flags.has(Flags::COMPLETE_ON_DROP) => Outcome::COMPLETED,
        None => Outcome::CANCELLED,
    };
    let end = match flags.has(Flags::END_LABELS) {
        true => end_set(slot, local, outcome),
        false => slot.head_set(),
    };
    let now = local.clock().now();
    let nanos = local.clock().nanos_between(slot.began(), now);
    if outcome != Outcome::COMPLETED {
        count_outcome(local, end, outcome);
    }
    let is_rare = flags.has(RARE);
    let ended = match is_rare {
        true => end_rare(slot, local, end, outcome, now),
        false => None,
    };
    if local.needs().proof && is_proof(slot, outcome) {
        local.prove(slot.begin_set());
    }
    let sets = [slot.begin_set(), slot.head_set(), end];
    local.end(sets, bytes, (!is_rare).then_some(nanos));
    ended
}

/// Observes what few calls have, ends the age of the call, and returns what a user's function hears of the end.
#[cold]
fn end_rare(
    slot: &OpenCall,
    local: &mut LocalRecorder,
    end: SetIndex,
    outcome: Outcome,
    now: Time,
) -> Option<Box<Ended>> {
    let nanos = local.clock().nanos_between(slot.began(), now);
    observe_rare(slot, local, end, outcome, now);
    let flags = slot.flags();
    slot.set_flags(flags.without(Flags::AGE));
    // A box, which all other calls carry around for less: 10 instructions.
    let is_heard = flags.has(Flags::ON_END) && !local.is_detached();
    is_heard.then(|| Box::new(Ended::new(slot, local, end, outcome, nanos)))
}

#[inline(never)]
fn end_set(slot: &OpenCall, local: &mut LocalRecorder, outcome: Outcome) -> SetIndex {
    let shared = local.lend();
    let mut values = Values::NONE;
    let schema = &shared.settings.schema;
    schema.end_values(
        slot.code(),
        shared.error_types.failure(outcome),
        &mut values,
    );
    local.find(Moment::End, slot.head_set(), &values)
}

/// Counts an outcome other than completed.
#[cold]
fn count_outcome(local: &mut LocalRecorder, set: SetIndex, outcome: Outcome) {
    let Some(error_type) = outcome.failure() else {
        return local.count(set, Carrier::End, |block| block.add(CANCELLATIONS, 1));
    };
    let declared = local.shared().settings.error_types.len();
    let place = match error_type {
        OTHER_INDEX => declared,
        _ if error_type < declared => error_type,
        _ => {
            if let Some(series) = local.series_of(set, Carrier::Errors) {
                series.count_undeclared(error_type);
            }
            return;
        }
    };
    if let Some((block, first)) = local.optional(set, Optional::Errors) {
        block.add(first + place, 1);
    }
}

fn observe_rare(
    slot: &OpenCall,
    local: &mut LocalRecorder,
    set: SetIndex,
    outcome: Outcome,
    now: Time,
) {
    let (flags, traced) = (slot.flags(), slot.traced(now));
    let nanos = local.clock().nanos_between(slot.began(), now);
    let timed = match flags.has(Flags::STREAM) {
        true => Measured::StreamDuration,
        false => Measured::Duration,
    };
    if !flags.has(Flags::UNTIMED) {
        local.observe(set, timed, nanos, traced);
        let window = local.shared().window();
        if let Some((block, at)) = local.optional(set, Optional::Longest) {
            block.keep_longest(at, window, nanos);
        }
    }
    if let Some((items, first)) = slot.items()
        && items > 1
        && outcome == Outcome::COMPLETED
    {
        let since_first = local.clock().nanos_between(first, now);
        let per_item = since_first / (items - 1);
        local.observe(slot.head_set(), Measured::TimePerItem, per_item, traced);
    }
    if flags.has(Flags::POLLS) {
        local.observe(set, Measured::HandlerPoll, slot.polled(), traced);
    }
    if flags.has(Flags::SIZES) {
        let (request, response) = slot.sizes();
        local.observe(set, Measured::RequestSize, request, None);
        local.observe(set, Measured::ResponseSize, response, None);
    }
}

/// Whether the server has what the call's labels name: it has answered, and not that it is unimplemented. Only labels of gRPC
/// have to be proven, so that a code is one of gRPC's.
fn is_proof(slot: &OpenCall, outcome: Outcome) -> bool {
    match slot.code() {
        Some(code) => code != GrpcCode::Unimplemented as u8,
        None => outcome != Outcome::CANCELLED,
    }
}
