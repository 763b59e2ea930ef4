//! The metrics that appear together on one page.
//!
//! Layers and exporters meet here and know nothing of each other: a layer
//! enters its table of numbers, an exporter reads what is there.

mod automatic;
mod custom;
mod family;

pub(crate) use self::automatic::{AUTOMATIC, Automatic, Metric, UPTIME, UPTIME_HELP, UPTIME_UNIT};
pub(crate) use self::custom::CustomFamily;
pub(crate) use self::family::Kind;

use crate::Error;
use crate::clock::{Clock, Origin};
use crate::labels::{LabelText, Labels, is_plain_name};
use crate::recorder::{OwnedFamilies, Settings};
use prometheus_client::registry::{Metric as ClientMetric, Unit};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// A set of metrics, shared by the layers that fill it and the exporters that show it.
///
/// Each layer makes one for itself unless it is given one. Give several layers the same one to
/// have them on the same page; clones are handles to the same registry.
///
/// ```
/// use prometheus_client::metrics::gauge::Gauge;
/// use tower_openmetrics::{MetricsLayer, MetricsRegistry};
///
/// # fn main() -> Result<(), tower_openmetrics::Error> {
/// let registry = MetricsRegistry::new();
/// let a = MetricsLayer::builder().registry(&registry).build([("endpoint", "a")])?;
/// let b = MetricsLayer::builder().registry(&registry).build([("endpoint", "b")])?;
/// let queued: Gauge = registry.register("queued_jobs", "Jobs not yet begun", Gauge::default())?;
/// queued.set(3);
/// let page = registry.exporter(); // shows a, b and queued_jobs
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct MetricsRegistry {
    shared: Arc<Shared>,
}

struct Shared {
    since: Origin,
    /// Only taken to register and to make a page, never by a request.
    table: RwLock<Table>,
}

/// All that is registered, in the order in which it is shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    /// By prefix and labels.
    pub(crate) endpoints: BTreeMap<(String, Labels), Arc<Endpoint>>,
    /// By name.
    pub(crate) custom: BTreeMap<String, Arc<CustomFamily>>,
}

/// What a layer has entered: its numbers, and the text of its labels.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) families: OwnedFamilies,
    pub(crate) labels: Labels,
    pub(crate) label_text: LabelText,
}

// === impl MetricsRegistry ===

impl MetricsRegistry {
    /// An empty registry: its page shows `uptime_seconds` alone.
    pub fn new() -> Self {
        Self::with_clock(Clock::real())
    }

    /// An empty registry that reads its uptime from `clock`.
    pub fn with_clock(clock: Clock) -> Self {
        Self {
            shared: Arc::new(Shared {
                since: clock.origin(),
                table: RwLock::default(),
            }),
        }
    }

    /// Puts a metric of your own on the page, without labels, and gives it back.
    ///
    /// Any metric of prometheus-client will do that is a handle, so that its
    /// clones are the same metric; all of its own are. A counter is registered without the `_total` that
    /// its sample will have. To have a layer's labels on it, register it
    /// [through the layer](crate::MetricsLayer::register).
    ///
    /// # Errors
    ///
    /// If the name is not a metric's, is taken by something else, or is registered already
    /// without labels; or if it is with labels but differs in type, unit or help.
    pub fn register<M>(
        &self,
        name: impl AsRef<str>,
        help: impl Into<String>,
        metric: M,
    ) -> Result<M, Error>
    where
        M: ClientMetric + Clone,
    {
        self.add(name.as_ref(), help.into(), None, &Labels::default(), metric)
    }

    /// As [`register`](Self::register), with a unit, which the family's name
    /// will end in.
    ///
    /// # Errors
    ///
    /// As those of [`register`](Self::register).
    pub fn register_with_unit<M>(
        &self,
        name: impl AsRef<str>,
        help: impl Into<String>,
        unit: Unit,
        metric: M,
    ) -> Result<M, Error>
    where
        M: ClientMetric + Clone,
    {
        let labels = Labels::default();
        self.add(name.as_ref(), help.into(), Some(&unit), &labels, metric)
    }

