//! Hearing of a panic while a protocol of a user's own holds the call.

use std::cell::Cell;
use std::thread;

/// Stands on the stack while [`Answer`](crate::protocol::Answer) runs, which takes the call away: where it panics, the call
/// is dropped before anyone outside could tell it so, and asks [`panicked`] instead.
///
/// That answers for the one call that is being answered, on its own thread, and for panics that began meanwhile: to be dropped while
/// the code of others unwinds is no panic of this call.
#[must_use = "the answer is given while it stands"]
pub(crate) struct Answering {
    before: Option<Identity>,
}

/// Tells a call from all others that are open: where its slot is in memory.
pub(crate) type Identity = usize;

thread_local! {
    static ANSWERING: Cell<Option<Identity>> = const { Cell::new(None) };
}

// === impl Answering ===

impl Answering {
    pub(crate) fn of(call: Identity) -> Self {
        let now = (!thread::panicking()).then_some(call);
        Self {
            before: ANSWERING.replace(now),
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        ANSWERING.set(self.before);
    }
}

/// Whether the code that answers for this call is being unwound.
#[inline]
pub(crate) fn panicked(call: impl FnOnce() -> Identity) -> bool {
    thread::panicking() && ANSWERING.get() == Some(call())
}
