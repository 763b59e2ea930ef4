use super::FromBody;
use axum_core::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt;
use tower::BoxError;

impl<B> FromBody<B> for Body
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    fn from_body(body: B) -> Self {
        Self::new(body.map_err(cause))
    }
}

/// Returns the error for axum's error to wrap.
///
/// Unwraps an error that is axum's already. Otherwise each layer would wrap it once more, and axum itself looks at two
/// levels only.
fn cause(error: impl Into<BoxError>) -> BoxError {
    match error.into().downcast::<axum_core::Error>() {
        Ok(error) => error.into_inner(),
        Err(error) => error,
    }
}
