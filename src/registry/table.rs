use super::automatic::{AUTOMATIC, Automatic, UPTIME};
use super::custom::{CustomFamily, Source};
use super::family::{self, Kind};
use super::shape::{self, Shape};
use crate::Error;
use crate::labels::{Carrier, LabelText, Labels};
use crate::recorder::{Recorder, Settings};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// All that is registered, in the order in which it is shown. Cheap to clone, for each page is made
/// of a clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    pub(crate) endpoints: Arc<Endpoints>,
    /// What they show, by prefix: too many are built to look at all of them for each.
    shown: Arc<BTreeMap<String, Shown>>,
    /// By name.
    pub(crate) custom: BTreeMap<String, Arc<CustomFamily>>,
    /// By the labels that they carry.
    sources: BTreeMap<Labels, Vec<Source>>,
}

/// By prefix and labels.
pub(crate) type Endpoints = BTreeMap<(String, Labels), Arc<Endpoint>>;

/// What layers with the same prefix show.
#[derive(Clone, Debug, Default)]
struct Shown {
    /// How many of them show each automatic family.
    layers: [usize; AUTOMATIC.len()],
    /// The names of their labels.
    shapes: BTreeSet<Shape>,
}

/// What a layer has entered: its numbers, and the text of its labels.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) labels: Labels,
    pub(crate) label_text: LabelText,
}

