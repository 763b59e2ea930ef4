//! The metrics that appear together on one page.
//!
//! Layers and exporters only share a registry. A layer adds its recorder, and an exporter reads all recorders.

mod automatic;
mod builder;
mod family;
mod included;
mod label_names;
mod names;
mod page;
mod registered;
mod selection;
mod source;
mod table;
mod uptime;

pub use self::builder::MetricsRegistryBuilder;

pub(crate) use self::automatic::{AUTOMATIC_METRICS, AutomaticMetric, Metric, Place, ShownMetrics};
pub(crate) use self::family::{Kind, ends_in_unit};
#[cfg(feature = "protobuf")]
pub(crate) use self::included::parse_labels;
#[cfg(any(feature = "protobuf", feature = "testing"))]
pub(crate) use self::included::unescape;
pub(crate) use self::included::{IncludedFamily, NamedFamily, Sample, parse};
pub(crate) use self::page::ErrorHandler;
pub(crate) use self::selection::Selection;
pub(crate) use self::source::FamilySource;
pub(crate) use self::table::{Endpoint, Table};
pub(crate) use self::uptime::{UPTIME, UPTIME_HELP};

use self::registered::Registered;
use self::source::MetricFamily;
use self::uptime::uptime;
use crate::Error;
use crate::clock::{Clock, Stopwatch};
use crate::labels::{ConstantLabels, Labels};
use crate::naming::Naming;
use crate::settings::Settings;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric as ClientMetric, Unit};
use std::cell::RefCell;
use std::fmt;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

/// A set of metrics. Layers record them, and exporters show them.
///
/// A layer creates its own registry unless its builder is given one. Give several layers the same registry to show
/// them on one page. A clone is a handle to the same registry.
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
    clock: Clock,
    created: Stopwatch,
    /// The prefix of all names that the crate chooses. It ends in `_` unless it is empty.
    prefix: String,
    /// Locked to register and to begin a page, never by a request. No user code runs under the lock: no encoder,
    /// no closure, no drop.
    registered: RwLock<Registered>,
    /// The capacity that the next page as text begins with, in bytes.
    text_capacity: AtomicUsize,
}

/// Marks this thread as making a page until it is dropped.
pub(crate) struct PageGuard(());

thread_local! {
    /// The registries of which this thread is making a page. An encoder may make pages of other registries.
    static RENDERING: RefCell<Vec<*const Shared>> = const { RefCell::new(Vec::new()) };
}

// === impl MetricsRegistry ===

impl MetricsRegistry {
    /// Returns an empty registry. Its page shows only `uptime_seconds`.
    pub fn new() -> Self {
        Self::with_clock(Clock::real())
    }

    /// Returns a builder for a registry with a prefix, with labels for all its metrics, or with another clock.
    pub fn builder() -> MetricsRegistryBuilder {
        MetricsRegistryBuilder::new()
    }

    /// Returns an empty registry that measures its uptime with `clock`.
    pub fn with_clock(clock: Clock) -> Self {
        Self::from_parts(clock, String::new(), Labels::default())
    }

    fn from_parts(clock: Clock, prefix: String, labels: Labels) -> Self {
        let created = clock.stopwatch();
        let uptime = uptime(created, &prefix, &labels);
        Self {
            shared: Arc::new(Shared {
                created,
                clock,
                registered: RwLock::new(Registered::new(uptime, labels)),
                text_capacity: AtomicUsize::new(0),
                prefix,
            }),
        }
    }

    /// Adds a metric to the page, with the registry's labels only, and returns it.
    ///
    /// Any prometheus-client metric works whose clones are handles to the same metric. This is true of all metrics in
    /// prometheus-client. Register a counter without the `_total` that its sample gets. Metrics can be registered at any
    /// time, even by another metric's encoder. To add a layer's labels, register the metric
    /// [through the layer](crate::MetricsLayer::register).
    ///
    /// # Errors
    ///
    /// Returns an error if
    ///
    /// - the name is empty, has a control character, or clashes with a name on the page, as it is or
    ///   [escaped](crate::exporter#names-in-any-characters);
    /// - a metric with this name and these labels is already registered;
    /// - a metric with this name and other labels has another type, unit or help;
    /// - the metric encodes something that scrapers don't read, such as a histogram with unsorted bounds. If this happens
    ///   later, scrapes fail with an error that names the metric.
    pub fn register<M>(
        &self,
        name: impl AsRef<str>,
        help: impl Into<String>,
        metric: M,
    ) -> Result<M, Error>
    where
        M: ClientMetric + Clone,
    {
        self.add_handle(name, help, None, None, metric)
    }

