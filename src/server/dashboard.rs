use crate::dashboard::MetricsDashboard;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;

pub(super) const PATH: Option<&str> = Some("/dashboard");

/// The live page, at a path of the status server.
#[derive(Debug)]
pub(super) struct Dashboard(MetricsDashboard);

// === impl Dashboard ===

impl Dashboard {
    pub(super) fn new() -> Self {
        Self(MetricsDashboard::new())
    }

    /// The answer to `request`, if it is for the page.
    pub(super) fn answer<B>(&self, request: &Request<B>) -> Option<Response<Full<Bytes>>> {
        matches!(request.uri().path(), "/dashboard" | "/dashboard/")
            .then(|| self.0.answer(request.method()))
    }
}
