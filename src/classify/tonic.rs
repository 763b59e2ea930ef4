//! Errors of tonic's channel and of its bodies.

use std::any::Any;
use std::error::Error as StdError;
use tonic::{Code, Status};

/// Returns whether the time limit of an endpoint or of a request passed, or the code of a status says so.
pub(super) fn is_timeout(error: &(dyn StdError + 'static)) -> bool {
    let status: Option<&Status> = error.downcast_ref();
    error.is::<tonic::TimeoutExpired>()
        || status.is_some_and(|status| status.code() == Code::DeadlineExceeded)
}

/// Returns whether a channel failed to connect.
pub(super) fn is_connect(error: &(dyn StdError + 'static)) -> bool {
    error.is::<tonic::ConnectError>()
}

/// Returns the error inside tonic's error types. For a `Status` this is its source, unless its code is a timeout.
pub(super) fn of_tonic(error: &dyn Any) -> Option<&(dyn StdError + 'static)> {
    if let Some(status) = error.downcast_ref::<Status>() {
        match is_timeout(status) {
            true => Some(status),
            false => status.source(),
        }
    } else if let Some(error) = error.downcast_ref::<tonic::transport::Error>() {
        Some(error)
    } else if let Some(error) = error.downcast_ref::<tonic::TimeoutExpired>() {
        Some(error)
    } else if let Some(error) = error.downcast_ref::<tonic::ConnectError>() {
        Some(error)
    } else {
        None
    }
}
