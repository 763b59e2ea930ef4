//! The metrics that appear together on one page.
//!
//! Layers and exporters meet here and know nothing of each other: a layer
//! enters its recorder, an exporter reads what is there.

mod automatic;
mod custom;
mod encoding;
mod family;
mod foreign;
mod names;
mod registered;
mod shape;
mod table;

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
use crate::clock::{Clock, Origin};
use crate::labels::{IntoLabels, Labels};
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
    since: Origin,
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

    /// An empty registry that reads its uptime from `clock`.
    pub fn with_clock(clock: Clock) -> Self {
        Self::of(clock, String::new())
    }

    /// An empty registry whose own metrics have names that begin with `prefix` and a `_`.
    ///
    /// These are `uptime_seconds`, the automatic metrics of all layers in the registry, before whose own prefix this
    /// one comes, and the numbers of its exporters. Use it to have two registries on one page, or in one registry of
    /// prometheus-client's; the [prefix of a layer](crate::MetricsLayerBuilder::prefix) reaches that layer's alone.
    /// Metrics and collectors that you register keep the names that you give them.
    ///
    /// ```
    /// use tower_openmetrics::{MetricsLayer, MetricsRegistry};
    ///
    /// # fn main() -> Result<(), tower_openmetrics::Error> {
    /// let registry = MetricsRegistry::with_prefix("shop")?;
    /// let layer = MetricsLayer::builder().registry(&registry).build([("endpoint", "a")])?;
    /// let page = layer.exporter(); // shows shop_uptime_seconds and shop_requests_total
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// If names can't begin so.
    pub fn with_prefix(prefix: impl AsRef<str>) -> Result<Self, Error> {
        let prefix = family::prefix(prefix.as_ref())?;
        Ok(Self::of(Clock::real(), prefix))
    }

    fn of(clock: Clock, prefix: String) -> Self {
        Self {
            shared: Arc::new(Shared {
                since: clock.origin(),
                registered: RwLock::new(Registered::new(&prefix)),
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
        // A statement of its own: what was removed is dropped after the lock.
        let removed = self.write().remove(&labels);
        Ok(removed.any)
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
        let (of_registry, of_naming) = (&self.shared.prefix, settings.naming.prefix());
        let prefix = format!("{of_registry}{own}{of_naming}");
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
