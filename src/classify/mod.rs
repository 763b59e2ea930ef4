//! Classifies errors and responses: decides which calls failed, and how.
//!
//! A failed call is counted under one [`ErrorType`], a constant. By default the layer classifies by the [`Phase`] in which
//! it saw an error, by the status of an HTTP response, or by the code of a gRPC call. You can change this with
//!
//! - [`by_error`]: a closure classifies errors of one type;
//! - [`expecting`]: a closure exempts responses that their status marks as failures;
//! - [`Classify`]: your own classifier decides about all errors, HTTP response heads and gRPC codes;
//! - an [`ErrorType`] in the extensions of a response: the handler of an HTTP or gRPC request classifies its own response;
//! - a [handle](crate::protocol::PassHandle) to the call: any handler can fail its call, even after it has responded.
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
//! [`HttpClient`] classifies for clients. It is the default of [`MetricsLayer::client`](crate::MetricsLayer::client) and
//! [`grpc_client`](crate::MetricsLayer::grpc_client).
//!
//! Only the first failure of a call is counted.
//!
//! # Errors that are known
//!
//! An error is a `timeout` or `overloaded`, in every phase and for servers and clients, if the error or one of its sources is
//!
//! | `error_type` | error |
//! |---|---|
//! | `timeout` | `Elapsed` of tower or of tokio, an `io::Error` of the kind `TimedOut`, a `hyper::Error` that `is_timeout` |
//! | `timeout`, with the feature `http2` | an `h2::Error` with such an `io::Error` |
//! | `timeout`, with the feature `tower-http` | `TimeoutError` of tower-http 0.7, the error of bodies behind `RequestBodyTimeoutLayer` and `ResponseBodyTimeoutLayer` |
//! | `timeout`, with the feature `tonic` | `TimeoutExpired` of tonic 0.14, and its `Status` with the code `DEADLINE_EXCEEDED` |
//! | `overloaded` | `Overloaded` of tower |
//!
//! A request whose body fails with such an error is therefore a `timeout`, not `invalid_message`.
//!
//! Sources are searched if the error is boxed (`BoxError` and the like), an `io::Error` or a `hyper::Error`. They are also
//! searched in axum's error with the feature `axum`, in hyper-util's client error with `client`, and in tonic's
//! `transport::Error` and `Status` with `tonic`. For other types, use [`by_error`].

mod by_error;
mod client;
mod expecting;
pub(crate) mod grpc;
pub(crate) mod http;
pub(crate) mod source;

pub use self::by_error::{ByError, by_error};
pub use self::client::HttpClient;
pub use self::expecting::{Expecting, expecting};
pub use self::grpc::GrpcCode;
pub use self::http::{HttpStatus, ServerErrorsOnly};

use ::http::{Extensions, HeaderMap, Response, StatusCode, Version};
use std::any::Any;
use std::fmt;

/// The kind of failure that ended a call, as the label `error_type` shows it.
///
/// The layer chooses among the constants by itself. All except those of clients are on every page. Create your own with
/// [`from_static`](Self::from_static). Declare them with [`error_types`](crate::MetricsLayerBuilder::error_types) to show
/// them at 0 from the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ErrorType(&'static str);

/// The phase in which a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// The service's future returned an error.
    Generate,
    /// The response failed before any of it was sent.
    ResponseStream,
    /// The response failed after a part of it was sent.
    PublishResponse,
    /// The response failed after everything that it promised was sent.
    PublishFinal,
}

/// Why a call did not complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// The call failed. Counted in `errors_total`.
    Failed(ErrorType),
    /// The caller went away. Counted in `cancellations_total`.
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

