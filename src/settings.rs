//! What a layer is set to record.

use crate::buckets::Buckets;
use crate::classify::{ErrorType, Head};
use crate::clock::Clock;
use crate::error_types::DeclaredTypes;
use crate::flags::Flags;
use crate::function::Function;
use crate::labels::{Declared, Moment, RequestHead, Schema};
use crate::naming::Naming;
use crate::trace::TraceContext;
use std::any::Any;
use std::time::Duration;

/// What a layer is set to record.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    /// Names the metrics on the page.
    pub(crate) naming: Naming,
    pub(crate) clock: Clock,
    pub(crate) buckets: Buckets,
    /// Buckets of `response_head_seconds`. `None` leaves the metric out.
    pub(crate) response_head: Option<Buckets>,
    /// Buckets of `first_byte_seconds`. `None` leaves the metric out.
    pub(crate) first_byte: Option<Buckets>,
    pub(crate) messages: bool,
    /// Error types that are on the page from the start.
    pub(crate) error_types: DeclaredTypes,
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
    /// Selects the calls whose duration counts as that of a stream.
    pub(crate) streams: Option<Streams>,
    /// Finds the trace of a call.
    pub(crate) exemplars: Option<Traces>,
    /// Buckets of the sizes of requests' and of responses' bodies. `None` measures no sizes.
    pub(crate) sizes: Option<[Buckets; 2]>,
}

/// Selects calls by the heads of their requests.
pub(crate) type Filter = Function<dyn Fn(&RequestHead<'_>) -> bool + Send + Sync>;

/// Selects calls by the messages that they begin with.
pub(crate) type MessageFilter = Function<dyn Fn(&dyn Any) -> bool + Send + Sync>;

/// Finds the trace of a call in the head of its request.
pub(crate) type Traces = Function<dyn Fn(&RequestHead<'_>) -> Option<TraceContext> + Send + Sync>;

/// Selects streams by the heads of their responses.
pub(crate) type IsStream = Function<dyn Fn(&Head<'_>) -> bool + Send + Sync>;

/// Calls that stay open by intent. Their durations have a histogram of their own.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Streams {
    pub(crate) of_requests: Option<Filter>,
    pub(crate) of_responses: Option<IsStream>,
    pub(crate) buckets: Buckets,
}

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
    /// The flags that each call begins with.
    pub(crate) flags: Flags,
}

/// The default cardinality limit.
pub(crate) const CARDINALITY_LIMIT: usize = 2_000;

// === impl Settings ===

impl Default for Settings {
    fn default() -> Self {
        Self {
            naming: Naming::Own,
            clock: Clock::real(),
            buckets: Buckets::default(),
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
    /// Whether the request opens a stream.
    pub(crate) fn is_requested(&self, head: &RequestHead<'_>) -> bool {
        self.of_requests.as_ref().is_some_and(|of| (**of)(head))
    }

    /// Whether the response is a stream.
    pub(crate) fn is_answered(&self, head: &Head<'_>) -> bool {
        self.of_responses.as_ref().is_some_and(|of| (**of)(head))
    }
}

// === impl Needs ===

impl Needs {
    pub(crate) fn of(settings: &Settings) -> Self {
        let Settings {
            schema,
            filter,
            filter_messages,
            streams,
            exemplars,
            sizes,
            response_head,
            first_byte,
            series_idle_timeout,
            ..
        } = settings;
        let labels = !schema.is_empty();
        let of_requests = streams.as_ref().is_some_and(|of| of.of_requests.is_some());
        let of_responses = streams.as_ref().is_some_and(|of| of.of_responses.is_some());
        let head_labels = schema.asks(Moment::Head);
        let proof = schema.has_to_be_proven();
        let filters = filter.is_some() || filter_messages.is_some();
        let functions = filters || exemplars.is_some() || of_requests;
        Self {
            request: labels || sizes.is_some() || functions,
            labels,
            head_labels,
            uses: series_idle_timeout.is_some() || proof,
            proof,
            flags: Flags::NONE
                .with_if(
                    response_head.is_some() || of_responses || head_labels,
                    Flags::HEAD,
                )
                .with_if(first_byte.is_some(), Flags::FIRST_BYTE)
                .with_if(sizes.is_some(), Flags::SIZES)
                .with_if(schema.asks(Moment::End), Flags::END_LABELS),
        }
    }
}
