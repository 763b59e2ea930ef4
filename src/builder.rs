use crate::Error;
use crate::classify::{Classify, ErrorType, Head, HttpClient, ServerErrorsOnly};
use crate::clock::Clock;
use crate::handle::CallHandle;
use crate::labels::{Declared, Label, Labels, RequestHead, Schema};
use crate::layer::MetricsLayer;
use crate::open_telemetry::{self, BODY_SIZE_BUCKETS, DURATION_BUCKETS, Naming};
use crate::protocol::{Grpc, Http, Many, One, PassHandle, Streaming, Unary};
use crate::recorder::{
    Bounds, DeclaredTypes, Filter, LABEL_SETS, MOST_ERROR_TYPES, Settings, Streams, Traces,
};
use crate::registry::MetricsRegistry;
use crate::trace::TraceContext;
use std::sync::Arc;

/// Settings for a [`MetricsLayer`]. Made by [`MetricsLayer::builder`] and its like.
#[derive(Clone, Debug)]
#[must_use = "nothing is built before `build`"]
pub struct MetricsLayerBuilder<P = Http> {
    registry: Option<MetricsRegistry>,
    naming: Naming,
    body_size_buckets: Option<Vec<u64>>,
    prefix: String,
    buckets: Option<Vec<f64>>,
    response_head_seconds: bool,
    first_byte_seconds: bool,
    messages: bool,
    error_types: Vec<ErrorType>,
    classifier_error_types: &'static [ErrorType],
    labels: Vec<Label>,
    label_sets: usize,
    declared: Vec<Vec<(String, String)>>,
    filter: Option<Filter>,
    streams: Option<Streams>,
    stream_buckets: Option<Vec<f64>>,
    exemplars: Option<Traces>,
    native_histograms: bool,
    classic_histograms: bool,
    clock: Clock,
    protocol: P,
}

/// From a second to four hours: for answers that stay open.
const STREAM_BUCKETS: [f64; 10] = [
    1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0,
];

// === what all protocols have ===

impl<P> MetricsLayerBuilder<P> {
    pub(crate) fn new(protocol: P) -> Self {
        Self {
            registry: None,
            naming: Naming::Own,
            body_size_buckets: None,
            prefix: String::new(),
            buckets: None,
            response_head_seconds: false,
            first_byte_seconds: false,
            messages: false,
            error_types: Vec::new(),
            classifier_error_types: &[],
            labels: Vec::new(),
            label_sets: LABEL_SETS,
            declared: Vec::new(),
            filter: None,
            streams: None,
            stream_buckets: None,
            exemplars: None,
            native_histograms: false,
            classic_histograms: true,
            clock: Clock::real(),
            protocol,
        }
    }

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
    /// response's body, or to its first item; of a model server, to its first token. Defaults to false.
    pub fn first_byte_seconds(mut self, on: bool) -> Self {
        self.first_byte_seconds = on;
        self
    }

    /// Whether to have `request_messages_total` and `response_messages_total`:
    /// how many messages went in and out. HTTP has none. Defaults to false, but to true for gRPC.
    pub fn messages_total(mut self, on: bool) -> Self {
        self.messages = on;
        self
    }

    /// Error types of your own that are to stand on the page, at 0, from the
    /// start. Defaults to none; the built-in ones always do, and those that the classifier
    /// [names](Classify::error_types).
    pub fn error_types(mut self, error_types: impl IntoIterator<Item = ErrorType>) -> Self {
        self.error_types = error_types.into_iter().collect();
        self
    }

    /// A label whose value requests bring. See [`labels`](crate::labels) for which metric carries which.
    /// Defaults to none.
    pub fn label(mut self, label: Label) -> Self {
        self.labels.push(label);
        self
    }

    /// How many label sets there may be: no metric of the layer has more, whatever is sent, but for one that takes the
    /// rest: what finds no room is recorded under `_OTHER`, and counted by `label_overflow_total`. Defaults to 2,000.
    ///
    /// A label set takes some 2 KiB, and as much again for every eight threads or so that record under it.
    pub fn label_sets(mut self, most: usize) -> Self {
        self.label_sets = most;
        self
    }

