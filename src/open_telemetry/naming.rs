/// How a layer names its metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Naming {
    /// The crate's own names.
    #[default]
    Own,
    /// The names of OpenTelemetry's conventions for HTTP servers.
    OpenTelemetryServer,
    /// The names of OpenTelemetry's conventions for HTTP clients.
    OpenTelemetryClient,
}

impl Naming {
    /// Returns the prefix of all names. Prefixes differ, so that no two namings share a name.
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