    pub(crate) fn add<M>(
        &self,
        name: &str,
        help: String,
        unit: Option<&Unit>,
        labels: &Labels,
        metric: M,
    ) -> Result<M, Error>
    where
        M: ClientMetric + Clone,
    {
        let kind = Kind::from(metric.metric_type());
        let unit = unit.map(Unit::as_str);
        let name = family::name(name, unit, kind)?;
        let mut table = self
            .shared
            .table
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        table.check_free(&name, kind)?;
        let family = table.custom.get(&name).map_or_else(
            || CustomFamily::new(kind, unit, help.clone()),
            |family| (**family).clone(),
        );
        family.check_agrees(&name, kind, unit, &help)?;
        let family = family.with(&name, labels, metric.clone())?;
        table.custom.insert(name, Arc::new(family));
        Ok(metric)
    }

    /// The entry of a layer: that of an earlier one with the same labels, or a new one.
    pub(crate) fn endpoint(
        &self,
        prefix: &str,
        labels: Labels,
        settings: Settings,
    ) -> Result<Arc<Endpoint>, Error> {
        if !prefix.is_empty() && !is_plain_name(prefix) {
            return Err(Error::new(format!(
                "prefix {prefix:?} is invalid: use letters, digits and `_`, not beginning with a digit"
            )));
        }
        let prefix = match prefix {
            "" => String::new(),
            prefix => format!("{prefix}_"),
        };
        let mut table = self
            .shared
            .table
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        for automatic in AUTOMATIC.iter().filter(|metric| metric.is_on(&settings)) {
            table.check_not_custom(&automatic.full_name(&prefix), automatic.kind)?;
        }
        match table.endpoints.entry((prefix, labels.clone())) {
            Entry::Occupied(there) if there.get().families.settings != settings => {
                Err(Error::new(format!(
                    "two layers with the labels {labels} have different settings: give them the same buckets, opt-ins, error types and clock, or other labels"
                )))
            }
            Entry::Occupied(there) => Ok(there.get().clone()),
            Entry::Vacant(place) => Ok(place
                .insert(Arc::new(Endpoint {
                    families: OwnedFamilies::new(settings),
                    label_text: LabelText::new(&labels),
                    labels,
                }))
                .clone()),
        }
    }

    /// Time since the registry was made.
    pub(crate) fn uptime(&self) -> Duration {
        self.shared.since.elapsed()
    }

    /// What is registered now, to be read without keeping anyone from registering.
    pub(crate) fn table(&self) -> Table {
        self.shared
            .table
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Default for MetricsRegistry {
    /// An empty registry.
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MetricsRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Table { endpoints, custom } = self.table();
        f.debug_struct("MetricsRegistry")
            .field("endpoints", &endpoints.keys())
            .field("custom", &custom.keys())
            .finish_non_exhaustive()
    }
}

// === impl Table ===

impl Table {
    /// The names and types of the automatic families that are on the page.
    fn automatic(&self) -> impl Iterator<Item = (String, Kind)> {
        let of_layers = self.endpoints.iter().flat_map(|((prefix, _), endpoint)| {
            AUTOMATIC
                .iter()
                .filter(|metric| metric.is_on(&endpoint.families.settings))
                .map(|metric| (metric.full_name(prefix), metric.kind))
        });
        of_layers.chain([(UPTIME.to_owned(), Kind::Gauge)])
    }

    /// That a custom family of this name may be there.
    fn check_free(&self, name: &str, kind: Kind) -> Result<(), Error> {
        let automatic = self
            .automatic()
            .find_map(|(other, of)| family::clash((name, kind), (&other, of)));
        match automatic {
            Some(clash) => Err(Error::new(format!(
                "metric `{name}` clashes with the automatic metric that shows `{clash}`: choose another name, or give the layer a prefix"
            ))),
            None => self.check_not_custom(name, kind),
        }
    }

    /// That no other custom family shows a name that this one would.
    fn check_not_custom(&self, name: &str, kind: Kind) -> Result<(), Error> {
        for (other, family) in &self.custom {
            if other != name
                && let Some(clash) = family::clash((name, kind), (other, family.kind))
            {
                return Err(Error::new(format!(
                    "metric `{name}` clashes with metric `{other}`: both would show `{clash}`, choose another name"
                )));
            }
        }
        Ok(())
    }
}
