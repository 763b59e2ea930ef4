//! The protobuf format where the feature `protobuf` is off: nobody can ask for it.

use super::Families;
use bytes::Bytes;
use std::time::Duration;

/// The format. There is a value of it where it is offered, so here is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protobuf {}

// === impl Protobuf ===

impl Protobuf {
    pub(crate) const OFFERED: Option<Self> = None;

    pub(super) fn page(self, _: &Families<'_>, _: Duration) -> Bytes {
        match self {}
    }
}
