use super::{Classify, ErrorType, Fault, GrpcCode, Head, HttpStatus, Phase};
use std::any::Any;
use std::fmt;

/// Accepts some response heads, and classifies everything else with `C`. Made by [`expecting`].
#[derive(Clone, Copy)]
pub struct Expecting<F, C = HttpStatus> {
    is_expected: F,
    otherwise: C,
}

/// Returns a classifier that exempts responses that their status marks as failures.
///
/// A response is no failure if the closure returns `true` for its head. Everything else, including errors and gRPC codes,
/// is classified by [`HttpStatus`], or by the classifier passed to [`or`](Expecting::or).
///
/// ```
/// use http::StatusCode;
/// use tower_openmetrics::MetricsLayer;
/// use tower_openmetrics::classify::{HttpClient, expecting};
///
/// # fn main() -> Result<(), tower_openmetrics::Error> {
/// // A cache: 404 is an answer.
/// let lookups = MetricsLayer::client_builder()
///     .classifier(expecting(|head| head.status == StatusCode::NOT_FOUND).or(HttpClient))
///     .build([("endpoint", "cache")])?;
/// // A crawler: no 4xx counts as a failure.
/// let pages = MetricsLayer::client_builder()
///     .classifier(expecting(|head| head.status.is_client_error()).or(HttpClient))
///     .build([("endpoint", "pages")])?;
/// # Ok(())
/// # }
/// ```
pub fn expecting<F>(is_expected: F) -> Expecting<F>
where
    F: Fn(&Head<'_>) -> bool + Clone,
{
    Expecting {
        is_expected,
        otherwise: HttpStatus,
    }
}

// === impl Expecting ===

impl<F, C> Expecting<F, C> {
    /// Sets the classifier for everything that is not expected. Defaults to [`HttpStatus`].
    pub fn or<D: Classify>(self, otherwise: D) -> Expecting<F, D> {
        Expecting {
            is_expected: self.is_expected,
            otherwise,
        }
    }
}

impl<F, C> Classify for Expecting<F, C>
where
    F: Fn(&Head<'_>) -> bool + Clone,
    C: Classify,
{
    fn head(&self, head: &Head<'_>) -> Option<Fault> {
        if (self.is_expected)(head) {
            None
        } else {
            self.otherwise.head(head)
        }
    }

    fn grpc_status(&self, code: GrpcCode) -> Option<Fault> {
        self.otherwise.grpc_status(code)
    }

    fn error(&self, error: &dyn Any, phase: Phase) -> Fault {
        self.otherwise.error(error, phase)
    }

    fn error_types(&self) -> &'static [ErrorType] {
        self.otherwise.error_types()
    }

    fn is_client(&self) -> bool {
        self.otherwise.is_client()
    }
}

impl<F, C: fmt::Debug> fmt::Debug for Expecting<F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Expecting")
            .field("otherwise", &self.otherwise)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{HttpClient, by_error};
    use super::*;
    use http::Response;
    use std::io;

    #[test]
    fn an_expected_response_is_no_failure() {
        let lenient = expecting(|head| head.status == 404).or(HttpClient);
        let both = by_error(|_: &u8, _| Some(ErrorType::TIMEOUT)).or(lenient);
        for (status, expected) in [
            (200, None),
            (404, None),
            (403, Some(ErrorType::REJECTED)),
            (500, Some(ErrorType::GENERATE)),
        ] {
            let response = Response::builder().status(status).body(()).unwrap();
            let fault = both.head(&Head::of(&response));
            assert_eq!(fault, expected.map(Fault::Failed), "{status}");
        }
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let fault = both.error(&refused, Phase::Generate);
        assert_eq!(fault, ErrorType::CONNECT.into());
        assert_eq!(both.error_types(), HttpClient.error_types());
    }
}
