//! How a call can fail, and who decides.
//!
//! A failed call is counted under one [`ErrorType`], a closed vocabulary of
//! constants. The layer classifies by the [`Phase`] in which it saw the failure, and by the
//! status of an HTTP answer or the code of a gRPC call. Who knows better can say so:
//!
//! - a closure for the type of your errors, by [`by_error`];
//! - a [`Classify`] of your own, for all errors, for the heads of HTTP answers and for gRPC's codes;
//! - the handler of an HTTP or gRPC request, by putting an [`ErrorType`] into the extensions of its response;
//! - a closure for HTTP answers that are none, though their status says so, by [`expecting`];
//! - any handler, even when its answer is under way, by a [handle](crate::protocol::PassHandle) to its call.
//!
//! ```
//! use http::Response;
//! use tower_openmetrics::ErrorType;
//!
//! const QUOTA: ErrorType = ErrorType::from_static("quota");
//!
//! let mut response = Response::new("no more today");
//! response.extensions_mut().insert(QUOTA);
//! ```
//!
//! Where the program is the client, [`HttpClient`] says what counts, and it is what
//! [`MetricsLayer::client`](crate::MetricsLayer::client) and [`grpc_client`](crate::MetricsLayer::grpc_client) begin with.
//!
//! The first failure of a call wins; what goes wrong after it is not counted.
//!
//! # Errors that are known
//!
//! Whatever the phase, and on either side, an error is a `timeout` or `overloaded` if it, or one of its sources, is
//!
//! | `error_type` | error |
//! |---|---|
//! | `timeout` | `Elapsed` of tower or of tokio, an `io::Error` of the kind `TimedOut`, a `hyper::Error` that `is_timeout` |
//! | `timeout`, with the feature `http2` | an `h2::Error` of such an `io::Error` |
//! | `timeout`, with the feature `tower-http` | `TimeoutError` of tower-http 0.7, with which the bodies of `RequestBodyTimeoutLayer` and `ResponseBodyTimeoutLayer` fail |
//! | `timeout`, with the feature `tonic` | `TimeoutExpired` of tonic 0.14, and its `Status` of the code `DEADLINE_EXCEEDED` |
//! | `overloaded` | `Overloaded` of tower |
//!
//! So a request whose body fails by one of them is a `timeout` too, and not `invalid_message`. Sources are looked into if the error is boxed
//! (`BoxError` and its like), an `io::Error`, a `hyper::Error`, with the feature `axum` axum's, with `client` hyper-util's, or with `tonic` a
//! `transport::Error` or a `Status`; for other types there is [`by_error`].

mod by_error;
mod client;
mod expecting;
pub(crate) mod grpc;
pub(crate) mod http;
#[cfg(feature = "client")]
mod legacy_client;
#[cfg(not(feature = "client"))]
#[path = "no_legacy_client.rs"]
mod legacy_client;
pub(crate) mod source;
#[cfg(feature = "tonic")]
mod tonic;
#[cfg(not(feature = "tonic"))]
#[path = "no_tonic.rs"]
mod tonic;

pub use self::by_error::{ByError, by_error};
pub use self::client::HttpClient;
pub use self::expecting::{Expecting, expecting};
pub use self::grpc::GrpcCode;
pub use self::http::{HttpStatus, ServerErrorsOnly};

use ::http::{Extensions, HeaderMap, Response, StatusCode, Version};
use std::any::Any;
use std::fmt;

/// The value of the label `error_type`: what kind of failure ended a call.
///
/// The constants are those that the layer tells apart by itself; all but those of clients stand on every page. Add your own with
/// [`from_static`](Self::from_static), and declare them
/// ([`error_types`](crate::MetricsLayerBuilder::error_types)) to have them on the page, at 0, from the start.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ErrorType(&'static str);

/// Where in its course a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// The service's future yielded an error.
    Generate,
    /// The response failed before any of it was out.
    ResponseStream,
    /// The response failed with a part of it already out.
    PublishResponse,
    /// The response failed with all that was promised already out.
    PublishFinal,
}

/// Why a call did not end well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// It failed: counted in `errors_total`.
    Failed(ErrorType),
    /// The caller went away: counted in `cancellations_total`.
    Cancelled,
}

/// The head of an HTTP response, without its body.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Head<'a> {
    /// The status.
    pub status: StatusCode,
    /// The version of HTTP.
    pub version: Version,
    /// The header fields.
    pub headers: &'a HeaderMap,
    /// The extensions.
    pub extensions: &'a Extensions,
}

/// Decides what counts as a failure, and as which.
///
/// All methods have defaults, which are what the layer does by itself
/// ([`HttpStatus`] is just them). A classifier is cloned for each call, so it should be small:
/// a unit struct, or references. One that goes around another hands every method on that it does not decide itself. To
/// decide on one type of errors alone, a closure will do: [`by_error`].
///
/// ```
/// use std::any::Any;
/// use std::io;
/// use tower_openmetrics::MetricsLayer;
/// use tower_openmetrics::classify::{Classify, ErrorType, Fault, Head, HttpStatus, Phase};
///
/// const DISK: ErrorType = ErrorType::from_static("disk");
///
/// #[derive(Clone, Copy, Debug)]
/// struct Files;
///
/// impl Classify for Files {
///     fn head(&self, head: &Head<'_>) -> Option<Fault> {
///         match head.status.as_u16() {
///             507 => Some(DISK.into()),
///             _ => HttpStatus.head(head),
///         }
///     }
///
///     fn error(&self, error: &dyn Any, phase: Phase) -> Fault {
///         match error.downcast_ref::<io::Error>() {
///             Some(_) => DISK.into(),
///             None => HttpStatus.error(error, phase),
///         }
///     }
/// }
///
/// # fn main() -> Result<(), tower_openmetrics::Error> {
/// let layer = MetricsLayer::builder()
///     .classifier(Files)
///     .error_types([DISK])
///     .build([("endpoint", "files")])?;
/// # Ok(())
/// # }
/// ```
pub trait Classify: Clone {
    /// Whether the head of an HTTP answer is a failure.
    ///
    /// Defaults to the table at [`HttpStatus`].
    fn head(&self, head: &Head<'_>) -> Option<Fault> {
        http::by_status(head.status).map(Fault::Failed)
    }

