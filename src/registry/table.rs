use super::automatic::AUTOMATIC;
use super::custom::{CustomFamily, Source};
use super::shape::{self, Shape};
use crate::Error;
use crate::labels::{Carrier, LabelText, Labels};
use crate::recorder::Recorder;
use crate::settings::Settings;
use std::collections::BTreeMap;
use std::sync::Arc;

/// All that is registered, in the order in which it is shown. Cheap to clone, for each page is made
/// of a clone; whoever registers something meanwhile copies what is changed, once for each page.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// What the registry's uptime is called.
    pub(crate) uptime: Arc<str>,
    /// Those that all of the registry have.
    pub(crate) labels: Labels,
    /// By prefix.
    pub(crate) layers: Arc<BTreeMap<String, Layers>>,
    /// By name.
    pub(crate) custom: Arc<BTreeMap<String, Arc<CustomFamily>>>,
    /// By the labels that they carry.
    pub(super) sources: Arc<BTreeMap<Labels, Vec<Source>>>,
}

/// The layers with the same prefix.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layers {
    pub(crate) endpoints: BTreeMap<Labels, Arc<Endpoint>>,
    /// How many of them show each automatic family.
    pub(super) shown: [usize; AUTOMATIC.len()],
    /// The names of their labels, and how many have the same.
    pub(super) shapes: BTreeMap<Shape, usize>,
}

/// What a layer has entered: its numbers, and the text of its labels.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// The registry's, the layer's and the naming's.
    pub(super) prefix: String,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) labels: Labels,
    pub(crate) label_text: LabelText,
}

impl Endpoint {
    pub(super) fn new(prefix: String, labels: Labels, settings: Settings) -> Self {
        Self {
            prefix,
            recorder: Recorder::new(settings),
            label_text: LabelText::new(labels.iter()),
            labels,
        }
    }

    /// All labels of a row, by name; of a request, the values.
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
    pub(super) fn new(uptime: &str, labels: Labels) -> Self {
        Self {
            uptime: uptime.into(),
            labels,
            layers: Arc::default(),
            custom: Arc::default(),
            sources: Arc::default(),
        }
    }

    /// Families that come from elsewhere.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &Source> {
        self.sources.values().flatten()
    }

    /// The labels of what is registered through `endpoint`; without one, those of the registry.
    ///
    /// # Errors
    ///
    /// If it has been removed.
    pub(super) fn labels_of(&self, endpoint: Option<&Arc<Endpoint>>) -> Result<Labels, Error> {
        match endpoint {
            None => Ok(self.labels.clone()),
            Some(endpoint) if self.has(endpoint) => Ok(endpoint.labels.clone()),
            Some(endpoint) => Err(Error::new(format!(
                "the layer with the labels {} was removed from its registry: build it anew to register more",
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
    /// That no layer with other labels would show series that this one would.
    pub(super) fn check_series(&self, labels: &Labels, settings: &Settings) -> Result<(), Error> {
        let shape = Shape::of(labels, &settings.schema);
        let mut shapes = self.shapes.keys().filter(|other| shape.may_meet(other));
        match shapes.find_map(|other| self.find_agreeing(other, labels)) {
            None => Ok(()),
            Some(other) => Err(Error::new(format!(
                "layers with the labels {labels} and {other} may show the same series: an empty label is as good as none, and one layer's constant labels may be what the other has from requests; give both the same names of labels, or one a prefix"
            ))),
        }
    }

    /// The labels of a layer of this shape that differ in no value from those given, and are others.
    fn find_agreeing(&self, of_shape: &Shape, labels: &Labels) -> Option<&Labels> {
        let is_it = |(other, endpoint): &(&Labels, &Arc<Endpoint>)| {
            *other != labels
                && shape::agree(labels, other)
                && Shape::of(other, &endpoint.recorder.settings().schema) == *of_shape
        };
        let found = match of_shape.filled_from(labels) {
            // There can be but one, and it need not be looked for among all.
            Some(filled) => self.endpoints.get_key_value(&filled).filter(is_it),
            None => self.endpoints.iter().find(is_it),
        };
        found.map(|(other, _)| other)
    }
}
