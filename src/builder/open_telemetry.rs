//! Presets for OpenTelemetry's conventions.

use super::MetricsLayerBuilder;
use crate::classify::{HttpClient, ServerErrorsOnly};
use crate::labels::Label;
use crate::naming::Naming;
use crate::open_telemetry;
use crate::protocol::{Grpc, Http, Streaming, Unary};

impl MetricsLayerBuilder<Http> {
    /// Uses the names, labels and buckets of OpenTelemetry's conventions for HTTP *servers*. See
    /// [`open_telemetry::http`](crate::open_telemetry::http).
    ///
    /// By these conventions 4xx is not a failure of the server, so this also sets the classifier to [`ServerErrorsOnly`]. The
    /// layer is a `MetricsLayer<Http<ServerErrorsOnly>>`. To use another classifier, set it [after](Self::classifier) this.
    pub fn open_telemetry(self) -> MetricsLayerBuilder<Http<ServerErrorsOnly>> {
        self.conventions(Naming::HttpServer)
            .classifier(ServerErrorsOnly)
    }
}

impl MetricsLayerBuilder<Http<HttpClient>> {
    /// Uses the names, labels and buckets of OpenTelemetry's conventions for HTTP *clients*. See
    /// [`open_telemetry::http`](crate::open_telemetry::http).
    ///
    /// By these conventions 4xx is a failure, and by [`HttpClient`] as well. To use another classifier, set it
    /// [after](MetricsLayerBuilder::classifier) this.
    pub fn open_telemetry(self) -> Self {
        self.conventions(Naming::HttpClient)
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
        self.conventions(Naming::RpcServer)
            .classifier(ServerErrorsOnly)
    }
}

impl MetricsLayerBuilder<Grpc<HttpClient>> {
    /// Uses the names, labels and buckets of OpenTelemetry's conventions for RPC *clients*. See
    /// [`open_telemetry::rpc`](crate::open_telemetry::rpc).
    ///
    /// By these conventions every code but `OK` is a failure, and by [`HttpClient`] as well, apart from `CANCELLED`. To use
    /// another classifier, set it [after](MetricsLayerBuilder::classifier) this.
    pub fn open_telemetry(self) -> Self {
        self.conventions(Naming::RpcClient)
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
                self.gen_ai_server().first_item_seconds(true).time_per_item_seconds(true)
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
    /// Uses the names and labels of a convention for HTTP or RPC.
    fn conventions(self, naming: Naming) -> Self {
        self.preset("open_telemetry", naming)
            .default_labels(open_telemetry::labels(naming))
    }

    fn gen_ai_server(self) -> Self {
        let mut builder = self.preset("gen_ai", Naming::GenAiServer);
        builder.options.default_labels.push(Label::error_type());
        builder
    }
}
