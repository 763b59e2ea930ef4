use super::dashboard;
use crate::error::Error;
use http::uri::PathAndQuery;

/// The path of the exporter's page.
pub(super) const METRICS: &str = "/metrics";

/// The paths of the health checks.
#[derive(Clone, Debug)]
pub(super) struct Paths {
    pub(super) health: String,
    pub(super) live: String,
}

// === impl Paths ===

impl Paths {
    /// Checks that each is a path of its own.
    pub(super) fn check(&self) -> Result<(), Error> {
        let Self { health, live } = self;
        for (setting, path) in [("health_path", health), ("live_path", live)] {
            if !is_path(path) {
                let message = format!("{setting} is {path:?}: use a path such as \"/health\"");
                return Err(Error::new(message));
            }
            if path == METRICS || dashboard::PATH == Some(path) {
                let message = format!("{setting} is {path:?}, which is the path of another page");
                return Err(Error::new(message));
            }
        }
        if health == live {
            let message = format!("health_path and live_path are both {health:?}");
            return Err(Error::new(message));
        }
        Ok(())
    }

    /// Returns all paths of the server, as a text.
    pub(super) fn list(&self) -> String {
        let Self { health, live } = self;
        match dashboard::PATH {
            Some(dashboard) => format!("{METRICS}, {dashboard}, {health} and {live}"),
            None => format!("{METRICS}, {health} and {live}"),
        }
    }
}

impl Default for Paths {
    fn default() -> Self {
        Self {
            health: "/health".to_owned(),
            live: "/live".to_owned(),
        }
    }
}

/// Whether a request can have this path: it is absolute, without a query, and written as in a URL.
pub(super) fn is_path(text: &str) -> bool {
    let parsed = text.parse::<PathAndQuery>();
    text.starts_with('/')
        && parsed.is_ok_and(|parsed| parsed.as_str() == text && parsed.query().is_none())
}
