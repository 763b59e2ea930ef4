use crate::Error;
use crate::classify::{Classify, ErrorType, HttpStatus};
use crate::clock::Clock;
use crate::labels::Labels;
use crate::protocol::Http;
use crate::recorder::{Bounds, MOST_ERROR_TYPES, Settings};
use crate::registry::{Endpoint, MetricsRegistry};
use crate::service::Metrics;
use prometheus_client::registry::{Metric, Unit};
use std::fmt;
use std::sync::Arc;
use tower_layer::Layer;

/// Measures the services that it wraps.
///
/// All services of one layer, and of layers with the same labels on the same
/// [`MetricsRegistry`], count into the same series.
#[must_use = "a layer measures nothing until a service is wrapped in it"]
pub struct MetricsLayer<P = Http> {
    registry: MetricsRegistry,
    endpoint: Arc<Endpoint>,
    protocol: P,
}

/// Settings for a [`MetricsLayer`]. Made by [`MetricsLayer::builder`].
#[derive(Clone, Debug)]
#[must_use = "nothing is built before `build`"]
pub struct MetricsLayerBuilder<C = HttpStatus> {
    registry: Option<MetricsRegistry>,
    prefix: String,
    buckets: Option<Vec<f64>>,
    response_head_seconds: bool,
    first_byte_seconds: bool,
    error_types: Vec<ErrorType>,
    clock: Clock,
    classifier: C,
}

// === impl MetricsLayer ===

impl MetricsLayer {
    /// A layer for HTTP with these labels on all its metrics, and with a registry of its own.
    ///
    /// # Panics
    ///
    /// If a label's name is invalid, reserved (`le`, `quantile`, `error_type`, `__*`) or
    /// given twice. For labels that are not known when the program is written there is
    /// [`try_new`](Self::try_new).
    #[track_caller]
    pub fn new<L, K, V>(labels: L) -> Self
    where
        L: IntoIterator<Item = (K, V)>,
        K: Into<String>,
        V: Into<String>,
    {
        match Self::try_new(labels) {
            Ok(layer) => layer,
            Err(error) => panic!("`MetricsLayer::new`: {error}"),
        }
    }

    /// As [`new`](Self::new), for labels that may be wrong.
    ///
    /// # Errors
    ///
    /// Where [`new`](Self::new) panics.
    pub fn try_new<L, K, V>(labels: L) -> Result<Self, Error>
    where
        L: IntoIterator<Item = (K, V)>,
        K: Into<String>,
        V: Into<String>,
    {
        Self::builder().build(labels)
    }

    /// A layer for HTTP with settings of your own.
    pub fn builder() -> MetricsLayerBuilder {
        MetricsLayerBuilder {
            registry: None,
            prefix: String::new(),
            buckets: None,
            response_head_seconds: false,
            first_byte_seconds: false,
            error_types: Vec::new(),
            clock: Clock::real(),
            classifier: HttpStatus,
        }
    }
}

impl<P> MetricsLayer<P> {
    /// The registry that the layer's metrics are in.
    pub fn registry(&self) -> &MetricsRegistry {
        &self.registry
    }

    /// Puts a metric of your own beside the automatic ones, with the layer's
    /// labels, and gives it back. The layer's prefix is not put before its name.
    ///
    /// ```
    /// use prometheus_client::metrics::counter::Counter;
    /// use tower_openmetrics::MetricsLayer;
    ///
    /// # fn main() -> Result<(), tower_openmetrics::Error> {
    /// let layer = MetricsLayer::new([("endpoint", "a")]);
    /// let rows = layer.register("rows_read", "Rows read", Counter::<u64>::default())?;
    /// rows.inc_by(3); // shown as rows_read_total{endpoint="a"} 3
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// If the name is not a metric's, is taken by something else, or is registered already
    /// with the same labels; or if it is with others but differs in type, unit or help.
    pub fn register<M>(
        &self,
        name: impl AsRef<str>,
        help: impl Into<String>,
        metric: M,
    ) -> Result<M, Error>
    where
        M: Metric + Clone,
    {
        let labels = &self.endpoint.labels;
        self.registry
            .add(name.as_ref(), help.into(), None, labels, metric)
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
        M: Metric + Clone,
    {
        let labels = &self.endpoint.labels;
        self.registry
            .add(name.as_ref(), help.into(), Some(&unit), labels, metric)
    }
}

impl<S, P: Clone> Layer<S> for MetricsLayer<P> {
    type Service = Metrics<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        let lease = self.endpoint.families.lease();
        Metrics::new(inner, lease, self.protocol.clone())
    }
}

impl<P: Clone> Clone for MetricsLayer<P> {
    fn clone(&self) -> Self {
        Self {
            registry: self.registry.clone(),
            endpoint: self.endpoint.clone(),
            protocol: self.protocol.clone(),
        }
    }
}

