//! What comes before a call.

use crate::call::Call;
use crate::classify::ErrorType;
use crate::labels::{RequestHead, Values};
use crate::recorder::{BeginSet, Families, Settings};
use crate::trace::TraceContext;
use std::mem;

/// Stands on the stack while a user's functions look at a request whose call has not begun. If they
/// panic it is a call that has panicked, with no labels to it.
pub(crate) struct Beginning(&'static Families);

// === impl Beginning ===

impl Beginning {
    #[inline]
    pub(crate) fn of(families: &'static Families) -> Self {
        Self(families)
    }

    /// Where the call begins, and which trace it belongs to.
    #[inline]
    pub(crate) fn look_at(
        self,
        request: Option<RequestHead<'_>>,
    ) -> (&'static BeginSet, Option<TraceContext>) {
        let families = self.0;
        let Settings {
            schema,
            filter,
            exemplars,
            ..
        } = &families.settings;
        let is_out = |head| filter.as_ref().is_some_and(|filter| !(filter.0)(head));
        let mut values = Values::NONE;
        let found = match &request {
            Some(head) if is_out(head) => (families.left_out(), None),
            Some(head) => {
                let trace = exemplars.as_ref().and_then(|traces| (traces.0)(head));
                schema.of_request(head, &mut values);
                (families.begin_set(&values), trace)
            }
            None => {
                schema.of_no_request(&mut values);
                (families.begin_set(&values), None)
            }
        };
        mem::forget(self);
        found
    }
}

impl Drop for Beginning {
    fn drop(&mut self) {
        let Self(families) = *self;
        let mut values = Values::NONE;
        families.settings.schema.of_no_request(&mut values);
        let set = families.begin_set(&values);
        Call::labelled(set).fail(ErrorType::PANIC);
    }
}