    /// Whether the code of a gRPC call is a failure.
    ///
    /// Defaults to the table at [`GrpcCode`].
    fn grpc_status(&self, code: GrpcCode) -> Option<Fault> {
        code.fault()
    }

    /// What an error means, whether it came from the service, its response, or the sink.
    ///
    /// `error` is the very value: of type `S::Error` or `B::Error`, of an item of the response that is
    /// an error, or of the sink that it is [published](crate::publish) to. Defaults
    /// to [`ErrorType::TIMEOUT`] or [`ErrorType::OVERLOADED`] if an error that is [known](self#errors-that-are-known)
    /// as one of them is in its source chain, else to the type of the phase.
    fn error(&self, error: &dyn Any, phase: Phase) -> Fault {
        Fault::Failed(source::error_type(error).unwrap_or(phase.into()))
    }

    /// Error types beyond the built-in ones of servers that this classifier gives, and that are to stand on the page, at
    /// 0, from the start.
    ///
    /// Defaults to none.
    fn error_types(&self) -> &'static [ErrorType] {
        &[]
    }

    /// Whether the program is the client: a request whose body fails has then not been sent, where a server may take
    /// the client for gone. Asked once, when a layer is built.
    ///
    /// Defaults to false.
    fn is_client(&self) -> bool {
        false
    }
}

// === impl ErrorType ===

impl ErrorType {
    /// The request could not be decoded. HTTP 400, 422.
    pub const DESERIALIZATION: Self = Self("deserialization");
    /// The request was not of the form that was expected, or its body broke
    /// off for a reason other than the client's going away. HTTP 405, 411, 413, 414, 415, 431.
    pub const INVALID_MESSAGE: Self = Self("invalid_message");
    /// The response failed before its first byte.
    pub const RESPONSE_STREAM: Self = Self("response_stream");
    /// The service failed. HTTP 5xx.
    pub const GENERATE: Self = Self("generate");
    /// The response failed half-way.
    pub const PUBLISH_RESPONSE: Self = Self("publish_response");
    /// The response failed at its end, or had another length than it promised.
    pub const PUBLISH_FINAL: Self = Self("publish_final");
    /// A deadline passed. HTTP 408, 504.
    pub const TIMEOUT: Self = Self("timeout");
    /// There was no room for the call. HTTP 503.
    pub const OVERLOADED: Self = Self("overloaded");
    /// The service panicked.
    pub const PANIC: Self = Self("panic");

    /// No connection to the server could be made. Of [clients](HttpClient) alone.
    pub const CONNECT: Self = Self("connect");
    /// The server refused the request. Of [clients](HttpClient) alone: a 4xx that has no type of its own.
    pub const REJECTED: Self = Self("rejected");

    /// Those that every service can fail with, in the order in which they are declared.
    pub(crate) const BUILT_IN: [Self; 9] = [
        Self::DESERIALIZATION,
        Self::INVALID_MESSAGE,
        Self::RESPONSE_STREAM,
        Self::GENERATE,
        Self::PUBLISH_RESPONSE,
        Self::PUBLISH_FINAL,
        Self::TIMEOUT,
        Self::OVERLOADED,
        Self::PANIC,
    ];
    /// Stands in where a layer has met more types than it has room for.
    pub(crate) const OTHER: Self = Self("_OTHER");

    /// An error type of your own.
    ///
    /// # Panics
    ///
    /// If `name` is empty; at compile time, when it makes a constant.
    pub const fn from_static(name: &'static str) -> Self {
        assert!(!name.is_empty(), "an error type must have a name");
        Self(name)
    }

    /// The label's value.
    pub const fn as_str(&self) -> &'static str {
        self.0
    }
}

impl fmt::Debug for ErrorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ErrorType").field(&self.0).finish()
    }
}

impl fmt::Display for ErrorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl From<Phase> for ErrorType {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Generate => Self::GENERATE,
            Phase::ResponseStream => Self::RESPONSE_STREAM,
            Phase::PublishResponse => Self::PUBLISH_RESPONSE,
            Phase::PublishFinal => Self::PUBLISH_FINAL,
        }
    }
}

// === impl Head ===

impl<'a> Head<'a> {
    /// The head of `response`.
    pub fn of<B>(response: &'a Response<B>) -> Self {
        Self {
            status: response.status(),
            version: response.version(),
            headers: response.headers(),
            extensions: response.extensions(),
        }
    }

    /// The head of a response that was taken apart.
    pub(crate) fn of_parts(parts: &'a ::http::response::Parts) -> Self {
        Self {
            status: parts.status,
            version: parts.version,
            headers: &parts.headers,
            extensions: &parts.extensions,
        }
    }
}

// === impl Fault ===

impl From<ErrorType> for Fault {
    fn from(error_type: ErrorType) -> Self {
        Self::Failed(error_type)
    }
}
