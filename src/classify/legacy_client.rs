//! Errors of hyper-util's client, which is inside of reqwest too.

use hyper_util::client::legacy::Error;
use hyper_util::client::legacy::connect::HttpConnector;
use std::error::Error as StdError;
use tower_service::Service;

/// What opens hyper-util's connections, and tonic's, fails with. The type has no name of its own.
type ConnectError = <HttpConnector as Service<http::Uri>>::Error;

/// Whether the error says of itself that no connection could be made.
pub(super) fn is_connect(error: &(dyn StdError + 'static)) -> bool {
    error.is::<ConnectError>() || error.downcast_ref().is_some_and(Error::is_connect)
}

pub(super) fn of_client(error: &dyn std::any::Any) -> Option<&(dyn StdError + 'static)> {
    error.downcast_ref::<Error>().map(|error| error as _)
}
