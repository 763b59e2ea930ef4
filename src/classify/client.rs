use super::http::by_status;
use super::source::{DynError, any};
use super::{Classify, ErrorType, Fault, Head, Phase, source};
#[cfg(feature = "client")]
use hyper_util::client::legacy::{Error, connect::HttpConnector};
use std::any::Any;
use std::error::Error as StdError;
use std::io;

/// Classifies responses and errors for clients. Every 4xx is a failure, and a failure to connect has a type of its own.
///
/// Otherwise it is like [`HttpStatus`](super::HttpStatus). A 4xx counts as a failure for a client because the program did
/// not get what it asked for. OpenTelemetry's
/// [conventions for HTTP](https://opentelemetry.io/docs/specs/semconv/http/http-spans/#status) have the same rule. Use
/// [`expecting`](super::expecting) for exceptions.
///
/// | what happened | `error_type` |
/// |---|---|
/// | 400, 422 | `deserialization` |
/// | 405, 411, 413, 414, 415, 431 | `invalid_message` |
/// | 408, 504 | `timeout` |
/// | 429, 503 | `overloaded`: try again later |
/// | other 4xx | `rejected`: another try would not help |
/// | other 5xx | `generate` |
/// | no connection: the name was not resolved, nothing listened, the TLS handshake failed, or the time limit *for connecting* passed | `connect` |
/// | another time limit passed, or the transport stopped waiting | `timeout` |
/// | the connection broke, or did not speak HTTP, before the head of the response | `generate` |
/// | the connection broke before the first byte of the response's body, after some of it, after all of it | `response_stream`, `publish_response`, `publish_final` |
/// | the request body failed, or ended before its `Content-Length` | `invalid_message`, or `timeout` if a time limit passed |
///
/// If several rows apply to an error, the outermost known error in its source chain decides.
///
/// gRPC codes have the same meaning as for servers: see [`GrpcCode`](super::GrpcCode).
///
/// # Errors that are known
///
/// | `error_type` | error |
/// |---|---|
/// | `timeout`, `overloaded` | the errors [known to every classifier](super#errors-that-are-known) |
/// | `connect` | an `io::Error` of the kind `ConnectionRefused`, `HostUnreachable`, `NetworkUnreachable` or `AddrNotAvailable` |
/// | `connect`, with the feature `client` | an error of hyper-util's client that `is_connect`, and every error of its `HttpConnector` |
/// | `connect`, with the feature `tonic` | tonic's `ConnectError` |
/// | `invalid_message` | a `hyper::Error` that `is_body_write_aborted` |
///
/// They are found if the service's error is one of these types, tonic's `transport::Error`, or a boxed error with one of
/// them in its source chain. For other types, use [`by_error`](super::by_error) with [`error_type`](Self::error_type):
///
/// ```
/// use std::fmt;
/// use tower_openmetrics::MetricsLayer;
/// use tower_openmetrics::classify::{HttpClient, by_error};
///
/// /// The error of our client. It wraps an error of hyper-util.
/// #[derive(Debug)]
/// struct ApiError(std::io::Error);
/// # impl fmt::Display for ApiError {
/// #     fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str("api") }
/// # }
///
/// impl std::error::Error for ApiError {
///     fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
///         Some(&self.0)
///     }
/// }
///
/// # fn main() -> Result<(), tower_openmetrics::Error> {
/// let layer = MetricsLayer::client_builder()
///     .classifier(by_error(|error: &ApiError, _| HttpClient::error_type(error)).or(HttpClient))
///     .build([("endpoint", "api")])?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HttpClient;

/// The errors that say that there was no connection.
const NO_CONNECTION: &[fn(&DynError) -> bool] = &[
    |error| error.downcast_ref().is_some_and(is_refused),
    #[cfg(feature = "client")]
    |error| error.is::<ConnectorError>(),
    #[cfg(feature = "client")]
    |error| error.downcast_ref().is_some_and(Error::is_connect),
    #[cfg(feature = "tonic")]
    |error| error.is::<tonic::ConnectError>(),
];

/// The error of the connector that hyper-util and tonic use. The type is not exported under a name.
#[cfg(feature = "client")]
type ConnectorError = <HttpConnector as tower_service::Service<http::Uri>>::Error;

// === impl HttpClient ===

impl HttpClient {
    /// Returns the type of `error` if the error or one of its sources is [known](Self#errors-that-are-known).
    ///
    /// Use it for errors of the service's future. An error of a response body can't be `connect`, because the connection
    /// was made. The [phase](super::Phase) gives its type instead.
    pub fn error_type(error: &(dyn StdError + 'static)) -> Option<ErrorType> {
        source::chain_of(error).find_map(known_to_clients)
    }
}

impl Classify for HttpClient {
    fn head(&self, head: &Head<'_>) -> Option<Fault> {
        let error_type = match head.status.as_u16() {
            429 => Some(ErrorType::OVERLOADED),
            400..=499 => by_status(head.status).or(Some(ErrorType::REJECTED)),
            _ => by_status(head.status),
        };
        error_type.map(Fault::Failed)
    }

