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
    /// # Errors
    ///
    /// If what it encodes now can't be shown with the rest. If that comes to be so later, scrapes are
    /// answered by an error that names the metric.
    pub fn register_collector(&self, collector: impl Collector) -> Result<(), Error> {
        self.add_source(None, |labels| Source::collector(labels, collector))
    }

    /// Shows all that is in a registry of prometheus-client's on this page too,
    /// now and later.
    ///
    /// For one behind a lock there is [`include_with`](Self::include_with). The other way round, a `MetricsRegistry` is
    /// a [`Collector`] for theirs; do not do both, for a page can't contain itself.
    ///
    /// # Errors
    ///
    /// As those of [`register_collector`](Self::register_collector).
    pub fn include(&self, registry: Arc<Registry>) -> Result<(), Error> {
        let encode = move |text: &mut String| encode_registry(text, &registry);
        let source = Source::new(std::any::type_name::<Registry>(), encode);
        self.add_source(None, |_| source)
    }

    /// Shows what `encode` writes, in prometheus-client's text form, on this page too.
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
