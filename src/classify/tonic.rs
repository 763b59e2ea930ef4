//! tonic's errors: what its channel fails with, and its bodies.

use std::any::Any;
use std::error::Error as StdError;
use tonic::{Code, Status};

/// Whether the time limit of an endpoint, or that of a request, has passed, or a status says so.
pub(super) fn is_timeout(error: &(dyn StdError + 'static)) -> bool {
    let status: Option<&Status> = error.downcast_ref();
    error.is::<tonic::TimeoutExpired>()
        || status.is_some_and(|status| status.code() == Code::DeadlineExceeded)
}

/// Whether a channel could not connect.
pub(super) fn is_connect(error: &(dyn StdError + 'static)) -> bool {
    error.is::<tonic::ConnectError>()
}

/// A status is what tonic has made of an error, which it keeps; one that was made of nothing tells nothing, unless it is a
/// timeout.
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
