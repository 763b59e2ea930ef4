//! Stands in for `legacy_client.rs` without the feature `client`.

use std::any::Any;
use std::error::Error as StdError;

pub(super) fn is_connect(_: &(dyn StdError + 'static)) -> bool {
    false
}

pub(super) fn of_client(_: &dyn Any) -> Option<&(dyn StdError + 'static)> {
    None
}
