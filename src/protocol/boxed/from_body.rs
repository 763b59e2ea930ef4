use http_body::Body;
use http_body_util::BodyExt;
use http_body_util::combinators::{BoxBody, UnsyncBoxBody};

/// A body that can be made from a body of type `B`.
///
/// | body | made from bodies that are | feature |
/// |---|---|---|
/// | `axum::body::Body` | `Send`, with [`Bytes`](bytes::Bytes) as data | `axum`, on by default |
/// | `tonic::body::Body` | `Send`, with [`Bytes`](bytes::Bytes) as data | `tonic` |
/// | [`UnsyncBoxBody<D, E>`](UnsyncBoxBody) | `Send`, with `D` as data and errors that convert into `E` | |
/// | [`BoxBody<D, E>`](BoxBody) | `Send + Sync`, with `D` as data and errors that convert into `E` | |
///
/// Frames, trailers, size hint and end pass through unchanged. Implement the trait for your own body to use it with
/// [`MetricsLayer::boxed`](crate::MetricsLayer::boxed).
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be made from the body `{B}`",
    label = "`FromBody<{B}>` is not implemented for this body",
    note = "`axum::body::Body` needs the feature `axum` of tower-openmetrics, `tonic::body::Body` the feature `tonic`",
    note = "only hyper can make its `Incoming`: let the service take an `UnsyncBoxBody`, or any body"
)]
pub trait FromBody<B> {
    /// Converts `body` into this type.
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
