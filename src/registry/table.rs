use super::automatic::ShownMetrics;
use super::label_names::{LabelNames, agree};
use super::source::FamilySource;
use crate::Error;
use crate::clock::WallTime;
use crate::escaping::is_plain_name;
use crate::labels::{Carrier, LabelText, Labels};
use crate::recorder::Recorder;
use crate::settings::Settings;
use std::collections::{BTreeMap, BTreeSet};
use std::iter;
use std::sync::Arc;

/// Everything that is registered, in the order of the page.
///
/// It is cheap to clone. Each page reads a clone, and a registration meanwhile copies the maps that it changes.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(super) uptime: FamilySource,
    /// The labels of all metrics in the registry.
    pub(crate) labels: Labels,
    /// By prefix.
    pub(crate) layers: Arc<BTreeMap<String, Layers>>,
    /// By the name of the family, and by the labels that the metric adds.
    pub(super) metrics: Arc<BTreeMap<String, Arc<BTreeMap<Labels, FamilySource>>>>,
    /// Collectors and registries, by the labels that they add.
    pub(super) collectors: Arc<BTreeMap<Labels, Vec<FamilySource>>>,
}

/// The layers with the same prefix.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layers {
    pub(crate) endpoints: BTreeMap<Labels, Arc<Endpoint>>,
    /// The labels of the layers that have the same label names.
    pub(super) by_label_names: BTreeMap<LabelNames, BTreeSet<Labels>>,
}

/// The part of a layer in a registry: its recorder and its labels.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// The prefixes of the registry, the layer and the naming together.
    pub(super) prefix: String,
    /// Which automatic metrics it shows.
    pub(crate) shown: ShownMetrics,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) labels: Labels,
    pub(crate) label_text: LabelText,
    /// Whether all label names stay as they are if they are escaped, except for dots.
    pub(crate) has_plain_labels: bool,
    pub(crate) created: WallTime,
}

impl Endpoint {
    pub(super) fn new(
        prefix: String,
        labels: Labels,
        shown: ShownMetrics,
        settings: Settings,
    ) -> Self {
        Self {
            prefix,
            shown,
            created: settings.clock.wall_time(),
            has_plain_labels: {
                let constant = labels.iter().map(|(name, _)| name);
                let names = Carrier::ALL.map(|carrier| settings.schema.names(carrier));
                constant
                    .chain(names.into_iter().flatten())
                    .all(is_plain_name)
            },
            recorder: Recorder::new(settings),
            label_text: LabelText::new(labels.iter()),
            labels,
        }
    }

    pub(super) fn label_names(&self) -> LabelNames {
        LabelNames::of(&self.labels, &self.recorder.settings().schema)
    }

    /// Returns all labels of a series, sorted by name. `values` are those of the request labels.
    pub(crate) fn pairs<'a>(
        &'a self,
        carrier: Carrier,
        values: &'a [Box<str>],
    ) -> Vec<(&'a str, &'a str)> {
        let schema = &self.recorder.settings().schema;
        let of_request = schema.names(carrier).zip(values);
        let of_request = of_request.map(|(name, value)| (name, &**value));
        let mut pairs: Vec<_> = self.labels.iter().chain(of_request).collect();
        pairs.sort_unstable();
        pairs
    }
}

impl Table {
    pub(super) fn new(uptime: FamilySource, labels: Labels) -> Self {
        Self {
            uptime,
            labels,
            layers: Arc::default(),
            metrics: Arc::default(),
            collectors: Arc::default(),
        }
    }

    /// Returns all sources of included families. Metrics come before collectors, so that a family has their HELP.
    pub(super) fn sources(&self) -> impl Iterator<Item = &FamilySource> {
        let metrics = self.metrics.values().flat_map(|family| family.values());
        let collectors = self.collectors.values().flatten();
        iter::once(&self.uptime).chain(metrics).chain(collectors)
    }

    /// Returns the labels of the endpoint, or the registry's if there is none.
    ///
    /// # Errors
    ///
    /// Returns an error if the endpoint has been removed.
    pub(super) fn labels_of(&self, endpoint: Option<&Arc<Endpoint>>) -> Result<Labels, Error> {
        match endpoint {
            None => Ok(self.labels.clone()),
            Some(endpoint) if self.has(endpoint) => Ok(endpoint.labels.clone()),
            Some(endpoint) => Err(Error::new(format!(
                "the layer with the labels {} was removed from its registry: build a new layer to register metrics",
                endpoint.labels
            ))),
        }
    }

    pub(super) fn has(&self, endpoint: &Arc<Endpoint>) -> bool {
        let layers = self.layers.get(&endpoint.prefix);
        let there = layers.and_then(|layers| layers.endpoints.get(&endpoint.labels));
        there.is_some_and(|there| Arc::ptr_eq(there, endpoint))
    }
}

// === impl Layers ===

impl Layers {
    /// Checks that no layer with other labels would show the series of this one.
    pub(super) fn check_series(&self, labels: &Labels, settings: &Settings) -> Result<(), Error> {
        let names = LabelNames::of(labels, &settings.schema);
        let mut others = self.by_label_names.iter();
        let agreeing = others.find_map(|(other_names, others)| {
            let agrees = |other: &&Labels| *other != labels && agree(labels, other);
            if !names.may_share_series(other_names) {
                return None;
            }
            match other_names.matching_labels(labels) {
                // Only these labels can agree, so no search is needed.
                Some(only) => others.get(&only).filter(agrees),
                None => others.iter().find(agrees),
            }
        });
        match agreeing {
            None => Ok(()),
            Some(other) => Err(Error::new(format!(
                "layers with the labels {labels} and {other} may show the same series: an empty label counts as absent, and a request label of one layer may equal a constant label of the other; give both the same label names, or one of them a prefix"
            ))),
        }
    }
}