    fn error(&self, error: &dyn Any, phase: Phase) -> Fault {
        let known = source::chain(error)
            .find_map(known_to_clients)
            .filter(|found| phase == Phase::Generate || *found != ErrorType::CONNECT);
        Fault::Failed(known.unwrap_or(phase.into()))
    }

    fn error_types(&self) -> &'static [ErrorType] {
        &[ErrorType::CONNECT, ErrorType::REJECTED]
    }

    fn is_client(&self) -> bool {
        true
    }
}

fn known_to_clients(error: &DynError) -> Option<ErrorType> {
    if any(NO_CONNECTION, error) {
        Some(ErrorType::CONNECT)
    } else if ended_short(error) {
        Some(ErrorType::INVALID_MESSAGE)
    } else {
        source::known(error)
    }
}

/// Returns whether the request body was shorter than its `Content-Length`.
fn ended_short(error: &DynError) -> bool {
    let error = error.downcast_ref();
    error.is_some_and(hyper::Error::is_body_write_aborted)
}

/// Only connecting fails with these kinds.
fn is_refused(error: &io::Error) -> bool {
    use io::ErrorKind::{AddrNotAvailable, ConnectionRefused, HostUnreachable, NetworkUnreachable};
    matches!(
        error.kind(),
        ConnectionRefused | HostUnreachable | NetworkUnreachable | AddrNotAvailable
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Response;
    use tower::BoxError;

    #[test]
    fn statuses_by_the_table() {
        let cases = [
            (101, None),
            (200, None),
            (304, None),
            (400, Some("deserialization")),
            (401, Some("rejected")),
            (404, Some("rejected")),
            (405, Some("invalid_message")),
            (408, Some("timeout")),
            (409, Some("rejected")),
            (413, Some("invalid_message")),
            (422, Some("deserialization")),
            (429, Some("overloaded")),
            (431, Some("invalid_message")),
            (499, Some("rejected")),
            (500, Some("generate")),
            (502, Some("generate")),
            (503, Some("overloaded")),
            (504, Some("timeout")),
            (600, None),
        ];
        for (status, expected) in cases {
            let response = Response::builder().status(status).body(()).unwrap();
            let expected = expected.map(ErrorType::from_static).map(Fault::Failed);
            assert_eq!(HttpClient.head(&Head::of(&response)), expected, "{status}");
        }
    }

    #[test]
    fn errors_by_kind_and_phase() {
        use io::ErrorKind::*;
        let elapsed = || -> BoxError { tower::timeout::error::Elapsed::new().into() };
        let io = |kind: io::ErrorKind| -> BoxError { io::Error::from(kind).into() };
        let cases: [(BoxError, Option<ErrorType>); 9] = [
            (io(ConnectionRefused), Some(ErrorType::CONNECT)),
            (io(HostUnreachable), Some(ErrorType::CONNECT)),
            (io(NetworkUnreachable), Some(ErrorType::CONNECT)),
            (io(AddrNotAvailable), Some(ErrorType::CONNECT)),
            (io(TimedOut), Some(ErrorType::TIMEOUT)),
            (elapsed(), Some(ErrorType::TIMEOUT)),
            (io::Error::other(elapsed()).into(), Some(ErrorType::TIMEOUT)),
            (io(ConnectionReset), None),
            ("connection refused, timed out".into(), None),
        ];
        for (error, expected) in cases {
            assert_eq!(HttpClient::error_type(&*error), expected, "{error}");
            let fault = HttpClient.error(&error, Phase::Generate);
            assert_eq!(fault, expected.unwrap_or(ErrorType::GENERATE).into());
            // After the response head, the connection was made.
            let fault = HttpClient.error(&error, Phase::PublishResponse);
            let later = expected.filter(|known| *known != ErrorType::CONNECT);
            assert_eq!(fault, later.unwrap_or(ErrorType::PUBLISH_RESPONSE).into());
        }
        let overloaded = tower::load_shed::error::Overloaded::new();
        let fault = HttpClient.error(&overloaded, Phase::Generate);
        assert_eq!(fault, ErrorType::OVERLOADED.into());
    }

    #[cfg(feature = "tonic")]
    #[test]
    fn tonics_connect_error_is_connect() {
        let refused = || ::tonic::ConnectError("bad handshake".into());
        let boxed: BoxError = refused().into();
        for error in [&refused() as &dyn Any, &boxed] {
            let fault = HttpClient.error(error, Phase::Generate);
            assert_eq!(fault, ErrorType::CONNECT.into());
        }
    }
}
