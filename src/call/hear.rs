//! Tells a user's function of a call that has ended.

use crate::ended::{CallOutcome, EndedCall, OnEnd};
use crate::error_types::Outcome;
use crate::labels::Carrier;
use crate::open_call::OpenCall;
use crate::recorder::{Lent, LocalRecorder, Series, SetIndex};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::time::Duration;

/// What a user's function is told, once nothing is borrowed any more.
pub(super) struct Ended {
    shared: Lent,
    /// Has the values of the labels. `None` if the recorder has been dropped.
    series: Option<Arc<Series>>,
    outcome: Outcome,
    nanos: u64,
    sizes: (u64, u64),
}

// === impl Ended ===

impl Ended {
    pub(super) fn new(
        slot: &OpenCall,
        local: &mut LocalRecorder,
        end: SetIndex,
        outcome: Outcome,
        nanos: u64,
    ) -> Self {
        Self {
            series: local.series_of(end, Carrier::End),
            shared: local.lend(),
            outcome,
            nanos,
            sizes: slot.sizes(),
        }
    }

    pub(super) fn tell(&self) {
        let settings = &self.shared.settings;
        let Some(OnEnd { hear, constant }) = &settings.on_end else {
            return;
        };
        let outcome = match self.shared.error_types.failed(self.outcome) {
            Some(error_type) => CallOutcome::Failed(error_type),
            None if self.outcome == Outcome::CANCELLED => CallOutcome::Cancelled,
            None => CallOutcome::Completed,
        };
        let (request_bytes, response_bytes) = self.sizes;
        let call = EndedCall {
            outcome,
            duration: Duration::from_nanos(self.nanos),
            request_bytes,
            response_bytes,
            constant,
            schema: &settings.schema,
            values: self.series.as_ref().map_or(&[], |series| series.values()),
        };
        // A panic must not reach the service: the call may end in a destructor.
        let _ = panic::catch_unwind(AssertUnwindSafe(|| hear(&call)));
    }
}
