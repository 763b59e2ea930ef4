//! Reads the route that axum's router has matched.

use super::Label;
use super::http::{RequestHead, public_route};
use axum::extract::{MatchedPath, NestedPath};

impl Label {
    /// `route`: the template that axum's router has matched, such as `/items/{id}`, with the path that it is nested under.
    /// It is `none` if no route matched. [Routes of axum](super#routes-of-axum) says what a layer sees where.
    ///
    /// ```
    /// use axum::{Router, extract::Path, routing::get};
    /// use tower_openmetrics::MetricsLayer;
    /// use tower_openmetrics::labels::Label;
    ///
    /// # fn main() -> Result<(), tower_openmetrics::Error> {
    /// let metrics = MetricsLayer::builder()
    ///     .http_labels(Label::axum_route())
    ///     .build([("endpoint", "shop")])?;
    /// let app: Router = Router::new()
    ///     .route("/items/{id}", get(async |Path(id): Path<u64>| format!("item {id}\n")))
    ///     .layer(metrics.clone())
    ///     .route_service("/metrics", metrics.exporter());
    /// # Ok(())
    /// # }
    /// ```
    pub fn axum_route() -> Self {
        Self::route(template)
    }
}

fn template<'a>(head: &RequestHead<'a>) -> Option<&'a str> {
    let matched = head.extensions.get().map(MatchedPath::as_str);
    // Below a service mounted by `nest_service` there is no template.
    let mounted = || head.extensions.get().map(NestedPath::as_str);
    let public = matched.and_then(public_route);
    public.or_else(|| mounted().and_then(public_route))
}
