//! Settings of one protocol.

use super::MetricsLayerBuilder;
use crate::classify::Classify;
use crate::labels::Label;
use crate::measured::Measured;
use crate::protocol::{Grpc, Http, Many, One, Streaming, Unary};

impl<C> MetricsLayerBuilder<Http<C>> {
    /// Decides which calls failed, and how. Defaults to [`HttpStatus`](crate::classify::HttpStatus).
    ///
    /// A [client's](Classify::is_client) classifier makes the layer a client's. Setting another one later doesn't change that.
    ///
    /// ```
    /// use tower_openmetrics::MetricsLayer;
    /// use tower_openmetrics::classify::ServerErrorsOnly;
    ///
    /// # fn main() -> Result<(), tower_openmetrics::Error> {
    /// let layer = MetricsLayer::builder()
    ///     .classifier(ServerErrorsOnly)
    ///     .build([("endpoint", "a")])?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// [`classify`](crate::classify) has more examples.
    pub fn classifier<D: Classify>(self, classifier: D) -> MetricsLayerBuilder<Http<D>> {
        self.classified_by(&classifier)
            .map_protocol(|http| http.classified_by(classifier))
    }

    /// The upper bounds, in bytes and ascending, of the buckets of body sizes, for the conventions of
    /// [`open_telemetry`](crate::open_telemetry). Defaults to
    /// [`BODY_SIZE_BUCKETS`](crate::open_telemetry::BODY_SIZE_BUCKETS).
    pub fn body_size_buckets(self, bounds: impl IntoIterator<Item = u64>) -> Self {
        let bounds: Vec<u64> = bounds.into_iter().collect();
        self.set_size_buckets(Measured::RequestSize, "body_size_buckets", bounds.clone())
            .set_size_buckets(Measured::ResponseSize, "body_size_buckets", bounds)
    }

    /// Like [`body_size_buckets`](Self::body_size_buckets), for the bodies of requests only. Call it after that setting.
    pub fn request_body_size_buckets(self, bounds: impl IntoIterator<Item = u64>) -> Self {
        self.set_size_buckets(Measured::RequestSize, "request_body_size_buckets", bounds)
    }

    /// Like [`body_size_buckets`](Self::body_size_buckets), for the bodies of responses only. Call it after that setting.
    pub fn response_body_size_buckets(self, bounds: impl IntoIterator<Item = u64>) -> Self {
        self.set_size_buckets(Measured::ResponseSize, "response_body_size_buckets", bounds)
    }

    fn set_size_buckets(
        self,
        measured: Measured,
        setter: &'static str,
        bounds: impl IntoIterator<Item = u64>,
    ) -> Self {
        let bounds = bounds.into_iter().map(|bytes| bytes as f64);
        self.set_buckets(measured, setter, bounds)
    }

    /// Adds the labels that most servers need: [`method`](Label::method), `route` and [`status`](Label::status). `route` is
    /// [`Label::route`] for your router, or `Label::axum_route()`.
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

impl<C> MetricsLayerBuilder<Grpc<C>> {
    /// Decides which calls failed, and how. Defaults to the table at [`GrpcCode`](crate::classify::GrpcCode).
    ///
    /// A [client's](Classify::is_client) classifier makes the layer a client's. Setting another one later doesn't change that.
    pub fn classifier<D: Classify>(self, classifier: D) -> MetricsLayerBuilder<Grpc<D>> {
        self.classified_by(&classifier)
            .map_protocol(|grpc| grpc.classified_by(classifier))
    }
}

/// The setters of [`Unary`] and [`Streaming`], which differ in one name.
macro_rules! message_setters {
    ($protocol:ident, $measure_response:ident, $what:literal) => {
        impl<I, A, C> MetricsLayerBuilder<$protocol<I, A, C>> {
            /// Decides how calls failed. Defaults to the [errors that are known](crate::classify#errors-that-are-known) in the
            /// source chain, or else to the phase in which the call failed.
            pub fn classifier<D: Classify>(
                self,
                classifier: D,
            ) -> MetricsLayerBuilder<$protocol<I, A, D>> {
                self.classified_by(&classifier).map_protocol(|protocol| $protocol {
                    incoming: protocol.incoming,
                    measure: protocol.measure,
                    is_client: protocol.is_client || classifier.is_client(),
                    classifier,
                })
            }

            #[doc = concat!("Measures ", $what, " by a closure, or another [`Measure`](crate::message::Measure).")]
            /// Defaults to [`Message::size`](crate::Message::size).
            pub fn $measure_response<M: Clone>(
                self,
                measure: M,
            ) -> MetricsLayerBuilder<$protocol<I, M, C>> {
                self.map_protocol(|protocol| $protocol {
                    incoming: protocol.incoming,
                    measure,
                    classifier: protocol.classifier,
                    is_client: protocol.is_client,
                })
            }

            /// Measures requests that are one message each by a closure, or another [`Measure`](crate::message::Measure).
            /// This is the default, with [`Message::size`](crate::Message::size).
            pub fn measure_requests<M: Clone>(
                self,
                measure: M,
            ) -> MetricsLayerBuilder<$protocol<One<M>, A, C>> {
                self.incoming(One(measure))
            }

            /// Measures requests that are streams of messages. `measure` measures each message as the service reads it;
            /// [`Own`](crate::message::Own) uses [`Message::size`](crate::Message::size).
            ///
            /// A message that is an error breaks off the request. If the error says that the client went away, the call is
            /// cancelled. If a [time limit](crate::classify#errors-that-are-known) passed, it is a `timeout`, and otherwise an
            /// `invalid_message`, whatever the classifier makes of errors. A [client's](Classify::is_client) layer doesn't count
            /// it as cancelled.
            pub fn request_streams<M: Clone>(
                self,
                measure: M,
            ) -> MetricsLayerBuilder<$protocol<Many<M>, A, C>> {
                self.incoming(Many(measure))
            }

            fn incoming<J>(self, incoming: J) -> MetricsLayerBuilder<$protocol<J, A, C>> {
                self.map_protocol(|protocol| $protocol {
                    incoming,
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
