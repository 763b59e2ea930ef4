//! The metrics that appear together on one page.
//!
//! Layers and exporters meet here and know nothing of each other: a layer
//! enters its recorder, an exporter reads what is there.

mod automatic;
mod builder;
mod custom;
mod encoding;
mod family;
mod foreign;
mod names;
mod registered;
mod shape;
mod table;

pub use self::builder::MetricsRegistryBuilder;

pub(crate) use self::automatic::{AUTOMATIC, Automatic, Metric, UPTIME_HELP, UPTIME_UNIT};
pub(crate) use self::custom::{CustomFamily, Late, Source};
pub(crate) use self::encoding::{described_family, encode, encode_source};
pub(crate) use self::family::{Kind, is_metric_name};
#[cfg(feature = "protobuf")]
pub(crate) use self::foreign::parse_labels;
pub(crate) use self::foreign::{ForeignFamily, Sample, allow_exemplar, parse};
pub(crate) use self::table::{Endpoint, Table};

use self::registered::Registered;
use crate::Error;
use crate::clock::{Clock, Stopwatch};
use crate::labels::{ConstantLabels, Labels};
use crate::settings::Settings;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric as ClientMetric, Unit};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::{self, ThreadId};
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
    since: Stopwatch,
    /// Of all names that the crate gives, with a `_` at its end unless it is empty.
    prefix: String,
    /// Only taken to register and to begin a page, never by a request. No code of a user's runs under it:
    /// no encoder, no closure, no drop.
    registered: RwLock<Registered>,
    /// The threads that make a page.
    at_work: Mutex<Vec<ThreadId>>,
}

/// A page in the making on this thread, until it is dropped.
pub(crate) struct AtWork<'a>(&'a MetricsRegistry);

// === impl MetricsRegistry ===

impl MetricsRegistry {
    /// An empty registry: its page shows `uptime_seconds` alone.
    pub fn new() -> Self {
        Self::with_clock(Clock::real())
    }

    /// A registry with settings of your own: a prefix, labels that all its metrics have, a clock.
    pub fn builder() -> MetricsRegistryBuilder {
        MetricsRegistryBuilder::new()
    }

    /// An empty registry that reads its uptime from `clock`.
    pub fn with_clock(clock: Clock) -> Self {
        Self::of(clock, String::new(), Labels::default())
    }

    fn of(clock: Clock, prefix: String, labels: Labels) -> Self {
        Self {
            shared: Arc::new(Shared {
                since: clock.stopwatch(),
                registered: RwLock::new(Registered::new(&prefix, labels)),
                at_work: Mutex::default(),
                prefix,
            }),
        }
    }

    /// Puts a metric of your own on the page, without labels, and gives it back.
    ///
    /// Any metric of prometheus-client will do that is a handle, so that its
    /// clones are the same metric; all of its own are. A counter is registered without the `_total` that
    /// its sample will have. This can be done at any time, by another metric's encoder too. To have a layer's labels on it, register it
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

