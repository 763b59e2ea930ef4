//! Writing a registry down as a page.
//!
//! Families come in the order of their names, series in the order of their labels, so that
//! equal states give equal bytes. [`families`] has all families of a page: those of layers are in a [`snapshot`] of their
//! numbers, those that users registered as they encode themselves. [`automatic`] and [`foreign`] write the two as text,
//! and [`text`] knows how a line looks in either format; [`protobuf`] writes both in its own.

mod automatic;
mod collector;
mod families;
mod foreign;
mod number;
#[cfg(feature = "protobuf")]
mod protobuf;
#[cfg(not(feature = "protobuf"))]
#[path = "no_protobuf.rs"]
mod protobuf;
mod selection;
mod shown;
mod snapshot;
mod sources;
mod text;

pub(crate) use self::protobuf::Protobuf;
pub(crate) use self::selection::Selection;

use self::families::{Families, OnError, Source, families, foreign_texts};
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

/// How a page is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Text(Format),
    Protobuf(Protobuf),
}

impl MetricsRegistry {
    /// The page, with the families that are selected.
    ///
    /// # Errors
    ///
    /// What `on_error` makes of an error that names what a user registered and can't be shown; or if
    /// this thread is at a page of this registry already.
    pub(crate) fn render(
        &self,
        encoding: Encoding,
        selection: &Selection,
        on_error: &OnError<'_>,
    ) -> Result<Bytes, Error> {
        let _at_work = self.begin_page()?;
        let table = self.table();
        let texts = foreign_texts(&table, selection, on_error)?;
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
    let sizes = families.iter().map(|(name, source)| match source {
        Source::Automatic(family) => automatic::size(name, family),
        Source::Foreign(_) | Source::Uptime => 0,
    });
    let mut text = TextWriter::with_capacity(sizes.sum(), format);
    for (name, source) in families {
        match source {
            Source::Automatic(family) => automatic::write(&mut text, name, family),
            Source::Foreign(family) => foreign::write(&mut text, name, family),
            Source::Uptime => {
                text.family(name, Kind::Gauge, Some(UPTIME_UNIT), UPTIME_HELP);
                text.sample("", "", |value| value.seconds(uptime.as_nanos()));
            }
        }
    }
    text.finish()
}
