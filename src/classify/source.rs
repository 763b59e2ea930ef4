//! Classifies errors by their source chain.
//!
//! An error's type only has to be `'static`. Known types are found through [`Any`], and their source chain is walked. The
//! text of errors is never read.

use super::{ErrorType, Fault};
use std::any::Any;
use std::error::Error as StdError;
use std::io;
use std::iter;

/// Any error, as in a source chain.
pub(super) type DynError = dyn StdError + 'static;

/// Maximum length of a source chain. An error that is its own source must not hang a request.
pub(crate) const MAX_DEPTH: usize = 64;

/// The types that are known as the outermost error.
const OUTERMOST: &[fn(&dyn Any) -> Option<&DynError>] = &[
    |error| Some(&**error.downcast_ref::<Box<dyn StdError + Send + Sync>>()?),
    |error| Some(&**error.downcast_ref::<Box<dyn StdError + Send>>()?),
    |error| Some(&**error.downcast_ref::<Box<dyn StdError>>()?),
    of_type::<io::Error>,
    of_type::<hyper::Error>,
    of_type::<tower::timeout::error::Elapsed>,
    of_type::<tower::load_shed::error::Overloaded>,
    of_type::<tokio::time::error::Elapsed>,
    #[cfg(feature = "axum")]
    of_type::<axum_core::Error>,
    #[cfg(feature = "tower-http")]
    of_type::<tower_http::timeout::TimeoutError>,
    #[cfg(feature = "http2")]
    of_type::<h2::Error>,
    #[cfg(feature = "client")]
    of_type::<hyper_util::client::legacy::Error>,
    #[cfg(feature = "tonic")]
    of_status,
    #[cfg(feature = "tonic")]
    of_type::<tonic::transport::Error>,
    #[cfg(feature = "tonic")]
    of_type::<tonic::TimeoutExpired>,
    #[cfg(feature = "tonic")]
    of_type::<tonic::ConnectError>,
];

/// The errors that say that a time limit passed.
const TIMEOUTS: &[fn(&DynError) -> bool] = &[
    |error| error.is::<tower::timeout::error::Elapsed>(),
    |error| error.is::<tokio::time::error::Elapsed>(),
    |error| error.downcast_ref().is_some_and(is_timed_out),
    |error| error.downcast_ref().is_some_and(hyper::Error::is_timeout),
    #[cfg(feature = "tower-http")]
    |error| error.is::<tower_http::timeout::TimeoutError>(),
    // An `h2::Error` has no source, so this asks it directly.
    #[cfg(feature = "http2")]
    |error| {
        let io = error.downcast_ref().and_then(h2::Error::get_io);
        io.is_some_and(is_timed_out)
    },
    #[cfg(feature = "tonic")]
    |error| error.is::<tonic::TimeoutExpired>(),
    #[cfg(feature = "tonic")]
    |error| {
        let status: Option<&tonic::Status> = error.downcast_ref();
        status.is_some_and(|status| status.code() == tonic::Code::DeadlineExceeded)
    },
];

/// The errors that say that the peer went away.
const PEER_IS_GONE: &[fn(&DynError) -> bool] = &[
    |error| error.downcast_ref().is_some_and(is_lost),
    // A local reset does not say so, such as for a body that contradicts its `Content-Length`: the client is still there.
    #[cfg(feature = "http2")]
    |error| error.downcast_ref().is_some_and(h2::Error::is_remote),
    #[cfg(feature = "http2")]
    |error| error.downcast_ref().is_some_and(h2::Error::is_io),
];

/// Returns the type that an error has in every phase: a timeout or an overload.
pub(crate) fn error_type(error: &dyn Any) -> Option<ErrorType> {
    chain(error).find_map(known)
}

/// Returns the type of a single error, without its sources.
pub(super) fn known(error: &DynError) -> Option<ErrorType> {
    if any(TIMEOUTS, error) {
        Some(ErrorType::TIMEOUT)
    } else if error.is::<tower::load_shed::error::Overloaded>() {
        Some(ErrorType::OVERLOADED)
    } else {
        None
    }
}

/// Returns what a failed request body or stream means at the receiver: the client went away, a time limit passed, or the
/// client sent something invalid.
pub(crate) fn broken_off(error: &dyn Any) -> Fault {
    let meaning = |error: &DynError| match known(error) {
        Some(error_type) => Some(Fault::Failed(error_type)),
        None => any(PEER_IS_GONE, error).then_some(Fault::Cancelled),
    };
    let invalid = Fault::Failed(ErrorType::INVALID_MESSAGE);
    chain(error).find_map(meaning).unwrap_or(invalid)
}

