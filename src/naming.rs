use std::borrow::Cow;

/// What a layer's metrics are called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Naming {
    /// The crate's own names.
    #[default]
    Own,
    /// As the crate axum-prometheus calls them.
    AxumPrometheus,
    /// As OpenTelemetry's conventions call those of an HTTP server.
    OpenTelemetryServer,
    /// As OpenTelemetry's conventions call those of an HTTP client.
    OpenTelemetryClient,
}

// === impl Naming ===

impl Naming {
    /// What all the names begin with, so that no two namings have one in common, if the layer's own prefix is `own`.
    pub(crate) fn prefix(self, own: &str) -> Cow<'_, str> {
        match self {
            Self::Own => own.into(),
            // Its own prefix takes the place of `axum` there, too.
            Self::AxumPrometheus if own.is_empty() => "axum_http_".into(),
            Self::AxumPrometheus => format!("{own}http_").into(),
            Self::OpenTelemetryServer => format!("{own}http_server_").into(),
            Self::OpenTelemetryClient => format!("{own}http_client_").into(),
        }
    }

    /// Whether names, labels and buckets are those of OpenTelemetry's conventions: sizes of bodies are measured, and errors
    /// are a label.
    pub(crate) fn is_open_telemetry(self) -> bool {
        matches!(self, Self::OpenTelemetryServer | Self::OpenTelemetryClient)
    }
}
