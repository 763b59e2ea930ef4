//! Bodies that count the bytes that pass through them.
//!
//! A layer turns a request body `B` into a [`RequestBody<B>`](RequestBody). Services that are generic over the body accept
//! it. For a service that needs a certain body type, use the first of these that fits:
//!
//! 1. [`MetricsLayer::boxed`](crate::MetricsLayer::boxed) for the bodies of axum and tonic and for the boxes of
//!    `http_body_util`. Everything is counted. Each body costs an allocation.
//! 2. A conversion by hand for the bodies of other frameworks, shown below.
//! 3. [`RequestBody::into_inner`], which costs nothing. The request is then not counted.
//!
//! # Bodies of other frameworks
//!
//! tower's `map_request` converts the request body to the framework's type. `map_response`, outside of the layer, converts
//! the response body. salvo's tower adaptor takes any response, and requests whose body is a `ReqBody::Boxed`. See
//! `tests/salvo` in the repository for a server with salvo.
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
//! use std::convert::Infallible;
//! use tower::{ServiceBuilder, service_fn};
//! use tower_openmetrics::{MetricsLayer, RequestBody, ResponseBody};
//!
//! /// The body of a framework. It can be made from other bodies.
//! struct TheirBody(UnsyncBoxBody<Bytes, Infallible>);
//!
//! impl TheirBody {
//!     fn new<B>(body: B) -> Self
//!     where
//!         B: http_body::Body<Data = Bytes, Error = Infallible> + Send + 'static,
//!     {
//!         Self(body.boxed_unsync())
//!     }
//! }
//!
//! let service = ServiceBuilder::new()
//!     .map_response(|response: Response<ResponseBody<_>>| response.map(TheirBody::new))
//!     .layer(MetricsLayer::new([("endpoint", "a")]))
//!     .map_request(|request: Request<RequestBody<_>>| request.map(TheirBody::new))
//!     .service(service_fn(async |request: Request<TheirBody>| {
//!         Ok::<_, Infallible>(Response::new(request.into_body().0))
//!     }));
//! # let _ = || tower::ServiceExt::oneshot(service, Request::new(Full::<Bytes>::default()));
//! ```
//!
//! For a body type of your own crate, implement [`FromBody`](crate::protocol::FromBody).

mod length;
mod progress;
mod request;
mod response;

pub use self::request::RequestBody;
pub use self::response::ResponseBody;

pub(crate) use self::length::{Due, Length, owed};
pub(crate) use self::progress::Progress;
pub(crate) use self::request::Content;
