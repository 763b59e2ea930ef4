//! What an error's source chain says.
//!
//! Of an error's type nothing is asked but `'static`. The error types that this
//! crate knows are looked for by [`Any`], and from there the chain is walked; text
//! is never read.

use super::{ErrorType, Fault, legacy_client};
use std::any::Any;
use std::error::Error as StdError;
use std::io;
use std::iter;

/// Chains end; one that does not, because an error is its own source, must not
/// hang a request.
const DEEPEST: usize = 64;

/// The type that an error carries in itself, whatever the phase: tower's
/// timeouts (and tokio's, which are theirs) and overloads.
pub(crate) fn error_type(error: &dyn Any) -> Option<ErrorType> {
    chain(error).find_map(tower_error_type)
}

pub(super) fn tower_error_type(error: &(dyn StdError + 'static)) -> Option<ErrorType> {
    if error.is::<tower::timeout::error::Elapsed>() || error.is::<tokio::time::error::Elapsed>() {
        Some(ErrorType::TIMEOUT)
    } else if error.is::<tower::load_shed::error::Overloaded>() {
        Some(ErrorType::OVERLOADED)
    } else {
        None
    }
}

/// What it means that the body or stream of a request has failed.
pub(crate) fn broken_off(error: &dyn Any) -> Fault {
    if peer_is_gone(error) {
        Fault::Cancelled
    } else {
        Fault::Failed(ErrorType::INVALID_MESSAGE)
    }
}

/// As [`broken_off`], for bodies that have no framing of their own to be malformed: an error of a type that
/// is not known is taken for a client that went away. tonic's server gives its layers such bodies.
pub(crate) fn broken_off_within(error: &dyn Any) -> Fault {
    match outermost(error) {
        Some(_) => broken_off(error),
        None => Fault::Cancelled,
    }
}

/// Whether the error of a request body means that the client went away, rather
/// than that it sent something wrong.
fn peer_is_gone(error: &dyn Any) -> bool {
    chain(error).any(|error| connection_was_lost(error) || stream_was_reset(error))
}

fn connection_was_lost(error: &(dyn StdError + 'static)) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    error.downcast_ref::<io::Error>().is_some_and(|error| {
        matches!(
            error.kind(),
            UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe
        )
    })
}

#[cfg(feature = "http2")]
fn stream_was_reset(error: &(dyn StdError + 'static)) -> bool {
    // A reset of our own, for a body that contradicts its `Content-Length`, is
    // neither: the client is still there.
    error
        .downcast_ref::<h2::Error>()
        .is_some_and(|error| error.is_remote() || error.is_io())
}

#[cfg(not(feature = "http2"))]
fn stream_was_reset(_: &(dyn StdError + 'static)) -> bool {
    false
}

/// The error and its sources, as far as the outermost type is known.
pub(super) fn chain(error: &dyn Any) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    outermost(error).into_iter().flat_map(chain_of)
}

/// The error and its sources.
pub(super) fn chain_of<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    iter::successors(Some(error), |error| source(*error)).take(DEEPEST)
}

fn outermost(error: &dyn Any) -> Option<&(dyn StdError + 'static)> {
    boxed(error)
        .or_else(|| known::<io::Error>(error))
        .or_else(|| known::<hyper::Error>(error))
        .or_else(|| known::<tower::timeout::error::Elapsed>(error))
        .or_else(|| known::<tower::load_shed::error::Overloaded>(error))
        .or_else(|| known::<tokio::time::error::Elapsed>(error))
        .or_else(|| of_axum(error))
        .or_else(|| of_h2(error))
        .or_else(|| legacy_client::of_client(error))
}

fn boxed(error: &dyn Any) -> Option<&(dyn StdError + 'static)> {
    if let Some(error) = error.downcast_ref::<Box<dyn StdError + Send + Sync>>() {
        Some(&**error)
    } else if let Some(error) = error.downcast_ref::<Box<dyn StdError + Send>>() {
        Some(&**error)
    } else if let Some(error) = error.downcast_ref::<Box<dyn StdError>>() {
        Some(&**error)
    } else {
        None
    }
}

fn known<E: StdError + 'static>(error: &dyn Any) -> Option<&(dyn StdError + 'static)> {
    error.downcast_ref::<E>().map(|error| error as _)
}

#[cfg(feature = "axum")]
fn of_axum(error: &dyn Any) -> Option<&(dyn StdError + 'static)> {
    known::<axum_core::Error>(error)
}

#[cfg(not(feature = "axum"))]
fn of_axum(_: &dyn Any) -> Option<&(dyn StdError + 'static)> {
    None
}

#[cfg(feature = "http2")]
fn of_h2(error: &dyn Any) -> Option<&(dyn StdError + 'static)> {
    known::<h2::Error>(error)
}

#[cfg(not(feature = "http2"))]
fn of_h2(_: &dyn Any) -> Option<&(dyn StdError + 'static)> {
    None
}

/// The next error of the chain. An `io::Error` keeps what it wraps from its
/// `source`, which is the source of the wrapped one.
fn source<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    match error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref)
    {
        Some(wrapped) => Some(wrapped as _),
        None => error.source(),
    }
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
                None => Some(self), // its own source, for ever
            }
        }
    }

    fn around(inner: impl Into<BoxError>) -> BoxError {
        Box::new(Around(Some(inner.into())))
    }

    #[test]
    fn timeouts_and_overloads_are_found_at_any_depth() {
        let elapsed = tower::timeout::error::Elapsed::new;
        let overloaded = tower::load_shed::error::Overloaded::new;
        let cases: [(BoxError, Option<ErrorType>); 5] = [
            (around(elapsed()), Some(ErrorType::TIMEOUT)),
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
            assert!(peer_is_gone(&io::Error::from(kind)), "{kind}");
            assert!(peer_is_gone(&around(io::Error::from(kind))), "{kind}");
        }
        for kind in [InvalidInput, InvalidData, TimedOut] {
            assert!(!peer_is_gone(&around(io::Error::from(kind))), "{kind}");
        }
        assert!(!peer_is_gone(&()));
    }

    #[cfg(feature = "axum")]
    #[test]
    fn axum_wraps_the_error_of_its_bodies() {
        let lost = axum_core::Error::new(io::Error::from(io::ErrorKind::ConnectionReset));
        assert!(peer_is_gone(&lost));
        assert!(!peer_is_gone(&axum_core::Error::new("malformed")));
    }

    #[cfg(feature = "http2")]
    #[test]
    fn a_reset_of_our_own_is_not_the_peers() {
        let own = h2::Error::from(h2::Reason::PROTOCOL_ERROR);
        assert!(!peer_is_gone(&own));
        assert!(!peer_is_gone(&around(own)));
    }
}
