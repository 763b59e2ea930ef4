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
        for (setting, path, other) in [("health_path", health, live), ("live_path", live, health)] {
            let taken = [Some(METRICS), dashboard::PATH, Some(other)];
            let problem = if !is_path(path) {
                "use a path such as \"/health\""
            } else if taken.contains(&Some(path)) {
                "this is the path of another page"
            } else {
                continue;
            };
            return Err(Error::new(format!("{setting} is {path:?}: {problem}")));
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