/// Like [`broken_off`], for bodies whose framing can't be malformed. An error of an unknown type then means that the client
/// went away. Layers on tonic's server get such bodies.
pub(crate) fn broken_off_within(error: &dyn Any) -> Fault {
    match outermost(error) {
        Some(_) => broken_off(error),
        None => Fault::Cancelled,
    }
}

/// Returns what a failed request body means at the sender. It is never a cancellation, because the caller is still there.
pub(crate) fn not_sent(error: &dyn Any) -> Fault {
    Fault::Failed(error_type(error).unwrap_or(ErrorType::INVALID_MESSAGE))
}

/// Returns the error and its sources, or nothing if the error's type is unknown.
pub(super) fn chain(error: &dyn Any) -> impl Iterator<Item = &DynError> {
    outermost(error).into_iter().flat_map(chain_of)
}

/// Returns the error and its sources.
pub(super) fn chain_of(error: &DynError) -> impl Iterator<Item = &DynError> {
    iter::successors(Some(error), |error| source(*error)).take(MAX_DEPTH)
}

fn outermost(error: &dyn Any) -> Option<&DynError> {
    OUTERMOST.iter().find_map(|find| find(error))
}

/// Returns the next error of the chain. The `source` of an `io::Error` skips the error that it wraps, so this returns the
/// wrapped error.
fn source(error: &DynError) -> Option<&DynError> {
    match error.downcast_ref().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

fn of_type<E: StdError + 'static>(error: &dyn Any) -> Option<&DynError> {
    error.downcast_ref::<E>().map(|error| error as _)
}

/// Returns the source of a tonic `Status`, or itself if its code is a timeout.
#[cfg(feature = "tonic")]
fn of_status(error: &dyn Any) -> Option<&DynError> {
    let status: &tonic::Status = error.downcast_ref()?;
    match known(status) {
        Some(_) => Some(status),
        None => status.source(),
    }
}

/// Returns whether one of the `checks` holds for the error, without its sources.
pub(super) fn any(checks: &[fn(&DynError) -> bool], error: &DynError) -> bool {
    checks.iter().any(|check| check(error))
}

fn is_timed_out(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::TimedOut
}

