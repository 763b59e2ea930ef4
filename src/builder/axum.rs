//! The preset for axum-prometheus' names.

use super::MetricsLayerBuilder;
use crate::labels::Label;
use crate::naming::Naming;
use crate::protocol::Http;

impl MetricsLayerBuilder<Http> {
    /// Uses the names, labels and buckets of the crate axum-prometheus, so that its dashboards and alerts keep working.
    ///
    /// | metric | labels |
    /// |---|---|
    /// | `axum_http_requests_total` | `method`, `status`, `endpoint` |
    /// | `axum_http_requests_duration_seconds` | `method`, `status`, `endpoint` |
    /// | `axum_http_requests_pending` | `method`, `endpoint` |
    ///
    /// `endpoint` is the template that [axum's router](Label::axum_route) has matched. A [prefix](Self::prefix) replaces
    /// `axum`. A [label](Self::label) with one of the three names replaces that label. The crate's other metrics are there
    /// as well, such as `axum_http_errors_total`. [`migration`](crate::migration#axum-prometheus) says what differs.
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
    pub fn axum_prometheus(self) -> Self {
        let builder = self.preset("axum_prometheus", Naming::AxumPrometheus);
        builder.default_labels([
            Label::method(),
            Label::axum_route().named("endpoint"),
            Label::status().on_duration(true),
        ])
    }
}
