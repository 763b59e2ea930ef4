//! Prometheus' protobuf format: its classic one, from before OpenMetrics, which is the only one
//! that has native histograms.
//!
//! A page is a message of the type `io.prometheus.client.MetricFamily` for each family, in the
//! order of text. [`wire`] knows how fields are written, [`messages`] which ones there are.

mod automatic;
mod foreign;
mod messages;
mod native;
mod wire;

use self::messages::{Count, Page};
use super::{Families, Source};
use crate::labels::Labels;
use crate::registry::{Kind, UPTIME_HELP, UPTIME_UNIT};
use bytes::Bytes;
use std::time::Duration;

/// The format. There is a value of it where it is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Protobuf(());

// === impl Protobuf ===

impl Protobuf {
    pub(crate) const OFFERED: Option<Self> = Some(Self(()));

    /// The page of these families, by name.
    pub(super) fn page(self, families: &Families<'_>, uptime: Duration) -> Bytes {
        let mut page = Page::default();
        for (name, source) in families {
            match source {
                Source::Automatic(family) => automatic::write(&mut page, name, family),
                Source::Foreign(family) => foreign::write(&mut page, name, family),
                Source::Uptime(labels) => write_uptime(&mut page, name, labels, uptime),
            }
        }
        page.into_bytes().into()
    }
}

fn write_uptime(page: &mut Page, name: &str, labels: &Labels, uptime: Duration) {
    page.family(
        name,
        Kind::Gauge,
        Some(UPTIME_UNIT),
        UPTIME_HELP,
        |family| {
            family.metric(labels.iter(), |metric| {
                metric.gauge(automatic::seconds(uptime.as_nanos()));
            });
        },
    );
}
