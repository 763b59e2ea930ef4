//! The names of axum-prometheus.

use super::MetricsLayerBuilder;
use crate::labels::Label;
use crate::naming::Naming;
use crate::protocol::Http;

impl MetricsLayerBuilder<Http> {
    /// Names, labels and buckets of the crate axum-prometheus, instead of the crate's own: for its dashboards and alerts.
    ///
    /// | metric | labels |
    /// |---|---|
    /// | `axum_http_requests_total` | `method`, `status`, `endpoint` |
    /// | `axum_http_requests_duration_seconds` | `method`, `status`, `endpoint` |
    /// | `axum_http_requests_pending` | `method`, `endpoint` |
    ///
    /// `endpoint` is the template that [axum's router](Label::axum_route) has matched. A [prefix](Self::prefix) takes the place of
    /// `axum`. A [label](Self::label) that goes by one of the three names takes its place. What else there is, as
    /// `axum_http_errors_total`, is there under its own name. [`migration`](crate::migration#axum-prometheus) says what
    /// is different.
    ///
    /// ```
    /// use axum::{Router, routing::get};
    /// use tower_openmetrics::MetricsLayer;
    ///
    /// # fn main() -> Result<(), tower_openmetrics::Error> {
    /// let metrics = MetricsLayer::builder().axum_prometheus().build(())?;
    /// let app: Router = Router::new()
    ///     .route("/fast", get(async || "done"))
    ///     .route_service("/metrics", metrics.exporter())
    ///     .layer(metrics);
    /// # Ok(())
    /// # }
    /// ```
    pub fn axum_prometheus(mut self) -> Self {
        self.given.name("axum_prometheus", Naming::AxumPrometheus);
        self.default_labels([
            Label::method(),
            Label::axum_route().named("endpoint"),
            Label::status().on_duration(true),
        ])
    }
}