    /// Takes a metric of your own off the page: the one that was registered [here](Self::register), not through a layer.
    /// Returns whether it was there.
    ///
    /// `name` is what it was registered as. Its handles go on working; nobody sees what they count. The same name can be
    /// registered again. For one that was registered through a layer there is
    /// [`MetricsLayer::unregister`](crate::MetricsLayer::unregister), for all that a layer shows [`remove`](Self::remove).
    ///
    /// ```
    /// use prometheus_client::metrics::gauge::Gauge;
    /// use tower_openmetrics::{Format, MetricsRegistry};
    ///
    /// # fn main() -> Result<(), tower_openmetrics::Error> {
    /// let registry = MetricsRegistry::new();
    /// let queued: Gauge = registry.register("queued_jobs", "Jobs not yet begun", Gauge::default())?;
    /// assert!(registry.unregister("queued_jobs"));
    /// assert!(!registry.unregister("queued_jobs"));
    /// assert!(!registry.encode(Format::OpenMetrics)?.contains("queued_jobs"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn unregister(&self, name: impl AsRef<str>) -> bool {
        self.remove_custom(name.as_ref(), None)
    }

    /// Takes everything with exactly these labels off the page, beside those that all of the registry have: the automatic metrics of layers, metrics
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
        L: ConstantLabels<M>,
    {
        let labels = self.with_common(Labels::new(labels.into_labels())?)?;
        // A statement of its own: what was removed is dropped after the lock.
        let removed = self.write().remove(&labels);
        Ok(removed.any)
    }

    /// Takes away the custom metric of this name with the endpoint's labels, if there is one.
    pub(crate) fn remove_custom(&self, name: &str, endpoint: Option<&Arc<Endpoint>>) -> bool {
        let removed = self.write().remove_custom(name, endpoint);
        removed.any
    }

    /// These labels and those that all of the registry have.
    ///
    /// # Errors
    ///
    /// Names the label that would be there twice.
    pub(crate) fn with_common(&self, labels: Labels) -> Result<Labels, Error> {
        labels.with_common(&self.read().table.labels)
    }

    pub(crate) fn remove_endpoint(&self, endpoint: &Arc<Endpoint>) -> bool {
        let removed = self.write().remove_endpoint(endpoint);
        removed.any
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
        let claim = encoding::claim(&name, &joining)?;
        let joining = joining.claiming(claim);
        let mut registered = self.write();
        // The encoder has had time to remove it.
        registered.table.labels_of(endpoint)?;
        registered.add_custom(&name, &joining)
    }

    /// Adds a source of families, with the endpoint's labels if there is one.
    pub(crate) fn add_source(
        &self,
        endpoint: Option<&Arc<Endpoint>>,
        source: impl FnOnce(&Labels) -> Source,
    ) -> Result<(), Error> {
        let labels = self.labels_of(endpoint)?;
        let source = source(&labels);
        let claims = encoding::claims(&source)?;
        let source = source.claiming(claims);
        let mut registered = self.write();
        registered.table.labels_of(endpoint)?;
        registered.add_source(&labels, &source)
    }

    /// The labels of what is registered through `endpoint`; none without one.
    ///
    /// # Errors
    ///
    /// If it has been removed.
    fn labels_of(&self, endpoint: Option<&Arc<Endpoint>>) -> Result<Labels, Error> {
        self.read().table.labels_of(endpoint)
    }

    /// The entry of a layer: that of an earlier one with the same labels, or a new one.
    pub(crate) fn endpoint(
        &self,
        prefix: &str,
        labels: Labels,
        settings: Settings,
    ) -> Result<Arc<Endpoint>, Error> {
        let own = family::prefix(prefix)?;
        let prefix = format!("{}{}", self.shared.prefix, settings.naming.prefix(&own));
        let mut registered = self.write();
        if let Some(there) = registered.endpoint(&prefix, &labels, &settings)? {
            // The settings, with closures of the user's, are dropped after the lock.
            return Ok(there);
        }
        let endpoint = Arc::new(Endpoint::new(prefix, labels, settings));
        registered.add_endpoint(&endpoint);
        Ok(endpoint)
    }

    /// What the names begin with that the crate gives.
    pub(crate) fn prefix(&self) -> &str {
        &self.shared.prefix
    }

    /// Time since the registry was made.
    pub(crate) fn uptime(&self) -> Duration {
        self.shared.since.elapsed()
    }

    /// What is registered now, to be read without keeping anyone from registering.
    pub(crate) fn table(&self) -> Table {
        self.read().table.clone()
    }

    /// Remembers what sources have come to show, so that nothing is registered that clashes with it.
    pub(crate) fn learn(&self, late: &[Late]) {
        if !late.is_empty() {
            self.write().learn(late);
        }
    }

    /// Remembers what another registry shows that shows this one too.
    pub(crate) fn show_beside(&self, names: impl IntoIterator<Item = String>) {
        self.write().show_beside(names);
    }

    /// Says that this thread makes a page.
    ///
    /// # Errors
    ///
    /// If it is at one already: an encoder would be called by itself.
    pub(crate) fn begin_page(&self) -> Result<AtWork<'_>, Error> {
        self.check_idle()?;
        self.at_work().push(thread::current().id());
        Ok(AtWork(self))
    }

    /// That this thread does not make a page: one in it would have to wait for itself.
    ///
    /// # Errors
    ///
    /// If it does.
    pub(crate) fn check_idle(&self) -> Result<(), Error> {
        if !self.at_work().contains(&thread::current().id()) {
            return Ok(());
        }
        Err(Error::new(
            "an encoder wants the page that it is called for: a metric, collector or included registry may not scrape the registry that it is in",
        ))
    }

    fn at_work(&self) -> MutexGuard<'_, Vec<ThreadId>> {
        let at_work = self.shared.at_work.lock();
        at_work.unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> RwLockReadGuard<'_, Registered> {
        let registered = self.shared.registered.read();
        registered.unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Registered> {
        let registered = self.shared.registered.write();
        registered.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        let mut at_work = self.0.at_work();
        let this = thread::current().id();
        if let Some(place) = at_work.iter().position(|thread| *thread == this) {
            at_work.swap_remove(place);
        }
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
        let Table { layers, custom, .. } = self.table();
        let layers = layers.values();
        let endpoints: Vec<_> = layers.flat_map(|of| of.endpoints.keys()).collect();
        f.debug_struct("MetricsRegistry")
            .field("endpoints", &endpoints)
            .field("custom", &custom.keys())
            .finish_non_exhaustive()
    }
}
