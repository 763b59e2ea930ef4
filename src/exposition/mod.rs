//! Writes a registry as a page.
//!
//! Families are sorted by name and series by labels, so that equal states give equal bytes. [`families`] collects all
//! families of a page. Automatic families come from a [`snapshot`] of the layers' numbers, included families from what
//! their encoders write. [`automatic`] and [`included`] write them as text, with the lines of [`text`]. [`protobuf`]
//! writes both as protobuf.

mod automatic;
mod collector;
mod families;
mod include;
mod included;
mod number;
#[cfg(feature = "protobuf")]
mod protobuf;
#[cfg(not(feature = "protobuf"))]
#[path = "no_protobuf.rs"]
mod protobuf;
mod selection;
mod series_snapshot;
mod snapshot;
mod text;

pub(crate) use self::protobuf::Protobuf;
pub(crate) use self::selection::Selection;

use self::families::{ErrorHandler, Families, PageFamily, families, included_texts};
use self::text::TextWriter;
use crate::Error;
use crate::registry::{Kind, MetricsRegistry, UPTIME_HELP, UPTIME_UNIT};
use bytes::Bytes;
use std::time::Duration;

/// The text formats that a page can be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// The Prometheus text format 0.0.4.
    Prometheus,
}

/// The encodings that a page can be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Text(Format),
    Protobuf(Protobuf),
}

impl MetricsRegistry {
    /// Returns the page with the selected families.
    ///
    /// # Errors
    ///
    /// Calls `on_error` with each error of an included family, and returns the error that it returns.
    /// Also returns an error if this thread is already writing a page of this registry.
    pub(crate) fn render(
        &self,
        encoding: Encoding,
        selection: &Selection,
        on_error: &ErrorHandler<'_>,
    ) -> Result<Bytes, Error> {
        let _at_work = self.begin_page()?;
        let table = self.table();
        let texts = included_texts(&table, selection, on_error)?;
        let mut late = Vec::new();
        let families = families(&table, &texts, selection, on_error, &mut late);
        self.learn(&late);
        let families = families?;
        let uptime = self.uptime();
        Ok(match encoding {
            Encoding::Text(format) => text_page(&families, uptime, format).into(),
            Encoding::Protobuf(protobuf) => protobuf.page(&families, uptime),
        })
    }
}

fn text_page(families: &Families<'_>, uptime: Duration, format: Format) -> String {
    let sizes = families.iter().map(|(name, family)| match family {
        PageFamily::Automatic(family) => automatic::size(name, family),
        PageFamily::Included(_) | PageFamily::Uptime => 0,
    });
    let mut text = TextWriter::with_capacity(sizes.sum(), format);
    for (name, family) in families {
        match family {
            PageFamily::Automatic(family) => automatic::write(&mut text, name, family),
            PageFamily::Included(family) => included::write(&mut text, name, family),
            PageFamily::Uptime => {
                text.family(name, Kind::Gauge, Some(UPTIME_UNIT), UPTIME_HELP);
                text.sample("", "", |value| value.seconds(uptime.as_nanos()));
            }
        }
    }
    text.finish()
}
