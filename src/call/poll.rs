//! What is measured of each poll of a call, if anything is.

use super::call::Call;
use crate::flags::Flags;
use crate::open_call::OpenCall;
use crate::recorder::{Optional, with_recorder};
use bytes::Buf;

/// Measures the poll of a service or a body: its time, and the items in a frame.
// Without a destructor, and with the slot instead of the call, which can then stay in a register: 110 instructions a call where
// nothing is measured. A poll that panics is not measured.
#[must_use = "the poll is measured until `end`"]
pub(crate) struct MeasuredPoll(Option<&'static OpenCall>);

const MEASURED: Flags = Flags::POLLS.with(Flags::ITEMS_IN_FRAMES);

impl Call {
    /// Whether polls are timed.
    pub(crate) fn times_polls(&self) -> bool {
        self.slot.flags().has(Flags::POLLS)
    }
}

impl MeasuredPoll {
    pub(crate) const NONE: Self = Self(None);

    /// The poll begins.
    #[inline]
    pub(crate) fn begin(call: &Option<Call>) -> Self {
        let slot = call.as_ref().map(|call| call.slot);
        let measured = slot.filter(|slot| slot.flags().has(MEASURED));
        if let Some(slot) = measured {
            begin(slot);
        }
        Self(measured)
    }

    /// The poll has returned. Comes before the call can end.
    #[inline]
    pub(crate) fn end(self) {
        if let Self(Some(slot)) = self {
            end(slot);
        }
    }

    /// As [`end`](Self::end), with a frame of the response.
    #[inline]
    pub(crate) fn end_with(self, frame: &impl Buf) {
        if let Self(Some(slot)) = self {
            end_with(slot, frame.chunk());
        }
    }
}

#[cold]
fn begin(slot: &OpenCall) {
    if slot.flags().has(Flags::POLLS) {
        with_recorder(slot.key(), |local| {
            slot.set_poll_began(local.clock().now());
        });
    }
}

#[cold]
fn end(slot: &OpenCall) {
    if slot.flags().has(Flags::POLLS) {
        with_recorder(slot.key(), |local| {
            let nanos = local.clock().nanos_since(slot.poll_began());
            slot.add_polled(nanos);
            if nanos >= local.needs().slow_polls
                && let Some((block, at)) = local.optional(slot.begin_set(), Optional::SlowPolls)
            {
                block.add(at, 1);
            }
        });
    }
}

#[cold]
fn end_with(slot: &OpenCall, frame: &[u8]) {
    end(slot);
    if slot.flags().has(Flags::ITEMS_IN_FRAMES) {
        let shared = with_recorder(slot.key(), |local| local.lend());
        if let Some(shared) = shared
            && let Some(count) = &shared.settings.items_in_frames
        {
            // The user's function runs while nothing is borrowed.
            let items = (**count)(frame);
            with_recorder(slot.key(), |local| Call::measure_items(slot, local, items));
        }
    }
}
