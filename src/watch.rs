//! Hearing of a panic while the code of others runs.

use std::mem;
use std::ops::{Deref, DerefMut};

/// Who is to hear of it when the stack is unwound.
pub(crate) trait Unwound {
    fn unwound(&mut self);
}

/// Stands on the stack while the code of others runs on behalf of a call, which hears of it if
/// that panics: a service, a body (what it says of itself too), a classifier.
///
/// It is told that all went well by [`done`](Watch::done), or has nobody left to tell: of an `Option` that
/// has been emptied nobody hears.
///
/// Asking `std::thread::panicking` in a destructor instead would be wrong both
/// ways: a layer outside that catches the panic hides it, and another call's panic fakes it.
#[must_use = "the code that is watched runs before `done`"]
pub(crate) struct Watch<'a, T: Unwound>(&'a mut T);

// === impl Watch ===

impl<'a, T: Unwound> Watch<'a, T> {
    #[inline(always)]
    pub(crate) fn over(target: &'a mut T) -> Self {
        Self(target)
    }

    /// The code has run.
    // Not a function that takes a closure: what that returns would be copied on its way out.
    #[inline(always)]
    pub(crate) fn done(self) {
        mem::forget(self);
    }
}

impl<T: Unwound> Deref for Watch<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        self.0
    }
}

impl<T: Unwound> DerefMut for Watch<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        self.0
    }
}

impl<T: Unwound> Drop for Watch<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.0.unwound();
    }
}
