//! What says that a setting needs a feature.

use super::MetricsLayerBuilder;
use crate::protocol::Http;

/// What a builder has with the feature `axum-route`.
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
    reason = "shows in what the compiler says, and nowhere else"
)]
pub trait WithAxumRoute<'a> {}

impl MetricsLayerBuilder<Http> {
    #[doc(hidden)]
    pub fn axum_prometheus(self) -> Self
    where
        // For any lifetime: a bound without one would have to hold here.
        for<'a> Self: WithAxumRoute<'a>,
    {
        unreachable!("the builder is not `WithAxumRoute`")
    }
}
