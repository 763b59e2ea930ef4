use std::borrow::Cow;

/// The convention that names a layer's metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Naming {
    /// The crate's own names.
    #[default]
    Own,
    /// The names of the crate axum-prometheus.
    AxumPrometheus,
    /// OpenTelemetry's names for an HTTP server.
    OpenTelemetryServer,
    /// OpenTelemetry's names for an HTTP client.
    OpenTelemetryClient,
}

// === impl Naming ===

impl Naming {
    /// Returns the prefix of all names, given the layer's `own` prefix. Two conventions never share a name.
    pub(crate) fn prefix(self, own: &str) -> Cow<'_, str> {
        match self {
            Self::Own => own.into(),
            // The layer's prefix replaces `axum`, as in axum-prometheus.
            Self::AxumPrometheus if own.is_empty() => "axum_http_".into(),
            Self::AxumPrometheus => format!("{own}http_").into(),
            Self::OpenTelemetryServer => format!("{own}http_server_").into(),
            Self::OpenTelemetryClient => format!("{own}http_client_").into(),
        }
    }

    /// Whether names, labels and buckets follow OpenTelemetry's conventions. These measure body sizes and make the error
    /// type a label.
    pub(crate) fn is_open_telemetry(self) -> bool {
        matches!(self, Self::OpenTelemetryServer | Self::OpenTelemetryClient)
    }
}
