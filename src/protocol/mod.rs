//! How a kind of traffic is measured.
//!
//! A protocol has two halves: [`Protocol`] for what goes in, [`Answer`] for what comes
//! out.
//!
//! | a service that answers | is measured by | made by |
//! |---|---|---|
//! | an HTTP request with a response | [`Http`] | [`MetricsLayer::new`](crate::MetricsLayer::new), [`builder`](crate::MetricsLayer::builder) |
//! | a gRPC request with a response | [`Grpc`] | [`grpc`](crate::MetricsLayer::grpc), [`grpc_builder`](crate::MetricsLayer::grpc_builder), [`grpc_client`](crate::MetricsLayer::grpc_client), [`grpc_client_builder`](crate::MetricsLayer::grpc_client_builder) |
//! | a value with a value | [`Unary`] | [`unary`](crate::MetricsLayer::unary), [`unary_builder`](crate::MetricsLayer::unary_builder) |
//! | a value with a stream of items | [`Streaming`] | [`streaming`](crate::MetricsLayer::streaming), [`streaming_builder`](crate::MetricsLayer::streaming_builder) |
//! | a stream of messages with either | these two, of [`Many`] messages | [`request_streams`](crate::MetricsLayerBuilder::request_streams) of their builders |
//! | in another way | one of your own | [`protocol_builder`](crate::MetricsLayer::protocol_builder) |
//!
//! [`PassHandle`] goes around any of them and gives the service a handle to its call, [`Boxed`] around those of HTTP and lets
//! bodies keep their type.
//!
//! The halves are two traits because one over both would make the type of the inner
//! service's request depend on the type of its response, and that on the request's again.
//!
//! # A protocol of your own
//!
//! It wraps requests and responses where it has to, or else leaves them as they are, and tells a
//! [`Call`] what it sees. The call is handed from the one half to the other by the layer, which begins it,
//! times it, and notices if the service or the protocol panics, or the future is dropped. What is left to say is what went
//! in and out, and how it ended: a call that is dropped without a word was cancelled.
//!
//! Here a store looks up a batch of keys at once. Each key and each value is to count as a
//! message, and a batch in which a key is missing as failed:
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
//!     fn open(&self, call: &mut Call, keys: Vec<Bytes>) -> Vec<Bytes> {
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
//!         call.complete(); // if it had no fault
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
//! A response that goes on after the service has answered, as a socket or a channel does, takes
//! the `Call` along and drops it when it ends; [`Call::owes_nothing`] says from when on
//! that is no cancellation. A request that does so takes a [`CallHandle`](crate::CallHandle).

mod boxed;
mod grpc;
mod http;
mod incoming;
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

/// What goes in: how a request is wrapped so that its [`Call`] learns of it.
///
/// Implementations are cloned for every call.
pub trait Protocol<Req>: Clone {
    /// What the inner service is called with.
    type Request;

    /// The head of the request, where it has one as HTTP's do: what
    /// [labels of a request](crate::labels) are read from, and [`filter`](crate::MetricsLayerBuilder::filter)
    /// decides on.
    ///
    /// Defaults to none.
    fn head<'a>(&self, request: &'a Req) -> Option<RequestHead<'a>> {
        let _ = request;
        None
    }

    /// The message that the call begins with, where it does with one: what labels made by
    /// [`Label::from_message`](crate::labels::Label::from_message) are read from, and
    /// [`filter_messages`](crate::MetricsLayerBuilder::filter_messages) decides on.
    ///
    /// Of [`Unary`] and [`Streaming`] services it is the request. Defaults to none.
    fn message<'a>(&self, request: &'a Req) -> Option<&'a dyn Any> {
        let _ = request;
        None
    }

    /// A call begins with `request`.
    ///
    /// What the service reads at once is counted on the call, and what it reads as it goes on
    /// through a [handle](Call::handle).
    fn open(&self, call: &mut Call, request: Req) -> Self::Request;
}

/// What comes out: how a response, or the lack of one, is told to its [`Call`].
pub trait Answer<Res, E>: Clone {
    /// What the caller gets.
    type Response;

    /// Whether a call hears of every panic in here, so that nobody else has to look for one.
    #[doc(hidden)]
    const HEARS_OF_PANICS: bool = false;

    /// The service has answered. The response takes the call along, to end it
    /// when it ends itself.
    fn answer(&self, call: Call, response: Res) -> Self::Response;

    /// The service has failed, and the call with it.
    fn failed(&self, call: Call, error: &E);
}
