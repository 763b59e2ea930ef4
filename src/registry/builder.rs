use super::MetricsRegistry;
use super::family;
use crate::Error;
use crate::clock::Clock;
use crate::labels::{ConstantLabels, Labels};

/// Settings for a [`MetricsRegistry`]. Made by [`MetricsRegistry::builder`].
#[derive(Clone, Debug)]
#[must_use = "nothing is built before `build`"]
pub struct MetricsRegistryBuilder {
    prefix: String,
    clock: Clock,
}

// === impl MetricsRegistryBuilder ===

impl MetricsRegistryBuilder {
    pub(super) fn new() -> Self {
        Self {
            prefix: String::new(),
            clock: Clock::real(),
        }
    }

    /// Sets the prefix of the registry's own metrics. Both `shop` and `shop_` make `shop_uptime_seconds`. Defaults to
    /// none.
    ///
    /// The registry's own metrics are `uptime_seconds`, the automatic metrics of its layers, and the metrics of its
    /// exporters. A layer's own prefix follows this one. Metrics and collectors that you register keep their names.
    ///
    /// Use a prefix to show two registries on one page, or in one prometheus-client registry. The
    /// [prefix of a layer](crate::MetricsLayerBuilder::prefix) applies to that layer only.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets the clock that measures the uptime. Defaults to the real clock.
    ///
    /// Layers don't use this clock. Set theirs with [`MetricsLayerBuilder::clock`](crate::MetricsLayerBuilder::clock).
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Builds the registry with labels that all its metrics have. Pass `()` for no labels.
    ///
    /// The labels appear on the automatic metrics of all layers, next to each layer's own labels, on registered metrics and
    /// collectors, on `uptime_seconds`, and on the metrics of its exporters. They don't appear on
    /// [included](MetricsRegistry::include) families.
    ///
    /// ```
    /// use tower_openmetrics::{Format, MetricsLayer, MetricsRegistry};
    ///
    /// # fn main() -> Result<(), tower_openmetrics::Error> {
    /// let registry = MetricsRegistry::builder().prefix("shop").build([("zone", "eu")])?;
    /// let layer = MetricsLayer::builder().registry(&registry).build([("endpoint", "cart")])?;
    ///
    /// let page = registry.encode(Format::OpenMetrics)?;
    /// assert!(page.contains(r#"shop_requests_total{endpoint="cart",zone="eu"} 0"#));
    /// assert!(page.contains(r#"shop_uptime_seconds{zone="eu"} "#));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if a label name is invalid, reserved or given twice, or if no metric name can begin with the prefix.
    /// The error names the value.
    pub fn build<L, M>(self, labels: L) -> Result<MetricsRegistry, Error>
    where
        L: ConstantLabels<M>,
    {
        let Self { prefix, clock } = self;
        let labels = Labels::new(labels)?;
        let prefix = family::prefix(&prefix)?;
        Ok(MetricsRegistry::from_parts(clock, prefix, labels))
    }
}
