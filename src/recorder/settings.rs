//! What a layer is set to record, and whom it asks.

use super::errors::DeclaredTypes;
use super::histogram::Bounds;
use crate::classify::{ErrorType, Head};
use crate::clock::Clock;
use crate::labels::{Declared, RequestHead, Schema};
use crate::open_telemetry::Naming;
use crate::trace::TraceContext;
use std::fmt;
use std::sync::Arc;

/// What a layer is set to record.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    /// For those who show what is recorded.
    pub(crate) naming: Naming,
    pub(crate) clock: Clock,
    pub(crate) buckets: Bounds,
    pub(crate) response_head: bool,
    pub(crate) first_byte: bool,
    pub(crate) messages: bool,
    /// Those that stand at 0 from the start.
    pub(crate) error_types: DeclaredTypes,
    pub(crate) schema: Schema,
    /// How many label sets there may be.
    pub(crate) label_sets: usize,
    /// Those that stand on the page from the start.
    pub(crate) declared: Vec<Declared>,
    /// Which calls are measured; all, if there is none.
    pub(crate) filter: Option<Filter>,
    /// The calls whose duration is told apart.
    pub(crate) streams: Option<Streams>,
    /// Which trace a call belongs to.
    pub(crate) exemplars: Option<Traces>,
    /// The buckets of the sizes of bodies, where calls keep count of them.
    pub(crate) sizes: Option<Bounds>,
}

/// Says which calls are measured, by the heads of their requests.
#[derive(Clone)]
pub(crate) struct Filter(pub(crate) Arc<IsMeasured>);

type IsMeasured = dyn Fn(&RequestHead<'_>) -> bool + Send + Sync;

/// Says which trace a call belongs to, by the head of its request.
#[derive(Clone)]
pub(crate) struct Traces(pub(crate) Arc<TraceOf>);

type TraceOf = dyn Fn(&RequestHead<'_>) -> Option<TraceContext> + Send + Sync;

/// Says which calls last long by intent, by the heads of their responses.
#[derive(Clone)]
pub(crate) struct Streams {
    pub(crate) is_stream: Arc<IsStream>,
    pub(crate) buckets: Bounds,
}

type IsStream = dyn Fn(&Head<'_>) -> bool + Send + Sync;

/// How many label sets a layer may have, unless told otherwise.
pub(crate) const LABEL_SETS: usize = 2_000;

// === impl Settings ===

impl Default for Settings {
    fn default() -> Self {
        Self {
            naming: Naming::Own,
            clock: Clock::real(),
            buckets: Bounds::default(),
            response_head: false,
            first_byte: false,
            messages: false,
            error_types: DeclaredTypes::new(&ErrorType::BUILT_IN),
            schema: Schema::default(),
            label_sets: LABEL_SETS,
            declared: Vec::new(),
            filter: None,
            streams: None,
            exemplars: None,
            sizes: None,
        }
    }
}

impl Settings {
    /// Whether requests have to be looked at for something else than labels.
    #[inline]
    pub(crate) fn asks_requests(&self) -> bool {
        self.filter.is_some() || self.exemplars.is_some()
    }
}

// === impl Filter, Traces, Streams ===

impl PartialEq for Filter {
    /// Closures are the same if they are clones of one.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filter").finish_non_exhaustive()
    }
}

impl PartialEq for Traces {
    /// Closures are the same if they are clones of one.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traces").finish_non_exhaustive()
    }
}

impl PartialEq for Streams {
    /// Closures are the same if they are clones of one.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.is_stream, &other.is_stream) && self.buckets == other.buckets
    }
}

impl fmt::Debug for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streams")
            .field("buckets", &self.buckets)
            .finish_non_exhaustive()
    }
}