fn is_lost(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(
        error.kind(),
        UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt;
    use tower::BoxError;

    #[derive(Debug)]
    struct Around(Option<BoxError>);

    impl fmt::Display for Around {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("around")
        }
    }

    impl StdError for Around {
        fn source(&self) -> Option<&(dyn StdError + 'static)> {
            match &self.0 {
                Some(source) => Some(&**source),
                None => Some(self), // its own source
            }
        }
    }

    const INVALID: Fault = Fault::Failed(ErrorType::INVALID_MESSAGE);

    fn around(inner: impl Into<BoxError>) -> BoxError {
        Box::new(Around(Some(inner.into())))
    }

    #[test]
    fn timeouts_and_overloads_are_found_at_any_depth() {
        let elapsed = tower::timeout::error::Elapsed::new;
        let overloaded = tower::load_shed::error::Overloaded::new;
        let cases: [(BoxError, Option<ErrorType>); 6] = [
            (around(elapsed()), Some(ErrorType::TIMEOUT)),
            (
                around(io::Error::from(io::ErrorKind::TimedOut)),
                Some(ErrorType::TIMEOUT),
            ),
            (around(around(overloaded())), Some(ErrorType::OVERLOADED)),
            (
                around(io::Error::other(elapsed())),
                Some(ErrorType::TIMEOUT),
            ),
            ("request timed out".into(), None),
            (Box::new(Around(None)), None),
        ];
        for (error, expected) in cases {
            assert_eq!(error_type(&error), expected, "{error:?}");
        }
        assert_eq!(error_type(&elapsed()), Some(ErrorType::TIMEOUT));
        assert_eq!(error_type(&overloaded()), Some(ErrorType::OVERLOADED));
        assert_eq!(error_type(&7), None);
    }

    #[test]
    fn a_lost_connection_is_told_from_a_malformed_body() {
        use io::ErrorKind::*;
        for kind in [
            UnexpectedEof,
            ConnectionReset,
            ConnectionAborted,
            BrokenPipe,
        ] {
            let lost = io::Error::from(kind);
            assert_eq!(broken_off(&lost), Fault::Cancelled, "{kind}");
            assert_eq!(broken_off(&around(lost)), Fault::Cancelled, "{kind}");
            // The sender is still there.
            assert_eq!(not_sent(&around(io::Error::from(kind))), INVALID, "{kind}");
        }
        for kind in [InvalidInput, InvalidData] {
            assert_eq!(broken_off(&around(io::Error::from(kind))), INVALID);
        }
        assert_eq!(broken_off(&()), INVALID);
        assert_eq!(broken_off_within(&()), Fault::Cancelled);
        assert_eq!(not_sent(&()), INVALID);
    }

    #[test]
    fn timeouts_are_not_cancellations() {
        let cases: [fn() -> BoxError; 3] = [
            || io::Error::from(io::ErrorKind::TimedOut).into(),
            || tower::timeout::error::Elapsed::new().into(),
            || around(tower::timeout::error::Elapsed::new()),
        ];
        for error in cases {
            for meaning in [broken_off, broken_off_within, not_sent] {
                assert_eq!(meaning(&error()), ErrorType::TIMEOUT.into());
            }
        }
    }

    #[cfg(feature = "axum")]
    #[test]
    fn errors_in_axums_error_are_found() {
        let lost = axum_core::Error::new(io::Error::from(io::ErrorKind::ConnectionReset));
        assert_eq!(broken_off(&lost), Fault::Cancelled);
        assert_eq!(broken_off(&axum_core::Error::new("malformed")), INVALID);
    }

    #[cfg(feature = "http2")]
    #[test]
    fn a_local_reset_is_not_a_cancellation() {
        let own = h2::Error::from(h2::Reason::PROTOCOL_ERROR);
        assert_eq!(broken_off(&own), INVALID);
        assert_eq!(broken_off(&around(own)), INVALID);
    }

    /// The `source` of an `h2::Error` doesn't return the I/O error.
    #[cfg(feature = "http2")]
    #[tokio::test]
    async fn a_lost_http2_connection_is_a_timeout_or_a_cancellation() {
        async fn lost(kind: io::ErrorKind) -> h2::Error {
            let reader = tokio_test::io::Builder::new()
                .read_error(kind.into())
                .build();
            let io = tokio::io::join(reader, tokio::io::sink());
            let (_client, connection) = h2::client::handshake(io).await.unwrap();
            connection.await.unwrap_err()
        }
        for meaning in [broken_off, broken_off_within, not_sent] {
            let timed_out = lost(io::ErrorKind::TimedOut).await;
            assert_eq!(meaning(&timed_out), ErrorType::TIMEOUT.into());
            assert_eq!(meaning(&around(timed_out)), ErrorType::TIMEOUT.into());
        }
        let reset = lost(io::ErrorKind::ConnectionReset).await;
        assert_eq!(broken_off(&reset), Fault::Cancelled);
        assert_eq!(error_type(&reset), None);
    }

    #[cfg(feature = "tonic")]
    #[test]
    fn deadline_exceeded_is_a_timeout() {
        use ::tonic::Status;

        let late = || Status::deadline_exceeded("too late");
        let boxed: [BoxError; 2] = [late().into(), around(late())];
        for error in [&late() as &dyn Any, &boxed[0], &boxed[1]] {
            for meaning in [broken_off, broken_off_within, not_sent] {
                assert_eq!(meaning(error), ErrorType::TIMEOUT.into());
            }
        }
        assert_eq!(error_type(&Status::internal("timed out")), None);
    }

    #[cfg(feature = "tonic")]
    #[test]
    fn errors_in_tonics_status_are_found() {
        use ::tonic::{Status, TimeoutExpired};

        let status = || Status::from_error(TimeoutExpired(()).into());
        let boxed: [BoxError; 3] = [TimeoutExpired(()).into(), status().into(), around(status())];
        for error in boxed {
            assert_eq!(error_type(&error), Some(ErrorType::TIMEOUT), "{error:?}");
        }
        assert_eq!(error_type(&TimeoutExpired(())), Some(ErrorType::TIMEOUT));
        assert_eq!(error_type(&status()), Some(ErrorType::TIMEOUT));

        let reset = io::Error::from(io::ErrorKind::ConnectionReset);
        let status = Status::from_error(reset.into());
        assert_eq!(broken_off(&status), Fault::Cancelled);
        // This status has no source.
        let status = Status::internal("unexpected end of file");
        assert_eq!(broken_off_within(&status), Fault::Cancelled);
        assert_eq!(not_sent(&status), INVALID);
    }
}
