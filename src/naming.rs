/// What a layer's metrics are called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Naming {
    /// The crate's own names.
    #[default]
    Own,
    /// As OpenTelemetry's conventions call those of an HTTP server.
    OpenTelemetryServer,
    /// As OpenTelemetry's conventions call those of an HTTP client.
    OpenTelemetryClient,
}

impl Naming {
    /// What all the names begin with, so that no two namings have one in common.
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Self::Own => "",
            Self::OpenTelemetryServer => "http_server_",
            Self::OpenTelemetryClient => "http_client_",
        }
    }

    pub(crate) fn is_own(self) -> bool {
        self == Self::Own
    }
}
