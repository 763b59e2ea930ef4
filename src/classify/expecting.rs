use super::{Classify, ErrorType, Fault, GrpcCode, Head, HttpStatus, Phase};
use std::any::Any;
use std::fmt;

/// Takes some heads for answers, and classifies all else by `C`. Made by [`expecting`].
#[derive(Clone, Copy)]
pub struct Expecting<F, C = HttpStatus> {
    is_expected: F,
    otherwise: C,
}

/// Makes exceptions: an HTTP answer for whose head the closure says so is no failure, whatever its status.
///
/// All else, errors and gRPC's codes among it, is classified by [`HttpStatus`], or by what [`or`](Expecting::or) names.
///
/// ```
/// use http::StatusCode;
/// use tower_openmetrics::MetricsLayer;
/// use tower_openmetrics::classify::{HttpClient, expecting};
///
/// # fn main() -> Result<(), tower_openmetrics::Error> {
/// // A cache: that something is not there is an answer.
/// let lookups = MetricsLayer::client_builder()
///     .classifier(expecting(|head| head.status == StatusCode::NOT_FOUND).or(HttpClient))
///     .build([("endpoint", "cache")])?;
/// // A crawler: what it did wrong is not to count at all.
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
    /// Classifies by `otherwise` what is not expected. Defaults to [`HttpStatus`].
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
    fn what_is_expected_is_an_answer_and_all_else_as_before() {
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
