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

    /// What the names of the registry's own metrics begin with, and a `_`: `shop` makes `shop_uptime_seconds`, and so
    /// does `shop_`. Defaults to nothing.
    ///
    /// These are `uptime_seconds`, the automatic metrics of all layers in the registry, before whose own prefix this
    /// one comes, and the numbers of its exporters. Use it to have two registries on one page, or in one registry of
    /// prometheus-client's; the [prefix of a layer](crate::MetricsLayerBuilder::prefix) reaches that layer's alone.
    /// Metrics and collectors that you register keep the names that you give them.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// The clock that the uptime is read from. Defaults to the real one.
    ///
    /// A layer that times calls by another clock than the real one is given it
    /// [by its own builder](crate::MetricsLayerBuilder::clock).
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Builds the registry, with these labels on all its metrics. For no labels, give `()`.
    ///
    /// They are on the automatic metrics of all its layers, beside each layer's own labels, on metrics and collectors that are
    /// registered, on `uptime_seconds` and on the numbers of its exporters. What is
    /// [included](MetricsRegistry::include) from elsewhere is shown as it is.
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
    /// Names the value that is wrong: a label whose name is invalid, reserved or given twice, or a prefix that is not the
    /// beginning of a name.
    pub fn build<L, M>(self, labels: L) -> Result<MetricsRegistry, Error>
    where
        L: ConstantLabels<M>,
    {
        let Self { prefix, clock } = self;
        let labels = Labels::new(labels.into_labels())?;
        let prefix = family::prefix(&prefix)?;
        Ok(MetricsRegistry::of(clock, prefix, labels))
    }
}
