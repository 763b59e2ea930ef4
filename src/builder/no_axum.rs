//! In place of the preset that needs the feature `axum-route`.

use super::MetricsLayerBuilder;
use crate::labels::WithAxumRoute;
use crate::protocol::Http;

impl MetricsLayerBuilder<Http> {
    /// Explains in the compiler's error that it needs a feature.
    ///
    /// ```compile_fail,E0277
    /// tower_openmetrics::MetricsLayer::builder().axum_prometheus();
    /// ```
    #[doc(hidden)]
    pub fn axum_prometheus(self) -> Self
    where
        for<'a> Self: WithAxumRoute<'a>,
    {
        unreachable!("the builder is not `WithAxumRoute`")
    }
}
