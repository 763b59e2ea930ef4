//! Protocols, which measure one kind of traffic each.
//!
//! A protocol has two halves: [`Protocol`] wraps requests, [`Answer`] wraps responses.
//!
//! | service | protocol | constructors |
//! |---|---|---|
//! | an HTTP request to a response | [`Http`] | [`MetricsLayer::new`](crate::MetricsLayer::new), [`builder`](crate::MetricsLayer::builder) |
//! | a gRPC request to a response | [`Grpc`] | [`grpc`](crate::MetricsLayer::grpc), [`grpc_builder`](crate::MetricsLayer::grpc_builder), [`grpc_client`](crate::MetricsLayer::grpc_client), [`grpc_client_builder`](crate::MetricsLayer::grpc_client_builder) |
//! | a value to a value | [`Unary`] | [`unary`](crate::MetricsLayer::unary), [`unary_builder`](crate::MetricsLayer::unary_builder) |
//! | a value to a stream of items | [`Streaming`] | [`streaming`](crate::MetricsLayer::streaming), [`streaming_builder`](crate::MetricsLayer::streaming_builder) |
//! | a stream of messages to either | `Unary` or `Streaming` with [`Many`] | [`request_streams`](crate::MetricsLayerBuilder::request_streams) on their builders |
//! | anything else | your own | [`protocol_builder`](crate::MetricsLayer::protocol_builder) |
//!
//! [`PassHandle`] wraps any protocol and gives the service a handle to its call. [`Boxed`] wraps [`Http`] or [`Grpc`] and
//! keeps the type of bodies.
//!
//! The halves are two traits, because with a single trait the type of the inner service's request
//! would depend on the type of its response, and vice versa.
//!
//! # Custom protocols
//!
//! A protocol wraps requests and responses if it needs to, and reports to a [`Call`] what goes in, what goes out,
//! and how the call ends. The layer begins the call, times it, passes it from one half to the other, and records
//! panics and dropped futures. A call that is dropped without an outcome counts as cancelled.
//!
//! In this example, a store looks up a batch of keys. Each key and each value counts as a
//! message. A batch with a missing key counts as failed:
//!
//! ```
//! use bytes::Bytes;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_openmetrics::protocol::{Answer, Protocol};
//! use tower_openmetrics::{Call, ErrorType, Format, MetricsLayer};
//!
//! #[derive(Clone, Copy, Debug)]
//! struct Batches;
//!
//! const NO_SUCH_KEY: ErrorType = ErrorType::from_static("no_such_key");
//!
//! impl Protocol<Vec<Bytes>> for Batches {
//!     type Request = Vec<Bytes>;
//!
//!     fn open(&mut self, call: &mut Call, keys: Vec<Bytes>) -> Vec<Bytes> {
//!         for key in &keys {
//!             call.request_message(key.len() as u64);
//!         }
//!         keys
//!     }
//! }
//!
//! impl<E> Answer<Vec<Option<Bytes>>, E> for Batches {
//!     type Response = Vec<Option<Bytes>>;
//!
//!     fn answer(&self, mut call: Call, values: Vec<Option<Bytes>>) -> Vec<Option<Bytes>> {
//!         call.head();
//!         for value in &values {
//!             match value {
//!                 Some(value) => call.response_message(value.len() as u64),
//!                 None => call.fault(NO_SUCH_KEY),
//!             }
//!         }
//!         call.complete(); // unless it has a fault
//!         values
//!     }
//!
//!     fn failed(&self, call: Call, _: &E) {
//!         call.fail(ErrorType::GENERATE);
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let layer = MetricsLayer::protocol_builder(Batches)
//!     .messages_total(true)
//!     .error_types([NO_SUCH_KEY])
//!     .build([("endpoint", "store")])?;
//! let store = ServiceBuilder::new()
//!     .layer(layer.clone())
//!     .service(service_fn(async |keys: Vec<Bytes>| {
//!         let look_up = |key: &Bytes| (key == "a").then(|| Bytes::from_static(b"apple"));
//!         Ok::<_, std::convert::Infallible>(keys.iter().map(look_up).collect::<Vec<_>>())
//!     }));
//!
//! let keys = ["a", "b", "a"].map(Bytes::from);
//! let values = store.oneshot(keys.to_vec()).await?;
//! assert_eq!(values, [Some("apple".into()), None, Some("apple".into())]);
//!
//! // The page has these lines among others:
//! let page = layer.registry().encode(Format::Prometheus)?;
//! for line in [
//!     r#"errors_total{endpoint="store",error_type="no_such_key"} 1"#,
//!     r#"request_bytes_total{endpoint="store"} 3"#,
//!     r#"request_messages_total{endpoint="store"} 3"#,
//!     r#"requests_total{endpoint="store"} 1"#,
//!     r#"response_bytes_total{endpoint="store"} 10"#,
//!     r#"response_messages_total{endpoint="store"} 2"#,
//! ] {
//!     assert!(page.lines().any(|l| l == line), "{line}\n{page}");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A protocol keeps what it has to know of the request in a field of its own: [`open`](Protocol::open) sets it, such as by
//! `self.keys = keys.len()`, and [`answer`](Answer::answer) reads it. Both are called on a clone that serves this call alone.
//!
//! A response that continues after the service has responded, such as a socket or a channel, keeps
//! the `Call` and drops it at its end. After [`Call::owes_nothing`], dropping the call completes
//! it. A request that continues keeps a [`CallHandle`](crate::CallHandle).

