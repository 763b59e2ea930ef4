//! Explains in the compiler's error that a setting needs a feature.

use super::MetricsLayerBuilder;
use crate::protocol::Http;

/// Stands for the methods that a builder has with the feature `axum-route`.
///
/// ```compile_fail,E0277
/// tower_openmetrics::MetricsLayer::builder().axum_prometheus();
/// ```
#[diagnostic::on_unimplemented(
    message = "`axum_prometheus` needs the feature `axum-route` of tower-openmetrics",
    label = "the feature `axum-route` is not enabled",
    note = "run `cargo add tower-openmetrics --features axum-route`"
)]
#[allow(
    unnameable_types,
    unreachable_pub,
    reason = "shows only in the compiler's error"
)]
pub trait WithAxumRoute<'a> {}

impl MetricsLayerBuilder<Http> {
    #[doc(hidden)]
    pub fn axum_prometheus(self) -> Self
    where
        // With a lifetime parameter the compiler checks the bound at the call; without one it would reject it here.
        for<'a> Self: WithAxumRoute<'a>,
    {
        unreachable!("the builder is not `WithAxumRoute`")
    }
}