    /// A label set that is to stand on the page, at 0 and with all declared error types, before the first call with it: so that
    /// a counter's first step shows as an increase. Defaults to none.
    ///
    /// Labels of the request are to be named all. Of those of the response that are not, a status is 200, or
    /// `2xx`, and any other is [absent](Label::absent).
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
        self.declared.push(pairs.collect());
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
    /// Layers with the same labels on one registry must have the same filter: a clone of one builder.
    pub fn filter<F>(mut self, is_measured: F) -> Self
    where
        F: Fn(&RequestHead<'_>) -> bool + Send + Sync + 'static,
    {
        self.filter = Some(Filter(Arc::new(is_measured)));
        self
    }

    /// Which calls last long by intent, by the head of the response: they are timed by `stream_duration_seconds` *instead of*
    /// `request_duration_seconds`, which they would spoil. [`is_long_lived`](crate::labels::is_long_lived) knows event
    /// streams and upgrades. Defaults to none, without that metric.
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
    /// Layers with the same labels on one registry must have the same function: a clone of one builder.
    pub fn stream_duration_seconds<F>(mut self, is_stream: F) -> Self
    where
        F: Fn(&Head<'_>) -> bool + Send + Sync + 'static,
    {
        self.streams = Some(Streams {
            is_stream: Arc::new(is_stream),
            buckets: Bounds::default(),
        });
        self
    }

    /// The upper bounds, in seconds and ascending, of the buckets of `stream_duration_seconds`.
    /// Defaults to 1, 5, 15, 60, 300, 900, 1800, 3600, 7200 and 14400.
    pub fn stream_buckets(mut self, bounds: impl IntoIterator<Item = f64>) -> Self {
        self.stream_buckets = Some(bounds.into_iter().collect());
        self
    }

    /// Exemplars: each bucket of the layer's histograms shows the latest call in it that belongs to a trace, which `trace_of`
    /// says by the head of the request: [`TraceContext::from_traceparent`], or a function that asks the tracing
    /// that is in use. OpenMetrics and protobuf show them, the Prometheus text format can't. Defaults to none.
    ///
    /// Without classic buckets there is one for all calls: the latest. Of more threads than twice the cores, and 16, that record at
    /// once, those that came last keep none.
    ///
    /// Layers with the same labels on one registry must have the same function: a clone of one builder.
    pub fn exemplars<F>(mut self, trace_of: F) -> Self
    where
        F: Fn(&RequestHead<'_>) -> Option<TraceContext> + Send + Sync + 'static,
    {
        self.exemplars = Some(Traces(Arc::new(trace_of)));
        self
    }

    /// Whether histograms are also [native](https://prometheus.io/docs/specs/native_histograms/) ones, with buckets 9 % apart from
    /// a microsecond to twelve days and no bounds to choose. Defaults to false.
    ///
    /// Only protobuf shows them (feature `protobuf`), and only to a Prometheus that is told to scrape them. Each label set takes 2.6 KiB
    /// for every thread that records under it.
    pub fn native_histograms(mut self, on: bool) -> Self {
        self.native_histograms = on;
        self
    }

    /// Whether histograms have classic buckets. Without them the text formats show their count, sum, and
    /// `+Inf`. Defaults to true.
    pub fn classic_histograms(mut self, on: bool) -> Self {
        self.classic_histograms = on;
        self
    }

    /// The clock that times calls. Defaults to the real one.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Gives the service a handle to each call: `pass` puts it where the
    /// service finds it. See [`PassHandle`]. Defaults to none.
    pub fn pass_handle<Req, F>(self, pass: F) -> MetricsLayerBuilder<PassHandle<P, F>>
    where
        F: Fn(&mut Req, CallHandle) + Clone,
    {
        self.map_protocol(|protocol| PassHandle::new(protocol, pass))
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
    /// - more error types than a layer has room for (54 of your own, less those that the classifier names);
    /// - a label of a request whose name is invalid, reserved, given twice or that of a constant one, or that is one too many
    ///   (eight of the request, eight of the response);
    /// - a declared label set that names none of those labels, or not all that a request has; or more of them than there may be;
    /// - room for no label set at all;
    /// - a metric that is there already and shows a name that an automatic one would, be it
    ///   registered, included, or another layer's with another prefix;
    /// - another layer with the same labels and prefix in the registry that has other settings,
    ///   the clock among them;
    /// - another layer there that may show the same series all the same, for it has as labels of requests what this
    ///   one has as constants, or only empty labels, which are as good as none, tell the two apart.
    pub fn build<L, K, V>(self, labels: L) -> Result<MetricsLayer<P>, Error>
    where
        L: IntoIterator<Item = (K, V)>,
        K: Into<String>,
        V: Into<String>,
    {
        let labels = Labels::new(labels)?;
        let of_request = open_telemetry::labels(self.naming, self.labels);
        let schema = Schema::new(of_request, &labels)?;
        let declared = self.declared.iter().map(|given| schema.declared(given));
        let kind = |bounds: Bounds| {
            let classic = if self.classic_histograms {
                bounds
            } else {
                Bounds::none()
            };
            classic.native(self.native_histograms)
        };
        let buckets = match (self.buckets, self.naming.is_own()) {
            (Some(bounds), _) => Bounds::new(bounds)?,
            (None, true) => Bounds::default(),
            (None, false) => Bounds::new(DURATION_BUCKETS)?,
        };
        let settings = Settings {
            naming: self.naming,
            clock: self.clock,
            buckets: kind(buckets),
            response_head: self.response_head_seconds,
            first_byte: self.first_byte_seconds,
            messages: self.messages,
            error_types: all_error_types(self.classifier_error_types, &self.error_types)?,
            label_sets: self.label_sets,
            declared: within(self.label_sets, declared.collect::<Result<_, _>>()?)?,
            schema,
            filter: self.filter,
            streams: with_buckets(self.streams, self.stream_buckets, kind)?,
            exemplars: self.exemplars,
            sizes: size_bounds(self.naming, self.body_size_buckets)?,
        };
        let registry = self
            .registry
            .unwrap_or_else(|| MetricsRegistry::with_clock(self.clock));
        let endpoint = registry.endpoint(&self.prefix, labels, settings)?;
        Ok(MetricsLayer::of(registry, endpoint, self.protocol))
    }

    /// What the classifier of the protocol names stands on the page from the start.
    fn classified_by(mut self, classifier: &impl Classify) -> Self {
        self.classifier_error_types = classifier.error_types();
        self
    }

    fn map_protocol<Q>(self, map: impl FnOnce(P) -> Q) -> MetricsLayerBuilder<Q> {
        let Self {
            registry,
            naming,
            body_size_buckets,
            prefix,
            buckets,
            response_head_seconds,
            first_byte_seconds,
            messages,
            error_types,
            classifier_error_types,
            labels,
            label_sets,
            declared,
            filter,
            streams,
            stream_buckets,
            exemplars,
            native_histograms,
            classic_histograms,
            clock,
            protocol,
        } = self;
        MetricsLayerBuilder {
            registry,
            naming,
            body_size_buckets,
            prefix,
            buckets,
            response_head_seconds,
            first_byte_seconds,
            messages,
            error_types,
            classifier_error_types,
            labels,
            label_sets,
            declared,
            filter,
            streams,
            stream_buckets,
            exemplars,
            native_histograms,
            classic_histograms,
            clock,
            protocol: map(protocol),
        }
    }
}

// === what each has of its own ===

impl<C> MetricsLayerBuilder<Http<C>> {
    /// What decides which calls failed, and how. Defaults to
    /// [`HttpStatus`](crate::classify::HttpStatus).
    pub fn classifier<D: Classify>(self, classifier: D) -> MetricsLayerBuilder<Http<D>> {
        self.classified_by(&classifier)
            .map_protocol(|_| Http::new(classifier))
    }

    /// Names, labels and buckets of OpenTelemetry's conventions for HTTP *servers*, instead of the crate's
    /// own: see [`open_telemetry`] for what they are.
    ///
    /// By these conventions 4xx is no failure of the server, so this also sets the classifier, to [`ServerErrorsOnly`], and
    /// the layer is a `MetricsLayer<Http<ServerErrorsOnly>>`. Give another one [after](Self::classifier) it.
    pub fn open_telemetry(mut self) -> MetricsLayerBuilder<Http<ServerErrorsOnly>> {
        self.naming = Naming::OpenTelemetryServer;
        self.classifier(ServerErrorsOnly)
    }

    /// As [`open_telemetry`](Self::open_telemetry), with the conventions for HTTP *clients*.
    ///
    /// By these 4xx is a failure, so this also sets the classifier, to [`HttpClient`].
    pub fn open_telemetry_client(mut self) -> MetricsLayerBuilder<Http<HttpClient>> {
        self.naming = Naming::OpenTelemetryClient;
        self.classifier(HttpClient)
    }

    /// The upper bounds, in bytes and ascending, of the buckets of the sizes of bodies, which the conventions of
    /// [`open_telemetry`] have. Defaults to [`BODY_SIZE_BUCKETS`].
    pub fn body_size_buckets(mut self, bounds: impl IntoIterator<Item = u64>) -> Self {
        self.body_size_buckets = Some(bounds.into_iter().collect());
        self
    }
}

impl<C> MetricsLayerBuilder<Grpc<C>> {
    /// What decides which calls failed, and how. Defaults to the table at
    /// [`GrpcCode`](crate::classify::GrpcCode).
    pub fn classifier<D: Classify>(self, classifier: D) -> MetricsLayerBuilder<Grpc<D>> {
        self.map_protocol(|_| Grpc::classified_by(classifier))
    }
}

/// The setters that [`Unary`] and [`Streaming`] share, but for one name.
macro_rules! message_setters {
    ($protocol:ident, $measure_response:ident, $what:literal) => {
        impl<I, A, C> MetricsLayerBuilder<$protocol<I, A, C>> {
            /// What decides how calls failed. Defaults to what the source chains
            /// of errors say, else to the phase.
            pub fn classifier<D: Classify>(
                self,
                classifier: D,
            ) -> MetricsLayerBuilder<$protocol<I, A, D>> {
                self.classified_by(&classifier).map_protocol(|protocol| $protocol {
                    incoming: protocol.incoming,
                    measure: protocol.measure,
                    classifier,
                })
            }

            #[doc = concat!("How ", $what, " are measured: a closure, or another [`Measure`](crate::message::Measure).")]
            /// Defaults to asking the [`Message`](crate::Message) itself.
            pub fn $measure_response<M: Clone>(
                self,
                measure: M,
            ) -> MetricsLayerBuilder<$protocol<I, M, C>> {
                self.map_protocol(|protocol| $protocol {
                    incoming: protocol.incoming,
                    measure,
                    classifier: protocol.classifier,
                })
            }

            /// Requests are one message each, measured by `measure`: a closure, or another
            /// [`Measure`](crate::message::Measure). The default, which asks the [`Message`](crate::Message) itself.
            pub fn measure_requests<M: Clone>(
                self,
                measure: M,
            ) -> MetricsLayerBuilder<$protocol<One<M>, A, C>> {
                self.map_protocol(|protocol| $protocol {
                    incoming: One(measure),
                    measure: protocol.measure,
                    classifier: protocol.classifier,
                })
            }

            /// Requests are streams of messages, each measured by `measure` as
            /// the service reads it; [`Own`](crate::message::Own) asks the [`Message`](crate::Message) itself.
            ///
            /// A message that is an error breaks the request off: that is a cancellation if the
            /// client went away and `invalid_message` otherwise, whatever the classifier says of errors.
            pub fn request_streams<M: Clone>(
                self,
                measure: M,
            ) -> MetricsLayerBuilder<$protocol<Many<M>, A, C>> {
                self.map_protocol(|protocol| $protocol {
                    incoming: Many(measure),
                    measure: protocol.measure,
                    classifier: protocol.classifier,
                })
            }
        }
    };
}

message_setters!(Unary, measure_responses, "responses");
message_setters!(Streaming, measure_items, "the items of responses");

/// The declared label sets, if there is room for all.
fn within(most: usize, declared: Vec<Declared>) -> Result<Vec<Declared>, Error> {
    if most == 0 {
        return Err(Error::new(
            "room for 0 label sets: give `label_sets` at least 1",
        ));
    }
    if declared.len() > most {
        return Err(Error::new(format!(
            "{} label sets are declared and there is room for {most}: declare fewer, or give `label_sets` more",
            declared.len()
        )));
    }
    Ok(declared)
}

fn with_buckets(
    streams: Option<Streams>,
    bounds: Option<Vec<f64>>,
    kind: impl Fn(Bounds) -> Bounds,
) -> Result<Option<Streams>, Error> {
    let bounds = bounds.unwrap_or_else(|| STREAM_BUCKETS.to_vec());
    let buckets = kind(Bounds::new(bounds)?);
    Ok(streams.map(|streams| Streams { buckets, ..streams }))
}

/// The buckets of the sizes of bodies, which only OpenTelemetry's conventions have.
fn size_bounds(naming: Naming, bounds: Option<Vec<u64>>) -> Result<Option<Bounds>, Error> {
    let bounds = Bounds::of_bytes(bounds.unwrap_or_else(|| BODY_SIZE_BUCKETS.to_vec()))?;
    Ok((!naming.is_own()).then_some(bounds))
}

/// The built-in types, those of the classifier and `declared` ones, each once.
fn all_error_types(
    classifier: &[ErrorType],
    declared: &[ErrorType],
) -> Result<DeclaredTypes, Error> {
    let mut all = ErrorType::BUILT_IN.to_vec();
    for error_type in classifier.iter().chain(declared) {
        if !all.contains(error_type) && *error_type != ErrorType::OTHER {
            all.push(*error_type);
        }
    }
    // One place is for what there is no other place for.
    let room = MOST_ERROR_TYPES - 1;
    match all.get(room) {
        None => Ok(DeclaredTypes::new(&all)),
        Some(first) => Err(Error::new(format!(
            "error type `{first}` is one too many: declare at most {} of your own",
            room.saturating_sub(ErrorType::BUILT_IN.len() + classifier.len())
        ))),
    }
}
