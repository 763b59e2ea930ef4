//! Errors of hyper-util's client, which reqwest uses too.

use hyper_util::client::legacy::Error;
use hyper_util::client::legacy::connect::HttpConnector;
use std::error::Error as StdError;
use tower_service::Service;

/// The error of the connector that hyper-util and tonic use. The type is not exported under a name.
type ConnectError = <HttpConnector as Service<http::Uri>>::Error;

/// Returns whether the error is a failure to connect.
pub(super) fn is_connect(error: &(dyn StdError + 'static)) -> bool {
    error.is::<ConnectError>() || error.downcast_ref().is_some_and(Error::is_connect)
}

pub(super) fn of_client(error: &dyn std::any::Any) -> Option<&(dyn StdError + 'static)> {
    error.downcast_ref::<Error>().map(|error| error as _)
}
