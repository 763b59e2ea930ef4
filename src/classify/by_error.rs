use super::{Classify, ErrorType, Fault, GrpcCode, Head, HttpStatus, Phase};
use std::any::Any;
use std::fmt;
use std::marker::PhantomData;

/// Classifies errors of type `E` by a closure, and all else by `C`. Made by
/// [`by_error`].
pub struct ByError<E, F, C = HttpStatus> {
    classify: F,
    otherwise: C,
    errors: PhantomData<fn(&E)>,
}

/// Classifies errors of one type by a closure.
///
/// `E` is the very type of the service's errors, of the errors among a stream's items, or of a
/// sink's; the closure's argument says which. It gives an [`ErrorType`](super::ErrorType) or a
/// [`Fault`], or `None` for what is to be classified as if there were no closure: as errors of
/// other types, the heads of HTTP answers and the codes of gRPC are. That is by [`HttpStatus`], or by what
/// [`or`](ByError::or) names.
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
///         EngineError::Bug => None, // by the phase: `generate`, `publish_response` …
///     }))
///     .error_types([OUT_OF_MEMORY])
///     .build([("endpoint", "engine")])?;
/// # Ok(())
/// # }
/// ```
///
/// A service whose errors are boxed has errors of the type `BoxError`, whatever is in the box:
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
    /// Classifies by `otherwise` what the closure doesn't: by another
    /// `by_error` for another type of errors, say. Defaults to [`HttpStatus`].
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
    fn the_closure_decides_on_its_type_and_leaves_the_rest() {
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
    fn what_it_leaves_goes_to_the_next() {
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
