//! Tells a call of a panic of a user's own protocol.

use std::cell::Cell;
use std::thread;

/// Stands on the stack while a user's [`Answer`](crate::protocol::Answer) runs.
///
/// `Answer` takes the call away. If it panics, the call is dropped before anything outside could tell it, so the call
/// asks [`panicked`] instead. That is true for the one call that is being answered, on its own thread, and for panics
/// that began meanwhile: a call that is dropped by another panic has not panicked.
#[must_use = "the answer is given while it stands"]
pub(crate) struct Answering {
    before: Option<Identity>,
}

/// Identifies an open call: the address of its slot.
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

/// Whether the answer to this call has panicked.
#[inline]
pub(crate) fn panicked(call: impl FnOnce() -> Identity) -> bool {
    thread::panicking() && ANSWERING.get() == Some(call())
}
