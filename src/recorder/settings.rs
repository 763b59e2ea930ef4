//! What a layer is set to record, and whom it asks.

use super::error_types::DeclaredTypes;
use super::histogram::Bounds;
use crate::classify::{ErrorType, Head};
use crate::clock::Clock;
use crate::function::Function;
use crate::labels::{Declared, RequestHead, Schema};
use crate::naming::Naming;
use crate::trace::TraceContext;
use std::any::Any;
use std::time::Duration;

/// What a layer is set to record.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    /// For those who show what is recorded.
    pub(crate) naming: Naming,
    pub(crate) clock: Clock,
    pub(crate) buckets: Bounds,
    /// The buckets of `response_head_seconds`, if it is on.
    pub(crate) response_head: Option<Bounds>,
    /// The buckets of `first_byte_seconds`, if it is on.
    pub(crate) first_byte: Option<Bounds>,
    pub(crate) messages: bool,
    /// Those that stand at 0 from the start.
    pub(crate) error_types: DeclaredTypes,
    pub(crate) schema: Schema,
    /// How many label sets there may be.
    pub(crate) cardinality_limit: usize,
    /// After how long without a call a label set leaves the page; never, if there is none.
    pub(crate) series_idle_timeout: Option<Duration>,
    /// Those that stand on the page from the start, and stay.
    pub(crate) declared: Vec<Declared>,
    /// Which calls are measured; all, if there is none.
    pub(crate) filter: Option<Filter>,
    /// As `filter`, by the messages that calls begin with.
    pub(crate) filter_messages: Option<MessageFilter>,
    /// The calls whose duration is told apart.
    pub(crate) streams: Option<Streams>,
    /// Which trace a call belongs to.
    pub(crate) exemplars: Option<Traces>,
    /// The buckets of the sizes of requests' and responses' bodies, where calls keep count of them.
    pub(crate) sizes: Option<[Bounds; 2]>,
}

/// Says which calls are measured, or last long by intent, by the heads of their requests.
pub(crate) type Filter = Function<dyn Fn(&RequestHead<'_>) -> bool + Send + Sync>;

/// Says which calls are measured, by the messages that they begin with.
pub(crate) type MessageFilter = Function<dyn Fn(&dyn Any) -> bool + Send + Sync>;

/// Says which trace a call belongs to, by the head of its request.
pub(crate) type Traces = Function<dyn Fn(&RequestHead<'_>) -> Option<TraceContext> + Send + Sync>;

/// Says which calls last long by intent, by the heads of their responses.
pub(crate) type IsStream = Function<dyn Fn(&Head<'_>) -> bool + Send + Sync>;

/// The calls whose duration is told apart.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Streams {
    pub(crate) of_requests: Option<Filter>,
    pub(crate) of_responses: Option<IsStream>,
    pub(crate) buckets: Bounds,
}

/// How many label sets a layer may have, unless told otherwise.
pub(crate) const CARDINALITY_LIMIT: usize = 2_000;

// === impl Settings ===

impl Default for Settings {
    fn default() -> Self {
        Self {
            naming: Naming::Own,
            clock: Clock::real(),
            buckets: Bounds::default(),
            response_head: None,
            first_byte: None,
            messages: false,
            error_types: DeclaredTypes::new(&ErrorType::BUILT_IN),
            schema: Schema::default(),
            cardinality_limit: CARDINALITY_LIMIT,
            series_idle_timeout: None,
            declared: Vec::new(),
            filter: None,
            filter_messages: None,
            streams: None,
            exemplars: None,
            sizes: None,
        }
    }
}

// === impl Streams ===

impl Streams {
    /// Whether the request asks for one.
    pub(crate) fn is_requested(&self, head: &RequestHead<'_>) -> bool {
        self.of_requests.as_ref().is_some_and(|of| (**of)(head))
    }

    /// Whether the response is one.
    pub(crate) fn is_answered(&self, head: &Head<'_>) -> bool {
        self.of_responses.as_ref().is_some_and(|of| (**of)(head))
    }
}
