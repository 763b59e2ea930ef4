//! Settings for a layer.
//!
//! [`all_protocols`] has the settings of every layer, [`measuring`] those that add metrics, [`one_protocol`] those of one
//! protocol, and [`open_telemetry`] the presets for OpenTelemetry's conventions. [`build`] [checks](check) them, fills in the
//! defaults, and builds the layer.

mod all_protocols;
#[cfg(feature = "axum-route")]
mod axum;
mod build;
mod check;
mod measuring;
#[cfg(not(feature = "axum-route"))]
mod no_axum;
mod one_protocol;
mod open_telemetry;
mod timings;

use self::timings::Timings;
use crate::classify::{Classify, ErrorType};
use crate::clock::Clock;
use crate::ended::Hear;
use crate::labels::Label;
use crate::naming::Naming;
use crate::protocol::Http;
use crate::registry::MetricsRegistry;
use crate::settings::{Filter, IsStream, ItemsInFrames, MessageFilter, Traces};
use std::time::Duration;

/// Settings for a [`MetricsLayer`](crate::MetricsLayer).
///
/// [`MetricsLayer::builder`](crate::MetricsLayer::builder) and the other `…_builder` functions return one.
#[derive(Clone, Debug)]
#[must_use = "builders do nothing unless built by `build`"]
pub struct MetricsLayerBuilder<P = Http> {
    options: Options,
    protocol: P,
}

/// The settings of all protocols, as they were given.
#[derive(Clone, Debug)]
struct Options {
    registry: Option<MetricsRegistry>,
    naming: Naming,
    /// The setters that set `naming`, in order.
    naming_setters: Vec<&'static str>,
    body_size_buckets: Option<Vec<u64>>,
    request_body_size_buckets: Option<Vec<u64>>,
    response_body_size_buckets: Option<Vec<u64>>,
    prefix: String,
    buckets: Option<Vec<f64>>,
    timings: Timings,
    items: bool,
    items_in_frames: Option<ItemsInFrames>,
    oldest: bool,
    longest: bool,
    slow_polls: Option<Duration>,
    on_end: Option<Hear>,
    messages: bool,
    error_types: Vec<ErrorType>,
    classifier_error_types: &'static [ErrorType],
    labels: Vec<Label>,
    /// Labels that are there unless `labels` has the name.
    default_labels: Vec<Label>,
    cardinality_limit: Option<usize>,
    series_idle_timeout: Option<Duration>,
    declared: Vec<Vec<(String, String)>>,
    filter: Option<Filter>,
    filter_messages: Option<MessageFilter>,
    streams: Option<IsStream>,
    stream_requests: Option<Filter>,
    stream_buckets: Option<Vec<f64>>,
    exemplars: Option<Traces>,
    native_histograms: bool,
    classic_histograms: bool,
    clock: Clock,
    /// Whether requests may have heads.
    has_heads: bool,
    /// Whether calls may begin with a message.
    has_messages: bool,
    /// Whether there may be messages to count.
    counts_messages: bool,
}

// === impl MetricsLayerBuilder ===

impl<P> MetricsLayerBuilder<P> {
    pub(crate) fn new(protocol: P) -> Self {
        Self {
            options: Options::default(),
            protocol,
        }
    }

    /// Sets the labels that are there unless a label of the same name is given.
    pub(crate) fn default_labels(mut self, labels: impl Into<Vec<Label>>) -> Self {
        self.options.default_labels = labels.into();
        self
    }

    /// For protocols whose requests and responses have no heads.
    pub(crate) fn without_heads(mut self) -> Self {
        self.options.has_heads = false;
        self
    }

    /// For protocols without messages to count.
    pub(crate) fn without_message_counts(mut self) -> Self {
        self.options.counts_messages = false;
        self
    }

    /// For protocols whose requests are HTTP.
    pub(crate) fn without_messages(mut self) -> Self {
        self.options.has_messages = false;
        self
    }

    /// Shows the classifier's error types from the start.
    fn classified_by(mut self, classifier: &impl Classify) -> Self {
        self.options.classifier_error_types = classifier.error_types();
        self
    }

    fn map_protocol<Q>(self, map: impl FnOnce(P) -> Q) -> MetricsLayerBuilder<Q> {
        let Self { options, protocol } = self;
        MetricsLayerBuilder {
            options,
            protocol: map(protocol),
        }
    }
}

// === impl Options ===

impl Options {
    /// Sets the naming, and remembers the setter for errors.
    fn set_naming(&mut self, setter: &'static str, naming: Naming) {
        self.naming = naming;
        self.naming_setters.push(setter);
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            registry: None,
            naming: Naming::Own,
            naming_setters: Vec::new(),
            body_size_buckets: None,
            request_body_size_buckets: None,
            response_body_size_buckets: None,
            prefix: String::new(),
            buckets: None,
            timings: Timings::default(),
            items: false,
            items_in_frames: None,
            oldest: false,
            longest: false,
            slow_polls: None,
            on_end: None,
            messages: false,
            error_types: Vec::new(),
            classifier_error_types: &[],
            labels: Vec::new(),
            default_labels: Vec::new(),
            cardinality_limit: None,
            series_idle_timeout: None,
            declared: Vec::new(),
            filter: None,
            filter_messages: None,
            streams: None,
            stream_requests: None,
            stream_buckets: None,
            exemplars: None,
            native_histograms: false,
            classic_histograms: true,
            clock: Clock::real(),
            has_heads: true,
            has_messages: true,
            counts_messages: true,
        }
    }
}
