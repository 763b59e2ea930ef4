//! The protobuf format without the feature `protobuf`: it is never offered.

use super::Families;
use crate::escaping::Escaping;
use bytes::Bytes;

/// The protobuf format. It has no value, because it is not offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protobuf {}

// === impl Protobuf ===

impl Protobuf {
    pub(crate) const OFFERED: Option<Self> = None;

    pub(super) fn page(self, _: &Families<'_>, _: Escaping) -> Bytes {
        match self {}
    }
}
