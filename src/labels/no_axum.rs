//! Explains in the compiler's error that something needs the feature `axum-route`.

use super::Label;

/// Stands for what there is with the feature `axum-route`.
///
/// ```compile_fail,E0277
/// tower_openmetrics::labels::Label::axum_route();
/// ```
#[diagnostic::on_unimplemented(
    message = "`axum_route` and `axum_prometheus` need the feature `axum-route` of tower-openmetrics",
    label = "the feature `axum-route` is not enabled",
    note = "run `cargo add tower-openmetrics --features axum-route`"
)]
#[allow(
    unnameable_types,
    unreachable_pub,
    reason = "shows only in the compiler's error"
)]
pub trait WithAxumRoute<'a> {}

impl Label {
    #[doc(hidden)]
    pub fn axum_route() -> Self
    where
        // With a lifetime parameter the compiler checks the bound at the call; without one it would reject it here.
        for<'a> Self: WithAxumRoute<'a>,
    {
        unreachable!("`Label` is not `WithAxumRoute`")
    }
}