mod boxed;
mod failed;
mod grpc;
mod http;
mod incoming;
mod messages;
mod pass_handle;
mod streaming;
mod unary;

pub use self::boxed::{Boxed, FromBody};
pub use self::grpc::Grpc;
pub use self::http::Http;
pub use self::incoming::{Incoming, Many, One};
pub use self::pass_handle::PassHandle;
pub use self::streaming::Streaming;
pub use self::unary::Unary;

use crate::call::Call;
use crate::labels::RequestHead;
use std::any::Any;

/// The request half of a protocol: wraps a request and reports it to its [`Call`].
///
/// Each call has its own clone for `open`, `answer` and `failed`. `head` and `message` are called on the service's.
pub trait Protocol<Req>: Clone {
    /// The request that the inner service gets.
    type Request;

    /// Returns the head of the request, if the protocol has heads as HTTP does.
    ///
    /// [Request labels](crate::labels) and [`filter`](crate::MetricsLayerBuilder::filter) read it.
    /// Defaults to `None`.
    fn head<'a>(&self, request: &'a Req) -> Option<RequestHead<'a>> {
        let _ = request;
        None
    }

    /// Returns the message that the call begins with, if there is one.
    ///
    /// Labels made by [`Label::from_message`](crate::labels::Label::from_message) are read from it, and
    /// [`filter_messages`](crate::MetricsLayerBuilder::filter_messages) decides on it. For [`Unary`] and [`Streaming`]
    /// services it is the request. Defaults to none.
    fn message<'a>(&self, request: &'a Req) -> Option<&'a dyn Any> {
        let _ = request;
        None
    }

    /// Begins a call with `request`.
    ///
    /// Counts what the service gets at once on the call. The returned request counts what the
    /// service reads later through a [handle](Call::handle).
    ///
    /// `self` is this call's clone. What it keeps, [`answer`](Answer::answer) finds.
    fn open(&mut self, call: &mut Call, request: Req) -> Self::Request;
}

/// The response half of a protocol: wraps a response and reports it, or an error, to its [`Call`].
pub trait Answer<Res, E> {
    /// The response that the caller gets.
    type Response;

    /// Whether this type reports its own panics to the call, so that the layer need not.
    #[doc(hidden)]
    const REPORTS_PANICS: bool = false;

    /// Wraps the service's response.
    ///
    /// A response that continues keeps the call, and drops it at its end.
    fn answer(&self, call: Call, response: Res) -> Self::Response;

    /// Reports the service's error, which ends the call.
    fn failed(&self, call: Call, error: &E);
}
