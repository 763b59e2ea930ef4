use super::FromBody;
use bytes::Bytes;
use tonic::body::Body;
use tower::BoxError;

impl<B> FromBody<B> for Body
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    fn from_body(body: B) -> Self {
        Self::new(body)
    }
}
