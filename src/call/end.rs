//! How a call ends, and what is counted then.

use super::call::{Call, UNKNOWN};
use crate::answering::{self, Identity};
use crate::classify::{ErrorType, GrpcCode};
use crate::error_types::{OTHER_INDEX, Outcome};
use crate::flags::Flags;
use crate::labels::{Carrier, Moment, Values};
use crate::open_call::OpenCall;
use crate::panic_guard::OnPanic;
use crate::recorder::{
    CANCELLATIONS, LocalRecorder, Measured, SetIndex, with_recorder_and_slots, with_slots,
};
use std::mem;
use std::ptr;

/// Calls whose duration is not simply counted, or that measure more.
const RARE: Flags = Flags::STREAM
    .with(Flags::UNTIMED)
    .with(Flags::TRACED)
    .with(Flags::SIZES);

impl Call {
    /// Ends the call with its last messages and bytes.
    #[inline]
    pub(crate) fn end(self, messages: u64, bytes: u64) {
        self.count_end(messages, bytes);
        mem::forget(self);
    }

    #[inline]
    fn count_end(&self, messages: u64, bytes: u64) {
        let slot = self.slot;
        let ended = with_recorder_and_slots(slot.key(), move |local, free| {
            // The short way of most calls, in few registers. (90 instructions of a call with constant labels.)
            if local.is_plain()
                && slot.flags() == Flags::COMPLETE_ON_DROP
                && slot.fault().is_none()
                && !answering::panicked(|| identity(slot))
            {
                local.end_plainly([messages, bytes], slot.began());
            } else {
                end_otherwise(slot, local, [messages, bytes]);
            }
            free.close(slot);
        });
        if ended.is_none() {
            with_slots(|free| free.close(slot));
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
        self.count_end(0, 0);
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
fn end_otherwise(slot: &OpenCall, local: &mut LocalRecorder, last: [u64; 2]) {
    if slot.head_set() == UNKNOWN {
        Call::find_no_head(slot, local);
    }
    let flags = slot.flags();
    if last != [0, 0] && flags.has(Call::MEASURES_RESPONSE) {
        let [_, bytes] = last;
        Call::measure_response(slot, local, bytes);
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
    let mut nanos = Some(local.shared().clock.nanos_since(slot.began()));
    if outcome != Outcome::COMPLETED {
        count_outcome(local, end, outcome);
    }
    if flags.has(RARE) {
        observe_rare(slot, local, end, nanos.take());
    }
    if local.needs().proof && is_proof(slot, outcome) {
        local.prove(slot.begin_set());
    }
    local.end([slot.begin_set(), slot.head_set(), end], last, nanos);
}

#[inline(never)]
fn end_set(slot: &OpenCall, local: &mut LocalRecorder, outcome: Outcome) -> SetIndex {
    let shared = local.lend();
    let mut values = Values::NONE;
    let schema = &shared.settings.schema;
    schema.of_end(
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
        local.block(set, Carrier::End).add(CANCELLATIONS, 1);
        return;
    };
    let Some(first) = local.shared().layout.errors_at else {
        return;
    };
    let declared = local.shared().settings.error_types.len();
    let place = match error_type {
        OTHER_INDEX => declared,
        _ if error_type < declared => error_type,
        _ => return local.count_undeclared(set, error_type),
    };
    local.block(set, Carrier::Errors).add(first + place, 1);
}

#[cold]
fn observe_rare(slot: &OpenCall, local: &mut LocalRecorder, set: SetIndex, nanos: Option<u64>) {
    let flags = slot.flags();
    let timed = match flags.has(Flags::STREAM) {
        true => Measured::StreamDuration,
        false => Measured::Duration,
    };
    if let Some(nanos) = nanos
        && !flags.has(Flags::UNTIMED)
    {
        local.observe(set, timed, nanos, slot.trace());
    }
    if flags.has(Flags::SIZES) {
        let (request, response) = slot.sizes();
        local.observe(set, Measured::RequestSize, request, None);
        local.observe(set, Measured::ResponseSize, response, None);
    }
}

/// Whether the server has what the call's labels name: it has answered, and not that it is unimplemented.
fn is_proof(slot: &OpenCall, outcome: Outcome) -> bool {
    match slot.code() {
        Some(code) => code != GrpcCode::Unimplemented as u8,
        None => outcome != Outcome::CANCELLED,
    }
}
