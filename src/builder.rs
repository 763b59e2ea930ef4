use crate::Error;
use crate::call::CallHandle;
use crate::classify::{Classify, ErrorType};
use crate::clock::Clock;
use crate::labels::Labels;
use crate::layer::MetricsLayer;
use crate::protocol::{Grpc, Http, Many, One, PassHandle, Streaming, Unary};
use crate::recorder::{Bounds, MOST_ERROR_TYPES, Settings};
use crate::registry::MetricsRegistry;

/// Settings for a [`MetricsLayer`]. Made by [`MetricsLayer::builder`] and its like.
#[derive(Clone, Debug)]
#[must_use = "nothing is built before `build`"]
pub struct MetricsLayerBuilder<P = Http> {
    registry: Option<MetricsRegistry>,
    prefix: String,
    buckets: Option<Vec<f64>>,
    response_head_seconds: bool,
    first_byte_seconds: bool,
    messages: bool,
    error_types: Vec<ErrorType>,
    clock: Clock,
    protocol: P,
}

// === what all protocols have ===

impl<P> MetricsLayerBuilder<P> {
    pub(crate) fn new(protocol: P) -> Self {
        Self {
            registry: None,
            prefix: String::new(),
            buckets: None,
            response_head_seconds: false,
            first_byte_seconds: false,
            messages: false,
            error_types: Vec::new(),
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
    /// - more error types than a layer has room for (54 of your own);
    /// - a metric that is there already and shows a name that an automatic one would, be it
    ///   registered, included, or another layer's with another prefix;
    /// - another layer with the same labels and prefix in the registry that has other settings,
    ///   the clock among them.
    pub fn build<L, K, V>(self, labels: L) -> Result<MetricsLayer<P>, Error>
    where
        L: IntoIterator<Item = (K, V)>,
        K: Into<String>,
        V: Into<String>,
    {
        let labels = Labels::new(labels)?;
        let settings = Settings {
            clock: self.clock,
            buckets: self
                .buckets
                .map_or_else(|| Ok(Bounds::default()), Bounds::new)?,
            response_head: self.response_head_seconds,
            first_byte: self.first_byte_seconds,
            messages: self.messages,
            error_types: all_error_types(&self.error_types)?,
        };
        let registry = self
            .registry
            .unwrap_or_else(|| MetricsRegistry::with_clock(self.clock));
        let endpoint = registry.endpoint(&self.prefix, labels, settings)?;
        Ok(MetricsLayer::of(registry, endpoint, self.protocol))
    }

    fn map_protocol<Q>(self, map: impl FnOnce(P) -> Q) -> MetricsLayerBuilder<Q> {
        let Self {
            registry,
            prefix,
            buckets,
            response_head_seconds,
            first_byte_seconds,
            messages,
            error_types,
            clock,
            protocol,
        } = self;
        MetricsLayerBuilder {
            registry,
            prefix,
            buckets,
            response_head_seconds,
            first_byte_seconds,
            messages,
            error_types,
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
        self.map_protocol(|_| Http::new(classifier))
    }
}

impl<C> MetricsLayerBuilder<Grpc<C>> {
    /// What decides which calls failed, and how. Defaults to the table at
    /// [`GrpcCode`](crate::classify::GrpcCode).
    pub fn classifier<D: Classify>(self, classifier: D) -> MetricsLayerBuilder<Grpc<D>> {
        self.map_protocol(|_| Grpc::new(classifier))
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
                self.map_protocol(|protocol| $protocol {
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

/// The built-in types and `declared` ones, each once.
fn all_error_types(declared: &[ErrorType]) -> Result<Vec<ErrorType>, Error> {
    let mut all = ErrorType::BUILT_IN.to_vec();
    for error_type in declared {
        if !all.contains(error_type) && *error_type != ErrorType::OTHER {
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
