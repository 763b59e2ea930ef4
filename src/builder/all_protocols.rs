//! What layers of all protocols can be told.

use super::MetricsLayerBuilder;
use crate::classify::{ErrorType, Head};
use crate::clock::Clock;
use crate::labels::{Label, RequestHead};
use crate::registry::MetricsRegistry;
use crate::settings::{Filter, IsStream, MessageFilter, Traces};
use crate::trace::TraceContext;
use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

impl<P> MetricsLayerBuilder<P> {
    /// The registry that the layer's metrics are in. Defaults to a new one.
    pub fn registry(mut self, registry: &MetricsRegistry) -> Self {
        self.given.registry = Some(registry.clone());
        self
    }

    /// What the names of the automatic metrics begin with: `shop` makes
    /// `shop_requests_total`, and so does `shop_`. Defaults to nothing.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.given.prefix = prefix.into();
        self
    }

    /// The upper bounds, in seconds and ascending, of the buckets of `request_duration_seconds`; `+Inf` is always
    /// added. Defaults to 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5 and 10.
    ///
    /// Every bucket is a series. Answers that stream for minutes want bounds
    /// of minutes, or all of them end up in `+Inf`.
    ///
    /// `response_head_seconds` and `first_byte_seconds` have the same buckets unless they are given
    /// [their](Self::response_head_buckets) [own](Self::first_byte_buckets). `stream_duration_seconds` always has
    /// [its own](Self::stream_buckets).
    ///
    /// ```
    /// use tower_openmetrics::MetricsLayer;
    ///
    /// # fn main() -> Result<(), tower_openmetrics::Error> {
    /// // A model server: a token comes soon, the last one late.
    /// let layer = MetricsLayer::streaming_builder()
    ///     .buckets([1.0, 5.0, 15.0, 60.0, 300.0])
    ///     .first_byte_seconds(true)
    ///     .first_byte_buckets([0.05, 0.1, 0.25, 0.5, 1.0, 2.5])
    ///     .build([("endpoint", "generate")])?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn buckets(mut self, bounds: impl IntoIterator<Item = f64>) -> Self {
        self.given.buckets = Some(bounds.into_iter().collect());
        self
    }

    /// Whether to have `response_head_seconds`: the time to the head of the
    /// response. Defaults to false.
    pub fn response_head_seconds(mut self, on: bool) -> Self {
        self.given.response_head_seconds = on;
        self
    }

    /// The upper bounds, in seconds and ascending, of the buckets of `response_head_seconds`. Defaults to
    /// [`buckets`](Self::buckets).
    pub fn response_head_buckets(mut self, bounds: impl IntoIterator<Item = f64>) -> Self {
        self.given.response_head_buckets = Some(bounds.into_iter().collect());
        self
    }

    /// Whether to have `first_byte_seconds`: the time to the first byte of the
    /// response's body, or to its first item; of a model server, to its first token. Defaults to false.
    pub fn first_byte_seconds(mut self, on: bool) -> Self {
        self.given.first_byte_seconds = on;
        self
    }

    /// The upper bounds, in seconds and ascending, of the buckets of `first_byte_seconds`. Defaults to
    /// [`buckets`](Self::buckets).
    pub fn first_byte_buckets(mut self, bounds: impl IntoIterator<Item = f64>) -> Self {
        self.given.first_byte_buckets = Some(bounds.into_iter().collect());
        self
    }

    /// Whether to have `request_messages_total` and `response_messages_total`:
    /// how many messages went in and out. Defaults to false, but to true for gRPC. HTTP has no messages, so for it this is
    /// an error.
    pub fn messages_total(mut self, on: bool) -> Self {
        self.given.messages = on;
        self
    }

    /// Error types of your own that stand on the page, at 0, from the
    /// start; with labels of requests, [from the first call](crate::labels#when-a-series-begins) of a label set on. Defaults to none: the
    /// built-in ones always do, and those that the classifier [names](crate::classify::Classify::error_types).
    pub fn error_types(mut self, error_types: impl IntoIterator<Item = ErrorType>) -> Self {
        self.given.error_types = error_types.into_iter().collect();
        self
    }

    /// A label whose value differs from call to call. See [`labels`](crate::labels) for which metric carries which.
    /// Defaults to none.
    ///
    /// Constant labels are given to [`build`](Self::build).
    pub fn label(mut self, label: Label) -> Self {
        self.given.labels.push(label);
        self
    }

    /// The maximum number of label sets per metric. Calls beyond it are recorded under one more, in which every label is
    /// `_OTHER`, and counted by `label_overflow_total`. Defaults to 2,000.
    ///
    /// A label set by method, route and status takes 1.2 KiB, 0.2 KiB more once it was shown, and 0.8 KiB more for each further
    /// thread that records under it (`cargo bench --bench memory`).
    pub fn cardinality_limit(mut self, max: usize) -> Self {
        self.given.cardinality_limit = Some(max);
        self
    }

    /// The time without a call after which the series of a label set leave the page and give their room back. Defaults to
    /// never.
    ///
    /// With it a burst of made-up names does not take up the room for the life of the process. A label set that comes back starts
    /// again from 0, as counters do when a process restarts. Sets with calls in flight stay, and so do
    /// [declared](Self::declare) ones.
    ///
    /// Choose a time of many scrapes: if a set leaves, what no scrape has seen of it is lost. Calls of such a
    /// layer count in numbers that all threads share which label sets are in use. What a service reads of a request after its call has ended is
    /// not counted.
    pub fn series_idle_timeout(mut self, idle: Duration) -> Self {
        self.given.series_idle_timeout = Some(idle);
        self
    }

    /// A label set that is to stand on the page, at 0 and with all declared error types, before the first call with it: so that
    /// a counter's first step shows as an increase. Defaults to none.
    ///
    /// By themselves declared label sets keep out no others: [`Label::only_declared`] does.
    ///
    /// It names all labels of the request. A label of the response that it leaves out is 200 or `2xx` if it is the status, and
    /// [absent](Label::absent) otherwise.
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
    pub fn declare<L, K, V>(mut self, label_set: L) -> Self
    where
        L: IntoIterator<Item = (K, V)>,
        K: Into<String>,
        V: Into<String>,
    {
        let pairs = label_set.into_iter();
        let pairs = pairs.map(|(name, value)| (name.into(), value.into()));
        self.given.declared.push(pairs.collect());
        self
    }

    /// Which calls are measured: those for which `is_measured` says so by the head of the request.
    /// Others leave no trace, not even in `concurrent_requests`. Defaults to all.
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
    /// Layers with the same labels on one registry must have the same filter: the same function, or, of a closure that captures
    /// something, a clone of one builder.
    pub fn filter<F>(mut self, is_measured: F) -> Self
    where
        F: Fn(&RequestHead<'_>) -> bool + Send + Sync + 'static,
    {
        self.given.filter = Some(Filter::new::<F>(Arc::new(is_measured)));
        self
    }

    /// Which calls are measured, by the message that they begin with: those for which `is_measured` says so. In all else as
    /// [`filter`](Self::filter), for services [without heads](crate::MetricsLayer::streaming). Defaults to all.
    ///
    /// Messages of another type than `T` are measured.
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
        self.given.filter_messages = Some(MessageFilter::new::<F>(Arc::new(is_measured)));
        self
    }

    /// Which calls last long by intent, by the head of the response: they are timed by `stream_duration_seconds` *instead of*
    /// `request_duration_seconds`, which they would spoil. [`is_long_lived`](crate::labels::is_long_lived) knows event
    /// streams. With labels of requests, a label set shows it once there was such a call. Defaults to none, without that metric.
    ///
    /// [Upgrades](crate::upgrade) that are followed to their end are streams, whatever `is_stream` says. Those that are not are not timed.
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
    /// Layers with the same labels on one registry must have the same function, or, of a closure that captures something, a clone
    /// of one builder.
    pub fn stream_duration_seconds<F>(mut self, is_stream: F) -> Self
    where
        F: Fn(&Head<'_>) -> bool + Send + Sync + 'static,
    {
        self.given.streams = Some(IsStream::new::<F>(Arc::new(is_stream)));
        self
    }

    /// As [`stream_duration_seconds`](Self::stream_duration_seconds), by the head of the *request*: for a long poll or a watch that
    /// is told by what is asked for. Defaults to none.
    ///
    /// Such a call is a stream from its beginning on, even if its client leaves before it is answered. Where both are given, a call
    /// is a stream if either says so.
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
    /// Layers with the same labels on one registry must have the same function: a clone of one builder.
    pub fn stream_requests<F>(mut self, is_stream: F) -> Self
    where
        F: Fn(&RequestHead<'_>) -> bool + Send + Sync + 'static,
    {
        self.given.stream_requests = Some(Filter::new::<F>(Arc::new(is_stream)));
        self
    }

    /// The upper bounds, in seconds and ascending, of the buckets of `stream_duration_seconds`.
    /// Defaults to 1, 5, 15, 60, 300, 900, 1800, 3600, 7200 and 14400.
    pub fn stream_buckets(mut self, bounds: impl IntoIterator<Item = f64>) -> Self {
        self.given.stream_buckets = Some(bounds.into_iter().collect());
        self
    }

    /// Exemplars: each bucket of the layer's histograms shows the latest call in it that belongs to a trace, which `trace_of`
    /// says by the head of the request: [`TraceContext::from_traceparent`], or a function that asks the tracing
    /// that is in use. OpenMetrics and protobuf show them, the Prometheus text format can't. Defaults to none.
    ///
    /// Without classic buckets there is one for all calls: the latest. Every thread keeps those of its own calls, and a page shows the
    /// latest of all threads.
    ///
    /// Layers with the same labels on one registry must have the same function, or, of a closure that captures something, a clone
    /// of one builder.
    pub fn exemplars<F>(mut self, trace_of: F) -> Self
    where
        F: Fn(&RequestHead<'_>) -> Option<TraceContext> + Send + Sync + 'static,
    {
        self.given.exemplars = Some(Traces::new::<F>(Arc::new(trace_of)));
        self
    }

    /// Whether histograms are also [native](https://prometheus.io/docs/specs/native_histograms/) ones, with buckets 9 % apart from
    /// a microsecond to twelve days and no bounds to choose. Defaults to false.
    ///
    /// Only protobuf shows them (feature `protobuf`), and only to a Prometheus that is told to scrape them. Each label set takes 2.6 KiB
    /// for every thread that records under it.
    pub fn native_histograms(mut self, on: bool) -> Self {
        self.given.native_histograms = on;
        self
    }

    /// Whether histograms have classic buckets. Without them the text formats show their count, sum, and
    /// `+Inf`. Defaults to true.
    pub fn classic_histograms(mut self, on: bool) -> Self {
        self.given.classic_histograms = on;
        self
    }

    /// The clock that times calls. Defaults to the real one.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.given.clock = clock;
        self
    }
}
