//! What a layer is set to record.

use crate::buckets::Buckets;
use crate::classify::{ErrorType, Head};
use crate::clock::Clock;
use crate::ended::OnEnd;
use crate::flags::Flags;
use crate::function::Function;
use crate::labels::{Declared, Moment, RequestHead, Schema};
use crate::measured::{ByMeasured, Measured};
use crate::trace::TraceContext;
use std::any::Any;
use std::time::Duration;

/// What a layer is set to record.
///
/// By default nothing that is optional, without labels and declared error types. A builder also sets the cardinality limit and
/// whether there are `errors`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Settings {
    pub(crate) clock: Clock,
    /// Buckets of the durations, which every layer has.
    pub(crate) duration: Buckets,
    /// Buckets of all other histograms.
    pub(crate) histograms: ByMeasured<Option<Buckets>>,
    pub(crate) messages: bool,
    /// Whether to count the items of responses.
    pub(crate) items: bool,
    /// Counts the items in a frame of a response's body. `None` takes each message for an item.
    pub(crate) items_in_frames: Option<ItemsInFrames>,
    /// Whether to show the age of the oldest call in flight.
    pub(crate) oldest: bool,
    /// Whether to show the duration of the longest call that has ended lately.
    pub(crate) longest: bool,
    /// Polls that take at least this time are slow. `None` counts none.
    pub(crate) slow_polls: Option<Duration>,
    /// Hears of each call that has ended.
    pub(crate) on_end: Option<OnEnd>,
    /// Whether to count failures by error type. Without it, a label of the durations has the error type.
    pub(crate) errors: bool,
    /// Error types that are counted from the start.
    pub(crate) error_types: Vec<ErrorType>,
    pub(crate) schema: Schema,
    /// The cardinality limit: how many label sets each moment may have.
    pub(crate) cardinality_limit: usize,
    /// How long a label set stays on the page without a call. `None` keeps it forever.
    pub(crate) series_idle_timeout: Option<Duration>,
    /// Label sets that are on the page from the start and never leave.
    pub(crate) declared: Vec<Declared>,
    /// Selects the calls to measure. `None` measures all.
    pub(crate) filter: Option<Filter>,
    /// Selects the calls to measure by their first messages. `None` measures all.
    pub(crate) filter_messages: Option<MessageFilter>,
    /// Selects calls that stay open on purpose, by their requests. Their durations have a histogram of their own.
    pub(crate) stream_requests: Option<Filter>,
    /// The same, by their responses.
    pub(crate) stream_responses: Option<IsStream>,
    /// Finds the trace of a call.
    pub(crate) exemplars: Option<Traces>,
}

/// Selects calls by the heads of their requests.
pub(crate) type Filter = Function<dyn Fn(&RequestHead<'_>) -> bool + Send + Sync>;

/// Selects calls by the messages that they begin with.
pub(crate) type MessageFilter = Function<dyn Fn(&dyn Any) -> bool + Send + Sync>;

/// Finds the trace of a call in the head of its request.
pub(crate) type Traces = Function<dyn Fn(&RequestHead<'_>) -> Option<TraceContext> + Send + Sync>;

/// Selects streams by the heads of their responses.
pub(crate) type IsStream = Function<dyn Fn(&Head<'_>) -> bool + Send + Sync>;

/// Counts the items in a frame.
pub(crate) type ItemsInFrames = Function<dyn Fn(&[u8]) -> u64 + Send + Sync>;

/// What calls need beyond counting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Needs {
    /// Users' functions read the request before the call begins.
    pub(crate) request: bool,
    /// There are labels, at any moment.
    pub(crate) labels: bool,
    /// Responses have labels.
    pub(crate) head_labels: bool,
    /// Label sets can leave, so that calls say which ones they use.
    pub(crate) uses: bool,
    /// Label sets of requests are unproven until a call has ended.
    pub(crate) proof: bool,
    /// The service may wait before it takes a call, and that is timed.
    pub(crate) ready: bool,
    /// The flags that each call begins with.
    pub(crate) flags: Flags,
    /// Polls that take at least so many nanoseconds are slow.
    pub(crate) slow_polls: u64,
}

/// The default cardinality limit.
pub(crate) const CARDINALITY_LIMIT: usize = 2_000;

// === impl Settings ===

impl Settings {
    /// The buckets of a histogram. `None` leaves the metric out.
    pub(crate) fn buckets(&self, measured: Measured) -> Option<&Buckets> {
        match measured {
            Measured::Duration => Some(&self.duration),
            measured => self.histograms[measured].as_ref(),
        }
    }
}

// === impl Needs ===

impl Needs {
    pub(crate) fn of(settings: &Settings) -> Self {
        let schema = &settings.schema;
        let has = |measured| settings.histograms.has(measured);
        let labels = !schema.is_empty();
        let head_labels = schema.asks(Moment::Head);
        let proof = schema.has_to_be_proven();
        let ready = has(Measured::ReadyWait);
        let sizes = has(Measured::RequestSize) || settings.on_end.is_some();
        let polls = has(Measured::HandlerPoll) || settings.slow_polls.is_some();
        let reads_request = settings.filter.is_some()
            || settings.filter_messages.is_some()
            || settings.exemplars.is_some()
            || settings.stream_requests.is_some()
            || has(Measured::QueueWait);
        let items = settings.items
            || has(Measured::FirstItem)
            || has(Measured::ItemGap)
            || has(Measured::TimePerItem);
        let in_frames = settings.items_in_frames.is_some();
        let head =
            has(Measured::ResponseHead) || settings.stream_responses.is_some() || head_labels;
        let slow_polls = settings.slow_polls.map(|bound| bound.as_nanos());
        Self {
            request: labels || sizes || reads_request || ready || polls,
            labels,
            head_labels,
            uses: settings.series_idle_timeout.is_some() || proof,
            proof,
            ready,
            slow_polls: slow_polls.map_or(u64::MAX, |bound| bound.try_into().unwrap_or(u64::MAX)),
            flags: Flags::NONE
                .with_if(head, Flags::HEAD)
                .with_if(has(Measured::FirstByte), Flags::FIRST_BYTE)
                .with_if(sizes, Flags::SIZES)
                .with_if(schema.asks(Moment::End), Flags::END_LABELS)
                .with_if(items && !in_frames, Flags::ITEMS)
                .with_if(items && in_frames, Flags::ITEMS_IN_FRAMES)
                .with_if(polls, Flags::POLLS)
                .with_if(settings.oldest, Flags::AGE)
                .with_if(settings.longest, Flags::LONGEST)
                .with_if(settings.on_end.is_some(), Flags::ON_END),
        }
    }
}
