//! Presets for OpenTelemetry's conventions.

use super::MetricsLayerBuilder;
use crate::classify::{HttpClient, ServerErrorsOnly};
use crate::labels::Label;
use crate::measured::Measured;
use crate::naming::Naming;
use crate::open_telemetry::{gen_ai, rpc};
use crate::protocol::{Grpc, Http, Streaming, Unary};

impl MetricsLayerBuilder<Http> {
    /// Uses the names, labels and buckets of OpenTelemetry's conventions for HTTP *servers*. See
    /// [`open_telemetry::http`](crate::open_telemetry::http).
    ///
    /// By these conventions 4xx is not a failure of the server, so this also sets the classifier to [`ServerErrorsOnly`]. The
    /// layer is a `MetricsLayer<Http<ServerErrorsOnly>>`. To use another classifier, set it [after](Self::classifier) this.
    pub fn open_telemetry(mut self) -> MetricsLayerBuilder<Http<ServerErrorsOnly>> {
        let naming = Naming::HttpServer;
        self.options.set_naming("open_telemetry", naming);
        self.classified_by(&ServerErrorsOnly)
            .map_protocol(|_| Http::new(ServerErrorsOnly))
    }
}

impl MetricsLayerBuilder<Http<HttpClient>> {
    /// Uses the names, labels and buckets of OpenTelemetry's conventions for HTTP *clients*. See
    /// [`open_telemetry::http`](crate::open_telemetry::http).
    ///
    /// By these conventions 4xx is a failure, and by [`HttpClient`] as well. To use another classifier, set it
    /// [after](MetricsLayerBuilder::classifier) this.
    pub fn open_telemetry(mut self) -> Self {
        let naming = Naming::HttpClient;
        self.options.set_naming("open_telemetry", naming);
        self
    }
}

impl MetricsLayerBuilder<Grpc> {
    /// Uses the names, labels and buckets of OpenTelemetry's conventions for RPC *servers*. See
    /// [`open_telemetry::rpc`](crate::open_telemetry::rpc).
    ///
    /// By these conventions codes that blame the client are not failures of the server, so this also sets the classifier to
    /// [`ServerErrorsOnly`]. The layer is a `MetricsLayer<Grpc<ServerErrorsOnly>>`. To use another classifier, set it
    /// [after](Self::classifier) this.
    pub fn open_telemetry(self) -> MetricsLayerBuilder<Grpc<ServerErrorsOnly>> {
        self.rpc(Naming::RpcServer)
            .classified_by(&ServerErrorsOnly)
            .map_protocol(|_| Grpc::new().classified_by(ServerErrorsOnly))
    }
}

impl MetricsLayerBuilder<Grpc<HttpClient>> {
    /// Uses the names, labels and buckets of OpenTelemetry's conventions for RPC *clients*. See
    /// [`open_telemetry::rpc`](crate::open_telemetry::rpc).
    ///
    /// By these conventions every code but `OK` is a failure, and by [`HttpClient`] as well, apart from `CANCELLED`. To use
    /// another classifier, set it [after](MetricsLayerBuilder::classifier) this.
    pub fn open_telemetry(self) -> Self {
        self.rpc(Naming::RpcClient)
    }
}

impl<C> MetricsLayerBuilder<Grpc<C>> {
    fn rpc(mut self, naming: Naming) -> Self {
        self.options.set_naming("open_telemetry", naming);
        self.default_labels(rpc::labels())
    }
}

/// The preset for model servers, for a protocol whose responses are streams.
macro_rules! gen_ai_of_streams {
    ([$($generics:tt)*] $protocol:ty, $(#[$tokens:meta])*) => {
        impl<$($generics)*> MetricsLayerBuilder<$protocol> {
            /// Uses the names and buckets of OpenTelemetry's conventions for *model servers* (generative AI), and records the
            /// time to the first token and the time per output token. See
            /// [`open_telemetry::gen_ai`](crate::open_telemetry::gen_ai).
            ///
            $(#[$tokens])*
            ///
            /// To use another classifier, set it [after](MetricsLayerBuilder::classifier) this.
            pub fn gen_ai(self) -> Self {
                self.gen_ai_server().tokens()
            }
        }
    };
}

gen_ai_of_streams!(
    [I, A] Streaming<I, A>,
    /// Tokens are [items](Self::items_total): a message of the response is one token, unless
    /// [`Message::items`](crate::Message::items) or [`message::items`](crate::message::items) says otherwise.
);
gen_ai_of_streams!(
    [] Http,
    /// Tokens are [items](Self::items_total), which [`items_in_frames`](Self::items_in_frames) has to find in the response's
    /// body.
);
gen_ai_of_streams!(
    [] Grpc,
    /// Tokens are [items](Self::items_total): a message of the response is one token, unless
    /// [`items_in_frames`](Self::items_in_frames) says otherwise.
);

impl<I, A> MetricsLayerBuilder<Unary<I, A>> {
    /// Uses the names and buckets of OpenTelemetry's conventions for *model servers* (generative AI). See
    /// [`open_telemetry::gen_ai`](crate::open_telemetry::gen_ai).
    ///
    /// All tokens of a response come at once, so that only the duration is recorded.
    ///
    /// To use another classifier, set it [after](MetricsLayerBuilder::classifier) this.
    pub fn gen_ai(self) -> Self {
        self.gen_ai_server()
    }
}

impl<P> MetricsLayerBuilder<P> {
    fn gen_ai_server(mut self) -> Self {
        self.options.set_naming("gen_ai", Naming::GenAiServer);
        self.options.default_labels.push(Label::error_type());
        self
    }

    /// Times tokens.
    fn tokens(mut self) -> Self {
        let timings = &mut self.options.timings;
        timings.turn_on_with(Measured::FirstItem, &gen_ai::TIME_TO_FIRST_TOKEN_BUCKETS);
        timings.turn_on_with(
            Measured::TimePerItem,
            &gen_ai::TIME_PER_OUTPUT_TOKEN_BUCKETS,
        );
        self
    }
}
