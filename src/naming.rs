/// The convention that names a layer's metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Naming {
    /// The crate's own names.
    #[default]
    Own,
    /// The names of the crate axum-prometheus.
    AxumPrometheus,
    /// OpenTelemetry's names for an HTTP server.
    HttpServer,
    /// OpenTelemetry's names for an HTTP client.
    HttpClient,
    /// OpenTelemetry's names for a model server.
    GenAiServer,
    /// OpenTelemetry's names for an RPC server.
    RpcServer,
    /// OpenTelemetry's names for an RPC client.
    RpcClient,
}

// === impl Naming ===

impl Naming {
    /// Returns the prefix of all names, given the layer's `own` prefix. Two conventions never share a name.
    pub(crate) fn prefix(self, own: &str) -> String {
        let prefix = match self {
            Self::Own => "",
            // The layer's prefix replaces `axum`, as in axum-prometheus.
            Self::AxumPrometheus if own.is_empty() => "axum_http_",
            Self::AxumPrometheus => "http_",
            Self::HttpServer => "http_server_",
            Self::HttpClient => "http_client_",
            Self::GenAiServer => "gen_ai_server_",
            Self::RpcServer => "rpc_server_",
            Self::RpcClient => "rpc_client_",
        };
        format!("{own}{prefix}")
    }

    /// Whether names, labels and buckets follow OpenTelemetry's conventions. In all of them the error type is a label of the
    /// duration, which replaces the counters of ended calls.
    pub(crate) fn is_open_telemetry(self) -> bool {
        !matches!(self, Self::Own | Self::AxumPrometheus)
    }

    /// Whether it is one of OpenTelemetry's conventions for HTTP. Only these measure body sizes.
    pub(crate) fn is_open_telemetry_http(self) -> bool {
        matches!(self, Self::HttpServer | Self::HttpClient)
    }

    /// Whether it is one of OpenTelemetry's conventions for RPC.
    pub(crate) fn is_rpc(self) -> bool {
        matches!(self, Self::RpcServer | Self::RpcClient)
    }
}
