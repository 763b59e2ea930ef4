use super::{Classify, ErrorType, Fault, GrpcCode, Head, HttpStatus, Phase};
use std::any::Any;
use std::fmt;
use std::marker::PhantomData;

/// Classifies errors of type `E` with a closure, and everything else with `C`. Made by
/// [`by_error`].
pub struct ByError<E, F, C = HttpStatus> {
    classify: F,
    otherwise: C,
    errors: PhantomData<fn(&E)>,
}

/// Returns a classifier that classifies errors of one type with a closure.
///
/// `E`, the type of the closure's argument, must be exactly the error type of the service, of a stream's items, or of a
/// sink. The closure returns an [`ErrorType`](super::ErrorType) or a [`Fault`]. If it returns `None`, the next classifier
/// decides: [`HttpStatus`], or the one passed to [`or`](ByError::or). The next classifier also decides about errors of
/// other types, HTTP response heads and gRPC codes.
///
/// ```
/// use tower_openmetrics::MetricsLayer;
/// use tower_openmetrics::classify::{ErrorType, by_error};
///
/// enum EngineError {
///     BadPrompt,
///     OutOfMemory,
///     Bug,
/// }
///
/// const OUT_OF_MEMORY: ErrorType = ErrorType::from_static("out_of_memory");
///
/// # fn main() -> Result<(), tower_openmetrics::Error> {
/// let layer = MetricsLayer::streaming_builder()
///     .classifier(by_error(|error: &EngineError, _| match error {
///         EngineError::BadPrompt => Some(ErrorType::DESERIALIZATION),
///         EngineError::OutOfMemory => Some(OUT_OF_MEMORY),
///         EngineError::Bug => None, // depends on the phase: `generate`, `publish_response`, …
///     }))
///     .error_types([OUT_OF_MEMORY])
///     .build([("endpoint", "engine")])?;
/// # Ok(())
/// # }
/// ```
///
/// If a service boxes its errors, their type is `BoxError`:
///
/// ```
/// use std::io;
/// use tower::BoxError;
/// use tower_openmetrics::classify::{ErrorType, by_error};
///
/// const DISK: ErrorType = ErrorType::from_static("disk");
///
/// let classifier = by_error(|error: &BoxError, _| error.is::<io::Error>().then_some(DISK));
/// ```
pub fn by_error<E, F, T>(classify: F) -> ByError<E, F>
where
    E: 'static,
    F: Fn(&E, Phase) -> Option<T> + Clone,
    T: Into<Fault>,
{
    ByError {
        classify,
        otherwise: HttpStatus,
        errors: PhantomData,
    }
}

impl<E, F, C> ByError<E, F, C> {
    /// Sets the classifier for everything that the closure doesn't classify. It may be another `by_error`, for another
    /// error type. Defaults to [`HttpStatus`].
    ///
    /// ```
    /// use std::{fmt, io};
    /// use tower_openmetrics::classify::{ErrorType, Fault, ServerErrorsOnly, by_error};
    ///
    /// let classifier = by_error(|_: &fmt::Error, _| Some(ErrorType::GENERATE))
    ///     .or(by_error(|_: &io::Error, _| Some(Fault::Cancelled)).or(ServerErrorsOnly));
    /// ```
    pub fn or<D: Classify>(self, otherwise: D) -> ByError<E, F, D> {
        ByError {
            classify: self.classify,
            otherwise,
            errors: PhantomData,
        }
    }
}

impl<E, F, T, C> Classify for ByError<E, F, C>
where
    E: 'static,
    F: Fn(&E, Phase) -> Option<T> + Clone,
    T: Into<Fault>,
    C: Classify,
{
    fn head(&self, head: &Head<'_>) -> Option<Fault> {
        self.otherwise.head(head)
    }

    fn grpc_status(&self, code: GrpcCode) -> Option<Fault> {
        self.otherwise.grpc_status(code)
    }

    fn error(&self, error: &dyn Any, phase: Phase) -> Fault {
        error
            .downcast_ref()
            .and_then(|error| (self.classify)(error, phase))
            .map_or_else(|| self.otherwise.error(error, phase), Into::into)
    }

    fn error_types(&self) -> &'static [ErrorType] {
        self.otherwise.error_types()
    }

    fn is_client(&self) -> bool {
        self.otherwise.is_client()
    }
}

impl<E, F: Clone, C: Clone> Clone for ByError<E, F, C> {
    fn clone(&self) -> Self {
        Self {
            classify: self.classify.clone(),
            otherwise: self.otherwise.clone(),
            errors: PhantomData,
        }
    }
}

impl<E, F: Copy, C: Copy> Copy for ByError<E, F, C> {}

impl<E, F, C: fmt::Debug> fmt::Debug for ByError<E, F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByError")
            .field("otherwise", &self.otherwise)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::ServerErrorsOnly;
    use super::*;
    use http::Response;

    #[derive(Debug)]
    struct Odd(u8);

    fn odd() -> impl Classify {
        by_error(|error: &Odd, phase| match (error.0, phase) {
            (1, _) => Some(Fault::Cancelled),
            (2, Phase::Generate) => Some(ErrorType::DESERIALIZATION.into()),
            _ => None,
        })
    }

    #[test]
    fn the_closure_only_classifies_its_own_type() {
        let overloaded = tower::load_shed::error::Overloaded::new();
        let cases: [(&dyn Any, Phase, Fault); 6] = [
            (&Odd(1), Phase::PublishFinal, Fault::Cancelled),
            (&Odd(2), Phase::Generate, ErrorType::DESERIALIZATION.into()),
            (
                &Odd(2),
                Phase::PublishFinal,
                ErrorType::PUBLISH_FINAL.into(),
            ),
            (&Odd(3), Phase::Generate, ErrorType::GENERATE.into()),
            (&1u8, Phase::Generate, ErrorType::GENERATE.into()),
            (&overloaded, Phase::Generate, ErrorType::OVERLOADED.into()),
        ];
        for (error, phase, expected) in cases {
            assert_eq!(odd().error(error, phase), expected, "{expected:?}");
        }
    }

    #[test]
    fn the_next_classifier_gets_what_the_closure_leaves() {
        let both = by_error(|_: &u8, _| Some(ErrorType::TIMEOUT)).or(odd());
        assert_eq!(both.error(&7u8, Phase::Generate), ErrorType::TIMEOUT.into());
        assert_eq!(both.error(&Odd(1), Phase::Generate), Fault::Cancelled);

        let bad_request = Response::builder().status(400).body(()).unwrap();
        let head = Head::of(&bad_request);
        assert!(both.head(&head).is_some());
        let server_only = by_error(|_: &u8, _| Some(ErrorType::TIMEOUT)).or(ServerErrorsOnly);
        assert_eq!(server_only.head(&head), None);

        assert!(both.grpc_status(GrpcCode::NotFound).is_some());
        assert_eq!(server_only.grpc_status(GrpcCode::NotFound), None);
    }
}