impl Default for MetricsLayer {
    /// A layer for HTTP without labels, and with a registry of its own.
    fn default() -> Self {
        Self::new([("", ""); 0])
    }
}

impl<P> fmt::Debug for MetricsLayer<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsLayer")
            .field("labels", &self.endpoint.labels)
            .finish_non_exhaustive()
    }
}

// === impl MetricsLayerBuilder ===

impl<C> MetricsLayerBuilder<C> {
    /// The registry to be in. Defaults to a new one.
    pub fn registry(mut self, registry: &MetricsRegistry) -> Self {
        self.registry = Some(registry.clone());
        self
    }

    /// What the names of the automatic metrics begin with: `shop` makes
    /// `shop_requests_total`. Defaults to nothing.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// The upper bounds, in seconds and ascending, of the buckets of all the layer's
    /// histograms; `+Inf` is always added. Defaults to 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
    /// 0.5, 1, 2.5, 5 and 10.
    ///
    /// Every bucket is a series. Answers that stream for minutes want bounds
    /// of minutes, or all of them end up in `+Inf`.
    pub fn buckets(mut self, bounds: impl IntoIterator<Item = f64>) -> Self {
        self.buckets = Some(bounds.into_iter().collect());
        self
    }

    /// Whether to have `response_head_seconds`: the time to the head of the
    /// response. Defaults to false.
    pub fn response_head_seconds(mut self, on: bool) -> Self {
        self.response_head_seconds = on;
        self
    }

    /// Whether to have `first_byte_seconds`: the time to the first byte of the
    /// response's body; of a model server, to its first token. Defaults to false.
    pub fn first_byte_seconds(mut self, on: bool) -> Self {
        self.first_byte_seconds = on;
        self
    }

    /// Error types of your own that are to stand on the page, at 0, from the
    /// start. Defaults to none; the built-in ones always do.
    pub fn error_types(mut self, error_types: impl IntoIterator<Item = ErrorType>) -> Self {
        self.error_types = error_types.into_iter().collect();
        self
    }

    /// The clock that times calls. Defaults to the real one.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// What decides which calls failed, and how. Defaults to [`HttpStatus`].
    pub fn classifier<D: Classify>(self, classifier: D) -> MetricsLayerBuilder<D> {
        let Self {
            registry,
            prefix,
            buckets,
            response_head_seconds,
            first_byte_seconds,
            error_types,
            clock,
            classifier: _,
        } = self;
        MetricsLayerBuilder {
            registry,
            prefix,
            buckets,
            response_head_seconds,
            first_byte_seconds,
            error_types,
            clock,
            classifier,
        }
    }

    /// The layer, with these labels on all its metrics.
    ///
    /// # Errors
    ///
    /// Names the value that is wrong:
    ///
    /// - a label whose name is invalid, reserved or given twice;
    /// - a prefix that is not the beginning of a name;
    /// - buckets that are empty, not ascending, negative or not finite;
    /// - more error types than a layer has room for (53 of your own);
    /// - a metric that was registered before under the name of an automatic one;
    /// - another layer with the same labels and prefix in the registry that has other settings.
    pub fn build<L, K, V>(self, labels: L) -> Result<MetricsLayer<Http<C>>, Error>
    where
        L: IntoIterator<Item = (K, V)>,
        K: Into<String>,
        V: Into<String>,
        C: Classify,
    {
        let labels = Labels::new(labels)?;
        let settings = Settings {
            clock: self.clock,
            buckets: self
                .buckets
                .map_or_else(|| Ok(Bounds::default()), Bounds::new)?,
            response_head: self.response_head_seconds,
            first_byte: self.first_byte_seconds,
            error_types: all_error_types(&self.error_types)?,
        };
        let registry = self
            .registry
            .unwrap_or_else(|| MetricsRegistry::with_clock(self.clock));
        Ok(MetricsLayer {
            endpoint: registry.endpoint(&self.prefix, labels, settings)?,
            registry,
            protocol: Http::new(self.classifier),
        })
    }
}

/// The built-in types and `declared` ones, each once.
fn all_error_types(declared: &[ErrorType]) -> Result<Vec<ErrorType>, Error> {
    let mut all = ErrorType::BUILT_IN.to_vec();
    for error_type in declared {
        if !all.contains(error_type) {
            all.push(*error_type);
        }
    }
    // One place is for what there is no other place for.
    let room = MOST_ERROR_TYPES - 1;
    match all.get(room) {
        None => Ok(all),
        Some(first) => Err(Error::new(format!(
            "error type `{first}` is one too many: declare at most {} of your own",
            room - ErrorType::BUILT_IN.len()
        ))),
    }
}
