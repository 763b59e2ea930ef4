//! Infos about the build and the target.

use crate::Error;
use crate::escaping::label_in_text;
use crate::labels::Labels;
use crate::registry::MetricsRegistry;
use prometheus_client::metrics::info::Info;

impl MetricsRegistry {
    /// Adds `build_info` to the page: a sample of value 1 whose labels describe the build.
    ///
    /// The labels are up to you. Prometheus' own programs have `version`, `revision` and `branch`. A
    /// query can join them with other series of the process:
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
    /// Returns an error if a label is invalid or repeated, or if the registry already has `build_info`.
    pub fn build_info<L, K, V>(&self, labels: L) -> Result<(), Error>
    where
        L: IntoIterator<Item = (K, V)>,
        K: Into<String>,
        V: Into<String>,
    {
        let help = "Information about the build, in the labels";
        self.info("build", help, &Labels::new(labels)?)
    }

    /// Adds `target_info` to the page: a sample of value 1 whose labels describe the target.
    ///
    /// This is the [target info of OpenMetrics][openmetrics]. It has labels that would otherwise be repeated
    /// in every series. OpenTelemetry's [resource attributes][opentelemetry] belong here. Scrapers that don't read dots
    /// [see `_` in place of each](crate::exporter#names-in-any-characters).
    ///
    /// ```
    /// # use tower_openmetrics::MetricsRegistry;
    /// # fn main() -> Result<(), tower_openmetrics::Error> {
    /// let registry = MetricsRegistry::new();
    /// registry.target_info([("service.name", "cart"), ("deployment.environment", "staging")])?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// [openmetrics]: https://prometheus.io/docs/specs/om/open_metrics_spec/#supporting-target-metadata-in-both-push-based-and-pull-based-systems
    /// [opentelemetry]: https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/#resource-attributes-1
    ///
    /// # Errors
    ///
    /// Returns an error if a label is invalid or repeated, or if the registry already has `target_info`.
    pub fn target_info<L, K, V>(&self, labels: L) -> Result<(), Error>
    where
        L: IntoIterator<Item = (K, V)>,
        K: Into<String>,
        V: Into<String>,
    {
        let help = "Information about the target, in the labels";
        self.info("target", help, &Labels::new(labels)?)
    }

    fn info(&self, name: &str, help: &str, labels: &Labels) -> Result<(), Error> {
        let in_text =
            |(name, value): (&str, &str)| (label_in_text(name).into_owned(), value.into());
        let pairs: Vec<(String, String)> = labels.iter().map(in_text).collect();
        self.register_info(name, help, Info::new(pairs))
    }
}
