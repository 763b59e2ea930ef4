//! Times how long a service waits before it takes a call.

use crate::flags::Flags;
use crate::measured::Measured;
use crate::open_call::OpenCall;
use crate::recorder::{
    Key, LocalRecorder, Optional, ROOT, WAITS_BEGUN, WAITS_ENDED, WAITS_GIVEN_UP,
    with_recorder_and_slots, with_slots,
};
use std::fmt;

/// A service that is not ready: from its first `poll_ready` that is pending to its next call. Dropped without a call, the
/// wait has been given up.
// In a slot as calls are, so that services grow by one word.
pub(crate) struct Wait(&'static OpenCall);

// === impl Wait ===

impl Wait {
    /// Begins a wait, if the layer times waits.
    #[cold]
    pub(crate) fn begin(key: Key) -> Option<Self> {
        let begun = with_recorder_and_slots(key, |local, free| {
            local.needs().ready.then(|| {
                add(local, WAITS_BEGUN);
                let now = local.clock().now();
                free.open(key, [ROOT; 2], now, Flags::NONE)
            })
        });
        begun.flatten().map(Self)
    }

    /// Ends a wait with a call.
    pub(crate) fn end(self) {
        self.count_end(false);
        std::mem::forget(self);
    }

    fn count_end(&self, is_given_up: bool) {
        let Self(slot) = *self;
        let counted = with_recorder_and_slots(slot.key(), |local, free| {
            let nanos = local.clock().nanos_since(slot.began());
            local.observe(ROOT, Measured::ReadyWait, nanos, None);
            if is_given_up {
                add(local, WAITS_GIVEN_UP);
            }
            // Last: a scrape that sees it sees all the rest.
            if let Some((block, at)) = local.optional(ROOT, Optional::Waits) {
                block.publish(at + WAITS_ENDED);
            }
            free.close(slot);
        });
        if counted.is_none() {
            with_slots(|free| free.close(slot));
        }
    }
}

fn add(local: &mut LocalRecorder, cell: usize) {
    if let Some((block, at)) = local.optional(ROOT, Optional::Waits) {
        block.add(at + cell, 1);
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.count_end(true);
    }
}

impl fmt::Debug for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Wait").finish()
    }
}
