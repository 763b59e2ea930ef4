//! The protobuf format where the feature `protobuf` is off: nobody can ask for it.

use super::Source;
use crate::Error;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::time::Duration;

/// The format. There is a value of it where it is offered, so here is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protobuf {}

// === impl Protobuf ===

impl Protobuf {
    pub(crate) const OFFERED: Option<Self> = None;

    pub(super) fn page(
        self,
        _: &mut BTreeMap<String, Source<'_>>,
        _: Duration,
    ) -> Result<Bytes, Error> {
        match self {}
    }
}
