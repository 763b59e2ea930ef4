use super::http::by_status;
use super::{Classify, ErrorType, Fault, Head, Phase, legacy_client, source, tonic};
use std::any::Any;
use std::error::Error as StdError;
use std::io;

/// As [`HttpStatus`](super::HttpStatus), for clients: every 4xx is a failure, and a connection that could not be
/// made is told from a server that failed.
///
/// That 4xx is a failure for a client though not for a server is the rule of OpenTelemetry's
/// [conventions for HTTP](https://opentelemetry.io/docs/specs/semconv/http/http-spans/#status): whose fault it was, the
/// program did not get what it asked for. [`expecting`](super::expecting) makes exceptions.
///
/// | what happened | `error_type` |
/// |---|---|
/// | 400, 422 | `deserialization` |
/// | 405, 411, 413, 414, 415, 431 | `invalid_message` |
/// | 408, 504 | `timeout` |
/// | 429, 503 | `overloaded`: try again later |
/// | other 4xx | `rejected`: no use in trying again |
/// | other 5xx | `generate` |
/// | no connection: the name was not resolved, nobody listened, the handshake of TLS failed, or the time *for connecting* was over | `connect` |
/// | a time limit for more than that passed, or the transport gave up waiting | `timeout` |
/// | the connection broke, or was not HTTP's, before the head of the response | `generate` |
/// | the connection broke before the first byte of the response's body, after some of it, after all of it | `response_stream`, `publish_response`, `publish_final` |
/// | the request's own body failed, or ended before its `Content-Length` | `invalid_message`; `timeout` if a time limit passed |
///
/// Where several are true of an error, the outermost of its sources that is known decides.
///
/// gRPC's codes mean what they mean to servers: see [`GrpcCode`](super::GrpcCode).
///
/// # Errors that are known
///
/// As `timeout`: those that are [known to every classifier](super#errors-that-are-known). As `connect`:
/// `io::Error`s of the kinds `ConnectionRefused`, `HostUnreachable`, `NetworkUnreachable` and `AddrNotAvailable`;
/// with the feature `client` those errors of hyper-util's client that are `is_connect`, and all of its `HttpConnector`; and with
/// the feature `tonic` tonic's `ConnectError`. They are found if the error of the service is one of these types, tonic's
/// `transport::Error`, or a boxed error with one of them among its sources. As `invalid_message`: a `hyper::Error` that `is_body_write_aborted`. For another type there is [`by_error`](super::by_error) with [`error_type`](Self::error_type):
///
/// ```
/// use std::fmt;
/// use tower_openmetrics::MetricsLayer;
/// use tower_openmetrics::classify::{HttpClient, by_error};
///
/// /// What our client fails with: around errors of hyper-util's, say.
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

// === impl HttpClient ===

impl HttpClient {
    /// The type of `error`, if it or one of its sources is [known](Self#errors-that-are-known).
    ///
    /// For errors of the service's future. Of a response whose head was there, `connect` can't be said any more:
    /// there it is left to the phase.
    pub fn error_type(error: &(dyn StdError + 'static)) -> Option<ErrorType> {
        source::chain_of(error).find_map(of_client)
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
            .find_map(of_client)
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

fn of_client(error: &(dyn StdError + 'static)) -> Option<ErrorType> {
    if could_not_connect(error) {
        Some(ErrorType::CONNECT)
    } else if ended_short(error) {
        Some(ErrorType::INVALID_MESSAGE)
    } else {
        source::known(error)
    }
}

/// Whether the body of the request had fewer bytes than its `Content-Length`.
fn ended_short(error: &(dyn StdError + 'static)) -> bool {
    let error = error.downcast_ref();
    error.is_some_and(hyper::Error::is_body_write_aborted)
}

fn could_not_connect(error: &(dyn StdError + 'static)) -> bool {
    // The kinds that come of connecting alone.
    use io::ErrorKind::{AddrNotAvailable, ConnectionRefused, HostUnreachable, NetworkUnreachable};
    let is_kind = |error: &io::Error| {
        matches!(
            error.kind(),
            ConnectionRefused | HostUnreachable | NetworkUnreachable | AddrNotAvailable
        )
    };
    legacy_client::is_connect(error)
        || tonic::is_connect(error)
        || error.downcast_ref().is_some_and(is_kind)
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
    fn errors_by_their_kind_and_phase() {
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
            // A connection that was there did not fail to be made.
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
    fn a_channel_of_tonics_that_could_not_connect() {
        let refused = || ::tonic::ConnectError("bad handshake".into());
        let boxed: BoxError = refused().into();
        for error in [&refused() as &dyn Any, &boxed] {
            let fault = HttpClient.error(error, Phase::Generate);
            assert_eq!(fault, ErrorType::CONNECT.into());
        }
    }
}
