//! The metrics that appear together on one page.
//!
//! Layers and exporters meet here and know nothing of each other: a layer
//! enters its table of numbers, an exporter reads what is there.

mod automatic;
mod custom;
mod encoding;
mod family;
mod foreign;
mod shape;
mod table;

pub(crate) use self::automatic::{AUTOMATIC, Automatic, Metric, UPTIME, UPTIME_HELP, UPTIME_UNIT};
pub(crate) use self::custom::{CustomFamily, Source};
pub(crate) use self::encoding::{described_family, encode, encode_source};
pub(crate) use self::family::{Kind, is_metric_name};
#[cfg(feature = "protobuf")]
pub(crate) use self::foreign::parse_labels;
pub(crate) use self::foreign::{ForeignFamily, Sample, allow_exemplar, parse};
pub(crate) use self::table::{Endpoint, Table};

use crate::Error;
use crate::clock::{Clock, Origin};
use crate::labels::{IntoLabels, Labels, is_plain_name};
use crate::recorder::Settings;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric as ClientMetric, Unit};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};
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
    /// without labels; if it is with labels but differs in type, unit or help; or if the metric shows
    /// what scrapers would not read, as a histogram does whose bounds are not sorted. If it comes to do
    /// so later, scrapes are answered by an error that names it.
    pub fn register<M>(
        &self,
        name: impl AsRef<str>,
        help: impl Into<String>,
        metric: M,
    ) -> Result<M, Error>
    where
        M: ClientMetric + Clone,
    {
        self.add(name.as_ref(), help.into(), None, None, metric.clone())?;
        Ok(metric)
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
        self.add(
            name.as_ref(),
            help.into(),
            Some(&unit),
            None,
            metric.clone(),
        )?;
        Ok(metric)
    }

    /// Puts an info on the page, which is registered without the `_info` that
    /// its sample will have.
    ///
    /// # Errors
    ///
    /// As those of [`register`](Self::register).
    pub fn register_info<S>(
        &self,
        name: impl AsRef<str>,
        help: impl Into<String>,
        info: Info<S>,
    ) -> Result<(), Error>
    where
        Info<S>: ClientMetric,
    {
        self.add(name.as_ref(), help.into(), None, None, info)
    }

    /// Takes everything with exactly these labels off the page: the automatic metrics of layers, metrics
    /// and collectors registered through them. Returns whether there was anything.
    ///
    /// Services of such a layer go on working, and calls in flight end as they would; nobody sees what they
    /// count. A layer that is built with the same labels afterwards starts from 0.
    ///
    /// # Errors
    ///
    /// If the labels are none that a layer could have.
    pub fn remove<L, M>(&self, labels: L) -> Result<bool, Error>
    where
        L: IntoLabels<M>,
    {
        let labels = Labels::new(labels.into_labels())?;
        Ok(self.write().remove(&labels))
    }

    pub(crate) fn remove_endpoint(&self, endpoint: &Arc<Endpoint>) -> bool {
        self.write().remove_endpoint(endpoint)
    }

    /// Adds a metric, with the endpoint's labels if there is one.
    pub(crate) fn add(
        &self,
        name: &str,
        help: String,
        unit: Option<&Unit>,
        endpoint: Option<&Arc<Endpoint>>,
        metric: impl ClientMetric,
    ) -> Result<(), Error> {
        let kind = Kind::from(metric.metric_type());
        let unit = unit.map(Unit::as_str);
        let name = family::name(name, unit, kind)?;
        let labels = self.labels_of(endpoint)?;
        let joining = CustomFamily::new(kind, unit, help, &name, &labels, metric);
        // Encoders are called outside the lock, for they may want to register something.
        let with_it = match self.table().custom.get(&name) {
            Some(family) => family.joined(&name, joining.clone())?,
            None => joining.clone(),
        };
        encoding::check(&name, &with_it)?;
        self.check_sources([(&*name, kind)])?;
        let mut table = self.write();
        table.labels_of(endpoint)?;
        table.check_free(&name, kind)?;
        let family = match table.custom.get(&name) {
            Some(family) => family.joined(&name, joining)?,
            None => joining,
        };
        table.custom.insert(name, Arc::new(family));
        Ok(())
    }

    /// The table as it would be with a source of families that carries the
    /// endpoint's labels.
    pub(crate) fn table_with(&self, labels: &Labels, source: Source) -> Table {
        let mut table = self.table();
        table.add_source(labels.clone(), source);
        table
    }

    pub(crate) fn add_source(&self, labels: Labels, source: Source) {
        self.write().add_source(labels, source);
    }

    /// The labels of what is registered through `endpoint`; none without one.
    ///
    /// # Errors
    ///
    /// If it has been removed.
    pub(crate) fn labels_of(&self, endpoint: Option<&Arc<Endpoint>>) -> Result<Labels, Error> {
        self.table().labels_of(endpoint)
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
        let own = match prefix.trim_end_matches('_') {
            "" if !prefix.is_empty() => {
                return Err(Error::new(format!(
                    "prefix {prefix:?} is nothing but `_`: begin it with a letter, or leave it out"
                )));
            }
            "" => String::new(),
            name => format!("{name}_"),
        };
        let prefix = own + settings.naming.prefix();
        let automatic: Vec<_> = AUTOMATIC
            .iter()
            .filter(|metric| metric.is_on(&settings))
            .map(|metric| (metric.full_name(&prefix), metric.kind))
            .collect();
        self.check_sources(automatic.iter().map(|(name, kind)| (&**name, *kind)))?;
        self.write().endpoint(prefix, labels, settings)
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

    /// That no collector and no included registry shows now what these families would. They are
    /// asked outside the lock, for their encoders may want to register something.
    fn check_sources<'a>(
        &self,
        families: impl IntoIterator<Item = (&'a str, Kind)>,
    ) -> Result<(), Error> {
        let table = self.table();
        let shown: Vec<(String, Kind)> = table.sources().flat_map(encoding::families_of).collect();
        for (name, kind) in families {
            for (other, of) in &shown {
                if let Some(clash) = family::clash((name, kind), (other, *of)) {
                    return Err(Error::new(format!(
                        "metric `{name}` clashes with `{other}` of a collector or an included registry: both would show `{clash}`, choose another name"
                    )));
                }
            }
        }
        Ok(())
    }

    fn write(&self) -> RwLockWriteGuard<'_, Table> {
        self.shared
            .table
            .write()
            .unwrap_or_else(PoisonError::into_inner)
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
        let Table {
            endpoints, custom, ..
        } = self.table();
        f.debug_struct("MetricsRegistry")
            .field("endpoints", &endpoints.keys())
            .field("custom", &custom.keys())
            .finish_non_exhaustive()
    }
}
