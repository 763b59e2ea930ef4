//! Includes collectors and other registries in the page.

use crate::Error;
use crate::layer::MetricsLayer;
use crate::registry::{FamilySource, MetricsRegistry};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::registry::Registry;
use std::fmt;
use std::sync::Arc;

impl MetricsRegistry {
    /// Adds a collector to the page. It encodes its metrics at each scrape.
    ///
    /// Its families may have the same names as those of other collectors. They may not have the name of an automatic
    /// metric.
    ///
    /// While it encodes, a collector may register metrics and build or remove layers. It may not scrape the registry
    /// that it is in: such a scrape returns an error.
    ///
    /// # Errors
    ///
    /// Returns an error if what the collector encodes now can't be shown with the other metrics of the registry. Other
    /// collectors and included registries are not encoded for this check: it uses what they encoded for the latest page
    /// or when they were registered. If a clash appears later, scrapes fail with an error that names the metric.
    pub fn register_collector(&self, collector: impl Collector) -> Result<(), Error> {
        self.add_source(None, |labels| FamilySource::collector(labels, collector))
    }

    /// Adds all metrics of a prometheus-client registry to the page.
    ///
    /// Use [`include_with`](Self::include_with) for a registry behind a lock, and [`register_in`](Self::register_in) for
    /// the other direction. Don't use both directions with the same registry: a page can't contain itself.
    ///
    /// ```
    /// use prometheus_client::metrics::gauge::Gauge;
    /// use prometheus_client::registry::Registry;
    /// use std::sync::Arc;
    /// use tower_openmetrics::{Format, MetricsRegistry};
    ///
    /// # fn main() -> Result<(), tower_openmetrics::Error> {
    /// let mut theirs = Registry::default();
    /// theirs.register("books", "Books in stock", Gauge::<i64>::default());
    ///
    /// let registry = MetricsRegistry::new();
    /// registry.include(Arc::new(theirs))?;
    /// assert!(registry.encode(Format::OpenMetrics)?.contains("books 0\n"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error under the same conditions as [`register_collector`](Self::register_collector).
    pub fn include(&self, registry: Arc<Registry>) -> Result<(), Error> {
        let encode = move |text: &mut String| encode_registry(text, &registry);
        let source = FamilySource::new::<Registry>(encode);
        self.add_source(None, |_| source)
    }

    /// Adds the metrics that `encode` writes to the page.
    ///
    /// Use this for a registry of another crate, or for one behind a lock.
    ///
    /// Text that ends in `# EOF` is read as OpenMetrics. Any other text is read as the Prometheus text format 0.0.4,
    /// which the crates `prometheus` and `metrics-exporter-prometheus` write, or as the output of prometheus-client's
    /// `encode_registry`. In format 0.0.4, whole timestamps are in milliseconds, families without a type are untyped, and
    /// `# TYPE jobs_total counter` is the family that OpenMetrics calls `jobs`. A counter whose name does not end in
    /// `_total` keeps its name. OpenMetrics has no such counters, so its pages show it with unknown type.
    ///
    /// ```
    /// use prometheus_client::encoding::text::encode_registry;
    /// use prometheus_client::registry::Registry;
    /// use std::fmt;
    /// use std::sync::{Arc, Mutex};
    /// use tower_openmetrics::MetricsRegistry;
    ///
    /// # fn main() -> Result<(), tower_openmetrics::Error> {
    /// let registry = Arc::new(Mutex::new(Registry::default()));
    /// let metrics = MetricsRegistry::new();
    /// metrics.include_with(move |text| encode_registry(text, &*registry.lock().map_err(|_| fmt::Error)?))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error under the same conditions as [`register_collector`](Self::register_collector).
    pub fn include_with<F>(&self, encode: F) -> Result<(), Error>
    where
        F: Fn(&mut String) -> fmt::Result + Send + Sync + 'static,
    {
        let source = FamilySource::new::<F>(encode);
        self.add_source(None, |_| source)
    }
}

impl<P> MetricsLayer<P> {
    /// Adds a collector to the page. It encodes its metrics at each scrape, with the layer's labels.
    ///
    /// # Errors
    ///
    /// Returns an error under the same conditions as [`MetricsRegistry::register_collector`], or if the
    /// layer has been [removed](Self::remove).
    pub fn register_collector(&self, collector: impl Collector) -> Result<(), Error> {
        let endpoint = Some(self.endpoint());
        self.registry().add_source(endpoint, |labels| {
            FamilySource::collector(labels, collector)
        })
    }
}
