//! Settings of all protocols.

use super::MetricsLayerBuilder;
use crate::classify::{ErrorType, Head};
use crate::clock::Clock;
use crate::labels::{Label, RequestHead};
use crate::measured::Measured;
use crate::registry::MetricsRegistry;
use crate::settings::{Filter, IsStream, MessageFilter, Traces};
use crate::trace::TraceContext;
use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

impl<P> MetricsLayerBuilder<P> {
    /// The registry of the layer's metrics. Defaults to a new one.
    pub fn registry(mut self, registry: &MetricsRegistry) -> Self {
        self.options.registry = Some(registry.clone());
        self
    }

    /// The prefix of the automatic metrics' names. Both `shop` and `shop_` make `shop_requests_total`. Defaults to nothing.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.options.prefix = prefix.into();
        self
    }

    /// The upper bounds, in seconds and ascending, of the buckets of `request_duration_seconds`. `+Inf` is always
    /// added. Defaults to 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5 and 10.
    ///
    /// Every bucket is a series. Responses that stream for minutes need bounds of minutes; otherwise all of them are in
    /// `+Inf`.
    ///
    /// `response_head_seconds` and `first_byte_seconds` have the same buckets by default: see
    /// [`response_head_buckets`](Self::response_head_buckets) and [`first_byte_buckets`](Self::first_byte_buckets).
    /// `stream_duration_seconds` always has [its own](Self::stream_buckets).
    ///
    /// ```
    /// use tower_openmetrics::MetricsLayer;
    ///
    /// # fn main() -> Result<(), tower_openmetrics::Error> {
    /// // A model server: the first token comes soon, the last one late.
    /// let layer = MetricsLayer::streaming_builder()
    ///     .buckets([1.0, 5.0, 15.0, 60.0, 300.0])
    ///     .first_byte_seconds(true)
    ///     .first_byte_buckets([0.05, 0.1, 0.25, 0.5, 1.0, 2.5])
    ///     .build([("endpoint", "generate")])?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn buckets(self, bounds: impl IntoIterator<Item = f64>) -> Self {
        self.set_buckets(Measured::Duration, "buckets", bounds)
    }

    /// Whether to record `request_messages_total` and `response_messages_total`: the numbers of messages in and out.
    /// Defaults to true for gRPC, and to false otherwise. For HTTP, which has no messages, turning it on is an error.
    pub fn messages_total(mut self, on: bool) -> Self {
        self.options.settings.messages = on;
        self
    }

    /// Error types of your own that the page shows at 0 from the start. With request labels they stand at 0
    /// [from the first call](crate::labels#when-a-series-begins) of a label set. Defaults to none.
    ///
    /// Built-in error types, and [those of the classifier](crate::classify::Classify::error_types), are always shown.
    ///
    /// ```
    /// use tower_openmetrics::{ErrorType, Format, MetricsLayer};
    ///
    /// /// A handler puts it into the extensions of its response.
    /// const QUOTA: ErrorType = ErrorType::from_static("quota");
    ///
    /// # fn main() -> Result<(), tower_openmetrics::Error> {
    /// let layer = MetricsLayer::builder().error_types([QUOTA]).build(())?;
    /// let page = layer.registry().encode(Format::Prometheus)?;
    /// assert!(page.contains(r#"errors_total{error_type="quota"} 0"#));
    /// # Ok(())
    /// # }
    /// ```
    pub fn error_types(mut self, error_types: impl IntoIterator<Item = ErrorType>) -> Self {
        self.options.error_types = error_types.into_iter().collect();
        self
    }

    /// Adds a label whose value differs from call to call. [`labels`](crate::labels) says which metric carries which label.
    /// Defaults to none.
    ///
    /// Constant labels are given to [`build`](Self::build).
    pub fn label(mut self, label: Label) -> Self {
        self.options.labels.push(label);
        self
    }

    /// The maximum number of label sets per metric. Defaults to 2,000.
    ///
    /// Calls beyond it are recorded under one more label set, in which every label is `_OTHER`. `label_overflow_total` counts
    /// them.
    ///
    /// A label set by method, route and status takes 1.4 KiB, 0.2 KiB more once it was shown, and 0.5 KiB more for each further
    /// thread that records under it (`cargo bench --bench memory`).
    pub fn cardinality_limit(mut self, max: usize) -> Self {
        self.options.cardinality_limit = Some(max);
        self
    }

    /// The time without a call after which the series of a label set leave the page and free their room. Defaults to never.
    ///
    /// With it, a burst of made-up names doesn't use up the cardinality limit for the life of the process. A label set that
    /// comes back starts again from 0, like counters after a restart. Label sets with calls in flight stay, and so do
    /// [declared](Self::declare) ones.
    ///
    /// Choose a time of many scrapes: when a label set leaves, counts that no scrape has read are lost. With this setting, every
    /// call writes to memory that all threads share, to mark its label set as in use. Bytes that a service reads of a request
    /// after its call has ended are not counted.
    pub fn series_idle_timeout(mut self, idle: Duration) -> Self {
        self.options.settings.series_idle_timeout = Some(idle);
        self
    }

    /// Adds a label set that the page shows at 0, with all declared error types, before its first call. The first call then
    /// shows as an increase. Defaults to none.
    ///
    /// It must name all labels of the request. If it leaves out a label of the response, the status is 200 or `2xx`, and any
    /// other label is [absent](Label::absent).
    ///
    /// Other label sets are still recorded. To show only declared values, use [`Label::only_declared`].
    ///
    /// ```
    /// use tower_openmetrics::MetricsLayer;
    /// use tower_openmetrics::labels::Label;
    ///
    /// # fn main() -> Result<(), tower_openmetrics::Error> {
    /// let layer = MetricsLayer::builder()
    ///     .label(Label::method())
    ///     .label(Label::status())
    ///     .declare([("method", "GET")])
    ///     .declare([("method", "GET"), ("status", "500")])
    ///     .build([("endpoint", "a")])?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn declare(
        mut self,
        label_set: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>,
    ) -> Self {
        let pairs = label_set.into_iter();
        let pairs = pairs.map(|(name, value)| (name.into(), value.into()));
        self.options.declared.push(pairs.collect());
        self
    }

    /// Measures only calls for which `is_measured` returns true for the head of the request. Others leave no trace, not even in
    /// `concurrent_requests`. Defaults to all.
    ///
    /// ```
    /// use tower_openmetrics::MetricsLayer;
    ///
    /// # fn main() -> Result<(), tower_openmetrics::Error> {
    /// let layer = MetricsLayer::builder()
    ///     .filter(|head| head.uri.path() != "/health")
    ///     .build([("endpoint", "a")])?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Layers with the same labels on one registry must have the same filter. If it is a closure that captures something, build
    /// them from clones of one builder.
    pub fn filter<F>(mut self, is_measured: F) -> Self
    where
        F: Fn(&RequestHead<'_>) -> bool + Send + Sync + 'static,
    {
        self.options.settings.filter = Some(Filter::new::<F>(Arc::new(is_measured)));
        self
    }

    /// Measures only calls for which `is_measured` returns true for the message that they begin with. Defaults to all.
    ///
    /// Like [`filter`](Self::filter), for services [without heads](crate::MetricsLayer::streaming). Calls with a message of
    /// another type than `T` are measured.
    ///
    /// ```
    /// use tower_openmetrics::MetricsLayer;
    ///
    /// # fn main() -> Result<(), tower_openmetrics::Error> {
    /// let layer = MetricsLayer::streaming_builder()
    ///     .filter_messages(|prompt: &String| prompt != "ping")
    ///     .build([("endpoint", "generate")])?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn filter_messages<T, F>(mut self, is_measured: F) -> Self
    where
        T: 'static,
        F: Fn(&T) -> bool + Send + Sync + 'static,
    {
        let is_measured = move |message: &dyn Any| message.downcast_ref().is_none_or(&is_measured);
        self.options.settings.filter_messages =
            Some(MessageFilter::new::<F>(Arc::new(is_measured)));
        self
    }

    /// Times streams by `stream_duration_seconds` *instead of* `request_duration_seconds`: calls for which `is_stream` returns
    /// true for the head of the response. They stay open by intent and would spoil the other histogram. Defaults to none, and
    /// to no such metric.
    ///
    /// [`is_long_lived`](crate::labels::is_long_lived) recognises event streams. With request labels, a label set has this
    /// metric once it had a stream.
    ///
    /// [Upgrades](crate::upgrade) that a guard follows to their end are streams, whatever `is_stream` returns. Other upgrades are
    /// not timed.
    ///
    /// ```
    /// use tower_openmetrics::MetricsLayer;
    /// use tower_openmetrics::labels::is_long_lived;
    ///
    /// # fn main() -> Result<(), tower_openmetrics::Error> {
    /// let layer = MetricsLayer::builder()
    ///     .stream_duration_seconds(is_long_lived)
    ///     .build([("endpoint", "a")])?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Layers with the same labels on one registry must have the same function. If it is a closure that captures something,
    /// build them from clones of one builder.
    pub fn stream_duration_seconds<F>(mut self, is_stream: F) -> Self
    where
        F: Fn(&Head<'_>) -> bool + Send + Sync + 'static,
    {
        self.options.settings.stream_responses = Some(IsStream::new::<F>(Arc::new(is_stream)));
        self
    }

    /// Like [`stream_duration_seconds`](Self::stream_duration_seconds), by the head of the *request*. Use it for a long poll or a
    /// watch. Defaults to none.
    ///
    /// Such a call is a stream from its beginning, even if its client leaves before the response. If both settings are given, a
    /// call is a stream if either function returns true.
    ///
    /// ```
    /// use tower_openmetrics::MetricsLayer;
    ///
    /// # fn main() -> Result<(), tower_openmetrics::Error> {
    /// let layer = MetricsLayer::builder()
    ///     .stream_requests(|head| {
    ///         let query = head.uri.query().unwrap_or_default();
    ///         query.split('&').any(|parameter| parameter == "watch=true")
    ///     })
    ///     .build([("endpoint", "a")])?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Layers with the same labels on one registry must have the same function. If it is a closure that captures something,
    /// build them from clones of one builder.
    pub fn stream_requests<F>(mut self, is_stream: F) -> Self
    where
        F: Fn(&RequestHead<'_>) -> bool + Send + Sync + 'static,
    {
        self.options.settings.stream_requests = Some(Filter::new::<F>(Arc::new(is_stream)));
        self
    }

    /// The upper bounds, in seconds and ascending, of the buckets of `stream_duration_seconds`.
    /// Defaults to 1, 5, 15, 60, 300, 900, 1800, 3600, 7200 and 14400.
    pub fn stream_buckets(self, bounds: impl IntoIterator<Item = f64>) -> Self {
        self.set_buckets(Measured::StreamDuration, "stream_buckets", bounds)
    }

    /// Shows an exemplar for each bucket of the layer's histograms: the latest call in the bucket that belongs to a trace.
    /// Defaults to none.
    ///
    /// `trace_of` returns the trace of a call. It is [`TraceContext::from_traceparent`], or a function that asks your tracing
    /// library. OpenMetrics and protobuf show exemplars; the Prometheus text format can't.
    ///
    /// Without classic buckets there is one exemplar for all calls. Each thread keeps the exemplars of its own calls, and a page
    /// shows the latest of all threads.
    ///
    /// ```
    /// use tower_openmetrics::{MetricsLayer, TraceContext};
    ///
    /// # fn main() -> Result<(), tower_openmetrics::Error> {
    /// let layer = MetricsLayer::builder()
    ///     .exemplars(TraceContext::from_traceparent)
    ///     .build([("endpoint", "a")])?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Layers with the same labels on one registry must have the same function. If it is a closure that captures something,
    /// build them from clones of one builder.
    pub fn exemplars<F>(mut self, trace_of: F) -> Self
    where
        F: Fn(&RequestHead<'_>) -> Option<TraceContext> + Send + Sync + 'static,
    {
        self.options.settings.exemplars = Some(Traces::new::<F>(Arc::new(trace_of)));
        self
    }

    /// Whether histograms are also [native](https://prometheus.io/docs/specs/native_histograms/) ones. Their buckets are 9 %
    /// apart, from a microsecond to twelve days, with no bounds to choose. Defaults to false.
    ///
    /// Only the protobuf format shows them (feature `protobuf`), to a Prometheus that is configured to scrape them. Each label set
    /// takes 2.6 KiB for every thread that records under it. Histograms of body sizes stay as they are.
    pub fn native_histograms(mut self, on: bool) -> Self {
        self.options.native_histograms = on;
        self
    }

    /// Whether histograms have classic buckets. Without them, the text formats show the count, the sum and the `+Inf` bucket.
    /// Histograms of body sizes always have them. Defaults to true.
    pub fn classic_histograms(mut self, on: bool) -> Self {
        self.options.without_classic_histograms = !on;
        self
    }

    /// The clock that times calls. Defaults to the real one.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.options.settings.clock = clock;
        self
    }
}
