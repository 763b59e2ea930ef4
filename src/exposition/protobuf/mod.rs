//! Prometheus' protobuf format, which is older than OpenMetrics and the only one with native
//! histograms.
//!
//! A page has one message of the type `io.prometheus.client.MetricFamily` per family, in the same
//! order as text. [`messages`] has the messages and their fields, [`wire`] writes the fields.

mod automatic;
mod included;
mod messages;
mod native;
mod wire;

use self::messages::PageWriter;
use super::{Families, PageFamily, in_order};
use crate::escaping::Escaping;
use bytes::Bytes;

/// The protobuf format. Its value exists only with the feature `protobuf`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Protobuf(());

// === impl Protobuf ===

impl Protobuf {
    pub(crate) const OFFERED: Option<Self> = Some(Self(()));

    /// Returns the page of these families.
    pub(super) fn page(self, families: &Families<'_>, escaping: Escaping) -> Bytes {
        let mut page = PageWriter::new(escaping);
        for (name, family) in in_order(families) {
            match family {
                PageFamily::Automatic(family) => automatic::write(&mut page, name, family),
                PageFamily::Included(family) => included::write(&mut page, name, family),
            }
        }
        page.into_bytes().into()
    }
}
