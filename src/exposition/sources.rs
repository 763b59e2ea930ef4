//! Collectors, and registries of prometheus-client's, on our page.

use crate::Error;
use crate::layer::MetricsLayer;
use crate::registry::{MetricsRegistry, Source};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::registry::Registry;
use std::fmt;
use std::sync::Arc;

impl MetricsRegistry {
    /// Puts a collector on the page: what it encodes at each scrape.
    ///
    /// Its families may be joined by others of the same name; they may not be called as an automatic one is.
    ///
    /// It may register something itself while it encodes, build a layer or remove one. It may not scrape
    /// the registry that it is in: such a scrape is answered by an error.
    ///
    /// # Errors
    ///
    /// If what it encodes now can't be shown with the rest, as far as that is known: collectors and included registries
    /// are not asked again for others to be registered, so of what they show that is what they did when they were
    /// registered or a page was made. If something comes to clash later, scrapes are answered by an error that
    /// names the metric.
    pub fn register_collector(&self, collector: impl Collector) -> Result<(), Error> {
        self.add_source(None, |labels| Source::collector(labels, collector))
    }

    /// Shows all that is in a registry of prometheus-client's on this page too,
    /// now and later.
    ///
    /// For one behind a lock there is [`include_with`](Self::include_with). The other way round there is
    /// [`register_in`](Self::register_in); do not do both, for a page can't contain itself.
    ///
    /// # Errors
    ///
    /// As those of [`register_collector`](Self::register_collector).
    pub fn include(&self, registry: Arc<Registry>) -> Result<(), Error> {
        let encode = move |text: &mut String| encode_registry(text, &registry);
        let source = Source::new(std::any::type_name::<Registry>(), encode);
        self.add_source(None, |_| source)
    }

    /// Shows what `encode` writes on this page too: what an app has in a registry of another kind, or one behind a lock.
    ///
    /// It is read as OpenMetrics if it ends in `# EOF`. Any other text may be in the Prometheus text format 0.0.4, as the
    /// crates `prometheus` and `metrics-exporter-prometheus` write it, or as prometheus-client's `encode_registry`
    /// does. In the former a timestamp that is a whole number is in milliseconds, what lacks a type is untyped, and
    /// `# TYPE jobs_total counter` is the family that OpenMetrics calls `jobs`. A counter whose name does not end in
    /// `_total` keeps its name; OpenMetrics has none of that kind, and shows it as of unknown type.
    ///
    /// ```
    /// use prometheus_client::encoding::text::encode_registry;
    /// use prometheus_client::registry::Registry;
    /// use std::fmt;
    /// use std::sync::{Arc, Mutex};
    /// use tower_openmetrics::MetricsRegistry;
    ///
    /// # fn main() -> Result<(), tower_openmetrics::Error> {
    /// let theirs = Arc::new(Mutex::new(Registry::default()));
    /// let ours = MetricsRegistry::new();
    /// ours.include_with(move |text| encode_registry(text, &*theirs.lock().map_err(|_| fmt::Error)?))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As those of [`register_collector`](Self::register_collector).
    pub fn include_with<F>(&self, encode: F) -> Result<(), Error>
    where
        F: Fn(&mut String) -> fmt::Result + Send + Sync + 'static,
    {
        let source = Source::new(std::any::type_name::<F>(), encode);
        self.add_source(None, |_| source)
    }
}

impl<P> MetricsLayer<P> {
    /// Puts a collector on the page: what it encodes at each scrape, with the layer's labels.
    ///
    /// # Errors
    ///
    /// As those of [`MetricsRegistry::register_collector`]; or if the layer has been
    /// [removed](Self::remove).
    pub fn register_collector(&self, collector: impl Collector) -> Result<(), Error> {
        let endpoint = Some(self.endpoint());
        self.registry()
            .add_source(endpoint, |labels| Source::collector(labels, collector))
    }
}