    /// Adds a metric with a unit to the page, and returns it. The unit is appended to the family's name.
    ///
    /// ```
    /// use prometheus_client::metrics::counter::Counter;
    /// use prometheus_client::registry::Unit;
    /// use tower_openmetrics::{Format, MetricsRegistry};
    ///
    /// # fn main() -> Result<(), tower_openmetrics::Error> {
    /// let registry = MetricsRegistry::new();
    /// let counter = Counter::<u64>::default();
    /// let read = registry.register_with_unit("disk_read", "Data read", Unit::Bytes, counter)?;
    /// read.inc_by(512);
    /// assert!(registry.encode(Format::OpenMetrics)?.contains("disk_read_bytes_total 512\n"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error under the same conditions as [`register`](Self::register), or if the unit is invalid.
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
        self.add_handle(name, help, Some(&unit), None, metric)
    }

    /// Adds an info to the page. Register it without the `_info` that its sample gets.
    ///
    /// ```
    /// use prometheus_client::metrics::info::Info;
    /// use tower_openmetrics::{Format, MetricsRegistry};
    ///
    /// # fn main() -> Result<(), tower_openmetrics::Error> {
    /// let registry = MetricsRegistry::new();
    /// registry.register_info("model", "The model that is served", Info::new([("name", "bard-1")]))?;
    /// assert!(registry.encode(Format::OpenMetrics)?.contains(r#"model_info{name="bard-1"} 1"#));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error under the same conditions as [`register`](Self::register).
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

    /// Removes a metric that was registered with [`register`](Self::register). Returns whether it was registered.
    ///
    /// `name` is the name that was passed to `register`. Handles to the metric keep working, but the page doesn't show them.
    /// The name can be registered again. Use [`MetricsLayer::unregister`](crate::MetricsLayer::unregister) for a metric that was
    /// registered through a layer, and [`remove`](Self::remove) for everything that a layer shows.
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
        self.remove_metric(name.as_ref(), None)
    }

    /// Removes everything with exactly these labels from the page: the automatic metrics of layers, and metrics and
    /// collectors that were registered through them. Returns whether there was anything to remove.
    ///
    /// Pass the labels of a layer, without those of the registry. Services of a removed layer keep working, and calls in
    /// flight end as usual, but the page doesn't show them. A layer that is built later with the same labels starts from 0.
    ///
    /// # Errors
    ///
    /// Returns an error if no layer can have these labels.
    pub fn remove<L, M>(&self, labels: L) -> Result<bool, Error>
    where
        L: ConstantLabels<M>,
    {
        let labels = self.with_common(Labels::new(labels)?)?;
        // A statement of its own, so that the removed values are dropped after the lock.
        let removed = self.write().remove(&labels);
        Ok(removed.any())
    }

    /// Removes the metric with this name and the endpoint's labels. Returns whether there was one.
    pub(crate) fn remove_metric(&self, name: &str, endpoint: Option<&Arc<Endpoint>>) -> bool {
        let removed = self.write().remove_metric(name, endpoint);
        removed.any()
    }

    /// Returns these labels together with the registry's.
    ///
    /// # Errors
    ///
    /// Returns an error that names the label that both have.
    pub(crate) fn with_common(&self, labels: Labels) -> Result<Labels, Error> {
        labels.with_common(&self.read().table.labels)
    }

    pub(crate) fn remove_endpoint(&self, endpoint: &Arc<Endpoint>) -> bool {
        let removed = self.write().remove_endpoint(endpoint);
        removed.any()
    }

    /// Like [`add`](Self::add), for a metric whose clones are handles to it. Returns one.
    pub(crate) fn add_handle<M>(
        &self,
        name: impl AsRef<str>,
        help: impl Into<String>,
        unit: Option<&Unit>,
        endpoint: Option<&Arc<Endpoint>>,
        metric: M,
    ) -> Result<M, Error>
    where
        M: ClientMetric + Clone,
    {
        self.add(name.as_ref(), help.into(), unit, endpoint, metric.clone())?;
        Ok(metric)
    }

    /// Adds a metric with the endpoint's labels, or the registry's if there is no endpoint.
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
        let family = MetricFamily::new(name, kind, unit, help)?;
        let created = self.clock().wall_time();
        self.add_source(endpoint, |labels| {
            FamilySource::metric(family, labels, metric).created(created)
        })
    }

    /// Adds a source with the endpoint's labels, or the registry's if there is no endpoint.
    pub(crate) fn add_source(
        &self,
        endpoint: Option<&Arc<Endpoint>>,
        source: impl FnOnce(&Labels) -> FamilySource,
    ) -> Result<(), Error> {
        let labels = self.labels_of(endpoint)?;
        let mut source = source(&labels);
        for claim in page::claims(&source)? {
            source.claim(Arc::new(claim));
        }
        let mut registered = self.write();
        // The endpoint may have been removed while the encoder ran.
        registered.table.labels_of(endpoint)?;
        registered.add_source(&labels, &source)
    }

    /// Returns the labels of the endpoint, or the registry's if there is none.
    ///
    /// # Errors
    ///
    /// Returns an error if the endpoint has been removed.
    fn labels_of(&self, endpoint: Option<&Arc<Endpoint>>) -> Result<Labels, Error> {
        self.read().table.labels_of(endpoint)
    }

    /// Returns the endpoint of a layer: that of an earlier layer with the same labels, or a new one.
    pub(crate) fn endpoint(
        &self,
        naming: Naming,
        prefix: &str,
        labels: Labels,
        settings: Settings,
    ) -> Result<Arc<Endpoint>, Error> {
        let own = family::prefix(prefix)?;
        let prefix = format!("{}{}", self.shared.prefix, naming.prefix(&own));
        let shown = automatic::shown(naming, &settings);
        let mut registered = self.write();
        if let Some(there) = registered.endpoint(&prefix, &labels, &shown, &settings)? {
            // The settings hold closures of users, which are dropped after the lock.
            return Ok(there);
        }
        let endpoint = Arc::new(Endpoint::new(prefix, labels, shown, settings));
        registered.add_endpoint(&endpoint);
        Ok(endpoint)
    }

    /// Returns the prefix of the names that the crate chooses.
    pub(crate) fn prefix(&self) -> &str {
        &self.shared.prefix
    }

    /// Returns the time since the registry was created.
    pub(crate) fn uptime(&self) -> Duration {
        self.shared.created.elapsed()
    }

    /// Returns the registry's clock.
    pub(crate) fn clock(&self) -> Clock {
        self.shared.clock
    }

    /// Returns the capacity that the next page as text begins with, in bytes.
    pub(crate) fn text_capacity(&self) -> &AtomicUsize {
        &self.shared.text_capacity
    }

    /// Returns a copy of what is registered now. Reading it blocks no registration.
    pub(crate) fn table(&self) -> Table {
        self.read().table.clone()
    }

    /// Reserves names of a registry that shows this one, so that later layers can't clash with them.
    pub(crate) fn reserve_names(&self, names: impl IntoIterator<Item = String>) {
        self.write().reserved_names.extend(names);
    }

    /// Marks this thread as making a page.
    ///
    /// # Errors
    ///
    /// Returns an error if this thread is already making one: an encoder would call itself.
    pub(crate) fn begin_page(&self) -> Result<PageGuard, Error> {
        self.check_idle()?;
        let this = Arc::as_ptr(&self.shared);
        let _ = RENDERING.try_with(|registries| registries.borrow_mut().push(this));
        Ok(PageGuard(()))
    }

    /// Checks that this thread is not making a page. Otherwise a second page would wait for the first one.
    ///
    /// # Errors
    ///
    /// Returns an error if this thread is making a page.
    pub(crate) fn check_idle(&self) -> Result<(), Error> {
        let this = Arc::as_ptr(&self.shared);
        let is_making = RENDERING.try_with(|registries| registries.borrow().contains(&this));
        // A thread that is ending may have dropped what it knows.
        match is_making.unwrap_or(false) {
            false => Ok(()),
            true => Err(Error::new(
                "an encoder asks for the page that it is encoding: a metric, collector or included registry may not scrape the registry that it is in",
            )),
        }
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

impl Drop for PageGuard {
    fn drop(&mut self) {
        // The last one: pages end in the reverse order of their beginning.
        let _ = RENDERING.try_with(|registries| registries.borrow_mut().pop());
    }
}

impl Default for MetricsRegistry {
    /// Returns an empty registry.
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MetricsRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Table {
            layers, metrics, ..
        } = self.table();
        let layers = layers.values();
        let endpoints: Vec<_> = layers.flat_map(|of| of.endpoints.keys()).collect();
        f.debug_struct("MetricsRegistry")
            .field("endpoints", &endpoints)
            .field("metrics", &metrics.keys())
            .finish_non_exhaustive()
    }
}
