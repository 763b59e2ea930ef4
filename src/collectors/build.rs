//! Infos of what was built and of where it runs.

use crate::Error;
use crate::labels::Labels;
use crate::registry::MetricsRegistry;
use prometheus_client::metrics::info::Info;

impl MetricsRegistry {
    /// Puts `build_info` on the page: a sample of value 1 whose labels say what was built.
    ///
    /// Its labels are up to you; `version`, `revision` and `branch` are what Prometheus' own programs
    /// have. Other series of the process get them in a query by a join, such as
    /// `up * on (instance, job) group_left (version) build_info`.
    ///
    /// ```
    /// # use tower_openmetrics::MetricsRegistry;
    /// # fn main() -> Result<(), tower_openmetrics::Error> {
    /// let registry = MetricsRegistry::new();
    /// registry.build_info([
    ///     ("version", env!("CARGO_PKG_VERSION")),
    ///     ("revision", option_env!("GIT_REVISION").unwrap_or("unknown")),
    /// ])?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// If a label can't be one of a layer's, or is given twice; or if the registry has `build_info` already.
    pub fn build_info<L, K, V>(&self, labels: L) -> Result<(), Error>
    where
        L: IntoIterator<Item = (K, V)>,
        K: Into<String>,
        V: Into<String>,
    {
        self.info("build", "What was built, said by the labels", labels)
    }

    /// Puts `target_info` on the page: a sample of value 1 whose labels say what is being scraped.
    ///
    /// This is the [target info of OpenMetrics][openmetrics], for what would otherwise be repeated in
    /// the labels of every series. OpenTelemetry's [resource attributes][opentelemetry] go here, with `_` for
    /// each dot: `service.name` is `service_name`.
    ///
    /// ```
    /// # use tower_openmetrics::MetricsRegistry;
    /// # fn main() -> Result<(), tower_openmetrics::Error> {
    /// let registry = MetricsRegistry::new();
    /// registry.target_info([("service_name", "cart"), ("deployment_environment", "staging")])?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// [openmetrics]: https://prometheus.io/docs/specs/om/open_metrics_spec/#supporting-target-metadata-in-both-push-based-and-pull-based-systems
    /// [opentelemetry]: https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/#resource-attributes-1
    ///
    /// # Errors
    ///
    /// If a label can't be one of a layer's, or is given twice; or if the registry has `target_info` already.
    pub fn target_info<L, K, V>(&self, labels: L) -> Result<(), Error>
    where
        L: IntoIterator<Item = (K, V)>,
        K: Into<String>,
        V: Into<String>,
    {
        self.info("target", "What is scraped, said by the labels", labels)
    }

    fn info<L, K, V>(&self, name: &str, help: &str, labels: L) -> Result<(), Error>
    where
        L: IntoIterator<Item = (K, V)>,
        K: Into<String>,
        V: Into<String>,
    {
        let labels = Labels::new(labels)?;
        let pairs: Vec<(String, String)> = labels
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        self.register_info(name, help, Info::new(pairs))
    }
}
