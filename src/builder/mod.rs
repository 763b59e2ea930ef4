//! Settings for a layer.
//!
//! [`all_protocols`] has those that every layer has, [`one_protocol`] those of some, and [`build`] what comes of
//! them: [checked](check), and with what nobody has said filled in.

mod all_protocols;
#[cfg(feature = "axum-route")]
mod axum;
mod build;
mod check;
#[cfg(not(feature = "axum-route"))]
mod no_axum;
mod one_protocol;

use crate::classify::{Classify, ErrorType};
use crate::clock::Clock;
use crate::labels::Label;
use crate::naming::Naming;
use crate::protocol::Http;
use crate::registry::MetricsRegistry;
use crate::settings::{Filter, IsStream, MessageFilter, Traces};
use std::time::Duration;

/// Settings for a [`MetricsLayer`](crate::MetricsLayer). Made by
/// [`MetricsLayer::builder`](crate::MetricsLayer::builder) and its like.
#[derive(Clone, Debug)]
#[must_use = "nothing is built before `build`"]
pub struct MetricsLayerBuilder<P = Http> {
    given: Given,
    protocol: P,
}

/// What was said so far, whatever the protocol.
#[derive(Clone, Debug)]
struct Given {
    registry: Option<MetricsRegistry>,
    naming: Naming,
    /// The settings that gave names, in order.
    named_by: Vec<&'static str>,
    body_size_buckets: Option<Vec<u64>>,
    request_body_size_buckets: Option<Vec<u64>>,
    response_body_size_buckets: Option<Vec<u64>>,
    prefix: String,
    buckets: Option<Vec<f64>>,
    response_head_seconds: bool,
    response_head_buckets: Option<Vec<f64>>,
    first_byte_seconds: bool,
    first_byte_buckets: Option<Vec<f64>>,
    messages: bool,
    error_types: Vec<ErrorType>,
    classifier_error_types: &'static [ErrorType],
    labels: Vec<Label>,
    /// Those that there are unless others have their names.
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
    /// Whether requests have, or may have, heads to look at.
    has_heads: bool,
    /// Whether calls begin, or may begin, with messages to look at.
    has_messages: bool,
    /// Whether there are, or may be, messages to count.
    counts_messages: bool,
}

// === impl MetricsLayerBuilder ===

impl<P> MetricsLayerBuilder<P> {
    pub(crate) fn new(protocol: P) -> Self {
        Self {
            given: Given::default(),
            protocol,
        }
    }

    /// Labels that are there unless a label of the same name is given.
    pub(crate) fn default_labels(mut self, labels: impl Into<Vec<Label>>) -> Self {
        self.given.default_labels = labels.into();
        self
    }

    /// Neither requests nor responses have heads.
    pub(crate) fn without_heads(mut self) -> Self {
        self.given.has_heads = false;
        self
    }

    /// Neither requests nor responses are made of messages that could be counted.
    pub(crate) fn without_message_counts(mut self) -> Self {
        self.given.counts_messages = false;
        self
    }

    /// Requests are HTTP's, and no messages.
    pub(crate) fn without_messages(mut self) -> Self {
        self.given.has_messages = false;
        self
    }

    /// What the classifier of the protocol names stands on the page from the start.
    fn classified_by(mut self, classifier: &impl Classify) -> Self {
        self.given.classifier_error_types = classifier.error_types();
        self
    }

    fn map_protocol<Q>(self, map: impl FnOnce(P) -> Q) -> MetricsLayerBuilder<Q> {
        let Self { given, protocol } = self;
        MetricsLayerBuilder {
            given,
            protocol: map(protocol),
        }
    }
}

// === impl Given ===

impl Given {
    /// The metrics are called by `naming`, as `setting` says.
    fn name(&mut self, setting: &'static str, naming: Naming) {
        self.naming = naming;
        self.named_by.push(setting);
    }
}

impl Default for Given {
    fn default() -> Self {
        Self {
            registry: None,
            naming: Naming::Own,
            named_by: Vec::new(),
            body_size_buckets: None,
            request_body_size_buckets: None,
            response_body_size_buckets: None,
            prefix: String::new(),
            buckets: None,
            response_head_seconds: false,
            response_head_buckets: None,
            first_byte_seconds: false,
            first_byte_buckets: None,
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
