use super::{ErrorType, Fault};
use http::header::HeaderName;
use http::{HeaderMap, StatusCode};
use std::fmt;

/// Declares [`GrpcCode`]. A row is `Code = number, "NAME"`. The numbers are in order from 0.
macro_rules! grpc_codes {
    ($(#[$doc:meta])* $($code:ident = $number:literal, $name:literal;)*) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs, reason = "gRPC defines them")]
        pub enum GrpcCode {
            $($code = $number,)*
        }

        impl GrpcCode {
            /// All codes, each at the index of its number.
            pub const ALL: [Self; 17] = [$(Self::$code),*];

            /// The names of all codes, each at the index of its number.
            pub const NAMES: [&'static str; 17] = [$($name),*];
        }
    };
}

grpc_codes! {
    /// The status code of a gRPC call.
    ///
    /// gRPC defines the [status codes](https://github.com/grpc/grpc/blob/master/doc/statuscodes.md). A
    /// [classifier](super::Classify::grpc_status) decides what they mean. By default:
    ///
    /// | code | `error_type` |
    /// |---|---|
    /// | `OK` | none: the call is complete |
    /// | `CANCELLED` | none: the call is cancelled |
    /// | `INVALID_ARGUMENT` | `deserialization` |
    /// | `OUT_OF_RANGE`, `UNIMPLEMENTED` | `invalid_message` |
    /// | `DEADLINE_EXCEEDED` | `timeout` |
    /// | `RESOURCE_EXHAUSTED`, `UNAVAILABLE` | `overloaded` |
    /// | all others | `generate` |
    ///
    /// [`ServerErrorsOnly`](super::ServerErrorsOnly) doesn't count the codes that blame the client.
    Ok = 0, "OK";
    Cancelled = 1, "CANCELLED";
    Unknown = 2, "UNKNOWN";
    InvalidArgument = 3, "INVALID_ARGUMENT";
    DeadlineExceeded = 4, "DEADLINE_EXCEEDED";
    NotFound = 5, "NOT_FOUND";
    AlreadyExists = 6, "ALREADY_EXISTS";
    PermissionDenied = 7, "PERMISSION_DENIED";
    ResourceExhausted = 8, "RESOURCE_EXHAUSTED";
    FailedPrecondition = 9, "FAILED_PRECONDITION";
    Aborted = 10, "ABORTED";
    OutOfRange = 11, "OUT_OF_RANGE";
    Unimplemented = 12, "UNIMPLEMENTED";
    Internal = 13, "INTERNAL";
    Unavailable = 14, "UNAVAILABLE";
    DataLoss = 15, "DATA_LOSS";
    Unauthenticated = 16, "UNAUTHENTICATED";
}

/// The header or trailer field with the code in decimal.
pub(crate) const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

// === impl GrpcCode ===

impl GrpcCode {
    /// Returns the code with this number, or `UNKNOWN` if there is none.
    ///
    /// ```
    /// use tower_openmetrics::classify::GrpcCode;
    ///
    /// assert_eq!(GrpcCode::from_number(5), GrpcCode::NotFound);
    /// assert_eq!(GrpcCode::from_number(99), GrpcCode::Unknown);
    /// ```
    pub fn from_number(number: u32) -> Self {
        let known = Self::ALL.get(number as usize);
        known.copied().unwrap_or(Self::Unknown)
    }

    /// Returns the code in `grpc-status`, if the field is present. Returns `UNKNOWN` if the field can't be parsed.
    ///
    /// The field is in the trailers, or in the headers of a trailers-only response.
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(GRPC_STATUS)?;
        Some(Self::parse(value.as_bytes()))
    }

    /// Returns the code that clients derive from the HTTP status of a response without a code, by gRPC's
    /// [mapping](https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md). Returns `None` for 200, because
    /// the code follows in the trailers.
    pub fn from_http(status: StatusCode) -> Option<Self> {
        Some(match status.as_u16() {
            200 => return None,
            400 | 431 => Self::Internal,
            401 => Self::Unauthenticated,
            403 => Self::PermissionDenied,
            404 => Self::Unimplemented,
            429 | 502..=504 => Self::Unavailable,
            _ => Self::Unknown,
        })
    }

    /// Returns the code's name, such as `NOT_FOUND`.
    pub const fn as_str(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// Returns what the code means by the table above.
    pub fn fault(self) -> Option<Fault> {
        let error_type = match self {
            Self::Ok => return None,
            Self::Cancelled => return Some(Fault::Cancelled),
            Self::InvalidArgument => ErrorType::DESERIALIZATION,
            Self::OutOfRange | Self::Unimplemented => ErrorType::INVALID_MESSAGE,
            Self::DeadlineExceeded => ErrorType::TIMEOUT,
            Self::ResourceExhausted | Self::Unavailable => ErrorType::OVERLOADED,
            _ => ErrorType::GENERATE,
        };
        Some(Fault::Failed(error_type))
    }

    /// Returns whether the code blames the server. OpenTelemetry's
    /// [conventions for gRPC](https://opentelemetry.io/docs/specs/semconv/rpc/grpc/) mark a server's span as failed for these
    /// codes.
    pub(crate) fn is_server_error(self) -> bool {
        matches!(
            self,
            Self::Unknown
                | Self::DeadlineExceeded
                | Self::Unimplemented
                | Self::Internal
                | Self::Unavailable
                | Self::DataLoss
        )
    }

    /// Parses a code in decimal. Returns `UNKNOWN` if it can't be parsed.
    pub(crate) fn parse(digits: &[u8]) -> Self {
        std::str::from_utf8(digits)
            .ok()
            .and_then(|digits| digits.parse().ok())
            .map_or(Self::Unknown, Self::from_number)
    }
}

impl fmt::Display for GrpcCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_is_at_the_index_of_its_number() {
        for (number, code) in GrpcCode::ALL.into_iter().enumerate() {
            assert_eq!(code as usize, number);
            assert_eq!(GrpcCode::from_number(number as u32), code);
            assert_eq!(GrpcCode::parse(number.to_string().as_bytes()), code);
        }
    }

    #[test]
    fn names_match_the_variants() {
        for code in GrpcCode::ALL {
            let spelt: String = code.as_str().split('_').map(capitalised).collect();
            assert_eq!(spelt, format!("{code:?}"));
        }
    }

    fn capitalised(word: &str) -> String {
        let (first, rest) = word.split_at(1);
        first.to_owned() + &rest.to_lowercase()
    }

    #[test]
    fn invalid_codes_are_unknown() {
        for value in ["17", "99999999999", "-1", "", "OK", "0x1", "1.0", "\u{e9}"] {
            assert_eq!(GrpcCode::parse(value.as_bytes()), GrpcCode::Unknown);
        }
        assert_eq!(GrpcCode::parse(&[0xff]), GrpcCode::Unknown);
        assert_eq!(GrpcCode::from_number(u32::MAX), GrpcCode::Unknown);
    }

    #[test]
    fn the_code_is_read_from_headers() {
        let mut headers = HeaderMap::new();
        assert_eq!(GrpcCode::from_headers(&headers), None);
        headers.insert(GRPC_STATUS, 8.into());
        let code = GrpcCode::from_headers(&headers);
        assert_eq!(code, Some(GrpcCode::ResourceExhausted));
    }

    #[test]
    fn http_statuses_by_the_mapping() {
        let cases = [
            (200, None),
            (204, Some("UNKNOWN")),
            (302, Some("UNKNOWN")),
            (400, Some("INTERNAL")),
            (401, Some("UNAUTHENTICATED")),
            (403, Some("PERMISSION_DENIED")),
            (404, Some("UNIMPLEMENTED")),
            (415, Some("UNKNOWN")),
            (429, Some("UNAVAILABLE")),
            (431, Some("INTERNAL")),
            (500, Some("UNKNOWN")),
            (502, Some("UNAVAILABLE")),
            (503, Some("UNAVAILABLE")),
            (504, Some("UNAVAILABLE")),
        ];
        for (status, expected) in cases {
            let code = GrpcCode::from_http(StatusCode::from_u16(status).unwrap());
            assert_eq!(code.map(GrpcCode::as_str), expected, "{status}");
        }
    }
}
