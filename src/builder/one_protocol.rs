//! What layers of one protocol can be told, and others not.

use super::MetricsLayerBuilder;
use crate::classify::{Classify, HttpClient, ServerErrorsOnly};
use crate::labels::Label;
use crate::naming::Naming;
use crate::protocol::{Grpc, Http, Many, One, Streaming, Unary};

impl<C> MetricsLayerBuilder<Http<C>> {
    /// What decides which calls failed, and how. Defaults to
    /// [`HttpStatus`](crate::classify::HttpStatus).
    ///
    /// One that is a [client's](Classify::is_client) makes the layer a client's too, which it stays with any other.
    pub fn classifier<D: Classify>(self, classifier: D) -> MetricsLayerBuilder<Http<D>> {
        self.classified_by(&classifier)
            .map_protocol(|http| http.classified_by(classifier))
    }

    /// The upper bounds, in bytes and ascending, of the buckets of the sizes of bodies, which the conventions of
    /// [`open_telemetry`](crate::open_telemetry) have. Defaults to
    /// [`BODY_SIZE_BUCKETS`](crate::open_telemetry::BODY_SIZE_BUCKETS).
    pub fn body_size_buckets(mut self, bounds: impl IntoIterator<Item = u64>) -> Self {
        self.given.body_size_buckets = Some(bounds.into_iter().collect());
        self
    }

    /// As [`body_size_buckets`](Self::body_size_buckets), for the bodies of requests alone. Defaults to those.
    pub fn request_body_size_buckets(mut self, bounds: impl IntoIterator<Item = u64>) -> Self {
        self.given.request_body_size_buckets = Some(bounds.into_iter().collect());
        self
    }

    /// As [`body_size_buckets`](Self::body_size_buckets), for the bodies of responses alone. Defaults to those.
    pub fn response_body_size_buckets(mut self, bounds: impl IntoIterator<Item = u64>) -> Self {
        self.given.response_body_size_buckets = Some(bounds.into_iter().collect());
        self
    }

    /// The labels that most servers have: [`method`](Label::method), [`status`](Label::status), and `route`, which says
    /// where the router leaves what it has matched.
    ///
    /// The same as `.label(Label::method()).label(route).label(Label::status())`.
    ///
    #[cfg_attr(feature = "axum-route", doc = "```")]
    #[cfg_attr(not(feature = "axum-route"), doc = "```ignore")]
    /// use tower_openmetrics::MetricsLayer;
    /// use tower_openmetrics::labels::Label;
    ///
    /// # fn main() -> Result<(), tower_openmetrics::Error> {
    /// // With the feature `axum-route`. For other routers there is `Label::route`.
    /// let metrics = MetricsLayer::builder()
    ///     .http_labels(Label::axum_route())
    ///     .build([("endpoint", "shop")])?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn http_labels(self, route: Label) -> Self {
        self.label(Label::method())
            .label(route)
            .label(Label::status())
    }
}

impl MetricsLayerBuilder<Http> {
    /// Names, labels and buckets of OpenTelemetry's conventions for HTTP *servers*, instead of the crate's
    /// own: see [`open_telemetry`](crate::open_telemetry) for what they are.
    ///
    /// By these conventions 4xx is no failure of the server, so this also sets the classifier, to [`ServerErrorsOnly`], and
    /// the layer is a `MetricsLayer<Http<ServerErrorsOnly>>`. Give another one [after](Self::classifier) it.
    pub fn open_telemetry(mut self) -> MetricsLayerBuilder<Http<ServerErrorsOnly>> {
        let naming = Naming::OpenTelemetryServer;
        self.given.name("open_telemetry", naming);
        self.classified_by(&ServerErrorsOnly)
            .map_protocol(|_| Http::new(ServerErrorsOnly))
    }
}

impl MetricsLayerBuilder<Http<HttpClient>> {
    /// Names, labels and buckets of OpenTelemetry's conventions for HTTP *clients*, instead of the crate's
    /// own: see [`open_telemetry`](crate::open_telemetry) for what they are.
    ///
    /// By these conventions 4xx is a failure, as it is to [`HttpClient`]. Give another classifier
    /// [after](MetricsLayerBuilder::classifier) it.
    pub fn open_telemetry(mut self) -> Self {
        let naming = Naming::OpenTelemetryClient;
        self.given.name("open_telemetry", naming);
        self
    }
}

impl<C> MetricsLayerBuilder<Grpc<C>> {
    /// What decides which calls failed, and how. Defaults to the table at
    /// [`GrpcCode`](crate::classify::GrpcCode).
    ///
    /// One that is a [client's](Classify::is_client) makes the layer a client's too, which it stays with any other.
    pub fn classifier<D: Classify>(self, classifier: D) -> MetricsLayerBuilder<Grpc<D>> {
        self.classified_by(&classifier)
            .map_protocol(|grpc| grpc.classified_by(classifier))
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
                self.without_heads().classified_by(&classifier).map_protocol(|protocol| $protocol {
                    incoming: protocol.incoming,
                    measure: protocol.measure,
                    is_client: protocol.is_client || classifier.is_client(),
                    classifier,
                })
            }

            #[doc = concat!("How ", $what, " are measured: a closure, or another [`Measure`](crate::message::Measure).")]
            /// Defaults to asking the [`Message`](crate::Message) itself.
            pub fn $measure_response<M: Clone>(
                self,
                measure: M,
            ) -> MetricsLayerBuilder<$protocol<I, M, C>> {
                self.without_heads().map_protocol(|protocol| $protocol {
                    incoming: protocol.incoming,
                    measure,
                    classifier: protocol.classifier,
                    is_client: protocol.is_client,
                })
            }

            /// Requests are one message each, measured by `measure`: a closure, or another
            /// [`Measure`](crate::message::Measure). The default, which asks the [`Message`](crate::Message) itself.
            pub fn measure_requests<M: Clone>(
                self,
                measure: M,
            ) -> MetricsLayerBuilder<$protocol<One<M>, A, C>> {
                self.without_heads().map_protocol(|protocol| $protocol {
                    incoming: One(measure),
                    measure: protocol.measure,
                    classifier: protocol.classifier,
                    is_client: protocol.is_client,
                })
            }

            /// Requests are streams of messages, each measured by `measure` as
            /// the service reads it; [`Own`](crate::message::Own) asks the [`Message`](crate::Message) itself.
            ///
            /// A message that is an error breaks the request off: that is a cancellation if the
            /// client went away, a `timeout` if a [time limit](crate::classify#errors-that-are-known) passed and
            /// `invalid_message` otherwise, whatever the classifier says of errors. Nobody went away if that is
            /// a [client's](Classify::is_client).
            pub fn request_streams<M: Clone>(
                self,
                measure: M,
            ) -> MetricsLayerBuilder<$protocol<Many<M>, A, C>> {
                self.without_heads().map_protocol(|protocol| $protocol {
                    incoming: Many(measure),
                    measure: protocol.measure,
                    classifier: protocol.classifier,
                    is_client: protocol.is_client,
                })
            }
        }
    };
}

message_setters!(Unary, measure_responses, "responses");
message_setters!(Streaming, measure_items, "the items of responses");
