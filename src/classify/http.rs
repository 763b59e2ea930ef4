use super::{Classify, ErrorType, Fault, GrpcCode, Head};
use http::StatusCode;

/// Classifies HTTP responses by their status. This is the default.
///
/// | status | `error_type` |
/// |---|---|
/// | 400, 422 | `deserialization` |
/// | 405, 411, 413, 414, 415, 431 | `invalid_message` |
/// | 408, 504 | `timeout` |
/// | 503 | `overloaded` |
/// | other 5xx | `generate` |
///
/// All other statuses are no failures. This includes 401, 403, 404, 409 and 429.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HttpStatus;

/// Classifies like [`HttpStatus`], but counts only 5xx as failures. Errors of the client don't count.
///
/// The gRPC codes `UNKNOWN`, `DEADLINE_EXCEEDED`, `UNIMPLEMENTED`, `INTERNAL`, `UNAVAILABLE` and `DATA_LOSS` are failures.
/// OpenTelemetry's [conventions](https://opentelemetry.io/docs/specs/semconv/rpc/grpc/) count the same codes for servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerErrorsOnly;

impl Classify for HttpStatus {}

impl Classify for ServerErrorsOnly {
    fn head(&self, head: &Head<'_>) -> Option<Fault> {
        if head.status.is_server_error() {
            HttpStatus.head(head)
        } else {
            None
        }
    }

    fn grpc_status(&self, code: GrpcCode) -> Option<Fault> {
        code.fault()
            .filter(|fault| *fault == Fault::Cancelled || code.is_server_error())
    }
}

pub(crate) fn by_status(status: StatusCode) -> Option<ErrorType> {
    match status.as_u16() {
        400 | 422 => Some(ErrorType::DESERIALIZATION),
        405 | 411 | 413 | 414 | 415 | 431 => Some(ErrorType::INVALID_MESSAGE),
        408 | 504 => Some(ErrorType::TIMEOUT),
        503 => Some(ErrorType::OVERLOADED),
        500..=599 => Some(ErrorType::GENERATE),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Response;

    #[test]
    fn only_codes_that_blame_the_server_are_failures() {
        let failures: Vec<_> = GrpcCode::ALL
            .into_iter()
            .filter(|code| ServerErrorsOnly.grpc_status(*code).is_some())
            .map(GrpcCode::as_str)
            .collect();
        let (cancelled, failed) = failures.split_first().unwrap();
        assert_eq!(*cancelled, "CANCELLED");
        assert_eq!(
            failed,
            [
                "UNKNOWN",
                "DEADLINE_EXCEEDED",
                "UNIMPLEMENTED",
                "INTERNAL",
                "UNAVAILABLE",
                "DATA_LOSS"
            ]
        );
    }

    #[test]
    fn statuses_by_the_table() {
        let cases = [
            (200, None, None),
            (301, None, None),
            (400, Some("deserialization"), None),
            (401, None, None),
            (404, None, None),
            (405, Some("invalid_message"), None),
            (408, Some("timeout"), None),
            (413, Some("invalid_message"), None),
            (422, Some("deserialization"), None),
            (429, None, None),
            (431, Some("invalid_message"), None),
            (499, None, None),
            (500, Some("generate"), Some("generate")),
            (503, Some("overloaded"), Some("overloaded")),
            (504, Some("timeout"), Some("timeout")),
            (599, Some("generate"), Some("generate")),
            (600, None, None),
        ];
        let failed = |fault| match fault {
            Some(Fault::Failed(error_type)) => Some(ErrorType::as_str(&error_type)),
            _ => None,
        };
        for (status, default, server_only) in cases {
            let response = Response::builder().status(status).body(()).unwrap();
            let head = Head::of(&response);
            assert_eq!(failed(HttpStatus.head(&head)), default, "{status}");
            assert_eq!(
                failed(ServerErrorsOnly.head(&head)),
                server_only,
                "{status}"
            );
        }
    }
}
