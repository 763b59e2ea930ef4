//! What a user's function hears of a call that has ended.

use crate::error_types::Outcome;
use crate::function::Function;
use crate::labels::{Carrier, Labels};
use crate::open_call::OpenCall;
use crate::recorder::{Lent, LocalRecorder, Series, SetIndex};
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::time::Duration;

/// A call that has ended. Given to the function of [`on_end`](crate::MetricsLayerBuilder::on_end).
pub struct EndedCall<'a> {
    ended: &'a Ended,
    constant: &'a Labels,
}

/// How a call has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallOutcome {
    /// The caller has taken the whole response.
    Completed,
    /// The caller went away before the end.
    Cancelled,
    /// The call has failed with this [error type](crate::ErrorType).
    Failed(&'static str),
}

/// Hears of each call that has ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OnEnd {
    pub(crate) hear: Hear,
    pub(crate) constant: Labels,
}

pub(crate) type Hear = Function<dyn Fn(&EndedCall<'_>) + Send + Sync>;

/// A call that has ended.
pub(crate) struct Ended {
    shared: Lent,
    /// Has the values of the labels. `None` if the recorder has been dropped.
    series: Option<Arc<Series>>,
    outcome: Outcome,
    nanos: u64,
    sizes: (u64, u64),
}

// === impl EndedCall ===

impl EndedCall<'_> {
    /// Returns how the call has ended.
    pub fn outcome(&self) -> CallOutcome {
        let Ended {
            shared, outcome, ..
        } = self.ended;
        match shared.error_types.failure(*outcome) {
            Some(error_type) => CallOutcome::Failed(error_type),
            None if *outcome == Outcome::CANCELLED => CallOutcome::Cancelled,
            None => CallOutcome::Completed,
        }
    }

    /// Returns the time from the beginning of the call to the end of its response.
    pub fn duration(&self) -> Duration {
        Duration::from_nanos(self.ended.nanos)
    }

    /// Returns the bytes of the request that the service had read by the end, up to a TiB.
    pub fn request_bytes(&self) -> u64 {
        self.ended.sizes.0
    }

    /// Returns the bytes of the response that the caller has taken.
    pub fn response_bytes(&self) -> u64 {
        self.ended.sizes.1
    }

    /// Returns the labels of `requests_total` for this call: the constant ones, then the others, each sorted by name.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        let Ended { shared, series, .. } = self.ended;
        let values = series.iter().flat_map(|series| series.values());
        let names = shared.settings.schema.names(Carrier::End);
        let of_call = names.zip(values.map(|value| &**value));
        self.constant.iter().chain(of_call)
    }
}

impl fmt::Debug for EndedCall<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndedCall")
            .field("labels", &self.labels().collect::<Vec<_>>())
            .field("outcome", &self.outcome())
            .field("duration", &self.duration())
            .field("request_bytes", &self.request_bytes())
            .field("response_bytes", &self.response_bytes())
            .finish()
    }
}

// === impl Ended ===

impl Ended {
    pub(crate) fn new(
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

    /// Tells the user's function, which must not run while the thread is borrowed.
    pub(crate) fn tell(&self) {
        if let Some(OnEnd { hear, constant }) = &self.shared.settings.on_end {
            let call = EndedCall {
                ended: self,
                constant,
            };
            // A panic must not reach the service: the call may end in a destructor.
            let _ = panic::catch_unwind(AssertUnwindSafe(|| hear(&call)));
        }
    }
}
