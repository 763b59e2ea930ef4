//! Stands in for `tonic.rs` without the feature `tonic`.

use std::any::Any;
use std::error::Error as StdError;

pub(super) fn is_timeout(_: &(dyn StdError + 'static)) -> bool {
    false
}

pub(super) fn is_connect(_: &(dyn StdError + 'static)) -> bool {
    false
}

pub(super) fn of_tonic(_: &dyn Any) -> Option<&(dyn StdError + 'static)> {
    None
}
