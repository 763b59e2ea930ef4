//! What says that a label needs a feature.

use super::Label;

/// What `Label` has with the feature `axum-route`.
///
/// ```compile_fail,E0277
/// tower_openmetrics::labels::Label::axum_route();
/// ```
#[diagnostic::on_unimplemented(
    message = "`Label::axum_route` needs the feature `axum-route` of tower-openmetrics",
    label = "the feature `axum-route` is not enabled",
    note = "run `cargo add tower-openmetrics --features axum-route`"
)]
#[allow(
    unnameable_types,
    unreachable_pub,
    reason = "shows in what the compiler says, and nowhere else"
)]
pub trait WithAxumRoute<'a> {}

impl Label {
    #[doc(hidden)]
    pub fn axum_route() -> Self
    where
        // For any lifetime: a bound without one would have to hold here.
        for<'a> Self: WithAxumRoute<'a>,
    {
        unreachable!("`Label` is not `WithAxumRoute`")
    }
}