impl Endpoint {
    fn new(labels: Labels, settings: Settings) -> Self {
        Self {
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
    /// Families that come from elsewhere.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &Source> {
        self.sources.values().flatten()
    }

    pub(super) fn add_source(&mut self, labels: Labels, source: Source) {
        self.sources.entry(labels).or_default().push(source);
    }

    /// The entry of a layer: that of an earlier one with the same labels, or a new one.
    pub(super) fn endpoint(
        &mut self,
        prefix: String,
        labels: Labels,
        settings: Settings,
    ) -> Result<Arc<Endpoint>, Error> {
        for automatic in AUTOMATIC.iter().filter(|metric| metric.is_on(&settings)) {
            self.check_automatic(&automatic.full_name(&prefix), automatic)?;
        }
        self.check_series(&prefix, &labels, &settings)?;
        match Arc::make_mut(&mut self.endpoints).entry((prefix, labels.clone())) {
            Entry::Occupied(there) if *there.get().recorder.settings() != settings => {
                Err(Error::new(format!(
                    "two layers with the labels {labels} have different settings: give them the same buckets, opt-ins, error types, labels of requests and clock (where these are made of closures, by clones), or other labels"
                )))
            }
            Entry::Occupied(there) => Ok(there.get().clone()),
            Entry::Vacant(place) => {
                let shown = Arc::make_mut(&mut self.shown);
                let shown = shown.entry(place.key().0.clone()).or_default();
                shown.add(&labels, &settings);
                let endpoint = Arc::new(Endpoint::new(labels, settings));
                Ok(place.insert(endpoint).clone())
            }
        }
    }

    /// The labels of what is registered through `endpoint`.
    ///
    /// # Errors
    ///
    /// If it has been removed.
    pub(super) fn labels_of(&self, endpoint: Option<&Arc<Endpoint>>) -> Result<Labels, Error> {
        let Some(endpoint) = endpoint else {
            return Ok(Labels::default());
        };
        if self
            .endpoints
            .values()
            .any(|there| Arc::ptr_eq(there, endpoint))
        {
            Ok(endpoint.labels.clone())
        } else {
            Err(Error::new(format!(
                "the layer with the labels {} was removed from its registry: build it anew to register more",
                endpoint.labels
            )))
        }
    }

    /// Forgets the layer's entry; and what was registered with its labels, if there are any and
    /// no other layer has the same.
    pub(super) fn remove_endpoint(&mut self, endpoint: &Arc<Endpoint>) -> bool {
        let removed = self.retain_endpoints(|_, there| !Arc::ptr_eq(there, endpoint));
        let labels = &endpoint.labels;
        let shared = self.endpoints.keys().any(|(_, other)| other == labels);
        if removed && !shared && *labels != Labels::default() {
            self.remove(labels);
        }
        removed
    }

    /// Forgets all that has exactly these labels; whether there was anything.
    pub(super) fn remove(&mut self, labels: &Labels) -> bool {
        let mut removed = self.retain_endpoints(|other, _| other != labels);
        removed |= self.sources.remove(labels).is_some();
        self.custom.retain(|_, family| {
            if !family.has(labels) {
                return true;
            }
            removed = true;
            family
                .without(labels)
                .map(|rest| *family = Arc::new(rest))
                .is_some()
        });
        removed
    }

    /// Whether any was not kept.
    fn retain_endpoints(&mut self, keep: impl Fn(&Labels, &Arc<Endpoint>) -> bool) -> bool {
        let before = self.endpoints.len();
        Arc::make_mut(&mut self.endpoints).retain(|(_, labels), endpoint| keep(labels, endpoint));
        let removed = self.endpoints.len() < before;
        if removed {
            let all = Arc::make_mut(&mut self.shown);
            all.clear();
            for ((prefix, _), endpoint) in &*self.endpoints {
                let shown = all.entry(prefix.clone()).or_default();
                shown.add(&endpoint.labels, endpoint.recorder.settings());
            }
        }
        removed
    }

    /// That a layer's automatic family may be there under this name.
    fn check_automatic(&self, name: &str, automatic: &Automatic) -> Result<(), Error> {
        if let Some((other, clash)) = self.clash_with_custom(name, automatic.kind) {
            return Err(Error::new(format!(
                "automatic metric `{name}` clashes with metric `{other}`: both would show `{clash}`, choose another name, or give the layer a prefix"
            )));
        }
        let of_another_prefix = self
            .of_layers()
            .filter(|(_, other)| other.metric != automatic.metric)
            .find_map(|(other, of)| family::clash((name, automatic.kind), (&other, of.kind)));
        match of_another_prefix {
            Some(clash) => Err(Error::new(format!(
                "automatic metric `{name}` clashes with that of a layer with another prefix: both would show `{clash}`, choose another prefix"
            ))),
            None => Ok(()),
        }
    }

    /// That no layer with other labels would show series that this one would.
    fn check_series(
        &self,
        prefix: &str,
        labels: &Labels,
        settings: &Settings,
    ) -> Result<(), Error> {
        let shape = Shape::of(labels, &settings.schema);
        let shown = self.shown.get(prefix);
        let mut shapes = shown.into_iter().flat_map(|shown| &shown.shapes);
        if !shapes.any(|other| shape.may_meet(other)) {
            return Ok(());
        }
        let others = self.endpoints.iter();
        let mut others = others.filter(|((of, other), _)| of == prefix && other != labels);
        let meets = others.find(|((_, other), endpoint)| {
            let other_shape = Shape::of(other, &endpoint.recorder.settings().schema);
            shape.may_meet(&other_shape) && shape::agree(labels, other)
        });
        match meets {
            None => Ok(()),
            Some(((_, other), _)) => Err(Error::new(format!(
                "layers with the labels {labels} and {other} may show the same series: an empty label is as good as none, and one layer's constant labels may be what the other has from requests; give both the same names of labels, or one a prefix"
            ))),
        }
    }

    /// That a custom family of this name may be there.
    pub(super) fn check_free(&self, name: &str, kind: Kind) -> Result<(), Error> {
        let automatic = self
            .of_layers()
            .map(|(other, automatic)| (other, automatic.kind))
            .chain([(UPTIME.to_owned(), Kind::Gauge)])
            .find_map(|(other, of)| family::clash((name, kind), (&other, of)));
        if let Some(clash) = automatic {
            return Err(Error::new(format!(
                "metric `{name}` clashes with the automatic metric that shows `{clash}`: choose another name, or give the layer a prefix"
            )));
        }
        match self.clash_with_custom(name, kind) {
            // Of the same name: it may join.
            Some((other, clash)) if other != name => Err(Error::new(format!(
                "metric `{name}` clashes with metric `{other}`: both would show `{clash}`, choose another name"
            ))),
            _ => Ok(()),
        }
    }

    /// The custom family that shows a name which this one would, and that name.
    fn clash_with_custom(&self, name: &str, kind: Kind) -> Option<(&str, String)> {
        self.custom.iter().find_map(|(other, family)| {
            let clash = family::clash((name, kind), (other, family.kind))?;
            Some((&**other, clash))
        })
    }

    /// The automatic families that layers have put on the page, each once,
    /// however many layers share it.
    fn of_layers(&self) -> impl Iterator<Item = (String, &'static Automatic)> {
        self.shown.iter().flat_map(|(prefix, shown)| {
            let shown = AUTOMATIC.iter().zip(&shown.layers);
            let shown = shown.filter(|(_, layers)| **layers > 0);
            shown.map(move |(metric, _)| (metric.full_name(prefix), metric))
        })
    }
}

// === impl Shown ===

impl Shown {
    /// Counts one more layer.
    fn add(&mut self, labels: &Labels, settings: &Settings) {
        for (layers, automatic) in self.layers.iter_mut().zip(&AUTOMATIC) {
            *layers += usize::from(automatic.is_on(settings));
        }
        self.shapes.insert(Shape::of(labels, &settings.schema));
    }
}
