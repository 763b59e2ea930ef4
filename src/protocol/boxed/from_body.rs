use http_body::Body;
use http_body_util::BodyExt;
use http_body_util::combinators::{BoxBody, UnsyncBoxBody};

/// A body that can hold any other, such as `B`.
///
/// | body | holds | feature |
/// |---|---|---|
/// | `axum::body::Body` | what is `Send`, with [`Bytes`](bytes::Bytes) as its data | `axum`, on by default |
/// | `tonic::body::Body` | the same | `tonic` |
/// | [`UnsyncBoxBody<D, E>`](UnsyncBoxBody) | what is `Send`, with the data `D` and errors that turn into `E` | |
/// | [`BoxBody<D, E>`](BoxBody) | the same, if it is `Sync` as well | |
///
/// Frames, trailers, size hint and end pass through. Implement it for a body of your own to use that with
/// [`MetricsLayer::boxed`](crate::MetricsLayer::boxed).
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't hold the body `{B}`",
    label = "not a body that can be made of `{B}`",
    note = "`axum::body::Body` needs the feature `axum` of tower-openmetrics, `tonic::body::Body` the feature `tonic`",
    note = "hyper's `Incoming` is only made by hyper: let the service take an `UnsyncBoxBody`, or any body"
)]
pub trait FromBody<B> {
    /// Puts `body` into one of this type.
    fn from_body(body: B) -> Self;
}

impl<B, E: 'static> FromBody<B> for UnsyncBoxBody<B::Data, E>
where
    B: Body<Error: Into<E>> + Send + 'static,
{
    fn from_body(body: B) -> Self {
        body.map_err(Into::into).boxed_unsync()
    }
}

impl<B, E: 'static> FromBody<B> for BoxBody<B::Data, E>
where
    B: Body<Error: Into<E>> + Send + Sync + 'static,
{
    fn from_body(body: B) -> Self {
        body.map_err(Into::into).boxed()
    }
}
