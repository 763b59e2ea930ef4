//! What a user's function is told of a call that has ended.

use crate::classify::ErrorType;
use crate::function::Function;
use crate::labels::{Carrier, Labels, Schema};
use std::fmt;
use std::time::Duration;

/// A call that has ended. Given to the function of [`on_end`](crate::MetricsLayerBuilder::on_end).
pub struct EndedCall<'a> {
    pub(crate) outcome: CallOutcome,
    pub(crate) duration: Duration,
    pub(crate) request_bytes: u64,
    pub(crate) response_bytes: u64,
    pub(crate) constant: &'a Labels,
    pub(crate) schema: &'a Schema,
    /// The values of the labels that are read from calls.
    pub(crate) values: &'a [Box<str>],
}

/// How a call has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallOutcome {
    /// The caller has taken the whole response.
    Completed,
    /// The caller went away before the end.
    Cancelled,
    /// The call has failed.
    Failed(ErrorType),
}

/// Hears of each call that has ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OnEnd {
    pub(crate) hear: Hear,
    pub(crate) constant: Labels,
}

pub(crate) type Hear = Function<dyn Fn(&EndedCall<'_>) + Send + Sync>;

// === impl EndedCall ===

impl EndedCall<'_> {
    /// Returns how the call has ended.
    pub fn outcome(&self) -> CallOutcome {
        self.outcome
    }

    /// Returns the time from the beginning of the call to the end of its response.
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// Returns the bytes of the request that the service had read by the end, up to a TiB.
    pub fn request_bytes(&self) -> u64 {
        self.request_bytes
    }

    /// Returns the bytes of the response that the caller has taken.
    pub fn response_bytes(&self) -> u64 {
        self.response_bytes
    }

    /// Returns the labels of `requests_total` for this call: the constant ones, then the others, each sorted by name.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        let names = self.schema.names(Carrier::End);
        let of_call = names.zip(self.values.iter().map(|value| &**value));
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
