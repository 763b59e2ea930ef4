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

use crate::classify::{Classify, ErrorType};
use crate::labels::Label;
use crate::measured::{ByMeasured, Measured};
use crate::naming::Naming;
use crate::protocol::{Grpc, Http, Streaming, Unary};
use crate::registry::MetricsRegistry;
use crate::settings::Settings;
use std::any::Any;

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
#[derive(Clone, Debug, Default)]
struct Options {
    registry: Option<MetricsRegistry>,
    prefix: String,
    /// The presets that name the metrics, in order, by their setters.
    presets: Vec<(&'static str, Naming)>,
    /// Settings that need no conversion. [`build`] computes the others from the options below.
    settings: Settings,
    /// The times that are on.
    times: ByMeasured<bool>,
    /// In the order given. A histogram has the last ones for it.
    buckets: Vec<GivenBuckets>,
    native_histograms: bool,
    without_classic_histograms: bool,
    error_types: Vec<ErrorType>,
    classifier_error_types: &'static [ErrorType],
    labels: Vec<Label>,
    /// Labels that are there unless `labels` has the name.
    default_labels: Vec<Label>,
    cardinality_limit: Option<usize>,
    declared: Vec<Vec<(String, String)>>,
    traffic: Traffic,
}

/// The upper bounds that a setter was given for a histogram.
#[derive(Clone, Debug)]
struct GivenBuckets {
    measured: Measured,
    setter: &'static str,
    bounds: Vec<f64>,
}

/// What there is to read and to count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Traffic {
    /// Heads, and no messages to count.
    Http,
    /// Heads, and messages that may be counted: gRPC, or HTTP given to `protocol_builder`.
    Heads,
    /// Messages without heads.
    Messages,
    /// What a user's protocol says.
    #[default]
    Other,
}

// === impl MetricsLayerBuilder ===

impl<P> MetricsLayerBuilder<P> {
    pub(crate) fn new(protocol: P) -> Self
    where
        P: 'static,
    {
        let known: &dyn Any = &protocol;
        let traffic = match known {
            _ if known.is::<Http>() || known.is::<Grpc>() => Traffic::Heads,
            _ if known.is::<Unary>() || known.is::<Streaming>() => Traffic::Messages,
            _ => Traffic::Other,
        };
        let options = Options {
            traffic,
            ..Options::default()
        };
        Self { options, protocol }
    }

    /// For HTTP, which has no messages to count.
    pub(crate) fn http_traffic(mut self) -> Self {
        self.options.traffic = Traffic::Http;
        self
    }

    /// Sets the labels that are there unless a label of the same name is given.
    pub(crate) fn default_labels(mut self, labels: impl Into<Vec<Label>>) -> Self {
        self.options.default_labels = labels.into();
        self
    }

    /// Names the metrics by a convention. `setter` is the preset that does it.
    fn preset(mut self, setter: &'static str, naming: Naming) -> Self {
        self.options.presets.push((setter, naming));
        self
    }

    fn set_buckets(
        mut self,
        measured: Measured,
        setter: &'static str,
        bounds: impl IntoIterator<Item = f64>,
    ) -> Self {
        self.options.buckets.push(GivenBuckets {
            measured,
            setter,
            bounds: bounds.into_iter().collect(),
        });
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
    fn naming(&self) -> Naming {
        let last = self.presets.last();
        last.map(|(_, naming)| *naming).unwrap_or_default()
    }

    /// Whether the layer has a histogram of it.
    fn measures(&self, measured: Measured) -> bool {
        match measured {
            Measured::Duration => true,
            Measured::StreamDuration => {
                self.settings.stream_requests.is_some() || self.settings.stream_responses.is_some()
            }
            Measured::RequestSize | Measured::ResponseSize => {
                self.naming().is_open_telemetry_http()
            }
            time => self.times[time],
        }
    }

    /// Returns the buckets that were given for a histogram.
    fn given_buckets(&self, measured: Measured) -> Option<&GivenBuckets> {
        let mut given = self.buckets.iter().rev();
        given.find(|given| given.measured == measured)
    }
}
