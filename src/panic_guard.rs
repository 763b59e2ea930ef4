//! Tells a call of a panic while foreign code runs.

use std::mem;
use std::ops::{Deref, DerefMut};

/// What a [`PanicGuard`] tells of a panic.
pub(crate) trait OnPanic {
    fn on_panic(&mut self);
}

/// Tells its target of a panic, if it is dropped before [`disarm`](Self::disarm).
///
/// Stands on the stack while foreign code runs on behalf of a call: a service, a body (its size hint too), a classifier.
/// An empty `Option` is told nothing.
///
/// `std::thread::panicking` in a destructor would be wrong both ways: an outer layer that catches the panic hides it, and
/// the panic of another call fakes it.
#[must_use = "the guarded code runs before `disarm`"]
pub(crate) struct PanicGuard<'a, T: OnPanic>(&'a mut T);

// === impl PanicGuard ===

impl<'a, T: OnPanic> PanicGuard<'a, T> {
    #[inline(always)]
    pub(crate) fn new(target: &'a mut T) -> Self {
        Self(target)
    }

    /// The code has run without a panic.
    // There is no function that takes a closure instead: its result would be copied on the way out.
    #[inline(always)]
    pub(crate) fn disarm(self) {
        mem::forget(self);
    }
}

impl<T: OnPanic> Deref for PanicGuard<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        self.0
    }
}

impl<T: OnPanic> DerefMut for PanicGuard<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        self.0
    }
}

impl<T: OnPanic> Drop for PanicGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.0.on_panic();
    }
}
