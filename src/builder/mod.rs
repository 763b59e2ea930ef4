//! Settings for a layer.
//!
//! [`all_protocols`] has those that every layer has, [`one_protocol`] those of some, and [`build`] what comes of
//! them: checked, and with what nobody has said filled in.

mod all_protocols;
mod build;
mod one_protocol;

use crate::classify::{Classify, ErrorType};
use crate::clock::Clock;
use crate::labels::Label;
use crate::open_telemetry::Naming;
use crate::protocol::Http;
use crate::registry::MetricsRegistry;
use crate::settings::{Filter, IsStream, Traces};
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
    body_size_buckets: Option<Vec<u64>>,
    prefix: String,
    buckets: Option<Vec<f64>>,
    response_head_seconds: bool,
    first_byte_seconds: bool,
    messages: bool,
    error_types: Vec<ErrorType>,
    classifier_error_types: &'static [ErrorType],
    labels: Vec<Label>,
    /// Those that there are unless others have their names.
    default_labels: Vec<Label>,
    label_sets: Option<usize>,
    label_idle: Option<Duration>,
    declared: Vec<Vec<(String, String)>>,
    filter: Option<Filter>,
    streams: Option<IsStream>,
    stream_requests: Option<Filter>,
    stream_buckets: Option<Vec<f64>>,
    exemplars: Option<Traces>,
    native_histograms: bool,
    classic_histograms: bool,
    clock: Clock,
    /// Whether requests have, or may have, heads to look at.
    has_heads: bool,
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

impl Default for Given {
    fn default() -> Self {
        Self {
            registry: None,
            naming: Naming::Own,
            body_size_buckets: None,
            prefix: String::new(),
            buckets: None,
            response_head_seconds: false,
            first_byte_seconds: false,
            messages: false,
            error_types: Vec::new(),
            classifier_error_types: &[],
            labels: Vec::new(),
            default_labels: Vec::new(),
            label_sets: None,
            label_idle: None,
            declared: Vec::new(),
            filter: None,
            streams: None,
            stream_requests: None,
            stream_buckets: None,
            exemplars: None,
            native_histograms: false,
            classic_histograms: true,
            clock: Clock::real(),
            has_heads: true,
        }
    }
}