/// Decides which responses and errors are failures, and of which type.
///
/// All methods have defaults, which [`HttpStatus`] uses unchanged. A classifier is cloned for each call, so it should be
/// small, such as a unit struct or a few references. A classifier that wraps another one must forward every method that it
/// doesn't implement itself. To classify one type of errors, a closure is enough: see [`by_error`].
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
    /// Returns the fault if the head of an HTTP response is a failure.
    ///
    /// Defaults to the table at [`HttpStatus`].
    fn head(&self, head: &Head<'_>) -> Option<Fault> {
        http::by_status(head.status).map(Fault::Failed)
    }

    /// Returns the fault if the code of a gRPC call is a failure or a cancellation.
    ///
    /// Defaults to the table at [`GrpcCode`].
    fn grpc_status(&self, code: GrpcCode) -> Option<Fault> {
        code.fault()
    }

    /// Returns the fault for an error of the service, of its response, or of a sink.
    ///
    /// `error` is the original value. It is the service's `S::Error`, the body's `B::Error`, the error of an item of a
    /// response stream, or the error of the sink that the stream is [published](crate::publish) to.
    ///
    /// Defaults to [`ErrorType::TIMEOUT`] or [`ErrorType::OVERLOADED`] if the error's source chain has an error that is
    /// [known](self#errors-that-are-known) as one of them, and to the type of the phase otherwise.
    fn error(&self, error: &dyn Any, phase: Phase) -> Fault {
        Fault::Failed(source::error_type(error).unwrap_or(phase.into()))
    }

    /// Returns further error types that this classifier uses. The page shows them at 0 from the start.
    ///
    /// The built-in types of servers are always shown. Defaults to none.
    fn error_types(&self) -> &'static [ErrorType] {
        &[]
    }

    /// Returns whether the program is the client.
    ///
    /// A client's failed request body is a failure, because the caller is still there. At a server it may be a cancellation.
    /// This is called once, when a layer is built. Defaults to false.
    fn is_client(&self) -> bool {
        false
    }
}

// === impl ErrorType ===

impl ErrorType {
    /// The request could not be decoded. HTTP 400, 422.
    pub const DESERIALIZATION: Self = Self("deserialization");
    /// The request was not of the expected form, or its body failed although the client stayed. HTTP 405, 411, 413, 414, 415,
    /// 431.
    pub const INVALID_MESSAGE: Self = Self("invalid_message");
    /// The response failed before its first byte.
    pub const RESPONSE_STREAM: Self = Self("response_stream");
    /// The service failed. HTTP 5xx.
    pub const GENERATE: Self = Self("generate");
    /// The response failed partway.
    pub const PUBLISH_RESPONSE: Self = Self("publish_response");
    /// The response failed at its end, or had a length other than it promised.
    pub const PUBLISH_FINAL: Self = Self("publish_final");
    /// A deadline passed. HTTP 408, 504.
    pub const TIMEOUT: Self = Self("timeout");
    /// The service had no capacity for the call. HTTP 503.
    pub const OVERLOADED: Self = Self("overloaded");
    /// The service panicked.
    pub const PANIC: Self = Self("panic");

    /// The connection to the server could not be made. Only for [clients](HttpClient).
    pub const CONNECT: Self = Self("connect");
    /// The server refused the request, with a 4xx that has no type of its own. Only for [clients](HttpClient).
    pub const REJECTED: Self = Self("rejected");

    /// The types that every service can fail with, in the order of their declaration.
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
    /// Replaces further types once a layer has recorded as many as it can.
    pub(crate) const OTHER: Self = Self("_OTHER");

    /// Returns an error type with this name.
    ///
    /// # Panics
    ///
    /// Panics if `name` is empty. For a constant, this is a compile error.
    pub const fn from_static(name: &'static str) -> Self {
        assert!(!name.is_empty(), "an error type must have a name");
        Self(name)
    }

    /// Returns the label's value.
    pub const fn as_str(&self) -> &'static str {
        self.0
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
    /// Returns the head of `response`.
    pub fn of<B>(response: &'a Response<B>) -> Self {
        Self {
            status: response.status(),
            version: response.version(),
            headers: response.headers(),
            extensions: response.extensions(),
        }
    }

    /// Returns the head of a response that was split into parts.
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
